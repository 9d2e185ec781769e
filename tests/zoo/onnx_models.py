"""The cases of ready-made ONNX models: graphs that other libraries wrote."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from . import data
from .case import Answer, Case, Fitted, trained

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}


def ask_graph(model: onnx.ModelProto, rows: Any, labels: tuple[Any, ...] = ()) -> Answer:
    """What ONNX Runtime says, as the author of the file calls it.

    `labels`: of a classifier whose probabilities bear none.
    """
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs, frame = session.get_inputs(), pd.DataFrame(rows)
    feed = {}
    for given in inputs:
        columns = frame if len(inputs) == 1 else frame[[given.name]]
        dtype = DTYPES.get(given.type)
        if dtype in (None, "int64") and columns.isna().any(axis=None):
            raise ValueError("such a tensor has no missing value")
        feed[given.name] = columns.to_numpy(dtype=dtype or object)
    if inputs[0].shape[0] == 1:
        one = ({k: v[i : i + 1] for k, v in feed.items()} for i in range(len(frame)))
        parts = [session.run(None, given) for given in one]
        outputs = [np.concatenate(found) for found in zip(*parts, strict=True)]
    else:
        outputs = session.run(None, feed)
    if len(outputs) == 1:
        return Answer(outputs[0].ravel())
    label, probabilities = outputs
    if isinstance(probabilities, list):
        labels = tuple(probabilities[0])
        probabilities = np.array([[row[key] for key in labels] for row in probabilities])
    return Answer(label, labels, probabilities)


def written(
    kind: Any = FloatTensorType, zipmap: bool | None = None, **options: Any
) -> Callable[[Any, Any, Any], Any]:
    """A `fit` that gives the graph of skl2onnx: one input for all columns."""

    def fit(model: Any, X: Any, y: Any) -> onnx.ModelProto:
        model.fit(X, y)
        types = [("X", kind([None, X.shape[1]]))]
        more = {} if zipmap is None else {"options": {id(model): {"zipmap": zipmap}}}
        return to_onnx(model, initial_types=types, **more, **options)

    return fit


def written_by_column(model: Any, X: Any, y: Any) -> onnx.ModelProto:
    model.fit(X, y)
    kinds = {"f": FloatTensorType, "O": StringTensorType}
    types = [(name, kinds[X[name].dtype.kind]([None, 1])) for name in X]
    return to_onnx(model, initial_types=types)


def for_one_row(model: Any, X: Any, y: Any) -> onnx.ModelProto:
    """A graph whose first axis is 1, as exporters write that trace one row."""
    proto = written()(model, X, y)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return proto


def by_catboost(model: Any, X: Any, y: Any) -> onnx.ModelProto:
    model.fit(X, y)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.onnx")
        model.save_model(str(path), format="onnx")
        return onnx.load(path)


def catboost(kind: str) -> Any:
    from catboost import CatBoostClassifier, CatBoostRegressor

    made = {"classifier": CatBoostClassifier, "regressor": CatBoostRegressor}[kind]
    return made(iterations=12, depth=4, verbose=False, allow_writing_files=False, thread_count=1)


def people(n: int, seed: int) -> pd.DataFrame:
    return data.customers(n, seed)[["age", "income", "plan", "country"]]


float32 = partial(data.numbers, dtype="float32")

LABELS = ("high", "low", "mid")


def without_label(model: Any, X: Any, y: Any) -> onnx.ModelProto:
    """Probabilities alone, as a network gives them."""
    proto = written(zipmap=False)(model, X, y)
    (label,) = (output for output in proto.graph.output if output.name.endswith("label"))
    proto.graph.output.remove(label)
    return proto


def ask_probabilities(model: onnx.ModelProto, rows: Any) -> Answer:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"X": pd.DataFrame(rows).to_numpy("float32")})
    return Answer(np.array(LABELS)[found.argmax(axis=1)], LABELS, found)


def stated() -> Fitted:
    """A graph of probabilities, whose labels the author states."""
    made = trained(
        lambda: MLPClassifier((8,), max_iter=300, random_state=1),
        data.numbers,
        data.three,
        fit=without_label,
        ask=ask_probabilities,
    )
    return replace(made(), labels=LABELS)


ONNX = (
    Case(
        "onnx-logistic",
        trained(LogisticRegression, data.numbers, data.yes_no, fit=written(), ask=ask_graph),
        why="probabilities come as a list of dicts",
    ),
    Case(
        "onnx-forest",
        trained(
            lambda: RandomForestClassifier(8, max_depth=5),
            float32,
            data.whole_numbers,
            fit=written(zipmap=False),
            ask=partial(ask_graph, labels=(-7, 3, 200)),
        ),
        why="without ZipMap only an attribute of a node names the labels",
    ),
    Case(
        "onnx-linear",
        trained(LinearRegression, data.numbers, data.number, fit=written(), ask=ask_graph),
    ),
    Case(
        "onnx-double",
        trained(
            lambda: make_pipeline(StandardScaler(), LinearRegression()),
            data.numbers,
            data.number,
            fit=written(DoubleTensorType),
            ask=ask_graph,
        ),
    ),
    Case(
        "onnx-boosting",
        trained(
            lambda: GradientBoostingRegressor(n_estimators=15),
            data.numbers,
            data.number,
            fit=written(),
            ask=ask_graph,
            as_array=True,
        ),
    ),
    Case(
        "onnx-columns",
        trained(
            lambda: make_pipeline(
                ColumnTransformer(
                    [
                        ("text", OneHotEncoder(handle_unknown="ignore"), ["plan", "country"]),
                        ("numbers", StandardScaler(), ["age", "income"]),
                    ]
                ),
                LogisticRegression(max_iter=500),
            ),
            people,
            data.yes_no,
            fit=written_by_column,
            ask=ask_graph,
        ),
        why="an input for each column, which is bound by name",
    ),
    Case(
        "onnx-old-operators",
        trained(
            LogisticRegression,
            data.numbers,
            data.zero_one,
            fit=written(target_opset={"": 11, "ai.onnx.ml": 1}),
            ask=ask_graph,
        ),
        why="operators of ONNX 11 differ from those of the same name today",
    ),
    Case(
        "onnx-one-row",
        trained(LinearRegression, data.numbers, data.number, fit=for_one_row, ask=ask_graph),
        why="the file says that it takes one row at a time",
    ),
    Case("onnx-stated-labels", stated, why="the graph does not say what its probabilities are of"),
    Case(
        "onnx-neighbours",
        trained(
            lambda: KNeighborsRegressor(3), data.numbers, data.number, fit=written(), ask=ask_graph
        ),
        why="a graph inside of the graph",
    ),
    Case(
        "onnx-catboost-classifier",
        trained(
            partial(catboost, "classifier"), float32, data.three, fit=by_catboost, ask=ask_graph
        ),
    ),
    Case(
        "onnx-catboost-regressor",
        trained(
            partial(catboost, "regressor"), float32, data.number, fit=by_catboost, ask=ask_graph
        ),
    ),
)
