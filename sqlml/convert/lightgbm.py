"""LightGBM → ONNX, from the booster's own text (Booster.model_to_string).

LightGBM computes in double: a row goes left where `x <= threshold`, or where its category is in
a set, and the leaves are added in the order of the trees. The text has all digits of both, and
the values of pandas' category columns in the order of their codes.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlml.errors import DependencyMissingError, NotConvertibleError, SampleError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlml.convert import Answer
    from sqlml.convert.booster import Scores
    from sqlml.convert.categories import Categories, SplitColumns
    from sqlml.convert.ensemble import Tree
    from sqlml.convert.graph import Graph
    from sqlml.convert.linear_trees import Line
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

# Parameters of an estimator that its predict hands on, and that make it say something else
# than the sum of all trees through the link.
_OF_PREDICT = (
    "pred_early_stop", "predict_raw_score", "predict_rawscore", "raw_score", "is_predict_raw_score",
    "predict_leaf_index", "leaf_index", "is_predict_leaf_index", "predict_contrib", "contrib",
    "is_predict_contrib", "start_iteration_predict", "num_iteration_predict",
)  # fmt: skip

# The bit of decision_type that a split by category has.
_CATEGORICAL = 1

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

    Raises `NotConvertibleError` for linear trees, `SampleError` where the sample's columns are
    not the model's features.
    """
    from sqlml.convert.booster import check_columns, scoring_model
    from sqlml.convert.graph import DOUBLE, FLOAT
    from sqlml.types import INTEGERS

    source = _read(model)
    categories = _categories(source, sample)
    renamed = _as_lightgbm_names(sample)
    check_columns(source.kind, renamed, source.names, source.features, categories)
    import lightgbm

    whole = {i for i, c in enumerate(sample.columns) if c.type in (*INTEGERS, "BOOLEAN")}

    def build(g: Graph, model: Any, matrix: str, coded: Mapping[int, Categories]) -> Scores:
        if sample.as_array and sample.frame.dtypes.iloc[0].kind != "f":
            # LightGBM turns an array that holds no floats into float32.
            matrix = g.cast(g.node("Cast", matrix, to=FLOAT), DOUBLE)
        return nodes(g, model, matrix, coded, whole)

    metadata = {
        "framework": "lightgbm",
        "estimator": source.kind,
        "objective": source.objective or "custom",
        "versions": {"lightgbm": lightgbm.__version__},
    }
    return scoring_model(build, model, sample, "float64", metadata, categories)


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


def category_values(model: Any) -> list[list[Any]]:
    """Of each pandas category column that the model was trained on, in their order, the values."""
    return _read(model).categories


def nodes(
    g: Graph,
    model: Any,
    matrix: str,
    coded: Mapping[int, Categories] | None = None,
    whole: Collection[int] = (),
    *,
    sparse: bool = False,
) -> Scores:
    """Add the model's nodes; `matrix` is [N, features] in double.

    `coded`: by number, the features that were pandas category columns. `whole`: the features
    that have integers only. `sparse`: the original gets a sparse matrix, of which it takes
    numbers as they are stored.
    """
    from sqlml.convert.booster import ONE_HOT, Scores
    from sqlml.convert.links import LINKS, two_columns

    source = _read(model)
    if source.categories and not coded:  # a step of a pipeline
        raise NotConvertibleError(
            source.kind, "it was trained on pandas category columns.", ONE_HOT
        )
    if sparse:
        source = dataclasses.replace(source, band=False)
    result = total = _trees(g, source, matrix, coded or {}, whole)
    if source.sigmoid != 1:
        result = g.node("Mul", result, g.const(source.sigmoid, "float64"))
    result = LINKS[source.link](g, result, "float64")
    if source.task == "regression":
        return Scores("regression", "prediction", result, source.outputs)
    if source.outputs == 1:
        result = two_columns(g, result, "float64")
    width = len(source.labels)
    return Scores("classification", "probabilities", result, width, source.labels, total)


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
    categories: list[list[Any]]
    """Of each pandas category column, in their order, the values by code."""
    trees: list[dict[str, str]]
    band: bool = True
    """Numbers that are nearly zero are left out of a row, and so are zero."""


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
    told_last = text.rpartition("\npandas_categorical:")[2].splitlines()[:1]
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
        (json.loads(told_last[0]) or []) if "\npandas_categorical:" in text else [],
        [_facts(tree) for tree in rest],
    )


def _facts(lines: str) -> dict[str, str]:
    """Lines of `key=value`, and of keys alone."""
    return dict(line.partition("=")[::2] for line in lines.splitlines() if line)


def _fitted(model: Any) -> Any:
    """The Booster of an estimator."""
    from sklearn.exceptions import NotFittedError

    for name in _OF_PREDICT:
        if value := model.get_params().get(name):
            raise NotConvertibleError(
                type(model).__name__,
                f"its parameter {name}={value} changes what predict says.",
                "Train without it.",
            )
    try:
        return model.booster_
    except NotFittedError:
        raise NotConvertibleError(
            type(model).__name__, "it is not trained.", "Call fit first."
        ) from None


def _categories(source: _Source, sample: Sample) -> dict[int, list[Any]]:
    """By the number of a category column, its values in the order of the model's codes.

    LightGBM takes category columns in their order, and knows the rest by number too.
    """
    places = [i for i, column in enumerate(sample.columns) if column.categorical]
    if len(places) != len(source.categories):
        raise SampleError(
            f"{source.kind} was trained on {len(source.categories)} pandas category columns, "
            f"the sample has {len(places)}. Give a sample of the training data."
        )
    return dict(zip(places, source.categories, strict=True))


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
    renamed = [
        dataclasses.replace(column, name=column.name.replace(" ", "_")) for column in sample.columns
    ]
    return dataclasses.replace(sample, columns=tuple(renamed))


