"""Ready-made ONNX → the house's form: an .onnx file or an onnx.ModelProto of whatever origin.

The original is the file itself, run by ONNX Runtime as it came. What its outputs are taken
for is said in `outputs.py`, what a file may not hold in `safety.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlml.convert import Answer
    from sqlml.convert.ready_made.file import ReadyMade
    from sqlml.model import ScoringModel
    from sqlml.sample import Sample


def recognises(model: object) -> bool:
    """An onnx.ModelProto, or what was read of one or of a file."""
    kind = type(model)
    return (kind.__module__.partition(".")[0], kind.__name__) == ("onnx", "ModelProto") or (
        kind.__module__ == f"{__name__}.file" and kind.__name__ == "ReadyMade"
    )


def opened(model: Any) -> ReadyMade:
    """The model, read once."""
    from sqlml.convert.ready_made.file import ReadyMade

    if isinstance(model, ReadyMade):
        return model
    return ReadyMade(model.SerializeToString(), "The ONNX model")


def convert(model: Any, sample: Sample) -> ScoringModel:
    """The graph as a ScoringModel; a single tensor gets the sample's columns in their order.

    `model`: what `recognises` takes, or `Labelled`. Raises `ModelRejectedError` for what is not
    safe to run, `NotConvertibleError` for inputs and outputs that have no place in a table, and
    `SampleError`.
    """
    from sqlml.convert.network import unlabelled
    from sqlml.convert.ready_made.form import scoring_model

    model, labels = unlabelled(model)
    return scoring_model(opened(model), sample, labels)


def answer(model: Any, rows: Any) -> Answer:
    """What ONNX Runtime gives with the model as it came.

    For task "other" the prediction has every output's columns side by side.
    """
    import numpy as np

    from sqlml.convert import Answer
    from sqlml.convert.network import unlabelled
    from sqlml.convert.ready_made.outputs import probabilities

    model, stated = unlabelled(model)
    ready = opened(model)
    arrays = ready.run(rows)
    roles = ready.roles(arrays, stated)
    if roles.task == "other":
        matrices = [array.reshape(len(array), -1) for array in arrays]
        if any(matrix.dtype.kind != "f" for matrix in matrices):
            matrices = [matrix.astype(object) for matrix in matrices]
        return Answer(np.hstack(matrices))
    shown = None if roles.main is None else arrays[roles.main]
    if roles.task == "regression":
        assert shown is not None
        return Answer(shown)
    shown = None if shown is None else probabilities(shown)
    labels = np.empty(len(roles.labels), dtype=object)
    labels[:] = roles.labels
    if roles.label is not None:
        at = {value: i for i, value in enumerate(roles.values)}
        return Answer(labels[[at[v] for v in arrays[roles.label].ravel().tolist()]], shown)
    assert shown is not None
    # As score/outputs.py tells the label, for NaN too.
    place = (shown[:, 1] > 0.5).astype(int) if shown.shape[1] == 2 else shown.argmax(axis=1)
    return Answer(labels[place], shown)
