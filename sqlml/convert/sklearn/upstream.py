"""The estimators that skl2onnx converts well: one step at a time, in double."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from onnx import numpy_helper

from sqlml.convert.graph import DOUBLE, INT64, OPSETS, STRING
from sqlml.convert.hushed import hushed
from sqlml.convert.sklearn.arithmetic import column, flat
from sqlml.convert.sklearn.frame import Result, Table, dense, is_sklearn, name_of
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from sqlml.convert.graph import Graph

_TRY_OTHER = "Replace this step by one that is converted, or compute it in SQL before PREDICT."

# Measured wrong with skl2onnx 1.20 and scikit-learn 1.9, or wrong by design.
REFUSED = {
    "RadiusNeighborsClassifier": "a row without neighbours is an outlier there, an error here.",
    "RadiusNeighborsRegressor": "a row without neighbours has no answer.",
    "RandomTreesEmbedding": "skl2onnx's form of it cannot give a sparse matrix.",
    "CategoricalNB": "a category that was not in the training data is an error there.",
    "HashingVectorizer": "it has no vocabulary, and a million columns: use TfidfVectorizer.",
}

# What the graph must not hold: deprecated in ai.onnx.ml 5, which onnxruntime enforces.
_DEPRECATED = ("TreeEnsembleRegressor", "TreeEnsembleClassifier")


def transform_upstream(g: Graph, step: Any, table: Table) -> Table:
    """The nodes of `step.transform`, by skl2onnx."""
    if not hasattr(step, "transform"):
        raise NotConvertibleError(name_of(step), "it has no transform method.")
    model, feeds = _converted(g, step, table, {})
    output = model.graph.output[0]
    (tensor,) = g.inline(model, feeds, [output.name])
    width = _width(step, output)
    if output.type.tensor_type.elem_type == STRING:
        raise NotConvertibleError(name_of(step), "it gives strings.", _TRY_OTHER)
    # Floats inside stay visible in the graph, from which its precision is read.
    return dense(g.cast(tensor, DOUBLE), width)


def _width(step: Any, output: Any) -> int:
    dims = output.type.tensor_type.shape.dim
    if len(dims) == 2 and dims[1].dim_value:
        return int(dims[1].dim_value)
    try:
        return len(step.get_feature_names_out())
    except (AttributeError, ValueError) as error:
        raise NotConvertibleError(
            name_of(step), "the number of its output columns is not known.", _TRY_OTHER
        ) from error


def predict_upstream(g: Graph, step: Any, table: Table) -> Result:
    """The nodes of `step.predict` and `step.predict_proba`, by skl2onnx."""
    if not hasattr(step, "predict"):
        raise NotConvertibleError(
            name_of(step), "it has no predict method.", "Add a model as the last step."
        )
    classes = getattr(step, "classes_", None)
    kind = _kind(step)
    if classes is not None and kind == "classification" and _several(classes):
        raise NotConvertibleError(name_of(step), "several labels for one row have no form in SQL.")
    options = {"zipmap": False} if kind == "classification" else {}
    model, feeds = _converted(g, step, table, options)
    names = [o.name for o in model.graph.output]
    tensors = dict(zip(names, g.inline(model, feeds, names), strict=True))
    elements = {o.name: o.type.tensor_type.elem_type for o in model.graph.output}
    if kind == "regression":
        values = g.cast(tensors[names[0]], DOUBLE)
        width = _width_of_targets(step)
        shaped = g.node("Reshape", values, g.const([-1, width], "int64"))
        return Result("regression", shaped, width)
    if kind == "classification":
        assert classes is not None
        return _classifier(g, step, tensors, names, elements)
    prediction = flat(g, g.cast(tensors[names[0]], INT64))
    if kind == "clustering":
        return Result("clustering", prediction)
    score = tensors.get("scores")
    score = None if score is None else column(g, g.cast(score, DOUBLE))
    return Result("outlier_detection", prediction, score=score)


def _classifier(
    g: Graph, step: Any, tensors: dict[str, str], names: Sequence[str], elements: dict[str, int]
) -> Result:
    classes = tuple(step.classes_)
    if hasattr(step, "predict_proba") and "probabilities" in tensors:
        probabilities = g.cast(tensors["probabilities"], DOUBLE)
        shaped = g.node("Reshape", probabilities, g.const([-1, len(classes)], "int64"))
        return Result("classification", probabilities=shaped, classes=classes)
    keys = np.asarray(classes)
    if elements[names[0]] == STRING:
        keys = np.array([str(c) for c in classes], dtype=object)
    elif elements[names[0]] == INT64:
        keys = keys.astype("int64")
    else:
        raise NotConvertibleError(name_of(step), "its labels are neither strings nor integers.")
    index = g.node(
        "LabelEncoder",
        tensors[names[0]],
        domain="ai.onnx.ml",
        keys_tensor=numpy_helper.from_array(keys, "keys"),
        values_tensor=numpy_helper.from_array(np.arange(len(classes), dtype="int64"), "values"),
        default_tensor=numpy_helper.from_array(np.array([0], dtype="int64"), "default"),
    )
    return Result("classification", label=flat(g, index), classes=classes)


def _several(classes: Any) -> bool:
    return isinstance(classes, list) or np.ndim(classes) != 1


def _kind(step: Any) -> Any:
    from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

    if is_classifier(step):
        return "classification"
    if is_regressor(step):
        return "regression"
    if is_outlier_detector(step):
        return "outlier_detection"
    if is_clusterer(step):
        return "clustering"
    raise NotConvertibleError(
        name_of(step), "it is no classifier, regressor, clusterer or outlier detector."
    )


def _width_of_targets(step: Any) -> int:
    """A regressor does not tell how many targets it has: one row is asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = np.asarray(step.predict(np.zeros((1, step.n_features_in_))))
    return int(answer.size)


