"""Trees, forests and boosted trees: the same comparisons and the same sums in double.

scikit-learn narrows the features to float32 and compares them with thresholds in double
(sklearn/tree/_tree.pyx); the graph does just that. Histogram boosting compares in double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.categories import HALF, Categories, Split, SplitColumns, code_column, members_of
from sqlml.convert.ensemble import Tree, ensemble_nodes
from sqlml.convert.graph import DOUBLE
from sqlml.convert.links import sigmoid, softmax, two_columns
from sqlml.convert.sklearn.encode import is_missing
from sqlml.convert.sklearn.frame import Result, Table, name_of
from sqlml.convert.sklearn.linear import outliers
from sqlml.errors import NotConvertibleError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph


def tree_of(step: Any, value: Any, features: Any = None) -> Tree:
    """A fitted tree with a value for each node, [nodes] or [nodes, outputs].

    `features`: the columns of the table that the tree was shown, if not all.
    """
    inner = step.tree_
    feature = np.maximum(np.asarray(inner.feature, dtype=np.int64), 0)
    if features is not None:
        feature = np.asarray(features, dtype=np.int64)[feature]
    value = np.asarray(value, dtype=np.float64)
    return Tree(
        feature=feature,
        threshold=np.asarray(inner.threshold, dtype=np.float64),
        left=np.asarray(inner.children_left, dtype=np.int64),
        right=np.asarray(inner.children_right, dtype=np.int64),
        missing_left=np.asarray(inner.missing_go_to_left).astype(bool),
        value=value.reshape(len(feature), -1),
    )


def values_of(step: Any) -> Any:
    """[nodes, outputs]: shares of the classes, or the targets' means."""
    return np.asarray(step.tree_.value, dtype=np.float64).reshape(step.tree_.node_count, -1)


def summed(
    g: Graph,
    x: str,
    trees: Sequence[Tree],
    n_outputs: int = 1,
    *,
    average: bool = False,
    base: Sequence[float] = (),
    outputs_of_tree: Sequence[int] | None = None,
) -> str:
    """[N, n_outputs]: the trees' leaves added up, on an [N, features] tensor of doubles."""
    output = g.fresh()
    nodes = ensemble_nodes(
        trees,
        mode="BRANCH_LEQ",
        precision="float64",
        input=x,
        output=output,
        n_outputs=n_outputs,
        aggregate="AVERAGE" if average else "SUM",
        base=base,
        outputs_of_tree=outputs_of_tree,
    )
    g.add(nodes)
    return output


def narrowed(g: Graph, step: Any, table: Table) -> str:
    """The features as trees meet them: rounded to float32, held in double."""
    return g.cast(table.matrix(g, step, "FLOAT"), DOUBLE)


def is_tree(step: Any) -> bool:
    """A single tree with one output."""
    return name_of(step) in _SINGLE and getattr(step, "n_outputs_", 1) == 1


_SINGLE = (
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
)  # fmt: skip


def _forest(g: Graph, step: Any, table: Table) -> Result:
    members = getattr(step, "estimators_", None) or [step]
    return averaged(g, step, members, [None] * len(members), narrowed(g, step, table))


def averaged(
    g: Graph, step: Any, members: Sequence[Any], features: Sequence[Any], x: str
) -> Result:
    """The mean of trees: of shares of the classes, or of targets."""
    classes = getattr(step, "classes_", None)
    if classes is not None and (
        isinstance(classes, list) or step.__dict__.get("n_outputs_", 1) > 1
    ):
        raise NotConvertibleError(name_of(step), "several labels for one row have no form in SQL.")
    values = [values_of(m) for m in members]
    if classes is not None and len(classes) == 2:
        values = [v[:, 1] for v in values]  # the first class has the rest
    trees = [tree_of(m, v, f) for m, v, f in zip(members, values, features, strict=True)]
    width = trees[0].value.shape[1]
    mean = summed(g, x, trees, width, average=len(trees) > 1)
    if classes is None:
        return Result("regression", mean, width)
    probabilities = two_columns(g, mean) if len(classes) == 2 else mean
    return Result("classification", probabilities=probabilities, classes=tuple(classes))


def _gradient(g: Graph, step: Any, table: Table) -> Result:
    """Stages of trees on top of an initial estimate, each leaf times the learning rate."""
    x = narrowed(g, step, table)
    stages = step.estimators_
    width = stages.shape[1]
    rate = float(step.learning_rate)
    members = [(m, k) for stage in stages for k, m in enumerate(stage)]
    trees = [tree_of(m, rate * values_of(m)) for m, _ in members]
    outputs = [k for _, k in members]
    raw = summed(g, x, trees, width, base=_initial(step), outputs_of_tree=outputs)
    return boosted(g, step, raw, "ExponentialLoss" in type(step._loss).__name__)


def _initial(step: Any) -> list[float]:
    """What the stages are added to: constants, through the link."""
    if step.init_ == "zero":
        return []
    if name_of(step.init_).startswith("Dummy"):
        from sklearn.ensemble._gb import _init_raw_predictions

        row = np.zeros((1, step.n_features_in_), dtype=np.float32)
        classifier = hasattr(step, "classes_")
        raw = _init_raw_predictions(row, step.init_, step._loss, classifier)
        return [float(v) for v in np.ravel(raw)]
    raise NotConvertibleError(
        name_of(step),
        f"its init={name_of(step.init_)} computes in float32 there.",
        "Leave init out.",
    )


