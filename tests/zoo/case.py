"""A case of the zoo: a trained model, the rows to score, and what the model itself says."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from .data import fresh, signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .data import Table


@dataclass(frozen=True)
class Answer:
    """What a framework says of some rows."""

    prediction: np.ndarray
    labels: tuple[Any, ...] = ()
    probabilities: np.ndarray | None = None
    score: np.ndarray | None = None


@dataclass(frozen=True)
class Fitted:
    """A trained model with what an author gives to publish, and a SQL user's rows."""

    model: Any
    sample: pd.DataFrame | np.ndarray
    rows: pd.DataFrame
    ask: Callable[[Any, Any], Answer]
    """The framework's own answer for rows in the form of the sample; raises what it raises."""
    labels: tuple[Any, ...] | None = None
    """What the author states to publish, of a network that classifies."""

    def table(self, names: Sequence[str]) -> pa.Table:
        """The rows as a SQL table has them; a missing number is NULL in one row, NaN in another.

        `names`: the model's inputs, which name the columns of an array.
        """
        rows = self.rows
        if isinstance(self.sample, np.ndarray):
            rows = rows.set_axis(list(names), axis=1)
        columns = {}
        for label, column in rows.items():
            name = str(label)
            gone = column.isna().to_numpy()
            if any(isinstance(v, np.ndarray) for v in column):
                columns[name] = pa.array(
                    [None if g else v for v, g in zip(column, gone, strict=True)]
                )
            elif column.dtype.kind == "f":
                gone &= np.arange(len(column)) % 2 == 0
                columns[name] = pa.array(column.to_numpy(), mask=gone)
            else:
                columns[name] = pa.array(column.astype(object), mask=gone, type=_arrow(column))
        return pa.table(columns)

    def own_form(self, rows: pd.DataFrame) -> pd.DataFrame | np.ndarray:
        """Rows as the author's program holds them: a missing value changes a dtype.

        As pandas has it, a column of whole numbers becomes one of floats, one of booleans
        one of objects.
        """
        columns = {}
        for name, column in rows.items():
            if hasattr(column.dtype, "numpy_dtype"):  # a nullable type
                promoted = object if column.dtype == "boolean" else "float64"
                plain = promoted if column.isna().any() else column.dtype.numpy_dtype
                columns[name] = column.to_numpy(dtype=plain, na_value=np.nan)
            elif isinstance(column.dtype, pd.CategoricalDtype):
                # A category that training did not have stands behind those that it had.
                known = self.sample[name].cat.categories
                new = [v for v in column.dropna().unique() if v not in known]
                columns[name] = column.cat.set_categories([*known, *new])
            else:
                columns[name] = column
        frame = pd.DataFrame(columns, index=rows.index)
        if isinstance(self.sample, np.ndarray):
            return frame.to_numpy(dtype=None if frame.isna().any(axis=None) else self.sample.dtype)
        return frame

    @functools.cached_property
    def expected(self) -> Answer:
        """The framework's answer for every row; None where it raises for that row alone."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with np.errstate(all="ignore"):
                whole = self.rows.isna().any(axis=1).to_numpy()
                found: list[tuple[np.ndarray, Answer | None]] = []
                for part in (np.flatnonzero(~whole), np.flatnonzero(whole)):
                    self._collect(part, found)
        return _joined(found, len(self.rows))

    @functools.cached_property
    def on_sample(self) -> Answer:
        """The framework's answer for the author's sample: what magnitude its scores have."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.ask(self.model, self.sample)

    def _collect(self, at: np.ndarray, found: list[tuple[np.ndarray, Answer | None]]) -> None:
        if not len(at):
            return
        try:
            found.append((at, self.ask(self.model, self.own_form(self.rows.iloc[at]))))
        except Exception:  # whatever the framework raises: these rows, or one of them, are refused
            if len(at) == 1:
                found.append((at, None))
                return
            for half in np.array_split(at, 2):
                self._collect(half, found)


def _arrow(column: pd.Series) -> pa.DataType:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    name = str(column.dtype).lower()
    if name == "object":
        return pa.string()
    # SQL has no unsigned numbers.
    signed = {"uint8": "int16", "uint16": "int32", "uint32": "int64"}.get(name, name)
    return pa.type_for_alias(signed.replace("boolean", "bool"))


def _joined(found: list[tuple[np.ndarray, Answer | None]], n: int) -> Answer:
    first = next(a for _, a in found if a is not None)

    def join(name: str) -> np.ndarray | None:
        like = getattr(first, name)
        if like is None:
            return None
        whole = np.full((n, *like.shape[1:]), None, dtype=object)
        for at, answer in found:
            if answer is not None:
                whole[at] = getattr(answer, name)
        return whole

    prediction = join("prediction")
    assert prediction is not None
    return Answer(prediction, first.labels, join("probabilities"), join("score"))


@dataclass(frozen=True)
class Case:
    """One row of the zoo; the id begins with the framework."""

    id: str
    fit: Callable[[], Fitted]
    why: str = ""
    """The known pitfall that the case watches."""

    def __str__(self) -> str:
        return self.id

    @property
    def fitted(self) -> Fitted:
        return _fitted(self)


@functools.cache
def _fitted(case: Case) -> Fitted:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case.fit()


def ask_estimator(model: Any, rows: Any) -> Answer:
    """The answer of whatever follows scikit-learn's conventions."""
    prediction = np.asarray(model.predict(rows))
    if prediction.ndim == 2 and prediction.shape[1] == 1:
        prediction = prediction.ravel()
    kind = getattr(getattr(model, "__sklearn_tags__", lambda: None)(), "estimator_type", None)
    if kind == "classifier":
        labels = tuple(np.asarray(model.classes_).tolist())
        proba = np.asarray(model.predict_proba(rows)) if hasattr(model, "predict_proba") else None
        return Answer(prediction, labels, proba)
    if kind == "outlier_detector":
        return Answer(prediction, score=np.asarray(model.decision_function(rows)))
    if hasattr(model, "means_") and hasattr(model, "score_samples"):
        return Answer(prediction, score=np.asarray(model.score_samples(rows)))
    return Answer(prediction)


def trained(
    make: Callable[[], Any],
    table: Table,
    target: Callable[[np.ndarray, np.random.Generator], Any],
    *,
    n: int = 400,
    rows: pd.DataFrame | Table | None = None,
    as_array: bool = False,
    marker: Any = np.nan,
    ask: Callable[[Any, Any], Answer] = ask_estimator,
    fit: Callable[[Any, Any, Any], Any] = lambda model, X, y: model.fit(X, y),
) -> Callable[[], Fitted]:
    """How most cases are made: a model, a table to learn from, and a target."""

    def make_and_fit() -> Fitted:
        frame = table(n, 7)
        y = target(signal(frame), np.random.default_rng(8))
        sample = frame.to_numpy() if as_array else frame
        model = fit(make(), sample, y)
        return Fitted(model, sample, fresh(rows or table, marker=marker), ask)

    return make_and_fit
