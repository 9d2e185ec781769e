"""Framework model → ScoringModel. Importing this imports no framework.

One module per framework, three functions in each:

* `recognises(model)`: whether the model is this framework's, told without importing it;
* `convert(model, sample)`: the ScoringModel, or `NotConvertibleError`;
* `answer(model, rows)`: the framework's own answer, which parity compares with;

and a fourth, `tried(model, sample)`, where a model has steps: what became of each of them. Where
a model's inputs are not among its attributes, the module has `input_names(model)` too.
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlml.convert import files
from sqlml.convert.files import is_file
from sqlml.convert.network import Labelled
from sqlml.errors import ArgumentError, NotConvertibleError, listed
from sqlml.sample import Sample, read_sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from sqlml.model import Label, ScoringModel

__all__ = [
    "CONVERTERS",
    "Answer",
    "Converter",
    "RefusedRowsError",
    "convert",
    "converter_of",
    "input_names",
    "is_file",
    "labelled",
    "opened",
    "sample_of",
]

# Explicit, so that one screen shows everything supported. The first that recognises a
# model converts it: boosters' wrappers are scikit-learn estimators too, and
# where Keras runs on PyTorch its models are modules.
CONVERTERS = {
    "keras": "sqlml.convert.keras",
    "torch": "sqlml.convert.torch",
    "tensorflow": "sqlml.convert.tensorflow",
    "xgboost": "sqlml.convert.xgboost",
    "lightgbm": "sqlml.convert.lightgbm",
    "catboost": "sqlml.convert.catboost",
    "sklearn": "sqlml.convert.sklearn",
    "spark": "sqlml.convert.spark",
    "statsmodels": "sqlml.convert.statsmodels",
    "onnx": "sqlml.convert.ready_made",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the original says of some rows: the truth that a converted model must match."""

    prediction: np.ndarray[Any, Any]
    """[N] labels or numbers; [N, K] for K targets, or all columns of all outputs of any graph."""
    probabilities: np.ndarray[Any, Any] | None = None
    """[N, K] in the order of the ScoringModel's labels."""
    score: np.ndarray[Any, Any] | None = None
    """[N]: an outlier detector's decision function, a mixture's log-likelihood."""


class RefusedRowsError(ValueError):
    """The original says nothing of some rows, and which these are is known at once.

    Another error says it of all rows that it was asked about together.
    """

    def __init__(self, reason: str, refused: np.ndarray[Any, Any], answer: Answer | None) -> None:
        """`refused`: [N] bool. `answer`: of all N rows, which means nothing in those that are
        refused; None where all are.
        """
        super().__init__(reason)
        self.refused = refused
        self.answer = answer


class Converter(Protocol):
    """What each module of the table offers."""

    def recognises(self, model: object) -> bool: ...

    def convert(self, model: Any, sample: Sample) -> ScoringModel: ...

    def answer(self, model: Any, rows: Any) -> Answer: ...


# Of these, a model need not know its labels, and its author may state them.
NETWORKS = ("torch", "keras", "tensorflow", "onnx")


def labelled(model: Any, labels: Iterable[Label] | None) -> Any:
    """The model, with labels where its author states some.

    Raises `ArgumentError` for a model that knows its labels itself, and for what are no labels.
    """
    if labels is None:
        return model
    plain = tuple(label.item() if hasattr(label, "item") else label for label in labels)
    kinds = {type(label) for label in plain}
    alike = len(kinds) == 1 and kinds <= {bool, float, int, str}
    if not alike or not 2 <= len(plain) == len(set(plain)):
        raise ArgumentError(
            "Labels are two or more different values of one kind, as ['no', 'yes']; found "
            f"{list(plain)!r}."
        )
    if not any(importlib.import_module(CONVERTERS[name]).recognises(model) for name in NETWORKS):
        raise ArgumentError(
            f"{type(model).__name__} knows its labels itself, if it is a classifier. "
            "Leave `labels` out."
        )
    return Labelled(model, plain)


def converter_of(model: object) -> Converter:
    """The first module of `CONVERTERS` that recognises the model.

    Raises `NotConvertibleError` where none does.
    """
    model = model.model if isinstance(model, Labelled) else model
    for path in CONVERTERS.values():
        module = cast("Converter", importlib.import_module(path))
        if module.recognises(model):
            return module
    kind = type(model)
    raise NotConvertibleError(
        f"{kind.__module__}.{kind.__qualname__}",
        f"it is no model of {listed(list(CONVERTERS))}, and no path of a model's file.",
    )


def opened(model: Any, *, trust_pickle: bool = False) -> Any:
    """The model in a file, or in an onnx.ModelProto; any other is given back as it is.

    Raises what `files.opened` raises.
    """
    from sqlml.convert import ready_made

    model = files.opened(model, trust_pickle=trust_pickle)
    return ready_made.opened(model) if ready_made.recognises(model) else model


def input_names(model: object) -> list[str] | None:
    """The names under which the model itself knows its inputs, where it does."""
    if _of_spark(model):
        from sqlml.convert.spark import input_names as raw_columns

        return raw_columns(model)
    for attribute in ("feature_names_in_", "feature_names", "feature_name_"):
        names = getattr(model, attribute, None)
        if names is not None and not callable(names):
            return [str(n) for n in names]
    return None


def sample_of(model: object, data: Any) -> Sample:
    """The author's sample in the form that the model's framework takes (see `read_sample`)."""
    if not _of_spark(model):
        from sqlml.convert.sklearn.words import takes_texts

        return read_sample(data, input_names(model), alone=takes_texts(model))
    from sqlml.convert.spark.vectors import as_arrays

    return read_sample(as_arrays(data), input_names(model), nullable=True)


def _of_spark(model: object) -> bool:
    return bool(importlib.import_module(CONVERTERS["spark"]).recognises(model))


def convert(model: Any, *, sample: Any, labels: Iterable[Label] | None = None) -> ScoringModel:
    """A trained model as a ScoringModel: ONNX bytes, signature, task, labels.

    `model`: of a framework of `CONVERTERS`, an onnx.ModelProto, or the path of an .onnx or a
    .keras file, or of a SavedModel.
    `sample`: some rows of the training data without the target, as a pandas DataFrame, a
    NumPy array, a pyarrow Table or a Spark DataFrame. `labels`: of a network or an ONNX
    file that classifies, in the order of its probabilities. Nothing is compared here: which
    inputs take missing values is found by `sqlml.verify`, as part of `sqlml.publish`.
    Raises `NotConvertibleError`, which names the step and the reason, `SampleError`,
    `ModelRejectedError` for a file that cannot be opened or is not safe, and `ArgumentError` for
    labels of a model that knows its own.

    >>> from sklearn.linear_model import LinearRegression
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> scoring = convert(LinearRegression().fit(X, 2 * X[:, 0] + 1), sample=X)
    >>> scoring.task, scoring.signature.inputs[0].type
    ('regression', 'DOUBLE')
    """
    from google.protobuf.message import EncodeError

    from sqlml.convert.stable import stable
    from sqlml.convert.weightless import without_weightless

    try:
        model = opened(model)
        rows = sample if isinstance(sample, Sample) else sample_of(model, sample)
        model = labelled(model, labels)
        scoring = converter_of(model).convert(model, rows)
        return dataclasses.replace(scoring, onnx=stable(without_weightless(scoring.onnx)))
    except EncodeError as error:
        raise NotConvertibleError(
            type(model).__name__,
            "its graph is larger than the 2 GB that one ONNX file can have.",
            "Train with fewer or smaller trees, or on fewer rows where the model keeps them.",
        ) from error
