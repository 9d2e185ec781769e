"""Texts as numbers: what a Python worker gets in the place of a STRING input.

A graph does nothing with a text but look it up, in the table of an encoder or against the marker
of missing values. In Python each text is an object, which ONNX Runtime copies once more, and that
costs more than many a model. So Spark looks the text up, and its number travels: two bytes.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper

from sqlml import golden, types
from sqlml.compile.expressions import Arena
from sqlml.compile.forest.graph import reads
from sqlml.compile.sql import not_null
from sqlml.compile.text import Writer
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlml.model import ScoringModel
    from sqlml.signature import Input

MOST_TEXTS = 20_000
"""Texts of one input. More are a literal in the plan that takes longer than they save."""

_OTHER = -1
"""The number of every text that the graph does not know."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A model that takes numbers for texts, with the same scores."""

    model: ScoringModel
    texts: Mapping[int, tuple[str, ...]]
    """By input, the texts that have a number, which is their place."""


def coded(model: ScoringModel) -> Coded:
    """The model with a number for each STRING input of which all uses are lookups.

    The model itself where there is none.
    """
    fields = model.signature.inputs
    if not any(field.wire == "STRING" for field in fields):
        return Coded(model, {})
    proto = onnx.load_from_string(model.onnx)
    uses = _Uses(proto)
    inputs = list(fields)
    texts: dict[int, tuple[str, ...]] = {}
    for index, field in enumerate(fields):
        known = uses.texts(f"in{index}") if field.wire == "STRING" else None
        if known is None:
            continue
        # A missing text is a value where it is taken, and must not pass for an unknown one.
        missing = [MISSING_STRING] if field.takes_missing else []
        named = tuple(dict.fromkeys([*known, *map(str, field.categories or ()), *missing]))
        if len(named) <= MOST_TEXTS:
            texts[index] = named
            inputs[index] = _numbered(field, named)
    if not texts:
        return Coded(model, {})
    for index, named in texts.items():
        uses.number(f"in{index}", {text: i for i, text in enumerate(named)}, inputs[index].wire)
    signature = dataclasses.replace(model.signature, inputs=tuple(inputs))
    onnx_bytes = proto.SerializeToString(deterministic=True)
    rows = golden.with_inputs(
        model.golden, lambda i, c: as_numbers(c, fields[i], texts[i]) if i in texts else c
    )
    made = dataclasses.replace(model, onnx=onnx_bytes, signature=signature, golden=rows)
    return Coded(made, texts)


def as_sql(column: str, field: Input, texts: tuple[str, ...]) -> str:
    """The number of a text, in SQL; `column` is the text's, NULL where it is missing.

    >>> from sqlml.signature import Input
    >>> as_sql("p", Input("p", "STRING", "STRING"), ("a", "b"))
    "IF(p IS NULL, NULL, CASE WHEN (p = 'a') THEN 0S WHEN (p = 'b') THEN 1S ELSE -1S END)"
    """
    arena = Arena()
    kind = types.SCALARS[_wire(texts)].arrow
    numbers: dict[str | float | int, int] = {text: i for i, text in enumerate(texts)}
    number = arena.lookup(arena.input(0, "str"), numbers, _OTHER, kind)
    if field.takes_missing:
        return Writer({0: not_null(column, "str")}).text(number)
    return f"IF({column} IS NULL, NULL, {Writer({0: column}).text(number)})"


def as_numbers(column: pa.Array, field: Input, texts: tuple[str, ...]) -> pa.Array:
    """The same of an Arrow column: what `as_sql` computes in Spark."""
    import pyarrow.compute as pc

    given = column.cast(pa.string())
    filled = given.fill_null(MISSING_STRING) if field.takes_missing else given
    kind = pa.type_for_alias(types.SCALARS[_wire(texts)].arrow)
    numbers = pc.index_in(filled, value_set=pa.array(texts, pa.string())).fill_null(_OTHER)
    return pc.if_else(filled.is_null(), pa.scalar(None, kind), numbers.cast(kind))


