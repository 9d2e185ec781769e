"""Ready-made ONNX models: what their inputs and outputs become, and which are refused."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.neighbors import KNeighborsRegressor

import sqlml
from sqlml.convert import convert
from sqlml.errors import ArgumentError, ModelRejectedError, NotConvertibleError, SampleError
from sqlml.score import Scorer
from sqlml.score.outputs import derive

rng = np.random.default_rng(4)
X = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
WEIGHTS = numpy_helper.from_array(np.array([[1.0], [-2.0], [0.5]], np.float32), "weights")
FLOAT, DOUBLE, INT64, BOOL, STRING = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.STRING,
)


def value(name, element=FLOAT, shape=("N", 3)):
    return helper.make_tensor_value_info(name, element, list(shape))


def graph(nodes, inputs, outputs, constants=(), opset=18, metadata=(), functions=()):
    """A model of some nodes; `inputs` and `outputs` are what `value` makes."""
    made = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(constants))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8, functions=list(functions))
    helper.set_model_props(model, dict(metadata))
    return model


def linear(name="y", shape=("N", 1), x=("N", 3), **more):
    """x @ weights, to an output of that name and shape."""
    nodes = [helper.make_node("MatMul", ["x", "weights"], [name])]
    return graph(nodes, [value("x", shape=x)], [value(name, shape=shape)], [WEIGHTS], **more)


def by_runtime(model, feed):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def scored(model, sample, labels=None):
    """The columns of the table form for the sample, from a model that passed verification."""
    scoring = convert(model, sample=sample, labels=labels)
    report = sqlml.verify(scoring, model, sample)
    report.raise_if_different()
    scoring = dataclasses.replace(scoring, signature=report.signature)
    columns = pa.Table.from_pandas(sample, preserve_index=False)
    scorer = Scorer(scoring)
    given = [columns[i.name].combine_chunks() for i in scoring.signature.inputs]
    return scoring, {k: v.to_pylist() for k, v in derive(scoring, scorer.score(given)).items()}


# ---- inputs -----------------------------------------------------------------------------


def test_one_tensor_takes_the_samples_columns_in_their_order():
    scoring, found = scored(linear(), X)
    assert [(i.name, i.type, i.wire) for i in scoring.signature.inputs] == [
        ("a", "DOUBLE", "FLOAT"),
        ("b", "DOUBLE", "FLOAT"),
        ("c", "DOUBLE", "FLOAT"),
    ]
    (expected,) = by_runtime(linear(), {"x": X.to_numpy("float32")})
    assert found["y"] == pytest.approx(expected.ravel().tolist(), abs=1e-5)
    with pytest.raises(SampleError, match="takes 3 columns, the sample has 2"):
        convert(linear(), sample=X[["a", "b"]])


def test_a_tensor_of_open_width_takes_every_column():
    assert len(convert(linear(x=("N", None)), sample=X).signature.inputs) == 3


def weighted(types):
    """Inputs p and q of some types, as floats: p - 2 q."""
    nodes = [helper.make_node("Cast", [name], [f"{name}_f"], to=FLOAT) for name in types] + [
        helper.make_node("Add", ["q_f", "q_f"], ["twice"]),
        helper.make_node("Sub", ["p_f", "twice"], ["y"]),
    ]
    inputs = [value(name, element, ("N", 1)) for name, element in types.items()]
    return graph(nodes, inputs, [value("y", shape=("N", 1))])


def test_several_tensors_are_bound_by_name():
    model = weighted({"p": FLOAT, "q": INT64})
    sample = pd.DataFrame({"q": rng.integers(0, 9, 40), "p": rng.normal(size=40)})
    scoring, found = scored(model, sample)
    assert {i.name: i.wire for i in scoring.signature.inputs} == {"q": "BIGINT", "p": "FLOAT"}
    np.testing.assert_allclose(found["y"], sample.p - 2 * sample.q, atol=1e-5)
    missing = {i.name: i.takes_missing for i in scoring.signature.inputs}
    assert missing == {"q": False, "p": True}  # an integer tensor has no NaN
    with pytest.raises(SampleError, match="has the inputs q: not among"):
        convert(model, sample=sample[["p"]].assign(r=1))
    with pytest.raises(SampleError, match="has no inputs r"):
        convert(model, sample=sample.assign(r=1))


def test_publishing_refuses_a_column_too_many_and_orders_the_others():
    model = weighted({"p": FLOAT, "q": INT64})
    sample = pd.DataFrame({"q": rng.integers(0, 9, 40), "p": rng.normal(size=40)})
    published = sqlml.publish(model, "ready-made-order", sample=sample)
    assert [i.name for i in published.scoring_model.signature.inputs] == ["p", "q"]
    with pytest.raises(SampleError, match="not trained on: target"):
        sqlml.publish(model, "ready-made-target", sample=sample.assign(target=1))


@pytest.mark.parametrize(
    ("element", "values", "wire"),
    [
        (TensorProto.FLOAT16, rng.normal(size=30), "FLOAT"),
        (FLOAT, rng.normal(size=30), "FLOAT"),
        (DOUBLE, rng.normal(size=30), "DOUBLE"),
        (TensorProto.INT8, rng.integers(-9, 9, 30).astype("int8"), "TINYINT"),
        (TensorProto.INT16, rng.integers(-9, 9, 30).astype("int16"), "SMALLINT"),
        (TensorProto.INT32, rng.integers(-9, 9, 30).astype("int32"), "INT"),
        (INT64, rng.integers(-9, 9, 30), "BIGINT"),
        (BOOL, rng.random(30) < 0.5, "BOOLEAN"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_scalar_types(element, values, wire):
    model = weighted({"p": element, "q": element})
    sample = pd.DataFrame({"p": values, "q": values[::-1]})
    scoring, found = scored(model, sample)
    assert {i.wire for i in scoring.signature.inputs} <= {wire, "FLOAT"}
    dtype = helper.tensor_dtype_to_np_dtype(element)
    feed = {name: sample[[name]].to_numpy().astype(dtype) for name in sample}
    assert found["y"] == by_runtime(model, feed)[0].ravel().tolist()


@pytest.mark.parametrize("shape", [("N",), ("N", 1)])
def test_half_precision_keeps_no_more_digits_than_it_has(shape):
    """ONNX Runtime computes it in single, and drops casts between the two that meet."""
    factor = numpy_helper.from_array(np.array([1.37], np.float16), "factor")
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["scaled"]),
        helper.make_node("Exp", ["scaled"], ["y"]),
    ]
    half = TensorProto.FLOAT16
    model = graph(nodes, [value("x", half, shape)], [value("y", half, shape)], [factor])
    sample = pd.DataFrame({"a": rng.normal(size=200)})
    scoring, found = scored(model, sample)
    assert [i.wire for i in scoring.signature.inputs] == ["FLOAT"]
    given = sample.a.to_numpy("float32").astype("float16").reshape(-1, *shape[1:])
    assert found["y"] == by_runtime(model, {"x": given})[0].ravel().tolist()


def test_three_probabilities_in_half_precision():
    weights = numpy_helper.from_array(rng.normal(size=(3, 3)).astype(np.float16), "weights")
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"], axis=1),
    ]
    half = TensorProto.FLOAT16
    model = graph(nodes, [value("x", half)], [value("p", half)], [weights])
    assert scored(model, X, ["a", "b", "c"])[0].task == "classification"


def looked_up(entries, *before):
    """The entry of a table for each place; `before`: nodes from x to the place."""
    table = numpy_helper.from_array(rng.normal(size=(entries, 2)).astype(np.float32), "table")
    last = before[-1].output[0] if before else "x"
    nodes = [*before, helper.make_node("Gather", ["table", last], ["y"])]
    return graph(nodes, [value("x", INT64, ("N",))], [value("y", shape=("N", 2))], [table])


PLACES = pd.DataFrame({"place": rng.integers(0, 7, 50)})


def test_a_place_beyond_a_table_is_null():
    """ONNX Runtime raises for it; a negative place counts from the end."""
    report = sqlml.verify(convert(looked_up(7), sample=PLACES), looked_up(7), PLACES)
    assert not report.ok  # another table
    model = looked_up(7)
    scoring, _ = scored(model, PLACES)
    (x,) = scoring.signature.inputs
    assert x.categories == tuple(range(-7, 7))
    rows = pa.array([-8, -7, 0, 6, 7, None], type=pa.int64())
    (found,) = derive(scoring, Scorer(scoring).score([rows])).values()
    assert [row is None for row in found.to_pylist()] == [True, False, False, False, True, True]
    with pytest.raises(NotConvertibleError, match="a table of 5,000 entries"):
        convert(looked_up(5000), sample=PLACES)


def test_values_that_the_graph_does_not_take_are_refused_in_a_line():
    """A computed place beyond a table: ONNX Runtime raises for its whole batch."""
    model = looked_up(7, helper.make_node("Abs", ["x"], ["place"]))
    with pytest.raises(NotConvertibleError, match="the original refuses one by one"):
        sqlml.verify(convert(model, sample=PLACES), model, PLACES)


def test_text_and_flat_tensors():
    nodes = [
        helper.make_node(
            "LabelEncoder", ["plan"], ["code"], domain="ai.onnx.ml",
            keys_strings=["basic", "pro"], values_int64s=[1, 7], default_int64=0,
        ),
        helper.make_node("Identity", ["plan"], ["again"]),
    ]  # fmt: skip
    outputs = [value("code", INT64, ("N",)), value("again", STRING, ("N",))]
    model = graph(nodes, [value("plan", STRING, ("N",))], outputs)
    sample = pd.DataFrame({"plan": rng.choice(["basic", "pro", "größte", ""], 40)})
    scoring, found = scored(model, sample)
    assert [(o.name, o.type) for o in scoring.signature.outputs] == [
        ("code", "BIGINT"),
        ("again", "STRING"),
    ]
    assert found["again"] == sample.plan.tolist()
    assert found["code"] == [{"basic": 1, "pro": 7}.get(p, 0) for p in sample.plan]
    assert scoring.signature.inputs[0].takes_missing is False


def test_a_column_of_another_type_is_refused_with_the_cast_to_write():
    model = weighted({"p": TensorProto.INT32, "q": FLOAT})
    sample = pd.DataFrame({"p": rng.integers(0, 9, 20), "q": rng.normal(size=20)})
    with pytest.raises(SampleError, match=r"'p' of the sample is BIGINT.*astype\(\{'p': 'int32'\}"):
        convert(model, sample=sample)
    with pytest.raises(SampleError, match="is STRING"):
        convert(linear(), sample=X.assign(a="x"))


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([value("x", shape=("N", None, 4))], "has 3 axes"),
        ([value("x", shape=())], "no axis for the rows"),
        ([value("x", shape=(8, 3))], "takes 8 rows at a time"),
        ([value("x", TensorProto.UINT8)], "UINT8"),
    ],
)
def test_inputs_that_are_no_scalar_columns_are_refused(inputs, reason):
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    output = onnx.ValueInfoProto()
    output.CopyFrom(inputs[0])
    output.name = "y"
    model = graph(nodes, inputs, [output])
    with pytest.raises(NotConvertibleError, match=reason):
        convert(model, sample=X)


def test_a_column_of_arrays_is_an_input_of_several_numbers():
    weights = numpy_helper.from_array(rng.normal(size=(4, 1)).astype(np.float32), "weights")
    nodes = [
        helper.make_node("Concat", ["lags", "last"], ["x"], axis=1),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    inputs = [value("lags", shape=("N", 3)), value("last", shape=("N", 1))]
    model = graph(nodes, inputs, [value("y", shape=("N", 1))], [weights])
    lags = rng.normal(size=(40, 3))
    sample = pd.DataFrame({"last": rng.normal(size=40), "lags": [*lags]})
    scoring, found = scored(model, sample)
    assert [(i.name, i.type, i.wire) for i in scoring.signature.inputs] == [
        ("last", "DOUBLE", "FLOAT"),
        ("lags", "ARRAY<DOUBLE>", "ARRAY<FLOAT>"),
    ]
    feed = {"lags": lags.astype("float32"), "last": sample[["last"]].to_numpy("float32")}
    assert found["y"] == pytest.approx(by_runtime(model, feed)[0].ravel().tolist(), abs=1e-5)
    with pytest.raises(SampleError, match=r"takes 3 numbers a row, column 'lags' .* has 1"):
        convert(model, sample=sample.assign(lags=1.0))


def test_a_tensor_of_more_axes_takes_its_numbers_in_their_order():
    turned = helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 1])
    flat = helper.make_node("Flatten", ["turned"], ["y"])
    model = graph([turned, flat], [value("x", shape=("N", 2, 3))], [value("y", shape=("N", 6))])
    together = rng.normal(size=(30, 6)).astype("float32")
    _, apart = scored(model, pd.DataFrame(together, columns=list("abcdef")))
    _, found = scored(model, pd.DataFrame({"window": [*together]}))
    assert found["y"] == apart["y"] == together[:, [0, 3, 1, 4, 2, 5]].tolist()


def test_neighbours_are_scored_by_a_pass_over_a_tensor():
    """Of graphs inside of a graph, those are taken that end."""
    model = KNeighborsRegressor(3).fit(X, X.a)
    made = to_onnx(model, initial_types=[("X", FloatTensorType([None, 3]))])
    assert "Scan" in {node.op_type for node in made.graph.node}
    scoring, found = scored(made, X)
    assert scoring.task == "regression"
    (expected,) = by_runtime(made, {"X": X.to_numpy("float32")})
    assert found["prediction"] == pytest.approx(expected.ravel().tolist(), abs=1e-6)


def test_a_graph_for_one_row_scores_several_where_each_is_as_alone():
    _, found = scored(linear(shape=(1, 1), x=(1, 3)), X)
    (expected,) = by_runtime(linear(), {"x": X.to_numpy("float32")})
    assert found["y"] == pytest.approx(expected.ravel().tolist(), abs=1e-5)


def test_a_graph_that_joins_rows_is_refused():
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["y"]),
    ]
    shape = numpy_helper.from_array(np.array([1, 3]), "shape")
    model = graph(nodes, [value("x", shape=(1, 3))], [value("y", shape=(1, 1))], [WEIGHTS, shape])
    with pytest.raises(NotConvertibleError, match="one row at a time"):
        convert(model, sample=X)


def test_a_score_that_depends_on_its_batch_is_not_published():
    nodes = [
        helper.make_node("ReduceMax", ["x", "axes"], ["top"], keepdims=1),
        helper.make_node("Sub", ["x", "top"], ["less"]),
        helper.make_node("MatMul", ["less", "weights"], ["y"]),
    ]
    axes = numpy_helper.from_array(np.array([0]), "axes")
    model = graph(nodes, [value("x")], [value("y", shape=("N", 1))], [WEIGHTS, axes])
    report = sqlml.verify(convert(model, sample=X), model, X)
    assert not report.ok


# ---- outputs ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["variable", "prediction", "predictions"])
def test_one_float_of_a_regressors_name_is_a_regression(name):
    scoring, found = scored(linear(name), X)
    assert scoring.task == "regression"
    assert list(found) == ["prediction"]


def test_one_float_of_another_name_keeps_it():
    scoring, found = scored(linear("embedding"), X)
    assert (scoring.task, list(found)) == ("other", ["embedding"])


def test_a_list_for_each_row():
    nodes = [helper.make_node("Mul", ["x", "x"], ["squares"])]
    model = graph(nodes, [value("x")], [value("squares")])
    scoring, found = scored(model, X)
    assert [o.type for o in scoring.signature.outputs] == ["ARRAY<FLOAT>"]
    np.testing.assert_allclose(found["squares"], X.to_numpy() ** 2, rtol=1e-5)


def test_the_file_may_say_what_it_is():
    told = {"sqlml.task": "regression"}
    assert convert(linear("embedding", metadata=told), sample=X).task == "regression"
    told = {"sqlml.task": "other"}
    assert convert(linear("variable", metadata=told), sample=X).task == "other"


def test_one_probability_and_two_labels_that_the_file_names():
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["p"]),
    ]
    told = {"sqlml.task": "classification", "sqlml.labels": '["stays", "leaves"]'}
    model = graph(nodes, [value("x")], [value("p", shape=("N", 1))], [WEIGHTS], metadata=told)
    scoring, found = scored(model, X)
    assert scoring.labels == ("stays", "leaves")
    leaves = (X.to_numpy() @ [1.0, -2.0, 0.5]) > 0
    assert found["prediction"] == np.where(leaves, "leaves", "stays").tolist()


def softmax(*more, name="output"):
    """Three probabilities, as a network gives them, and what else is made of them."""
    weights = numpy_helper.from_array(rng.normal(size=(3, 3)).astype(np.float32), "weights")
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [name], axis=1),
        *more,
    ]
    labels = [value("label", INT64, ("N",))] if more else []
    return graph(nodes, [value("x")], [value(name), *labels], [weights])


def test_the_author_may_state_the_labels_of_probabilities():
    model = softmax()
    assert convert(model, sample=X).task == "other"
    labels = np.array(["low", "middle", "high"])
    scoring, found = scored(model, X, labels)
    assert scoring.labels == ("low", "middle", "high")
    (expected,) = by_runtime(model, {"x": X.to_numpy("float32")})
    assert found["prediction"] == labels[expected.argmax(axis=1)].tolist()
    published = sqlml.publish(model, "ready-made-labels", sample=X, labels=labels)
    assert published.scoring_model.task == "classification"


def test_the_place_of_the_largest_gets_the_stated_label():
    """The graph's own label is a place among its scores."""
    least = helper.make_node("ArgMax", ["minus"], ["label"], axis=1, keepdims=0)
    model = softmax(helper.make_node("Neg", ["output"], ["minus"]), least)
    _, found = scored(model, X, ["a", "b", "c"])
    (expected, place) = by_runtime(model, {"x": X.to_numpy("float32")})
    assert found["prediction"] == np.array(["a", "b", "c"])[place].tolist()
    assert (place != expected.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (softmax, ["no", "yes"]),
        (linear, ["no", "yes"]),
        (lambda: classifier("LOGISTIC"), ["yes", "no"]),
        (lambda: classifier("LOGISTIC"), [0, 1]),
    ],
    ids=["more probabilities", "no probabilities", "another order", "other labels"],
)
def test_labels_that_the_graph_contradicts_are_refused(make, labels):
    with pytest.raises(NotConvertibleError, match="states the labels"):
        convert(make(), sample=X, labels=labels)


