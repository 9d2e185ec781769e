"""What runs in the Python workers of the other contestants: a model kept, rows in, scores out."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    Vector = np.ndarray[Any, Any]
    Predict = Callable[[Sequence[Any]], Vector]

_kept: dict[str, Any] = {}


def kept(key: str, load: Callable[[], Any]) -> Any:
    """What `load` gave to this worker when it was first asked for."""
    if key not in _kept:
        _kept[key] = load()
    return _kept[key]


def matrix(columns: Sequence[Any], kind: str) -> Vector:
    """Columns side by side as rows: one pass, no concatenation of copies."""
    import numpy as np

    rows = np.empty((len(columns[0]), len(columns)), kind)
    for i, column in enumerate(columns):
        rows[:, i] = column
    return rows


def native(model: Any, names: Sequence[str], *, named: bool) -> Predict:
    """The model's own library over columns, one thread; scores are doubles."""
    on_rows = rows_at_once(model)
    if named:
        import pandas as pd

        return lambda columns: on_rows(pd.DataFrame(dict(zip(names, columns, strict=True))))
    kind = wanted(model)
    return lambda columns: on_rows(matrix(columns, kind))


def rows_at_once(model: Any) -> Callable[[Any], Vector]:
    """The same over rows: a matrix, or a frame where the model knows its columns by name."""
    library = type(model).__module__.partition(".")[0]
    return {"xgboost": _xgboost, "lightgbm": _lightgbm}.get(library, _sklearn)(model)


def wanted(model: Any) -> str:
    """The width in which the library computes: narrower loses something, wider is waste."""
    module = type(model).__module__
    return "float32" if module.startswith(("xgboost", "sklearn.ensemble._forest")) else "float64"


def on_tensor(predict: Predict) -> Callable[[Vector], Vector]:
    """For predict_batch_udf: a function of one matrix."""
    return lambda rows: predict([*rows.T])


def with_parameters(names: Sequence[str], predict: Predict) -> Callable[..., Vector]:
    """For predict_batch_udf, which counts parameters: a function of one for each column."""

    def score(*columns: Vector) -> Vector:
        return predict(columns)

    each = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in names]
    score.__dict__["__signature__"] = Signature(each)
    return score


def _xgboost(model: Any) -> Callable[[Any], Vector]:
    booster = model.get_booster()
    booster.set_param({"nthread": 1})
    # A DMatrix would be a copy of every batch.
    return lambda rows: booster.inplace_predict(rows).astype("float64")


def _lightgbm(model: Any) -> Callable[[Any], Vector]:
    booster = model.booster_
    return lambda rows: booster.predict(rows, num_threads=1)


def _sklearn(model: Any) -> Callable[[Any], Vector]:
    if hasattr(model, "predict_proba"):
        return lambda rows: model.predict_proba(rows)[:, 1]
    return lambda rows: model.predict(rows)


def onnx_runtime(onnx: bytes, *, named: bool) -> Predict:
    """ONNX Runtime tuned by hand: one thread that does not spin, every optimisation."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    inputs = [i.name for i in session.get_inputs()]
    # Only what is asked for is computed: of a classifier not the labels.
    output = session.get_outputs()[-1].name
    kinds = {"tensor(float)": "float32", "tensor(string)": "object", "tensor(int64)": "int64"}
    types = [kinds.get(i.type, "float64") for i in session.get_inputs()]

    def feed(columns: Sequence[Any]) -> dict[str, Vector]:
        if len(inputs) == 1 and not named:
            return {inputs[0]: matrix(columns, types[0])}
        return {
            name: np.asarray(column).astype(kind, copy=False).reshape(-1, 1)
            for name, kind, column in zip(inputs, types, columns, strict=True)
        }

    def predict(columns: Sequence[Any]) -> Vector:
        (scores,) = session.run([output], feed(columns))
        return np.asarray(scores[:, -1] if scores.ndim > 1 else scores, dtype="float64")

    return predict