def _wire(texts: tuple[str, ...]) -> str:
    return "SMALLINT" if len(texts) <= np.iinfo(np.int16).max else "INT"


def _numbered(field: Input, texts: tuple[str, ...]) -> Input:
    """The input as one of numbers; unknown texts rule a row out as before."""
    wire, accepted = _wire(texts), field.categories
    if accepted is not None:
        missing = (MISSING_STRING,) if field.takes_missing else ()
        accepted = tuple(texts.index(str(text)) for text in (*accepted, *missing))
    return dataclasses.replace(field, type=wire, wire=wire, categories=accepted)


class _Uses:
    """A graph, and what reads each of its tensors."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._graph = proto.graph
        self._constants = {t.name: t for t in proto.graph.initializer}
        self._outputs = {o.name for o in proto.graph.output}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in proto.graph.node:
            for name in dict.fromkeys(reads(node)):
                self._readers[name].append(node)

    def texts(self, tensor: str) -> list[str] | None:
        """The texts that a tensor is compared with; None where it has other uses."""
        if tensor in self._outputs:
            return None
        found: list[str] = []
        for node in self._readers[tensor]:
            if _is_lookup(node):
                more: Iterable[str] | None = _keys(node)
            else:
                fill = self._fill(node, tensor)
                rest = None if fill is None else self.texts(node.output[0])
                more = None if rest is None or fill is None else [*_strings(fill), *rest]
            if more is None:
                return None
            found += more
        return found

    def number(self, tensor: str, numbers: Mapping[str, int], wire: str) -> None:
        """Let an input be numbers, and its uses look numbers up."""
        (value,) = (i for i in self._graph.input if i.name == tensor)
        value.type.tensor_type.elem_type = types.SCALARS[wire].onnx
        wide = f"{tensor}_number"
        # A lookup by doubles: every release of ONNX Runtime has it for all kinds of values.
        cast = helper.make_node("Cast", [tensor], [wide], to=TensorProto.DOUBLE)
        self._renumber(tensor, numbers, wide)
        self._graph.node.insert(0, cast)

    def _renumber(self, tensor: str, numbers: Mapping[str, int], instead: str) -> None:
        for node in self._readers[tensor]:
            if _is_lookup(node):
                _look_up_numbers(node, [float(numbers[key]) for key in _keys(node)])
            else:
                fill = self._fill(node, tensor)
                assert fill is not None
                values = [float(numbers[text]) for text in _strings(fill)]
                name = f"{node.output[0]}_fill"
                made = np.array(values).reshape(tuple(fill.dims))
                self._graph.initializer.append(numpy_helper.from_array(made, name))
                for place in (1, 2):
                    node.input[place] = name if node.input[place] == fill.name else instead
                self._renumber(node.output[0], numbers, node.output[0])
                continue
            node.input[0] = instead

    def _fill(self, node: onnx.NodeProto, tensor: str) -> TensorProto | None:
        """The constant that an imputer puts in the place of some texts."""
        if node.op_type != "Where" or tensor not in node.input[1:]:
            return None
        other = node.input[2] if node.input[1] == tensor else node.input[1]
        return self._constants.get(other)


def _is_lookup(node: onnx.NodeProto) -> bool:
    given = {a.name for a in node.attribute}
    return node.op_type == "LabelEncoder" and {"keys_tensor", "values_tensor"} <= given


def _keys(node: onnx.NodeProto) -> list[str]:
    return _strings(next(a.t for a in node.attribute if a.name == "keys_tensor"))


def _strings(tensor: TensorProto) -> list[str]:
    return [text.decode() for text in tensor.string_data]


def _look_up_numbers(node: onnx.NodeProto, keys: list[Any]) -> None:
    for attribute in node.attribute:
        if attribute.name == "keys_tensor":
            attribute.t.CopyFrom(numpy_helper.from_array(np.array(keys, np.float64), "keys"))
