"""What has no weight in a matrix product is left out of it."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sqlml.convert.weightless import without_weightless

X = np.random.default_rng(5).normal(size=(32, 4))


def product(weights: np.ndarray) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["N", weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 18)]
    made = helper.make_model(graph, ir_version=10, opset_imports=opsets)
    return bytes(made.SerializeToString())


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    (found,) = onnxruntime.InferenceSession(content).run(["y"], {"x": x})
    return np.asarray(found)


@pytest.mark.parametrize("rows", [[1], [0, 3], [0, 1, 2, 3]])
def test_nan_and_infinity_of_weight_zero_do_not_reach_the_sum(rows: list[int]) -> None:
    weights = np.random.default_rng(6).normal(size=(4, 2))
    weights[rows] = 0
    spoilt = X.copy()
    spoilt[::2, rows], spoilt[1::2, rows] = np.nan, np.inf
    assert np.isnan(run(product(weights), spoilt)).all()
    pruned = without_weightless(product(weights))
    np.testing.assert_allclose(run(pruned, spoilt), X @ weights, rtol=1e-14)


def test_a_weight_for_one_of_several_results_is_a_weight() -> None:
    weights = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 4.0]])
    pruned = without_weightless(product(weights))
    assert run(pruned, X).tolist() == run(product(weights), X).tolist()
    spoilt = X.copy()
    spoilt[:, 1] = np.nan
    assert np.isnan(run(pruned, spoilt)).all()
