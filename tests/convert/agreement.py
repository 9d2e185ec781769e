"""One helper: a converted booster gives the numbers that its framework gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from sqlml.convert import convert, converter_of
from sqlml.sample import read_sample
from sqlml.types import SCALARS

if TYPE_CHECKING:
    import pandas as pd

    from sqlml import ScoringModel

BOUNDS = {"float32": 2e-6, "float64": 1e-13}
"""Relative to the output's largest magnitude."""


def session(onnx: bytes) -> ort.InferenceSession:
    """The graph, run as it is in Spark: on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def scores(model: ScoringModel, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """What the graph gives, by output."""
    inputs = model.signature.inputs
    feed = {
        f"in{i}": frame.iloc[:, i]
        .to_numpy()
        .astype(object if x.wire == "STRING" else np.dtype(SCALARS[x.wire].arrow))[:, None]
        for i, x in enumerate(inputs)
    }
    names = [t.name for t in model.tensors]
    return dict(zip(names, session(model.onnx).run(names, feed), strict=True))


def assert_agrees(original: Any, rows: Any, sample: Any = None) -> ScoringModel:
    """The converted model scores `rows` as the original does; the model is returned."""
    model = convert(original, sample=rows if sample is None else sample)
    read = read_sample(rows, [x.name for x in model.signature.inputs])
    expected = converter_of(original).answer(original, read.container(read.frame))
    found = scores(model, read.frame)
    bound = BOUNDS[model.precision]
    if model.task == "classification":
        if expected.probabilities is not None:
            np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=bound)
            label = found["probabilities"].argmax(axis=1)
        else:
            label = found["label"]
        assert np.array(model.labels)[label].tolist() == expected.prediction.tolist()
    else:
        truth = expected.prediction.reshape(len(read), -1)
        scale = max(1.0, float(np.abs(truth).max()))
        np.testing.assert_allclose(found["prediction"], truth, atol=bound * scale)
        assert len(model.signature.outputs) == truth.shape[1]
    return model
