"""What flows between the steps of a pipeline while its graph is built."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlml.convert.graph import DOUBLE, FLOAT, INT64, Graph
from sqlml.errors import NotConvertibleError
from sqlml.model import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

Kind = Literal["DOUBLE", "FLOAT", "STRING"]
ELEMENT = {"DOUBLE": DOUBLE, "FLOAT": FLOAT}


@dataclass(frozen=True, slots=True)
class Part:
    """Some columns that stand side by side in one tensor, [N, width]."""

    tensor: str
    width: int
    kind: Kind = "DOUBLE"
    missing: Any = float("nan")
    """What scikit-learn meets for a missing string: None or NaN."""
    missing_seen: bool = True
    """Whether the sample tells which; else an imputer may be made for either."""
    source: int | None = None
    """The model input that this is, where nothing but imputation happened to it."""
    imputed: bool = False
    categorical: bool = False
    """A pandas category column, where the original gets a DataFrame."""
    integer: str = ""
    """NumPy's name of its type, where the original gets whole numbers."""


@dataclass(frozen=True, slots=True)
class Table:
    """The matrix that scikit-learn passes from one step to the next."""

    parts: tuple[Part, ...]
    names: tuple[Any, ...] | None = None
    """The column labels, where the original gets a DataFrame."""
    sparse: bool = False
    """A scipy sparse matrix in the original: zeros are absent, which boosters tell apart."""

    @property
    def width(self) -> int:
        return sum(part.width for part in self.parts)

    @property
    def kind(self) -> Kind:
        """The common type, by NumPy's promotion."""
        kinds = {part.kind for part in self.parts}
        if "STRING" in kinds:
            return "STRING"
        return "FLOAT" if kinds == {"FLOAT"} else "DOUBLE"

    def select(self, g: Graph, indices: Sequence[int]) -> Table:
        """Some columns, in the order given."""
        spans: list[tuple[Part, list[int]]] = []
        starts = [(part, i) for part in self.parts for i in range(part.width)]
        for index in indices:
            part, inner = starts[int(index)]
            if part.width > 1 and spans and spans[-1][0] is part:
                spans[-1][1].append(inner)
            else:
                spans.append((part, [inner]))
        parts = tuple(
            part
            if part.width == 1
            else dataclasses.replace(
                part, tensor=g.columns(part.tensor, inner, part.width), width=len(inner)
            )
            for part, inner in spans
        )
        names = None if self.names is None else tuple(self.names[int(i)] for i in indices)
        return Table(parts, names, self.sparse)

    def split(self, g: Graph) -> list[Part]:
        """One part for each column."""
        return [p for i in range(self.width) for p in self.select(g, [i]).parts]

    def matrix(self, g: Graph, step: object, kind: Kind | None = None) -> str:
        """All columns as one tensor of numbers."""
        if self.kind == "STRING":
            raise NotConvertibleError(
                name_of(step), "it gets strings where numbers are expected.", "Encode them first."
            )
        element = ELEMENT[kind or self.kind]
        return g.concat(
            [p.tensor if ELEMENT[p.kind] == element else g.cast(p.tensor, element)
             for p in self.parts]
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What a final step gives: tensors by role. Probabilities and scores are doubles."""

    task: Literal["regression", "classification", "clustering", "outlier_detection"]
    prediction: str | None = None
    """[N, K] numbers, or [N] int64 for clusters and outliers."""
    width: int = 1
    probabilities: str | None = None
    label: str | None = None
    """[N] int64, where the label is not the first most probable one."""
    score: str | None = None
    """[N, 1]."""
    classes: tuple[Any, ...] = ()
    decision: str | None = None
    """[N, 1] or [N, K]: decision_function, for the steps that are built upon it."""


def classified(g: Graph, result: Result, count: int) -> tuple[Tensor, ...]:
    """Name a classifier's outputs in the graph, by role; `count`: of its labels."""
    tensors = []
    if result.probabilities is not None:
        g.output("probabilities", result.probabilities, DOUBLE, count)
        tensors.append(Tensor("probabilities", "DOUBLE", count))
    if result.label is not None:
        g.output("label", result.label, INT64, None)
        tensors.append(Tensor("label", "BIGINT"))
    return tuple(tensors)


def name_of(step: object) -> str:
    """A step as its author calls it."""
    return type(step).__name__


def is_sklearn(step: object) -> bool:
    """Whether the class is scikit-learn's own: a subclass may do something else."""
    return type(step).__module__.partition(".")[0] == "sklearn"


def is_automl(model: object) -> bool:
    """Whether it is an AutoML of FLAML's, told by its class."""
    return type(model).__module__.startswith("flaml.") and type(model).__name__ == "AutoML"


def dense(tensor: str, width: int, kind: Kind = "DOUBLE") -> Table:
    """A table of one tensor."""
    return Table((Part(tensor, width, kind),))


def one_value(values: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """A fitted scalar or vector as a row of doubles."""
    import numpy as np

    row: np.ndarray[Any, Any] = np.broadcast_to(np.asarray(values, dtype="float64"), (1, width))
    return row
