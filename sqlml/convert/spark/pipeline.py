"""A fitted pipeline taken apart: what makes its prediction, and of which columns.

Only the stages on which the prediction depends are looked at. The others are there for the
training, like a StringIndexer of the label, and their columns need not be given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.convert.spark.frame import given, name_of, pairs
from sqlml.convert.spark.stages import REFUSED, refusal
from sqlml.errors import NotConvertibleError, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_OWN = ("pyspark.ml.", "xgboost.spark.")

# Others' stages, by module: the reason, and what to do.
_FOREIGN = {
    "synapse.ml.lightgbm": (
        "SynapseML's own scores are not among those that are compared with.",
        "Publish its booster, which takes the vector's elements as columns: "
        "lightgbm.Booster(model_str=model.getNativeModel()).",
    ),
}

# RFormulaModel's own helpers, which touch no value.
_HELPERS = ("ColumnPruner", "VectorAttributeRewriter")
_HARMLESS = ("VectorSizeHint",)
_COLUMNS = (
    "outputCol", "predictionCol", "probabilityCol", "rawPredictionCol", "leafCol",
    "linkPredictionCol", "quantilesCol", "topicDistributionCol",
)  # fmt: skip

_SOURCES = ("featuresCol", "inputCol", "userCol", "itemCol", "offsetCol")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run for an answer, and what is converted."""

    units: tuple[Any, ...]
    """The original's own stages in their order, the model and its decoder included."""
    stages: tuple[Any, ...]
    """Those before the model, with RFormula as the stages it is made of."""
    model: Any
    decoder: Any | None
    """The IndexToString that turns the prediction into the labels."""
    inputs: tuple[str, ...]
    """The raw columns, in the order in which they are first read."""


def is_own(stage: object) -> bool:
    """Whether a class is of pyspark.ml itself, or of xgboost.spark: a subclass may do something
    else.
    """
    module = type(stage).__module__
    return module.startswith(_OWN) and not module.startswith("pyspark.ml.connect")


def plan_of(model: Any) -> Plan:
    """Raises `NotConvertibleError` where no stage predicts, and for stages whose effect on the
    prediction cannot be told.
    """
    from pyspark.sql.utils import is_remote

    if not hasattr(model, "transform"):
        raise NotConvertibleError(name_of(model), "it is not trained.", "Call fit first.")
    if is_remote():
        raise NotConvertibleError(
            name_of(model),
            "it is on the other side of Spark Connect, where its inside cannot be read.",
            "Publish it from a session of that Spark itself.",
        )
    flat = list(_flat(model))
    places = [i for i, (_, stage) in enumerate(flat) if stage.hasParam("predictionCol")]
    if not places:
        unknown = next((stage for _, stage in flat if name_of(stage) in REFUSED), None)
        if unknown is not None:
            raise refusal(unknown)
        raise NotConvertibleError(
            name_of(model), "none of its stages predicts.", "Add a model as the last stage."
        )
    place = places[-1]
    unit, predictor = flat[place]
    if not given(predictor, "predictionCol"):
        raise NotConvertibleError(name_of(predictor), "its predictionCol is switched off.")
    decoder = _decoder(predictor, [stage for _, stage in flat[place + 1 :]])
    live = _live(flat[:place], predictor)
    units = list(dict.fromkeys([*(u for u, _, _ in live), unit]))
    return Plan(
        units=(*units, *([] if decoder is None else [decoder])),
        stages=tuple(stage for _, stage, _ in live),
        model=predictor,
        decoder=decoder,
        inputs=_raw(live, predictor),
    )


def refused(stage: Any) -> NotConvertibleError | None:
    """Why a stage has no place in a plan, where that is so."""
    if not is_own(stage):
        kind = f"{type(stage).__module__}.{type(stage).__qualname__}"
        known = (told for module, told in _FOREIGN.items() if kind.startswith(f"{module}."))
        return NotConvertibleError(kind, *next(known, ("it is none of Spark's own stages.",)))
    unclear = name_of(stage) not in ("RFormulaModel", *_HARMLESS) and not _made(stage)
    return refusal(stage) if unclear else None


