"""Which of Spark's stages is converted by what, and which are refused for which reason."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from typing import TYPE_CHECKING, Any, cast

from sqlml.convert.graph import DOUBLE
from sqlml.convert.sklearn.arithmetic import argmax, column
from sqlml.convert.spark.frame import Element, Frame, Part, given, name_of, vector
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.graph import Graph
    from sqlml.convert.sklearn.frame import Result

    Transform = Callable[[Graph, Any, Frame], Frame]
    Predict = Callable[[Graph, Any, Frame], Result]

# Each has two tables, TRANSFORMS and PREDICTORS, by class name.
MODULES = (
    "assemble", "encode", "scale", "linear", "trees", "cluster", "classify", "recommend",
    "boosters",
)  # fmt: skip

CLUSTERERS = ("KMeansModel", "BisectingKMeansModel", "GaussianMixtureModel")

_IN_SQL = "Compute its columns in SQL before PREDICT, and train on those."
_TEXT = "it makes features of text, which have no form here."
_TOPICS = "it infers topics by sampling, which has no form here."
_HASHES = "it makes hashes to join by, which are no features."

# Class → the reason, and what to do.
REFUSED = {
    "SQLTransformer": ("it runs SQL of its own.", _IN_SQL),
    "Tokenizer": (_TEXT, _IN_SQL),
    "RegexTokenizer": (_TEXT, _IN_SQL),
    "StopWordsRemover": (_TEXT, _IN_SQL),
    "NGram": (_TEXT, _IN_SQL),
    "HashingTF": (_TEXT, _IN_SQL),
    "IDFModel": (_TEXT, _IN_SQL),
    "CountVectorizerModel": (_TEXT, _IN_SQL),
    "Word2VecModel": (_TEXT, _IN_SQL),
    "FeatureHasher": ("it hashes values, which has no form here.", "Use StringIndexer."),
    "IndexToString": (
        "it turns something else than the prediction into text.",
        "Leave it out of the pipeline.",
    ),
    "FPGrowthModel": ("its prediction is a list of items.", "Publish another model."),
    "LocalLDAModel": (_TOPICS, "Publish another model."),
    "DistributedLDAModel": (_TOPICS, "Publish another model."),
    "BucketedRandomProjectionLSHModel": (_HASHES, "Leave it out."),
    "MinHashLSHModel": (_HASHES, "Leave it out."),
}


STRUCTURE = (
    "PipelineModel", "CrossValidatorModel", "TrainValidationSplitModel", "RFormulaModel",
    "IndexToString", "VectorSizeHint",
)  # fmt: skip
"""What holds stages, names a prediction, or touches no value; see `pipeline`."""


def converted() -> frozenset[str]:
    """The classes that have a conversion, by name."""
    return frozenset({*STRUCTURE, *_table("TRANSFORMS"), *_table("PREDICTORS")})


@functools.cache
def _table(kind: str) -> dict[str, Any]:
    modules = [importlib.import_module(f"sqlml.convert.spark.{m}") for m in MODULES]
    return {name: how for m in modules for name, how in getattr(m, kind).items()}


def transform(g: Graph, stage: Any, frame: Frame) -> Frame:
    """The columns that `stage.transform` adds, and their nodes."""
    if name_of(stage) in _table("PREDICTORS"):
        return _added(g, stage, predict(g, stage, frame))
    how = _table("TRANSFORMS").get(name_of(stage))
    if how is None:
        raise refusal(stage)
    return cast("Transform", how)(g, stage, frame)


def predict(g: Graph, stage: Any, frame: Frame) -> Result:
    """The nodes of a model's prediction, and of its probabilities where it writes them."""
    how = _table("PREDICTORS").get(name_of(stage))
    if how is None:
        raise refusal(stage)
    result = cast("Predict", how)(g, stage, frame)
    if result.probabilities is None or given(stage, "probabilityCol"):
        return result
    label = argmax(g, result.probabilities) if result.label is None else result.label
    return dataclasses.replace(result, probabilities=None, label=label)


def refusal(stage: Any) -> NotConvertibleError:
    """Why a stage cannot be converted."""
    reason, instead = REFUSED.get(
        name_of(stage), ("no conversion of it is known.", "Leave it out, or do its work in SQL.")
    )
    return NotConvertibleError(name_of(stage), reason, instead)


def _added(g: Graph, stage: Any, result: Result) -> Frame:
    """The columns that a model adds, for the stages after it."""
    if result.task == "regression":
        assert result.prediction is not None
        return {stage.getPredictionCol(): Part(result.prediction)}
    if result.task == "clustering":
        assert result.prediction is not None
        return {stage.getPredictionCol(): _numbered(g, result.prediction, "INT")}
    label, count = result.label, len(result.classes)
    if label is None:
        assert result.probabilities is not None
        label = argmax(g, result.probabilities)
    found = {stage.getPredictionCol(): _numbered(g, label, "DOUBLE")}
    if result.probabilities is not None:
        found[stage.getProbabilityCol()] = vector(result.probabilities, count)
    if result.decision is not None:
        found[stage.getRawPredictionCol()] = vector(result.decision, count)
    return found


def _numbered(g: Graph, places: str, kind: str) -> Part:
    return Part(g.cast(column(g, places), DOUBLE), (Element("indices"),), type=kind)
