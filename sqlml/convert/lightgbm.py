"""LightGBM → ONNX, from the booster's own text (Booster.model_to_string).

LightGBM computes in double: a row goes left where `x <= threshold`, and the leaves are added
in the order of the trees. The text has all digits of both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlml.errors import DependencyMissingError, NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert import Answer
    from sqlml.convert.booster import Scores
    from sqlml.convert.ensemble import Tree
    from sqlml.convert.graph import Graph
    from sqlml.model import Label, ScoringModel
    from sqlml.sample import Sample

_CLASSIFIER = "LGBMClassifier"
_WRAPPERS = (_CLASSIFIER, "LGBMModel", "LGBMRegressor", "LGBMRanker")

# Objective → what predict makes of the sum of leaves. "" is a function of the author's
# own: predict gives the sum itself.
_LINKS = {
    "": "identity",
    "binary": "sigmoid",
    "cross_entropy": "sigmoid",
    "cross_entropy_lambda": "log(1 + exp)",
    "fair": "identity",
    "gamma": "exp",
    "huber": "identity",
    "lambdarank": "identity",
    "mape": "identity",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",  # of each class by itself: they don't add up to one
    "poisson": "exp",
    "quantile": "identity",
    "rank_xendcg": "identity",
    "regression": "identity",
    "regression_l1": "identity",
    "tweedie": "exp",
}
# Those whose Booster has no word for its labels: they are 0 to K-1.
_OF_CLASSES = ("binary", "multiclass", "multiclassova")

# LightGBM's kZeroThreshold, a float32: what it takes for zero.
_ZERO = 1.0000000180025095e-35


def recognises(model: object) -> bool:
    """A Booster, or one of LightGBM's scikit-learn estimators, itself and not a subclass."""
    kind = type(model)
    return kind.__module__.partition(".")[0] == "lightgbm" and kind.__name__ in (
        "Booster",
        *_WRAPPERS,
    )


def convert(model: Any, sample: Sample) -> ScoringModel:
    """The booster as a ScoringModel that computes in double.

    Raises `NotConvertibleError` for categorical features and for linear trees, `SampleError`
    where the sample's columns are not the model's features.
    """
    from sqlml.convert.booster import check_columns, scoring_model
    from sqlml.convert.graph import DOUBLE, FLOAT

    source = _read(model)
    check_columns(source.kind, _as_lightgbm_names(sample), source.names, source.features)
    import lightgbm

    def build(g: Graph, model: Any, matrix: str) -> Scores:
        if sample.as_array and sample.frame.dtypes.iloc[0].kind != "f":
            # LightGBM turns an array that holds no floats into float32.
            matrix = g.cast(g.node("Cast", matrix, to=FLOAT), DOUBLE)
        return nodes(g, model, matrix)

    metadata = {
        "framework": "lightgbm",
        "estimator": source.kind,
        "objective": source.objective or "custom",
        "versions": {"lightgbm": lightgbm.__version__},
    }
    return scoring_model(build, model, sample, "float64", metadata)


def answer(model: Any, rows: Any) -> Answer:
    """The model's own predict and predict_proba."""
    import numpy as np

    from sqlml.convert import Answer

    if type(model).__name__ == _CLASSIFIER:
        return Answer(model.predict(rows), model.predict_proba(rows))
    predicted = model.predict(rows)
    if type(model).__name__ != "Booster" or _read(model).task == "regression":
        return Answer(predicted)
    if predicted.ndim == 2:
        return Answer(predicted.argmax(axis=1), predicted)
    return Answer((predicted > 0.5).astype(np.int64), np.stack([1 - predicted, predicted], axis=1))


def nodes(g: Graph, model: Any, matrix: str) -> Scores:
    """Add the model's nodes; `matrix` is [N, features] in double."""
    from sqlml.convert.booster import Scores
    from sqlml.convert.links import LINKS, two_columns

    source = _read(model)
    result = _trees(g, source, matrix)
    if source.sigmoid != 1:
        result = g.node("Mul", result, g.const(source.sigmoid, "float64"))
    result = LINKS[source.link](g, result, "float64")
    if source.task == "regression":
        return Scores("regression", "prediction", result, source.outputs)
    if source.outputs == 1:
        result = two_columns(g, result, "float64")
    width = len(source.labels)
    return Scores("classification", "probabilities", result, width, source.labels)