@pytest.mark.parametrize("labels", [["no", "no"], ["no", 1], ["no"], [None, "no"]])
def test_what_are_no_labels_is_refused(labels):
    with pytest.raises(ArgumentError, match="two or more different values of one kind"):
        convert(softmax(), sample=X, labels=labels)


@pytest.mark.parametrize(
    "told",
    [
        {"sqlml.task": "ranking"},
        {"sqlml.task": "classification"},
        {"sqlml.task": "classification", "sqlml.labels": '["no", 1]'},
        {"sqlml.task": "classification", "sqlml.labels": "no, yes"},
    ],
)
def test_a_file_that_says_what_it_is_not_is_refused(told):
    with pytest.raises(NotConvertibleError, match="metadata"):
        convert(linear(metadata=told), sample=X)


def classifier(post_transform):
    """A linear classifier of two labels, whose scores are called probabilities in any case."""
    node = helper.make_node(
        "LinearClassifier", ["x"], ["label", "probabilities"], domain="ai.onnx.ml",
        coefficients=[-1.0, 2.0, -0.5, 1.0, -2.0, 0.5], intercepts=[0.0, 0.0],
        classlabels_strings=["no", "yes"], post_transform=post_transform,
    )  # fmt: skip
    outputs = [value("label", STRING, ("N",)), value("probabilities", shape=("N", 2))]
    return graph([node], [value("x")], outputs)


