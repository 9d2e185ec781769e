"""What a TensorFlow graph asserts of its rows, where that says what an input takes.

Any other assertion about rows is refused: for some of them the model raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.convert.tensorflow.lookups import allow, without_default
from sqlml.convert.tensorflow.values import Known, Value, array_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.tensorflow.step import Step


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an assertion says."""

    op: Any
    """The operation that it is about."""
    needed: tuple[Any, ...]
    """The tensors that say it."""
    holds: Callable[[Step], Value | None]
    """Raises where it may not hold; else what the operation gives then, where that changes."""


def assertion(op: Any) -> Assertion:
    """What TensorFlow's Assert says."""
    condition = op.inputs[0].op
    return _all_known(condition) or _in_reach(condition) or Assertion(op, op.inputs[:1], _true)


def _all_known(op: Any) -> Assertion | None:
    """That a lookup finds everything, as Keras writes it: where it gives its default is nowhere."""
    numbers = []
    for kind in ("Equal", "Size", "Where", "Equal"):
        if op.type != kind:
            return None
        numbers += op.inputs[1:]
        op = op.inputs[0].op
    if op.type != "LookupTableFindV2":
        return None
    return Assertion(op, (*op.inputs, *numbers, op.outputs[0]), _finds_everything)


def _finds_everything(step: Step) -> Value:
    zero, unlike = step.constant(3), step.constant(4)
    if zero.any() or (unlike != step.constant(2)).any():
        raise step.refused("it raises for some rows, by what it finds.")
    return without_default(step, step.given[5])


def _in_reach(op: Any) -> Assertion | None:
    """That whole numbers are from zero to below another: depth > max(x) and min(x) >= 0."""
    if op.type != "LogicalAnd":
        return None
    above, below = (tensor.op for tensor in op.inputs)
    if (above.type, below.type) != ("Greater", "GreaterEqual"):
        return None
    most, least = above.inputs[1].op, below.inputs[0].op
    if (most.type, least.type) != ("Max", "Min") or most.inputs[0].name != least.inputs[0].name:
        return None
    return Assertion(op, (most.inputs[0], above.inputs[0], below.inputs[1]), _reaches)


def _reaches(step: Step) -> None:
    if step.constant(2).any():
        raise step.refused("it raises for some rows, by their values.")
    allow(step, step.tensor(0), int(step.constant(1)))


def _true(step: Step) -> None:
    value = step.given[0]
    if not isinstance(value, Known):
        raise step.refused("it raises for some rows, by their values.")
    if not all(array_of(v).all() for v in value.values):
        raise step.refused("it raises for every row.")
