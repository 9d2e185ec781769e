"""Trees, forests and boosted trees: the same comparisons and the same sums, in double.

A row goes left where `feature <= threshold` (ContinuousSplit.shouldGoLeft), so that NaN goes
right. A categorical split asks whether the value is in a set: each such set becomes a column
of its own, 0 where the row goes left and 1 where it goes right.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.ensemble import Tree, ensemble_nodes
from sqlml.convert.links import two_columns
from sqlml.convert.sklearn.frame import Result
from sqlml.convert.spark.frame import Frame, features, lookup, name_of
from sqlml.convert.spark.linear import by_margin, classified
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.convert.graph import Graph

    Node = dict[str, Any]
    Value = Callable[[Node], Any]

_HALF = 0.5


def _nodes_of(models: Sequence[Any]) -> list[list[Node]]:
    """The nodes of each tree in the order of their ids, as Spark itself would save them.

    They are read in one call for a tree: node by node, a forest takes minutes.
    """
    from pyspark import SparkContext

    jvm = SparkContext._active_spark_context._jvm
    jackson = jvm.com.fasterxml.jackson
    mapper = jackson.databind.ObjectMapper()
    mapper.registerModule(jackson.module.scala.DefaultScalaModule())
    # By the fields alone: a getter of a leaf's split raises.
    visible = getattr(jackson.annotation, "JsonAutoDetect$Visibility")
    mapper.setVisibility(jackson.annotation.PropertyAccessor.ALL, visible.NONE)
    mapper.setVisibility(jackson.annotation.PropertyAccessor.FIELD, visible.ANY)
    kind = getattr(jvm.org.apache.spark.ml.tree, "DecisionTreeModelReadWrite$NodeData$")
    reader = getattr(kind, "MODULE$")
    found = []
    for model in models:
        nodes = json.loads(mapper.writeValueAsString(reader.build(model.rootNode(), 0)._1()))
        found.append(sorted(nodes, key=lambda node: int(node["id"])))
    return found


class _Splits:
    """The matrix that trees are asked about, with a column for each set of categories."""

    def __init__(self, g: Graph, x: str, width: int) -> None:
        self.g, self.x, self.width = g, x, width
        self._columns: dict[tuple[int, tuple[float, ...], bool], int] = {}

    def test(self, split: Node) -> tuple[int, float]:
        """The column and the threshold of a split."""
        feature, listed = int(split["featureIndex"]), split["leftCategoriesOrThreshold"]
        categories = int(split["numCategories"])
        if categories == -1:
            return feature, float(listed[0])
        left = sorted(float(c) for c in listed)
        # CategoricalSplit keeps the smaller side, and whatever is not in it goes the other way.
        keeps_left = len(left) <= categories // 2
        kept = left if keeps_left else [c for c in range(categories) if float(c) not in left]
        key = (feature, tuple(float(c) for c in kept), keeps_left)
        place = self._columns.setdefault(key, self.width + len(self._columns))
        return place, _HALF

    def matrix(self) -> str:
        """[N, width and the sets]."""
        columns = [self.x]
        for feature, kept, keeps_left in self._columns:
            x = self.g.columns(self.x, [feature], self.width)
            inside, outside = (0.0, 1.0) if keeps_left else (1.0, 0.0)
            keys = kept or (float("nan"),)
            inside = inside if kept else outside
            columns.append(lookup(self.g, x, keys, [inside] * len(keys), outside))
        return self.g.concat(columns)


def _tree(nodes: Sequence[Node], splits: _Splits, value: Value) -> Tree:
    leaf = np.array([node["leftChild"] == -1 for node in nodes])
    tests = [
        (0, 0.0) if end else splits.test(node["split"])
        for node, end in zip(nodes, leaf, strict=True)
    ]
    values = [value(node) for node in nodes]
    return Tree(
        feature=np.array([feature for feature, _ in tests], dtype=np.int64),
        threshold=np.array([threshold for _, threshold in tests], dtype=np.float64),
        left=np.array([node["leftChild"] for node in nodes], dtype=np.int64),
        right=np.array([node["rightChild"] for node in nodes], dtype=np.int64),
        missing_left=np.zeros(len(nodes), dtype=np.bool_),
        value=np.array(values, dtype=np.float64).reshape(len(nodes), -1),
    )


def _summed(
    g: Graph, stage: Any, frame: Frame, values: Sequence[Value], average: bool = False
) -> str:
    """[N, outputs]: the leaves added up; `values` has what a node of each tree is worth."""
    part = features(stage, frame, stage.getFeaturesCol())
    splits = _Splits(g, part.tensor, part.width)
    trees = [
        _tree(nodes, splits, value)
        for nodes, value in zip(_nodes_of(_members(stage)), values, strict=True)
    ]
    output = g.fresh()
    g.add(
        ensemble_nodes(
            trees,
            mode="BRANCH_LEQ",
            precision="float64",
            input=splits.matrix(),
            output=output,
            n_outputs=trees[0].value.shape[1],
            aggregate="AVERAGE" if average else "SUM",
        )
    )
    return output


def _members(stage: Any) -> list[Any]:
    """The trees, as Java objects."""
    java = stage._java_obj
    return list(java.trees()) if name_of(stage).startswith(("RandomForest", "GBT")) else [java]


def _mean(g: Graph, stage: Any, frame: Frame) -> Result:
    """One tree's prediction, or the mean of a forest's."""
    count = len(_members(stage))
    values: list[Value] = [lambda node: [node["prediction"]]] * count
    return Result("regression", _summed(g, stage, frame, values, average=count > 1))


def _vote(g: Graph, stage: Any, frame: Frame) -> Result:
    """The mean of the shares that the labels have in a leaf
    (RandomForestClassificationModel.predictRaw, and the same of one tree).
    """
    labels, count = int(stage.numClasses), len(_members(stage))

    def shares(node: Node) -> Any:
        stats = np.array(node["impurityStats"], dtype=np.float64)
        if node["leftChild"] == -1 and not stats.sum() > 0:
            raise NotConvertibleError(name_of(stage), "a leaf of it has no weight.")
        found = stats / stats.sum() if stats.sum() > 0 else stats
        return found[1:] if labels == 2 else found  # the first has the rest

    mean = _summed(g, stage, frame, [shares] * count, average=count > 1)
    probabilities = two_columns(g, mean) if labels == 2 else mean
    return classified(g, stage, None, probabilities, labels)


def _weighted(stage: Any) -> list[Value]:
    """What a boosted tree adds: its prediction, times its weight."""

    def worth(weight: float) -> Value:
        return lambda node: [node["prediction"] * weight]

    return [worth(float(weight)) for weight in stage.treeWeights]


def _boosted(g: Graph, stage: Any, frame: Frame) -> Result:
    return Result("regression", _summed(g, stage, frame, _weighted(stage)))


def _boosted_classifier(g: Graph, stage: Any, frame: Frame) -> Result:
    """The margin through LogLoss.computeProbability, 1 / (1 + exp(-2 margin))."""
    return by_margin(g, stage, _summed(g, stage, frame, _weighted(stage)), 2.0)


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    "DecisionTreeRegressionModel": _mean,
    "RandomForestRegressionModel": _mean,
    "DecisionTreeClassificationModel": _vote,
    "RandomForestClassificationModel": _vote,
    "GBTRegressionModel": _boosted,
    "GBTClassificationModel": _boosted_classifier,
}