def test_scores_called_probabilities_are_no_classification():
    scoring, found = scored(classifier("NONE"), X)
    assert scoring.task == "other"
    assert [(o.name, o.type) for o in scoring.signature.outputs] == [
        ("label", "STRING"),
        ("probabilities", "ARRAY<FLOAT>"),
    ]
    assert min(min(row) for row in found["probabilities"]) < 0


def test_a_label_with_its_probabilities_is_a_classification():
    scoring, found = scored(classifier("LOGISTIC"), X)
    assert (scoring.task, scoring.labels) == ("classification", ("no", "yes"))
    label, expected = by_runtime(classifier("LOGISTIC"), {"x": X.to_numpy("float32")})
    assert found["prediction"] == label.tolist()
    shown = [dict(row) for row in found["probabilities"]]
    assert [row["yes"] for row in shown] == pytest.approx(expected[:, 1].tolist(), abs=1e-5)


def test_a_sequence_is_refused():
    nodes = [helper.make_node("SequenceConstruct", ["x"], ["y"])]
    output = helper.make_tensor_sequence_value_info("y", FLOAT, ["N", 3])
    with pytest.raises(NotConvertibleError, match="is no tensor"):
        convert(graph(nodes, [value("x")], [output]), sample=X)


# ---- files ------------------------------------------------------------------------------