def boosted(g: Graph, step: Any, raw: str, exponential: bool = False) -> Result:
    """The raw sums of boosted trees through the model's link."""
    classes = getattr(step, "classes_", None)
    if classes is None:
        link = type(step._loss.link).__name__
        if link not in ("IdentityLink", "LogLink"):
            raise NotConvertibleError(name_of(step), f"its link {link} has no form here.")
        return Result("regression", g.node("Exp", raw) if link == "LogLink" else raw)
    if len(classes) < 2:
        raise NotConvertibleError(name_of(step), "it was trained on one class only.")
    if len(classes) == 2:
        logit = g.node("Mul", raw, g.const(np.array([2.0]))) if exponential else raw
        probabilities = two_columns(g, sigmoid(g, logit))
    else:
        probabilities = softmax(g, raw)
    return Result(
        "classification", probabilities=probabilities, classes=tuple(classes), decision=raw
    )


def _histogram(g: Graph, step: Any, table: Table) -> Result:
    stages = step._predictors
    width = len(stages[0]) if stages else 1
    base = [float(v) for v in np.ravel(step._baseline_prediction)]
    outputs = [k for stage in stages for k in range(len(stage))]
    categories, numbers = _histogram_columns(g, step, table)
    splits = SplitColumns(sum(part.width for part in numbers.parts))
    trees = [_histogram_tree(p, len(categories), splits) for stage in stages for p in stage]
    columns = [numbers.matrix(g, step, "DOUBLE")] if numbers.parts else []
    if made := splits.tensor(g, categories.__getitem__, "float64"):
        columns.append(made)
    x = g.concat(columns or [code_column(g, categories[0], "float64")])
    raw = summed(g, x, trees, width, base=base, outputs_of_tree=outputs)
    return boosted(g, step, raw)


def _histogram_columns(g: Graph, step: Any, table: Table) -> tuple[list[Categories], Table]:
    """Its columns as the trees number them: categories first, then numbers.

    What is no known category is a missing one, to the model's own encoder and to its trees.
    """
    if getattr(step, "is_categorical_", None) is None:
        return [], table
    preprocessor = step._preprocessor
    places = {name: columns for name, _, columns in preprocessor.transformers_}
    categorical, numeric = (
        np.flatnonzero(places[name]).tolist() for name in ("encoder", "numerical")
    )
    values = preprocessor.named_transformers_["encoder"].categories_
    categories = []
    for part, known in zip(table.select(g, categorical).split(g), values, strict=True):
        codes = {v: code for code, v in enumerate(known.tolist()) if not is_missing(v)}
        text = part.kind == "STRING"
        if any(isinstance(value, str) is not text for value in codes):
            raise NotConvertibleError(
                name_of(step),
                f"its categories {listed(list(codes)[:3])} are of another type than in the sample.",
                "Give a sample of the training data.",
            )
        tensor = part.tensor if text else g.cast(part.tensor, DOUBLE)
        categories.append(Categories(tensor, codes, text))
    return categories, table.select(g, numeric)


def _histogram_tree(predictor: Any, categories: int, splits: SplitColumns) -> Tree:
    """The tree, on the features from number `categories` on, and on the splits' columns."""
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    feature = np.where(leaf, 0, nodes["feature_idx"].astype(np.int64) - categories)
    threshold = np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64)
    missing_left = nodes["missing_go_to_left"].astype(bool)
    for node in np.flatnonzero(~leaf & nodes["is_categorical"].astype(bool)):
        words = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        right = not missing_left[node]
        split = Split(
            int(nodes["feature_idx"][node]),
            members_of(words),
            members_right=False,
            missing_right=right,
            unknown_right=right,
        )
        feature[node], threshold[node] = splits.place(split), HALF
    return Tree(
        feature=feature,
        threshold=threshold,
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        missing_left=missing_left,
        value=nodes["value"].astype(np.float64).reshape(-1, 1),
    )


def _isolation(g: Graph, step: Any, table: Table) -> Result:
    """Mean depth of the leaves, set against that of a random tree."""
    from sklearn.ensemble._iforest import _average_path_length

    x = narrowed(g, step, table)
    depths = [
        path + average - 1.0
        for path, average in zip(
            step._decision_path_lengths, step._average_path_length_per_tree, strict=True
        )
    ]
    trees = [
        tree_of(m, d, f)
        for m, d, f in zip(step.estimators_, depths, step.estimators_features_, strict=True)
    ]
    depth = summed(g, x, trees)
    whole = len(trees) * float(_average_path_length([step._max_samples])[0])
    if whole == 0:
        raise NotConvertibleError(name_of(step), "it was trained on one row.")
    share = g.node("Neg", g.node("Div", depth, g.const(np.array([whole]))))
    score = g.node("Neg", g.node("Pow", g.const(np.array([2.0])), share))
    return outliers(g, g.node("Sub", score, g.const(np.array([float(step.offset_)]))))


_FORESTS = (
    *_SINGLE,
    "ExtraTreesClassifier", "ExtraTreesRegressor", "RandomForestClassifier",
    "RandomForestRegressor",
)  # fmt: skip

TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    **dict.fromkeys(_FORESTS, _forest),
    **dict.fromkeys(("GradientBoostingClassifier", "GradientBoostingRegressor"), _gradient),
    **dict.fromkeys(
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), _histogram
    ),
    "IsolationForest": _isolation,
}