def _with_dense_rows(step: Any) -> Any:
    """The step, whose training rows skl2onnx takes as an array only: counts of words are sparse."""
    rows = getattr(step, "_fit_X", None)
    if not hasattr(rows, "toarray"):
        return step
    made = copy.copy(step)
    made._fit_X = cast("Any", rows).toarray()
    return made


def _converted(
    g: Graph, step: Any, table: Table, options: dict[str, Any]
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The step alone as a model of one input, and what to feed it with."""
    if not is_sklearn(step):
        raise NotConvertibleError(name_of(step), "it is not scikit-learn's own class.", _TRY_OTHER)
    if name_of(step) in REFUSED:
        raise NotConvertibleError(name_of(step), REFUSED[name_of(step)], _TRY_OTHER)
    step = _with_dense_rows(step)
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    if table.kind == "STRING":
        if any(part.kind != "STRING" for part in table.parts):
            raise NotConvertibleError(name_of(step), "it gets strings and numbers.", _TRY_OTHER)
        tensor = g.concat([part.tensor for part in table.parts])
        kind: Any = StringTensorType([None, table.width])
    else:
        tensor = table.matrix(g, step, "DOUBLE")
        kind = DoubleTensorType([None, table.width])
    try:
        silent = contextlib.redirect_stdout(io.StringIO())
        with warnings.catch_warnings(), hushed("skl2onnx"), silent:
            warnings.simplefilter("ignore")
            model = convert_sklearn(
                step,
                initial_types=[("X", kind)],
                options={id(step): options} if options else None,
                target_opset={"": OPSETS[""], "ai.onnx.ml": 3},
            )
    except (MissingConverter, MissingShapeCalculator) as error:
        raise NotConvertibleError(
            name_of(step), "no conversion of it is known.", _TRY_OTHER
        ) from error
    except Exception as error:
        # skl2onnx raises whatever its converters stumble upon.
        reason = " ".join(str(error).split())[:200]
        raise NotConvertibleError(
            name_of(step), f"skl2onnx stopped with {type(error).__name__}: {reason}.", _TRY_OTHER
        ) from error
    if any(node.op_type in _DEPRECATED for node in model.graph.node):
        raise NotConvertibleError(
            name_of(step), "trees inside it would lose missing values and precision.", _TRY_OTHER
        )
    if foreign := {node.domain for node in model.graph.node} - set(OPSETS):
        raise NotConvertibleError(
            name_of(step), f"it needs operators of {', '.join(sorted(foreign))}.", _TRY_OTHER
        )
    return model, {"X": tensor}
