"""Which graphs become programs of trees, what stays ONNX around them, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import helper

from sqlml.compile.forest import program
from sqlml.errors import NotCompilableError
from sqlml.score import onnxruntime
from sqlml.score.trees import Engine
from tests.forests import EQ, LEQ, LT, MEMBER, alone, columns_for, grown, model_of


def header(made: bytes) -> dict:
    start = made.index(b"\n") + 9
    return json.loads(made[start : start + int.from_bytes(made[start - 8 : start], "little")])


def assert_same(model, columns) -> dict:
    made = program(model)
    found = Engine(model, made).run(columns)
    expected = onnxruntime.Engine(model, model.onnx).run(columns)
    assert [(t.dtype, t.shape, t.tobytes()) for t in found] == [
        (t.dtype, t.shape, t.tobytes()) for t in expected
    ]
    return header(made)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def test_columns_are_read_directly_through_casts_and_selections():
    """Integers, booleans and floats, cast as ONNX casts them; nothing is computed before."""
    trees = grown(1, features=7, modes=(LEQ, LT))
    wires = ["FLOAT", "DOUBLE", "INT", "BIGINT", "BOOLEAN", "TINYINT", "DOUBLE", "FLOAT"]
    double, single = 11, 1
    model = model_of(
        [
            node("Cast", ["in0"], ["a"], to=double),
            node("Cast", ["in2"], ["c"], to=double),
            node("Cast", ["in3"], ["d32"], to=single),
            node("Cast", ["d32"], ["d"], to=double),
            node("Cast", ["in4"], ["e"], to=double),
            node("Cast", ["in5"], ["f"], to=double),
            node("Cast", ["in6"], ["g32"], to=single),
            node("Cast", ["g32"], ["g"], to=double),
            node("Identity", ["in1"], ["b"]),
            node("Concat", ["g", "a", "b", "c", "d", "e", "f"], ["all"], axis=1),
            node("Gather", ["all", "which"], ["x"], axis=1),
            trees.node("float64"),
        ],
        wires,
        {"y": ("DOUBLE", 1)},
        {"which": np.array([1, 2, 3, 4, 5, 6, 0])},
    )
    columns = columns_for(model, trees)
    columns[3] = (columns[3] * 10**15 + 1).astype(np.int64)  # rounded by the cast
    found = assert_same(model, columns)
    assert (found["before"], found["after"]) == (None, None)
    assert 7 not in found["inputs_read"]


def test_only_inputs_in_some_split_are_read():
    trees = grown(1, features=2)
    model = alone(trees.node("float32"), 5, "float32", 1)
    assert assert_same(model, columns_for(model, trees))["inputs_read"] == [0, 1]


def test_encoders_before_and_links_after_stay_onnx():
    trees = grown(3, features=6)
    model = model_of(
        [
            node(
                "LabelEncoder", ["in3"], ["code"], domain="ai.onnx.ml",
                keys_strings=["a", "b"], values_floats=[1.0, 2.0], default_float=0.0,
            ),
            node("Concat", ["in0", "in1"], ["raw"], axis=1),
            node("Div", ["raw", "scale"], ["scaled"]),
            node("Concat", ["scaled", "in2", "code", "raw"], ["x"], axis=1),
            trees.node("float32"),
            node("Exp", ["y"], ["exp"]),
            node("Mul", ["exp", "in2"], ["weighted"]),
            node("Add", ["weighted", "scaled"], ["z"]),
        ],
        ["FLOAT", "FLOAT", "FLOAT", "STRING"],
        {"z": ("FLOAT", 2), "y": ("FLOAT", 1)},
        {"scale": np.array([[3.0, 0.7]], np.float32)},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    columns = [*columns_for(alone(trees.node("float32"), 3, "float32", 1), trees, rows=50)]
    columns.append(rng.choice(np.array(["a", "b", "c"], object), 50))
    for rows in (1, 7, 50):
        found = assert_same(model, [c[:rows] for c in columns])
    assert found["before"]["outputs"] == ["scaled", "code"]
    assert found["inputs_read"] == [0, 1, 2, 3]


def test_several_ensembles_and_one_that_another_feeds():
    first, second = grown(1, features=3), grown(2, features=3, width=2)
    third = grown(3, features=3)
    nodes = [node("Concat", ["in0", "in1", "in2"], ["x"], axis=1)]
    for trees, name in ((first, "a"), (second, "b")):
        made = trees.node("float32")
        made.output[0] = name
        nodes.append(made)
    last = third.node("float32")
    last.input[0] = "stacked"
    last.output[0] = "z"
    nodes += [node("Concat", ["a", "b"], ["stacked"], axis=1), last]
    model = model_of(nodes, ["FLOAT"] * 3, {"z": ("FLOAT", 1), "b": ("FLOAT", 2)})
    found = assert_same(model, columns_for(model, first))
    assert len(found["ensembles"]) == 2
    assert found["results"] == [["after", 0], ["sum", 1]]


def test_a_large_set_is_exact_for_integers():
    trees = grown(2, features=2, modes=(MEMBER, LEQ))
    trees.members = [m if np.isnan(m) else m + 100 for m in trees.members]
    model = model_of(
        [
            node("Cast", ["in0"], ["a"], to=1),
            node("Cast", ["in1"], ["b"], to=1),
            node("Concat", ["a", "b"], ["x"], axis=1),
            trees.node("float32"),
        ],
        ["INT", "SMALLINT"],
        {"y": ("FLOAT", 1)},
    )
    columns = columns_for(model, trees)
    assert_same(model, [(c + 95).astype(c.dtype) for c in columns])


def test_a_large_ensemble_of_equalities_has_many_thresholds():
    trees = grown(6, trees=6, depth=10, odds=0.97, features=1, modes=(EQ, LEQ))
    rng = np.random.default_rng(0)
    trees.split = np.round(rng.normal(size=len(trees.split)) * 300).tolist()
    model = alone(trees.node("float64"), 1, "float64", 1)
    assert_same(model, columns_for(model, trees, rows=3000))


# ---- refused ---------------------------------------------------------------------------


def refusal(model) -> str:
    with pytest.raises(NotCompilableError) as error:
        program(model)
    return str(error.value)


def test_a_graph_without_trees_is_refused():
    model = model_of([node("Neg", ["in0"], ["y"])], ["FLOAT"], {"y": ("FLOAT", 1)})
    assert "no tree ensemble" in refusal(model)


def test_a_post_transform_is_refused_by_name():
    trees = grown(1)
    made = trees.node("float32")
    made.attribute.append(helper.make_attribute("post_transform", 2))
    message = refusal(alone(made, 5, "float32", 1))
    assert "TreeEnsemble" in message
    assert "LOGISTIC" in message


def test_a_large_set_on_fractions_is_refused():
    trees = grown(2, features=2, modes=(MEMBER,))
    trees.members = [m if np.isnan(m) else m + 100 for m in trees.members]
    assert "MEMBER" in refusal(alone(trees.node("float32"), 2, "float32", 1))


def test_what_is_no_tree_is_refused():
    trees = grown(1, trees=1, depth=4, odds=1.0)
    trees.true[0] = trees.false[0]
    assert "two branches lead to one node" in refusal(alone(trees.node("float32"), 5, "float32", 1))


def test_a_minimum_without_votes_is_refused():
    trees = grown(1, trees=3, width=2)
    trees.target = [0] * len(trees.target)
    assert "MIN" in refusal(alone(trees.node("float32", 2), 5, "float32", 2))


def test_a_classifier_of_two_classes_is_refused():
    trees = grown(1, width=2)
    node_ = trees.classifier("float32", [0, 1])
    model = model_of(
        [helper.make_node("Concat", [f"in{i}" for i in range(5)], ["x"], axis=1), node_],
        ["FLOAT"] * 5,
        {"label": ("BIGINT", None), "y": ("FLOAT", 2)},
        ml=3,
    )
    assert "TreeEnsembleClassifier" in refusal(model)
