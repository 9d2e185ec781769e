"""CatBoost → ONNX, from the model's own JSON (CatBoost.save_model(format="json")).

CatBoost narrows features to float32 and takes a split's right branch where `x > border`; NaN
is below or above all borders, as the feature says. Leaves are added in double, in the order of
the trees; the sum is then scaled, and the bias added (libs/model/eval_processing.h,
libs/model/cpu/quantization.h).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlml.errors import DependencyMissingError, NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.convert import Answer
    from sqlml.convert.booster import Scores
    from sqlml.convert.categories import Categories
    from sqlml.convert.ensemble import Tree
    from sqlml.convert.graph import Graph
    from sqlml.model import Label, ScoringModel
    from sqlml.sample import Sample

_CLASSIFIER, _REGRESSOR = "CatBoostClassifier", "CatBoostRegressor"
_KINDS = (_CLASSIFIER, _REGRESSOR, "CatBoostRanker", "CatBoost")

# A classifier's loss → what predict_proba makes of the sums.
_PROBABILITIES = {
    "CrossEntropy": "sigmoid",
    "Focal": "sigmoid",
    "Logloss": "sigmoid",
    "MultiClass": "softmax",
    "MultiClassOneVsAll": "sigmoid",  # of each class by itself: they don't add up to one
}

# A regressor's default type of prediction → its link. The ranker's and CatBoost's own predict
# give the sum itself, whatever the loss.
_PREDICTIONS = {"RawFormulaVal": "identity", "Exponent": "exp"}


def recognises(model: object) -> bool:
    """One of CatBoost's models, itself and not a subclass."""
    kind = type(model)
    return kind.__module__.partition(".")[0] == "catboost" and kind.__name__ in _KINDS


def convert(model: Any, sample: Sample) -> ScoringModel:
    """The model as a ScoringModel of float32 inputs that computes in double.

    Raises `NotConvertibleError` for categorical, text and embedding features and for losses
    whose link is not known, `SampleError` where the sample's columns are not the features.
    """
    from sqlml.convert.booster import check_columns, scoring_model

    source = _read(model)
    numbered = source.names == [str(i) for i in range(len(source.names))]
    check_columns(source.kind, sample, None if numbered else source.names, len(source.names))
    import catboost

    metadata = {
        "framework": "catboost",
        "estimator": source.kind,
        "objective": source.loss,
        "versions": {"catboost": catboost.__version__},
    }
    return scoring_model(nodes, model, sample, "float64", metadata, {}, wire="float32")


def answer(model: Any, rows: Any) -> Answer:
    """The model's own predict and predict_proba."""
    from sqlml.convert import Answer

    predicted = model.predict(rows)
    if type(model).__name__ == _CLASSIFIER:
        return Answer(predicted.ravel(), model.predict_proba(rows))
    return Answer(predicted)


def nodes(
    g: Graph, model: Any, matrix: str, coded: Mapping[int, Categories] | None = None
) -> Scores:
    """Add the model's nodes; `matrix` is [N, features] of floats of either width."""
    from sqlml.convert.booster import Scores
    from sqlml.convert.graph import DOUBLE, FLOAT
    from sqlml.convert.links import LINKS, two_columns

    source = _read(model)
    x = g.cast(g.node("Cast", matrix, to=FLOAT), DOUBLE)
    result = LINKS[source.link](g, _sums(g, source, x), "float64")
    if not source.labels:
        return Scores("regression", "prediction", result, source.outputs)
    if source.outputs == 1:
        result = two_columns(g, result)
    return Scores("classification", "probabilities", result, len(source.labels), source.labels)


@dataclass(frozen=True, slots=True)
class _Source:
    """The facts of a trained model."""

    kind: str
    loss: str
    link: str
    names: list[str]
    labels: tuple[Label, ...]
    outputs: int
    """Sums of a row: classes, targets or one."""
    scale: float
    bias: tuple[float, ...]
    """One for each output."""
    trees: list[Tree]


