"""TensorFlow's lists of tensors, which loops fill and read step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sqlml.convert.tensorflow.values import Known, Listed, Tensor, Value

if TYPE_CHECKING:
    from sqlml.convert.tensorflow.step import How, Step


def _from_tensor(step: Step) -> Value:
    import tensorflow as tf

    value = step.given[0]
    if not isinstance(value, Tensor):
        if not step.known(0).fixed:
            raise step.refused("what it takes apart depends on the number of the rows.")
        return Listed(tuple(Known((each,)) for each in tf.unstack(step.known(0).values[0])))
    if not value.rows:
        raise step.refused("it takes the rows apart.")
    return Listed(parted(step, value, 0))


def parted(step: Step, x: Tensor, axis: int) -> tuple[Tensor, ...]:
    """A tensor along one axis, place by place."""
    shape = tuple(n for i, n in enumerate(x.shape) if i != axis)
    return tuple(
        Tensor(
            step.g.node("Gather", x.name, step.g.const(np.int64(place)), axis=axis),
            x.dtype, shape, x.columns, x.within,
        )
        for place in range(x.shape[axis])
    )  # fmt: skip


def _reserved(step: Step) -> Value:
    return Listed((None,) * int(step.constant(1)))


def _place(step: Step) -> int:
    place, count = int(step.constant(1)), len(step.listed().items)
    if not 0 <= place < count:
        raise step.refused(f"it asks for place {place} of {count}.")
    return place


def _got(step: Step) -> Value:
    item = step.listed().items[_place(step)]
    if item is None:
        raise step.refused("it reads what nothing was written to.")
    return item


def _set(step: Step) -> Value:
    items, place = step.listed().items, _place(step)
    return Listed((*items[:place], step.given[2], *items[place + 1 :]))


def _stacked(step: Step) -> Value:
    from sqlml.convert.tensorflow.moves import stacked

    items = step.listed().items
    if None in items or not items:
        raise step.refused("it reads what nothing was written to.")
    return stacked(step, [item for item in items if item is not None], 0)


def _length(step: Step) -> Value:
    import tensorflow as tf

    return Known((tf.constant(len(step.listed().items)),))


OPERATIONS: dict[str, How] = {
    "TensorListFromTensor": _from_tensor,
    "TensorListReserve": _reserved,
    "TensorListGetItem": _got,
    "TensorListSetItem": _set,
    "TensorListStack": _stacked,
    "TensorListLength": _length,
}
