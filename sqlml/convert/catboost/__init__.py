"""CatBoost → ONNX, from the model's own JSON (CatBoost.save_model(format="json")).

CatBoost narrows numbers to float32 and takes a split's right branch where `x > border`; NaN
is below or above all borders, as the feature says. Leaves are added in double, in the order of
the trees; the sum is then scaled, and the bias added (libs/model/eval_processing.h,
libs/model/cpu/quantization.h). What it makes of categories is said in `categories.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlml.convert import Answer
    from sqlml.convert.booster import Scores
    from sqlml.convert.catboost.source import Source
    from sqlml.convert.categories import Categories
    from sqlml.convert.graph import Graph
    from sqlml.model import ScoringModel
    from sqlml.sample import Sample

_KINDS = ("CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker", "CatBoost")


def recognises(model: object) -> bool:
    """One of CatBoost's models, itself and not a subclass."""
    kind = type(model)
    return kind.__module__.partition(".")[0] == "catboost" and kind.__name__ in _KINDS


def convert(model: Any, sample: Sample) -> ScoringModel:
    """The model as a ScoringModel that computes in double, of float32 numbers and categories.

    Raises `NotConvertibleError` for text and embedding features, for losses whose link is not
    known and where the sample lacks categories of the training, `SampleError` where the
    sample's columns are not the features.
    """
    from sqlml.convert.booster import check_columns, scoring_model
    from sqlml.convert.catboost.source import read

    source = read(model)
    numbered = source.names == [str(i) for i in range(len(source.names))]
    names = None if numbered else source.names
    check_columns(source.kind, sample, names, len(source.names), source.categorical)
    import catboost

    metadata = {
        "framework": "catboost",
        "estimator": source.kind,
        "objective": source.loss,
        "versions": {"catboost": catboost.__version__},
    }
    values = {i: _values(sample, i) for i in source.categorical}
    return scoring_model(nodes, model, sample, "float64", metadata, values, wire="float32")


def answer(model: Any, rows: Any) -> Answer:
    """The model's own predict and predict_proba."""
    from sqlml.convert import Answer

    predicted = model.predict(rows)
    if type(model).__name__ == "CatBoostClassifier":
        return Answer(predicted.ravel(), model.predict_proba(rows))
    return Answer(predicted)


def nodes(
    g: Graph, model: Any, matrix: str, coded: Mapping[int, Categories] | None = None
) -> Scores:
    """Add the model's nodes; `matrix` is [N, features] of floats of either width.

    `coded`: by number, the features that are categories, with their values in the sample.
    """
    from sqlml.convert.booster import ONE_HOT, Scores
    from sqlml.convert.catboost.source import read
    from sqlml.convert.links import LINKS, two_columns
    from sqlml.errors import NotConvertibleError

    source = read(model)
    if source.categorical and not coded:  # a step of a pipeline
        name = source.names[next(iter(source.categorical))]
        raise NotConvertibleError(source.kind, f"feature {name} is categorical.", ONE_HOT)
    result = LINKS[source.link](g, _sums(g, source, model, matrix, coded or {}), "float64")
    if not source.labels:
        return Scores("regression", "prediction", result, source.outputs)
    if source.outputs == 1:
        result = two_columns(g, result)
    return Scores("classification", "probabilities", result, len(source.labels), source.labels)


def _values(sample: Sample, column: int) -> list[Any]:
    """The categories in a column of the sample, in order."""
    present = sample.frame.iloc[:, column].dropna().astype(object)
    found: list[Any] = sorted(present.unique().tolist())
    return found


def _sums(
    g: Graph, source: Source, model: Any, matrix: str, coded: Mapping[int, Categories]
) -> str:
    """[N, outputs]: the leaves, scaled, and the bias."""
    from sqlml.convert.catboost.categories import Columns
    from sqlml.convert.catboost.trees import trees_of
    from sqlml.convert.ensemble import ensemble_nodes
    from sqlml.convert.graph import DOUBLE, FLOAT

    x = g.cast(g.node("Cast", matrix, to=FLOAT), DOUBLE)
    columns = Columns(source)
    trees = trees_of(source, columns)
    total = g.fresh()
    g.add(
        ensemble_nodes(
            trees,
            mode="BRANCH_LEQ",
            precision="float64",
            input=g.concat([x, *columns.tensors(g, model, x, coded)]),
            output=total,
            n_outputs=source.outputs,
        )
    )
    if source.scale != 1:
        total = g.node("Mul", total, g.const(source.scale, "float64"))
    if any(source.bias):
        total = g.node("Add", total, g.const([source.bias], "float64"))
    return total