@dataclass(frozen=True, slots=True)
class _Source:
    """The facts of a trained model, from its text."""

    kind: str
    task: Literal["regression", "classification"]
    objective: str
    link: str
    sigmoid: float
    """The factor of the sum before a sigmoid link."""
    average: bool
    """boosting_type='rf': predict divides the sum by the number of rounds."""
    outputs: int
    """Sums of a row: classes, or one."""
    features: int
    names: list[str] | None
    labels: tuple[Label, ...]
    trees: list[dict[str, str]]


def _read(model: Any) -> _Source:
    try:
        import lightgbm  # noqa: F401
    except ImportError as error:
        raise DependencyMissingError("LightGBM models", "lightgbm") from error
    kind = type(model).__name__
    # As predict does, it stops at the best round of early stopping.
    text = (model if kind == "Booster" else _fitted(model)).model_to_string()
    head, *rest = text.split("\n\nend of trees")[0].split("\nTree=")
    facts = _facts(head)
    objective, *options = facts.get("objective", "").split(" ")
    told = dict(option.partition(":")[::2] for option in options)
    if objective not in _LINKS:
        raise NotConvertibleError(kind, f"the objective {objective!r} has no known link.")
    outputs = int(facts["num_tree_per_iteration"])
    link = _LINKS[objective]
    if "sqrt" in told and link == "identity":
        link = "signed square"
    names = facts["feature_names"].split(" ")
    by_position = names == [f"Column_{i}" for i in range(len(names))]
    if categories := text.partition("\npandas_categorical:")[2].splitlines()[:1]:
        _refuse_categories(kind, json.loads(categories[0]))
    task, labels = _task(model, objective, outputs)
    return _Source(
        kind,
        task,
        objective,
        link,
        float(told.get("sigmoid", 1)) if link == "sigmoid" else 1.0,
        "average_output" in facts,
        outputs,
        int(facts["max_feature_idx"]) + 1,
        None if by_position else names,
        labels,
        [_facts(tree) for tree in rest],
    )


def _facts(lines: str) -> dict[str, str]:
    """Lines of `key=value`, and of keys alone."""
    return dict(line.partition("=")[::2] for line in lines.splitlines() if line)


def _fitted(model: Any) -> Any:
    """The Booster of an estimator."""
    from sklearn.exceptions import NotFittedError

    try:
        return model.booster_
    except NotFittedError:
        raise NotConvertibleError(
            type(model).__name__, "it is not trained.", "Call fit first."
        ) from None


def _refuse_categories(kind: str, found: Any) -> None:
    if found:
        from sqlml.convert.booster import ONE_HOT

        raise NotConvertibleError(kind, "it was trained on pandas category columns.", ONE_HOT)


def _task(
    model: Any, objective: str, outputs: int
) -> tuple[Literal["regression", "classification"], tuple[Label, ...]]:
    kind = type(model).__name__
    if kind == "Booster":
        if objective in _OF_CLASSES:
            return "classification", tuple(range(max(outputs, 2)))
        return "regression", ()
    if kind != _CLASSIFIER:
        return "regression", ()
    if not objective:
        raise NotConvertibleError(
            kind,
            "its objective is a function of yours, whose link to a probability is not known.",
            "Train with objective='binary' or 'multiclass'.",
        )
    if objective not in (*_OF_CLASSES, "cross_entropy"):
        raise NotConvertibleError(kind, f"{objective} gives no probabilities.")
    labels = tuple(model.classes_.tolist())
    if len(labels) < 2:
        raise NotConvertibleError(kind, "it was trained on one class only.")
    return "classification", labels


def _as_lightgbm_names(sample: Sample) -> Sample:
    """The sample under the names that LightGBM made of its columns: without spaces."""
    import dataclasses

    renamed = [
        dataclasses.replace(column, name=column.name.replace(" ", "_")) for column in sample.columns
    ]
    return dataclasses.replace(sample, columns=tuple(renamed))


