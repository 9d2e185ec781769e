"""Random tree ensembles as ScoringModels, in every mode and shape that ONNX can write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from sqlml.model import ScoringModel, Tensor
from sqlml.signature import Input, Output, Signature
from sqlml.types import SCALARS

LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(7)
NAMES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
WIRES = {"float32": "FLOAT", "float64": "DOUBLE"}

SPECIAL = [
    np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-45, -1e-45, 1e-39, 3.4e38, -3.4e38,
    1e300, -1e300, 1.0, 2.0, 2.5, 0.1, float(np.float32(0.1)), 1 / 3,
]  # fmt: skip


@dataclass
class Trees:
    """The attributes of a TreeEnsemble while it grows."""

    width: int
    roots: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    mode: list[int] = field(default_factory=list)
    split: list[float] = field(default_factory=list)
    true: list[tuple[int, int]] = field(default_factory=list)
    false: list[tuple[int, int]] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)

    def leaf(self, rng: np.random.Generator, target: int) -> tuple[int, int]:
        self.target.append(target)
        self.weight.append(float(rng.choice([rng.normal(), rng.normal() * 1e6, 0.0, -0.0])))
        return len(self.target) - 1, 1

    def grow(
        self, rng: np.random.Generator, features: int, depth: int, modes: Any, odds: float
    ) -> None:
        """One more tree: no deeper than `depth`, each node split with the odds given."""
        target = int(rng.integers(self.width))

        def node(level: int) -> tuple[int, int]:
            if level > 0 and (level >= depth or rng.random() > odds):
                return self.leaf(rng, target)
            place = len(self.mode)
            mode = int(rng.choice(modes))
            self.feature.append(int(rng.integers(features)))
            self.mode.append(mode)
            self.split.append(float(rng.choice([*SPECIAL[:18], *rng.normal(size=9)])))
            self.missing.append(int(rng.integers(2)))
            if mode == MEMBER:
                self.members += [*rng.choice(31, int(rng.integers(1, 6)), False), np.nan]
            self.true.append((0, 0))
            self.false.append((0, 0))
            self.true[place] = node(level + 1)
            self.false[place] = node(level + 1)
            return place, 0

        self.roots.append(node(0)[0])

    def node(self, dtype: str, aggregate: int = 1, tracks: bool = True) -> Any:
        """The operator of ai.onnx.ml 5, from `x` to `y`."""
        more = {}
        with np.errstate(over="ignore"):
            splits = np.array(self.split, dtype)
        if self.members:
            values = np.array(self.members, dtype)
            more["membership_values"] = numpy_helper.from_array(values)
        if tracks:
            more["nodes_missing_value_tracks_true"] = self.missing
        return helper.make_node(
            "TreeEnsemble",
            ["x"],
            ["y"],
            domain="ai.onnx.ml",
            n_targets=self.width,
            aggregate_function=aggregate,
            tree_roots=self.roots,
            nodes_featureids=self.feature,
            nodes_modes=numpy_helper.from_array(np.array(self.mode, np.uint8)),
            nodes_splits=numpy_helper.from_array(splits),
            nodes_truenodeids=[i for i, _ in self.true],
            nodes_trueleafs=[leaf for _, leaf in self.true],
            nodes_falsenodeids=[i for i, _ in self.false],
            nodes_falseleafs=[leaf for _, leaf in self.false],
            leaf_targetids=self.target,
            leaf_weights=numpy_helper.from_array(np.array(self.weight, dtype)),
            **more,
        )

    def older(self, dtype: str, **attributes: Any) -> Any:
        """The same as a TreeEnsembleRegressor, doubles in its tensors."""
        rows: list[tuple[int, int, int, int, float, int, int, int]] = []
        votes: list[tuple[int, int, int, float]] = []
        for tree, root in enumerate(self.roots):
            waiting, number = [(root, 0, 0)], 1
            while waiting:
                place, is_leaf, mine = waiting.pop()
                if is_leaf:
                    rows.append((tree, mine, 0, -1, 0.0, 0, 0, 0))
                    votes.append((tree, mine, self.target[place], self.weight[place]))
                    continue
                rows.append(
                    (tree, mine, self.feature[place], self.mode[place], self.split[place],
                     number, number + 1, self.missing[place])
                )  # fmt: skip
                waiting += [(*self.true[place], number), (*self.false[place], number + 1)]
                number += 2
        doubles = {
            "nodes_values": [r[4] for r in rows],
            "target_weights": [v[3] for v in votes],
            "base_values": attributes.pop("base_values", []),
        }
        doubles = {name: values for name, values in doubles.items() if values}
        if dtype == "float64":
            doubles = {
                f"{name}_as_tensor": numpy_helper.from_array(np.array(values))
                for name, values in doubles.items()
            }
        return helper.make_node(
            "TreeEnsembleRegressor",
            ["x"],
            ["y"],
            domain="ai.onnx.ml",
            n_targets=self.width,
            nodes_treeids=[r[0] for r in rows],
            nodes_nodeids=[r[1] for r in rows],
            nodes_featureids=[r[2] for r in rows],
            nodes_modes=["LEAF" if r[3] < 0 else NAMES[r[3]] for r in rows],
            nodes_truenodeids=[r[5] for r in rows],
            nodes_falsenodeids=[r[6] for r in rows],
            nodes_missing_value_tracks_true=[r[7] for r in rows],
            target_treeids=[v[0] for v in votes],
            target_nodeids=[v[1] for v in votes],
            target_ids=[v[2] for v in votes],
            **doubles,
            **attributes,
        )

    def classifier(self, dtype: str, labels: list[Any], **attributes: Any) -> Any:
        """The same as a TreeEnsembleClassifier, from `x` to `label` and `y`."""
        node = self.older(dtype, **attributes)
        node.op_type = "TreeEnsembleClassifier"
        node.output.insert(0, "label")
        kind = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
        kept = [a for a in node.attribute if a.name != "n_targets"]
        for attribute in kept:
            attribute.name = attribute.name.replace("target_", "class_")
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(kind, labels)])
        return node


def grown(
    seed: int,
    *,
    trees: int = 12,
    features: int = 5,
    depth: int = 6,
    odds: float = 0.8,
    width: int = 1,
    modes: Any = (LEQ,),
) -> Trees:
    rng = np.random.default_rng(seed)
    made = Trees(width)
    for _ in range(trees):
        made.grow(rng, features, depth, modes, odds)
    return made


def model_of(
    nodes: Any,
    wires: list[str],
    outputs: dict[str, tuple[str, int | None]],
    constants: dict[str, Any] | None = None,
    ml: int = 5,
) -> ScoringModel:
    """A ScoringModel of inputs in0 … of these wire types; `outputs`: name → type and width."""
    graph = helper.make_graph(
        list(nodes),
        "model",
        [
            helper.make_tensor_value_info(f"in{i}", SCALARS[w].onnx, ["N", 1])
            for i, w in enumerate(wires)
        ],
        [
            helper.make_tensor_value_info(n, SCALARS[t].onnx, ["N"] if w is None else ["N", w])
            for n, (t, w) in outputs.items()
        ],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", ml)]
    onnx = helper.make_model(graph, ir_version=10, opset_imports=opsets)
    inputs = tuple(Input(f"c{i}", w, w, takes_missing=True) for i, w in enumerate(wires))
    return ScoringModel(
        onnx=onnx.SerializeToString(),
        signature=Signature(inputs, tuple(Output(n, "DOUBLE") for n in outputs)),
        task="other",
        tensors=tuple(Tensor(n, t, w) for n, (t, w) in outputs.items()),
    )


def alone(node: Any, features: int, dtype: str, width: int, result: str = "", ml: int = 5) -> Any:
    """A model that is one ensemble of columns of one type."""
    wire = WIRES[dtype]
    concat = helper.make_node("Concat", [f"in{i}" for i in range(features)], ["x"], axis=1)
    return model_of(
        [concat, node], [wire] * features, {"y": (WIRES[result or dtype], width)}, ml=ml
    )


def columns_for(model: ScoringModel, trees: Trees, rows: int = 700, seed: int = 7) -> list[Any]:
    """Rows at, just below and just above every threshold, and the numbers that are special."""
    rng = np.random.default_rng(seed)
    columns = []
    for field_ in model.signature.inputs:
        dtype = np.dtype(SCALARS[field_.wire].arrow)
        if dtype.kind != "f":
            values = rng.integers(0, 2 if dtype.kind == "b" else 40, rows)
            columns.append(values.astype(dtype))
            continue
        with np.errstate(over="ignore"):
            near = np.array([*trees.split, *SPECIAL, *range(31)]).astype(dtype)
        pool = np.concatenate(
            [near, np.nextafter(near, dtype.type(np.inf)), np.nextafter(near, dtype.type(-np.inf))]
        )
        values = rng.choice(pool, rows)
        columns.append(
            np.where(rng.random(rows) < 0.3, rng.normal(size=rows), values).astype(dtype)
        )
    return columns