def _read(model: Any) -> _Source:
    try:
        import catboost  # noqa: F401
    except ImportError as error:
        raise DependencyMissingError("CatBoost models", "catboost") from error
    kind = type(model).__name__
    if not model.is_fitted():
        raise NotConvertibleError(kind, "it is not trained.", "Call fit first.")
    names = [str(name) for name in model.feature_names_]
    _refuse_features(model, kind, names)
    content = _json(model)
    features = content["features_info"].get("float_features") or []
    by_index = {feature["feature_index"]: feature for feature in features}
    if content.get("oblivious_trees"):
        trees = [_oblivious(tree, by_index) for tree in content["oblivious_trees"]]
    else:
        trees = [_free(tree, by_index) for tree in content.get("trees") or []]
    scale, bias = content["scale_and_bias"]
    outputs = trees[0].value.shape[1] if trees else len(bias or [0.0])
    bias = tuple(float(b) for b in bias or [])
    if not any(bias):
        bias = (0.0,) * outputs
    if len(bias) != outputs:
        raise NotConvertibleError(kind, f"it has {outputs} outputs, and {len(bias)} biases.")
    loss = _loss(content)
    link, labels = _link(model, kind, loss, outputs)
    return _Source(kind, loss, link, names, labels, outputs, float(scale), bias, trees)


def _refuse_features(model: Any, kind: str, names: Sequence[str]) -> None:
    """Features that are no numbers.

    A model keeps hashes of categories, and statistics of the target by hash: neither has a
    form in a graph that is the same for every value that a query may bring.
    """
    from sqlml.convert.booster import ONE_HOT

    numbers = "Make numbers of it in a pipeline, and publish that."
    for what, found, advice in (
        ("categorical", model.get_cat_feature_indices(), ONE_HOT),
        ("text", model.get_text_feature_indices(), numbers),
        ("an embedding", model.get_embedding_feature_indices(), numbers),
    ):
        if len(found):
            raise NotConvertibleError(kind, f"feature {names[found[0]]} is {what}.", advice)