def _trees(g: Graph, source: _Source, x: str) -> str:
    """[N, outputs]: the sum of leaves."""
    from sqlml.convert.ensemble import ensemble_nodes

    zeroed: dict[int, int] = {}
    trees = [_tree(source, tree, zeroed) for tree in source.trees]
    if zeroed:
        x = g.concat([x, _zeros_missing(g, x, list(zeroed))])
    total = g.fresh()
    g.add(
        ensemble_nodes(
            trees,
            mode="BRANCH_LEQ",
            precision="float64",
            input=x,
            output=total,
            n_outputs=source.outputs,
            outputs_of_tree=[i % source.outputs for i in range(len(trees))],
        )
    )
    if not source.average:
        return total
    return g.node("Div", total, g.const(len(trees) // source.outputs, "float64"))


def _zeros_missing(g: Graph, x: str, features: list[int]) -> str:
    """Some columns with NaN for zero, as zero_as_missing has it."""
    columns = g.node("Gather", x, g.const(features, "int64"), axis=1)
    present = g.node("Greater", g.node("Abs", columns), g.const(_ZERO, "float64"))
    return g.node("Where", present, columns, g.const(float("nan"), "float64"))


def _beyond_zeros(threshold: Any) -> Any:
    """Thresholds moved out of the band that LightGBM takes for zero.

    Its predictor leaves values within ±_ZERO out of a row, so that they are 0.0: all of them
    go the way of 0.0, wherever in the band the threshold lies.
    """
    import numpy as np

    below = np.nextafter(-_ZERO, -np.inf)
    threshold = np.where((threshold >= -_ZERO) & (threshold < 0), below, threshold)
    return np.where((threshold >= 0) & (threshold < _ZERO), _ZERO, threshold)


def _tree(source: _Source, facts: dict[str, str], zeroed: dict[int, int]) -> Tree:
    """The tree; `zeroed` collects the features whose zeros are missing values.

    Mirrors Tree::NumericalDecision, where missing_type says what NaN is: None a zero, Zero a
    missing value as zero itself is, NaN a missing value.
    """
    import numpy as np

    from sqlml.convert.booster import ONE_HOT
    from sqlml.convert.ensemble import Tree

    if int(facts.get("is_linear", 0)):
        raise NotConvertibleError(source.kind, "it has linear trees.", "Train without linear_tree.")
    if int(facts["num_cat"]):
        raise NotConvertibleError(source.kind, "a tree splits by category.", ONE_HOT)
    leaf_value = np.array(facts["leaf_value"].split(), np.float64)
    leaves = len(leaf_value)
    inner = leaves - 1
    if inner == 0:
        none = np.array([-1])
        no = np.zeros(1, np.bool_)
        return Tree(np.zeros(1, np.int64), np.zeros(1), none, none, no, leaf_value[:, None])

    def numbers(key: str, kind: type) -> Any:
        return np.array(facts[key].split(), np.float64 if kind is float else np.int64)

    feature, decision = numbers("split_feature", int), numbers("decision_type", int)
    threshold = _beyond_zeros(numbers("threshold", float))
    default_left, missing = (decision & 2) > 0, (decision >> 2) & 3
    for f in np.unique(feature[missing == 1]):
        zeroed.setdefault(int(f), source.features + len(zeroed))
    feature = np.array(
        [zeroed[int(f)] if m == 1 else f for f, m in zip(feature, missing, strict=True)]
    )

    def children(key: str) -> Any:
        child = numbers(key, int)  # ~leaf where it is one
        return np.where(child < 0, inner + ~child, child)

    def padded(values: Any, filler: Any) -> Any:
        return np.concatenate([values, np.full(leaves, filler, values.dtype)])

    return Tree(
        padded(feature, 0),
        padded(threshold, 0),
        padded(children("left_child"), -1),
        padded(children("right_child"), -1),
        padded(np.where(missing == 0, threshold >= 0, default_left), False),
        np.concatenate([np.zeros(inner), leaf_value])[:, None],
    )
