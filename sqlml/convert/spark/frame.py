"""What flows between the stages of a pipeline while its graph is built: a DataFrame's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from onnx import numpy_helper

from sqlml.convert.graph import DOUBLE, Graph
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Sequence

Holds = Literal["numbers", "indices", "bits"]
"""Any number; whole numbers from 0 on; 0 and 1 only. A missing value may be among them."""


@dataclass(frozen=True, slots=True)
class Element:
    """What is known of a number, or of one place of a vector."""

    holds: Holds = "numbers"
    source: int | None = None
    """The model input that this is."""
    slots: int | None = None
    """The number of categories that Spark notes in its metadata, 0 for none; None where that is
    not followed here."""


@dataclass(frozen=True, slots=True)
class Part:
    """One column: a number, a text or a vector in each row."""

    tensor: str
    """[N, width], of doubles or of strings."""
    elements: tuple[Element, ...] = (Element(),)
    kind: Literal["DOUBLE", "STRING"] = "DOUBLE"
    vector: bool = False
    type: str = "DOUBLE"
    """The Spark SQL type, which a StringIndexer's labels are texts of."""

    @property
    def width(self) -> int:
        """The numbers in a row."""
        return len(self.elements)

    @property
    def holds(self) -> Holds:
        """What may be anywhere in it."""
        kinds = {element.holds for element in self.elements}
        return next((kind for kind in ("numbers", "indices") if kind in kinds), "bits")

    @property
    def source(self) -> int | None:
        """The model input that this is, of a column of numbers or texts."""
        return None if self.vector else self.elements[0].source


Frame = dict[str, Part]
"""The columns by name."""


def name_of(stage: object) -> str:
    """A stage as its author calls it."""
    return type(stage).__name__


def vector(tensor: str, width: int, holds: Holds = "numbers") -> Part:
    """A column of vectors."""
    return Part(tensor, (Element(holds),) * width, vector=True)


def features(stage: Any, frame: Frame, name: str) -> Part:
    """A column of vectors; a raw column of them is an ARRAY in SQL."""
    part = _column(stage, frame, name)
    if not part.vector:
        raise NotConvertibleError(
            name_of(stage),
            f"its input {name!r} is a vector, and the sample has a {part.type} there.",
            "Publish the PipelineModel that makes the vector of columns (VectorAssembler), or "
            "give a sample with vectors or arrays.",
        )
    return part


def numbers(stage: Any, frame: Frame, name: str) -> Part:
    """A column of numbers or of vectors."""
    part = _column(stage, frame, name)
    if part.kind == "STRING":
        raise NotConvertibleError(
            name_of(stage),
            f"its input {name!r} is text where numbers are expected.",
            "Index it first (StringIndexer), and give a sample of the training data.",
        )
    return part


def _column(stage: Any, frame: Frame, name: str) -> Part:
    if name not in frame:
        raise NotConvertibleError(name_of(stage), f"its input {name!r} has no form here.")
    return frame[name]


def given(stage: Any, name: str) -> Any:
    """A parameter's value, or None where it is neither set nor has a default."""
    return stage.getOrDefault(name) if stage.hasParam(name) and stage.isDefined(name) else None


def pairs(stage: Any) -> list[tuple[str, str]]:
    """The input and output columns of a stage that has one of each, or several."""
    if stage.hasParam("inputCols") and stage.isSet("inputCols"):
        return list(zip(stage.getInputCols(), stage.getOutputCols(), strict=True))
    return [(stage.getInputCol(), stage.getOutputCol())]


def floats(values: Any) -> np.ndarray[Any, Any]:
    """A Spark vector or matrix, or a list, as an array of doubles."""
    dense = values.toArray() if hasattr(values, "toArray") else values
    return np.asarray(dense, dtype="float64")


def lookup(g: Graph, x: str, keys: Sequence[Any], values: Sequence[float], default: float) -> str:
    """[N, 1] doubles: each value's entry in a table, `default` where it is not among the keys."""
    texts = isinstance(keys[0], str)
    return g.node(
        "LabelEncoder",
        x,
        domain="ai.onnx.ml",
        keys_tensor=numpy_helper.from_array(np.array(keys, object if texts else "f8"), "keys"),
        values_tensor=numpy_helper.from_array(np.array(values, dtype="f8"), "values"),
        default_tensor=numpy_helper.from_array(np.array([default], dtype="f8"), "default"),
    )


def accept(g: Graph, source: int | None, keys: Sequence[Any]) -> None:
    """Note that the stage raises on every other value of a model input."""
    if source is not None:
        before = g.accepted.get(source, tuple(keys))
        g.accepted[source] = tuple(key for key in before if key in keys)


def scalar(g: Graph, value: float) -> str:
    """A constant that is broadcast over all rows and columns."""
    return g.const(np.array([float(value)]))


def row(g: Graph, values: Any) -> str:
    """A constant for each column."""
    return g.const(np.ascontiguousarray(floats(values)).reshape(1, -1))


def negative_zero(g: Graph, x: str) -> str:
    """Where a number is -0.0, which Java's order and texts tell from 0.0."""
    zero = g.node("Equal", x, scalar(g, 0.0))
    below = g.node("Less", g.node("Div", scalar(g, 1.0), x), scalar(g, 0.0))
    return g.node("And", zero, below)


def bits(g: Graph, condition: str) -> str:
    """True as 1.0, false as 0.0."""
    return g.node("Cast", condition, to=DOUBLE)