def _json(model: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sqlml-") as directory:
        path = Path(directory, "model.json")
        model.save_model(str(path), format="json")
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _loss(content: Mapping[str, Any]) -> str:
    params = content["model_info"].get("params") or {}
    return str((params.get("loss_function") or {}).get("type", ""))


def _link(model: Any, kind: str, loss: str, outputs: int) -> tuple[str, tuple[Label, ...]]:
    """What predict, or predict_proba, makes of the sums; and a classifier's labels."""
    if kind == _REGRESSOR:
        # What predict asks itself; it goes by the parameters, not by the trained model.
        wanted = model._get_default_prediction_type()
        if wanted not in _PREDICTIONS:
            raise NotConvertibleError(kind, f"{loss} predicts more than one number of a kind.")
        return _PREDICTIONS[wanted], ()
    if kind != _CLASSIFIER:
        return "identity", ()
    if loss not in _PROBABILITIES:
        raise NotConvertibleError(
            kind,
            f"the loss {loss!r} has no known link to probabilities of classes.",
            "Train with Logloss, CrossEntropy, MultiClass or MultiClassOneVsAll.",
        )
    import numpy as np

    labels: tuple[Label, ...] = tuple(np.asarray(model.classes_).tolist())
    if len(labels) != max(outputs, 2):
        raise NotConvertibleError(kind, f"it has {len(labels)} classes, and {outputs} sums a row.")
    if outputs == 1 and model.get_probability_threshold() not in (None, 0.5):
        raise NotConvertibleError(
            kind,
            f"its labels follow a threshold of {model.get_probability_threshold():g}.",
            "Call set_probability_threshold(None), and compare the probability in SQL.",
        )
    return _PROBABILITIES[loss], labels


def _sums(g: Graph, source: _Source, x: str) -> str:
    """[N, outputs]: the leaves, scaled, and the bias."""
    from sqlml.convert.ensemble import ensemble_nodes

    total = g.fresh()
    g.add(
        ensemble_nodes(
            source.trees,
            mode="BRANCH_LEQ",
            precision="float64",
            input=x,
            output=total,
            n_outputs=source.outputs,
        )
    )
    if source.scale != 1:
        total = g.node("Mul", total, g.const(source.scale, "float64"))
    if any(source.bias):
        total = g.node("Add", total, g.const([source.bias], "float64"))
    return total


def _split(split: Mapping[str, Any], features: Mapping[int, Any]) -> tuple[int, float, bool]:
    """A split's column, its border, and whether NaN is not above it.

    The file has the nine digits that tell one float32 from another.
    """
    import numpy as np

    if split["split_type"] != "FloatFeature":
        raise NotConvertibleError(
            "CatBoost", f"a tree has a split of type {split['split_type']}, not by a number."
        )
    feature = features[split["float_feature_index"]]
    above = feature["has_nans"] and feature["nan_value_treatment"] == "AsTrue"
    return feature["flat_feature_index"], float(np.float32(split["border"])), not above


def _oblivious(content: Mapping[str, Any], features: Mapping[int, Any]) -> Tree:
    """A tree that asks the same in every node of a level: split k is bit k of the leaf's number."""
    import numpy as np

    from sqlml.convert.ensemble import Tree

    splits = [_split(split, features) for split in content["splits"] or []]
    depth = len(splits)
    inner, leaves = 2**depth - 1, 2**depth
    number = np.arange(inner)
    level = np.floor(np.log2(number + 1)).astype(np.int64)
    # The leaves stand in the order of the way to them, whose first turn is the lowest bit.
    way = np.arange(leaves)
    place = sum(
        (((way >> (depth - 1 - k)) & 1) << k for k in range(depth)), np.zeros(leaves, np.int64)
    )
    value = np.array(content["leaf_values"], np.float64).reshape(leaves, -1)

    def of_nodes(values: Sequence[Any], dtype: Any, filler: Any) -> Any:
        asked = np.array(values, dtype)[level] if depth else np.zeros(0, dtype)
        return np.concatenate([asked, np.full(leaves, filler, dtype)])

    none = np.full(leaves, -1)
    return Tree(
        of_nodes([column for column, _, _ in splits], np.int64, 0),
        of_nodes([border for _, border, _ in splits], np.float64, 0.0),
        np.concatenate([2 * number + 1, none]),
        np.concatenate([2 * number + 2, none]),
        of_nodes([below for _, _, below in splits], np.bool_, False),
        np.concatenate([np.zeros((inner, value.shape[1])), value[place]]),
    )


def _free(content: Mapping[str, Any], features: Mapping[int, Any]) -> Tree:
    """A tree of any shape (grow_policy Depthwise or Lossguide), as nested nodes."""
    import numpy as np

    from sqlml.convert.ensemble import Tree

    columns: list[int] = []
    borders: list[float] = []
    below: list[bool] = []
    children: list[list[int]] = []
    values: list[Any] = []

    def add(node: Mapping[str, Any]) -> int:
        at = len(columns)
        leaf = "value" in node
        column, border, is_below = (0, 0.0, False) if leaf else _split(node["split"], features)
        columns.append(column)
        borders.append(border)
        below.append(is_below)
        children.append([-1, -1])
        values.append(np.atleast_1d(np.array(node["value"], np.float64)) if leaf else None)
        if not leaf:
            children[at] = [add(node["left"]), add(node["right"])]
        return at

    add(content)
    width = len(next(value for value in values if value is not None))
    filled = [np.zeros(width) if value is None else value for value in values]
    left, right = np.array(children, np.int64).T
    return Tree(
        np.array(columns, np.int64),
        np.array(borders, np.float64),
        left,
        right,
        np.array(below, np.bool_),
        np.stack(filled),
    )