def _trees(
    g: Graph, source: _Source, x: str, coded: Mapping[int, Categories], whole: Collection[int]
) -> str:
    """[N, outputs]: the sum of leaves."""
    from sqlml.convert.categories import SplitColumns
    from sqlml.convert.ensemble import ensemble_nodes
    from sqlml.convert.linear_trees import LinearTree, linear_sum

    zeroed = _zeroed(source)
    splits = SplitColumns(source.features + len(zeroed))
    trees = [_tree(source, tree, zeroed, splits) for tree in source.trees]

    def categories(feature: int) -> Categories:
        return coded.get(feature) or _numbered(g, x, feature, splits, feature in whole)

    columns = [x]
    if zeroed:
        columns.append(_zeros_missing(g, x, list(zeroed)))
    if made := splits.tensor(g, categories, "float64"):
        columns.append(made)
    matrix = g.concat(columns)
    lines = [_lines(facts) for facts in source.trees]
    if any(lines):
        linear = [LinearTree(t, found) for t, found in zip(trees, lines, strict=True)]
        total = linear_sum(g, linear, x, source.features, matrix, source.outputs)
    else:
        total = g.fresh()
        g.add(
            ensemble_nodes(
                trees,
                mode="BRANCH_LEQ",
                precision="float64",
                input=matrix,
                output=total,
                n_outputs=source.outputs,
                outputs_of_tree=[i % source.outputs for i in range(len(trees))],
            )
        )
    if not source.average:
        return total
    return g.node("Div", total, g.const(len(trees) // source.outputs, "float64"))


def _numbered(g: Graph, x: str, feature: int, splits: SplitColumns, whole: bool) -> Categories:
    """A feature whose numbers are the codes themselves, which LightGBM cuts towards zero."""
    from sqlml.convert.categories import Categories

    column = g.node("Gather", x, g.const([feature], "int64"), axis=1)
    if not whole:
        reaches = g.node("Greater", column, g.const(-1, "float64"))
        cut = g.node("Floor", g.node("Relu", column))
        column = g.node("Where", reaches, cut, g.const(float("nan"), "float64"))
    return Categories(column, {code: code for code in splits.members(feature)}, text=False)


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


def _zeroed(source: _Source) -> dict[int, int]:
    """The features whose zeros are missing values, and the numbers of their second columns."""
    zeroed: dict[int, int] = {}
    for facts in source.trees:
        kinds = zip(
            facts.get("split_feature", "").split(),
            facts.get("decision_type", "").split(),
            strict=True,
        )
        for feature, decision in kinds:
            if not int(decision) & _CATEGORICAL and (int(decision) >> 2) & 3 == 1:
                zeroed.setdefault(int(feature), source.features + len(zeroed))
    return zeroed


def _lines(facts: dict[str, str]) -> dict[int, Line]:
    """By node of `_tree`, the linear functions in the leaves of a linear tree."""
    from sqlml.convert.linear_trees import Line

    if not int(facts.get("is_linear", 0)):
        return {}
    constants = [float(v) for v in facts["leaf_const"].split()]
    features = iter(int(v) for v in facts["leaf_features"].split())
    slopes = iter(float(v) for v in facts["leaf_coeff"].split())
    counts = [int(v) for v in facts["num_features"].split()]
    inner = len(constants) - 1
    return {
        inner + leaf: Line(
            constant,
            dict(zip(itertools.islice(features, n), itertools.islice(slopes, n), strict=True)),
        )
        for leaf, (constant, n) in enumerate(zip(constants, counts, strict=True))
    }


def _members(facts: dict[str, str]) -> list[frozenset[int]]:
    """The sets of codes of a tree's splits by category, from the bits of words of 32."""
    from sqlml.convert.categories import members_of

    ends = [int(end) for end in facts.get("cat_boundaries", "").split()]
    words = [int(word) for word in facts.get("cat_threshold", "").split()]
    return [members_of(words[first:last]) for first, last in itertools.pairwise(ends)]


def _tree(
    source: _Source, facts: dict[str, str], zeroed: Mapping[int, int], splits: SplitColumns
) -> Tree:
    """The tree, in which features with a second column or a split's column read that.

    Mirrors Tree::NumericalDecision, where missing_type says what NaN is: None a zero, Zero a
    missing value as zero itself is, NaN a missing value; and Tree::CategoricalDecision, where
    the members of a set go left, and all else right.
    """
    import numpy as np

    from sqlml.convert.categories import HALF, Split
    from sqlml.convert.ensemble import Tree

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
    threshold = numbers("threshold", float)
    if source.band:
        threshold = _beyond_zeros(threshold)
    default_left, missing = (decision & 2) > 0, (decision >> 2) & 3
    sets = _members(facts)
    named = numbers("threshold", float)  # of a split by category, the number of its set
    for node, (f, kind) in enumerate(zip(feature.tolist(), missing.tolist(), strict=True)):
        if decision[node] & _CATEGORICAL:
            members = sets[int(named[node])]
            feature[node] = splits.place(
                Split(f, members, members_right=False, missing_right=True, unknown_right=True)
            )
            threshold[node] = HALF
        elif kind == 1:
            feature[node] = zeroed[f]

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