def leaves(stage: Any) -> Iterator[Any]:
    """The stages of a pipeline in their order, those of pipelines within it too."""
    if is_own(stage) and name_of(stage) == "PipelineModel":
        for inner in stage.stages:
            yield from leaves(inner)
    elif is_own(stage) and name_of(stage) in ("CrossValidatorModel", "TrainValidationSplitModel"):
        yield from leaves(stage.bestModel)
    else:
        yield stage


def _flat(model: Any) -> Iterator[tuple[Any, Any]]:
    """Each stage, with RFormula as the stages it is made of, after what transforms in its place."""
    for unit in leaves(model):
        error = refused(unit)
        if error is not None:
            raise error
        inner = _formula(unit) if name_of(unit) == "RFormulaModel" else [unit]
        yield from ((unit, stage) for stage in inner)


def _formula(stage: Any) -> Iterator[Any]:
    """The stages that an RFormula became; Python has no word for them."""
    from pyspark.ml.wrapper import JavaParams

    for java in stage._java_obj.pipelineModel().stages():
        if java.getClass().getSimpleName() not in _HELPERS:
            yield JavaParams._from_java(java)


def _decoder(predictor: Any, after: list[Any]) -> Any | None:
    """What turns the prediction into labels, of the stages after the model."""
    decoder, made = None, set(_made(predictor))
    for stage in after:
        first = decoder is None and name_of(stage) == "IndexToString"
        if first and stage.getInputCol() == predictor.getPredictionCol():
            decoder = stage
        elif made.intersection(_read(stage)):
            raise NotConvertibleError(
                name_of(stage),
                "it stands behind the model and reads its result.",
                "Leave it out of the pipeline, and do its work in SQL on PREDICT's columns.",
            )
    return decoder


def _live(flat: list[tuple[Any, Any]], predictor: Any) -> list[tuple[Any, Any, list[str]]]:
    """The stages that the model depends on, with what they read for it."""
    needed, found = set(_read(predictor)), []
    for unit, stage in reversed(flat):
        made = set(_made(stage))
        if made & needed:
            _check_dropping(stage, needed)
            reads = _read(stage, needed)
            needed = (needed - made) | set(reads)
            found.append((unit, stage, reads))
    return found[::-1]


def _check_dropping(stage: Any, needed: Collection[str]) -> None:
    """A StringIndexer drops rows by all its columns, needed or not."""
    if name_of(stage) != "StringIndexerModel" or stage.getHandleInvalid() != "skip":
        return
    idle = [source for source, target in pairs(stage) if target not in needed]
    if idle:
        raise NotConvertibleError(
            name_of(stage),
            f"with handleInvalid='skip' it drops rows by {listed(idle)}, which the model does not "
            "use.",
            "Give those a StringIndexer of their own, or use handleInvalid='keep'.",
        )


def _raw(live: list[tuple[Any, Any, list[str]]], predictor: Any) -> tuple[str, ...]:
    made: set[str] = set()
    raw: dict[str, None] = {}
    for stage, reads in [*((s, r) for _, s, r in live), (predictor, _read(predictor))]:
        for name in reads:
            if name not in made:
                raw[name] = None
        made.update(_made(stage))
    return tuple(raw)


def _read(stage: Any, needed: Collection[str] | None = None) -> list[str]:
    """The columns that a stage reads. A StringIndexer lets columns be absent: those that it
    indexes for nothing that is needed do not count.
    """
    if name_of(stage) == "StringIndexerModel" and needed is not None:
        return [source for source, target in pairs(stage) if target in needed]
    if stage.hasParam("inputCols") and stage.isSet("inputCols"):
        return list(stage.getInputCols())
    if given(stage, "features_cols"):  # of xgboost.spark, instead of the vector
        return list(given(stage, "features_cols"))
    return [name for name in (given(stage, param) for param in _SOURCES) if name]


def _made(stage: Any) -> list[str]:
    """The columns that a stage adds."""
    if stage.hasParam("outputCols") and stage.isSet("outputCols"):
        return list(stage.getOutputCols())
    return [name for name in (given(stage, param) for param in _COLUMNS) if name]