def test_a_path_and_a_proto_are_one_model(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(linear(), path)
    made = [convert(model, sample=X) for model in (path, str(path), onnx.load(path))]
    assert len({scoring.sha256 for scoring in made}) == 1


def test_what_is_published_from_a_path_is_scored(tmp_path):
    path = tmp_path / "Model.ONNX"
    onnx.save(linear("variable"), path)
    sqlml.publish(path, "ready-made", sample=X, alias="champion")
    assert sqlml.load("ready-made").task == "regression"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "is not there"), (b"", "is no ONNX model"), (b"not ONNX at all", "is no ONNX model")],
)
def test_a_file_that_is_no_model_is_rejected(tmp_path, content, reason):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelRejectedError, match=reason):
        convert(path, sample=X)


MARKER = np.array([[13.0], [13.0], [13.0]], np.float32)


def external(place, location):
    """A model whose weights are said to be in another file, which is there."""
    outside = place / "outside"
    home = place / "home"
    outside.mkdir()
    home.mkdir()
    secret = outside / "secret.bin"
    secret.write_bytes(MARKER.tobytes())
    names = {
        "parent": "../outside/secret.bin",
        "absolute": str(secret),
        "symlink": "link.bin",
        "symlinked directory": "linked/secret.bin",
        "hard link": "hard.bin",
        "no location": "",
    }
    (home / "link.bin").symlink_to(secret)
    (home / "linked").symlink_to(outside, target_is_directory=True)
    os.link(secret, home / "hard.bin")
    weights = TensorProto(name="weights", data_type=FLOAT, dims=[3, 1])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=names[location])
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y"])]
    model = graph(nodes, [value("x")], [value("y", shape=("N", 1))], [weights])
    path = home / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    "location",
    ["parent", "absolute", "symlink", "symlinked directory", "hard link", "no location"],
)
def test_tensors_in_other_files_are_rejected(tmp_path, monkeypatch, location):
    path = external(tmp_path, location)
    monkeypatch.chdir(path.parent)
    for model in (path, path.name, onnx.load(path, load_external_data=False)):
        with pytest.raises(ModelRejectedError, match="in another file"):
            sqlml.publish(model, "hostile", sample=X)


def constant(**attributes):
    return helper.make_node("Constant", [], ["k"], **attributes)


def in_an_attribute():
    tensor = TensorProto(name="inner", data_type=FLOAT, dims=[3, 1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    return [constant(value=tensor), helper.make_node("MatMul", ["x", "k"], ["y"])]


def in_a_loop():
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["more"], ["again"]),
            helper.make_node("Identity", ["state"], ["next"]),
        ],
        "body",
        [value("i", INT64, ()), value("more", BOOL, ()), value("state")],
        [value("again", BOOL, ()), value("next")],
    )
    return [helper.make_node("Loop", ["", "", "x"], ["y"], body=body)]


def in_a_branch(*nodes):
    """Nodes from s to t, inside of a branch."""
    body = helper.make_graph([*nodes], "body", [], [value("t")])
    true = numpy_helper.from_array(np.array(True), "true")
    return [
        constant(value=true),
        helper.make_node("If", ["k"], ["y"], then_branch=body, else_branch=body),
    ]


def hidden_tensor():
    tensor = TensorProto(name="inner", data_type=FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    made = helper.make_node("Constant", [], ["s"], value=tensor)
    return in_a_branch(made, helper.make_node("Add", ["x", "s"], ["t"]))


def hidden_growth():
    return in_a_branch(helper.make_node("Tile", ["x", "x"], ["t"]))


def without_end():
    size = numpy_helper.from_array(np.array([10**6, 10**6]), "size")
    return [
        constant(value=size),
        helper.make_node("ConstantOfShape", ["k"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["total"], keepdims=0),
        helper.make_node("Add", ["x", "total"], ["y"]),
    ]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (in_an_attribute(), "in another file"),
        (in_a_loop(), "operator Loop with a graph inside"),
        (hidden_tensor(), "in another file"),
        (hidden_growth(), "Tile in a graph inside"),
        (without_end(), "too many"),
        ([helper.make_node("Steal", ["x"], ["y"], domain="evil")], "operator evil.Steal"),
        ([helper.make_node("EPContext", [], ["y"], domain="com.microsoft")], "EPContext"),
        ([helper.make_node("RandomUniformLike", ["x"], ["y"])], "would be random"),
        ([helper.make_node("Add", ["x", "nowhere"], ["y"])], "cannot load|is not sound"),
    ],
    ids=[
        "attribute",
        "loop",
        "branch",
        "growth",
        "huge",
        "foreign",
        "context",
        "random",
        "unsound",
    ],
)
def test_what_is_not_safe_to_run_is_rejected(nodes, reason):
    with pytest.raises(ModelRejectedError, match=reason):
        convert(graph(nodes, [value("x")], [value("y")]), sample=X)


def test_functions_in_which_anything_may_hide_are_rejected():
    hidden = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    nodes = [helper.make_node("F", ["x"], ["y"], domain="own")]
    with pytest.raises(ModelRejectedError, match="functions of its own"):
        convert(graph(nodes, [value("x")], [value("y")], functions=[hidden]), sample=X)


def test_a_file_beyond_the_limit_is_rejected_unread(tmp_path, monkeypatch):
    from sqlml.convert.ready_made import file, safety

    path = Path(tmp_path, "model.onnx")
    onnx.save(linear(), path)
    for module in (file, safety):
        monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(ModelRejectedError, match="the most that is taken"):
        convert(path, sample=X)
