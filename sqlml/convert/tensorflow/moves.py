"""TensorFlow's operations that move numbers and leave them as they are, rows apart from rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.tensorflow.lists import parted
from sqlml.convert.tensorflow.operators import within
from sqlml.convert.tensorflow.values import (
    COUNTS,
    Known,
    Shape,
    Tensor,
    Value,
    known,
    length_of,
    lengths_at,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.tensorflow.step import How, Step

_ROWS = "it moves the rows, or takes some of them."


def _shape(step: Step) -> Value:
    return _lengths(step, step.moved())


def _lengths(step: Step, x: Tensor, output: int = 0) -> Known:
    import tensorflow as tf

    kind = step.op.outputs[output].dtype
    return known([tf.constant(lengths_at(x.shape, i), kind) for i in range(len(COUNTS))])


def _shapes(step: Step) -> Sequence[Value]:
    return [_lengths(step, step.tensor(i), i) for i in range(len(step.given))]


def _size(step: Step) -> Value:
    import tensorflow as tf

    x, kind = step.moved(), step.op.outputs[0].dtype
    sizes = [np.prod(lengths_at(x.shape, i), dtype="int64") for i in range(len(COUNTS))]
    return known([tf.constant(int(size), kind) for size in sizes])


def _rank(step: Step) -> Value:
    import tensorflow as tf

    return Known((tf.constant(len(step.moved().shape)),))


def _kept(step: Step, x: Tensor, name: str, shape: Sequence[int]) -> Tensor:
    """The same numbers in another place."""
    made = step.made(name, tuple(shape), x.dtype)
    return dataclasses.replace(made, columns=x.columns, within=x.within)


def _reshape(step: Step) -> Value:
    x = step.moved()
    return reshaped(step, x, [[int(n) for n in each] for each in step.at_counts(1)])


def reshaped(step: Step, x: Tensor, wanted: Sequence[Sequence[int]]) -> Tensor:
    """`wanted`: the shape for each of `COUNTS`; -1 is what is left."""
    found = []
    for place, each in enumerate(wanted):
        size = int(np.prod(lengths_at(x.shape, place), dtype="int64"))
        rest = int(np.prod([n for n in each if n >= 0], dtype="int64"))
        if not size or not rest:
            raise step.refused("it is empty.")
        found.append([size // rest if n < 0 else n for n in each])
    if len({len(each) for each in found}) > 1:
        raise step.refused(_ROWS)
    shape = []
    for lengths in zip(*found, strict=True):
        length = length_of(lengths)
        if length is None:
            raise step.refused(_ROWS)
        shape.append(length)
    if sum(n < 0 for n in shape) != 1:
        raise step.refused(_ROWS)
    rows = next(i for i, n in enumerate(shape) if n < 0)
    # What is before the axis of the rows has to stay there, else a row's numbers are scattered.
    if np.prod(shape[:rows]) != np.prod(x.shape[: x.rows]):
        raise step.refused(_ROWS)
    if tuple(shape) == x.shape:
        return x
    target = step.ints(*(n if n > 0 else -1 for n in shape))
    return _kept(step, x, step.g.node("Reshape", x.name, target), shape)


def _expanded(step: Step) -> Value:
    x = step.moved()
    axis = int(step.constant(1)) % (len(x.shape) + 1)
    name = step.g.node("Unsqueeze", x.name, step.ints(axis))
    return _kept(step, x, name, (*x.shape[:axis], 1, *x.shape[axis:]))


def _squeezed(step: Step) -> Value:
    x = step.moved()
    axes = [int(a) % len(x.shape) for a in step.attribute("squeeze_dims")]
    if not axes or any(x.shape[a] != 1 for a in axes):
        raise step.refused(
            "which axes it removes depends on the number of the rows.", "Name them: axis=1."
        )
    name = step.g.node("Squeeze", x.name, step.ints(*sorted(axes)))
    return _kept(step, x, name, [n for i, n in enumerate(x.shape) if i not in axes])


def _transposed(step: Step) -> Value:
    x = step.moved()
    order = [int(i) % len(x.shape) for i in step.constant(1)]
    if order == sorted(order):
        return x
    name = step.g.node("Transpose", x.name, perm=order)
    return _kept(step, x, name, [x.shape[i] for i in order])


def _concatenated(step: Step) -> Value:
    axis = int(step.constant(len(step.given) - 1))
    parts = [step.tensor(i) for i in range(len(step.given) - 1)]
    return _joined(step, parts, axis % len(parts[0].shape))


def _joined(step: Step, parts: Sequence[Tensor], axis: int) -> Tensor:
    parts = _with_rows(step, parts)
    shapes = {(*p.shape[:axis], *p.shape[axis + 1 :]) for p in parts}
    if len(shapes) > 1 or any(p.shape[axis] < 0 for p in parts):
        raise step.refused("it joins rows, or what it joins has other lengths.")
    length = sum(p.shape[axis] for p in parts)
    first = parts[0].shape
    made = step.made(
        step.g.concat([p.name for p in parts], axis),
        (*first[:axis], length, *first[axis + 1 :]),
        parts[0].dtype,
        within(parts),
    )
    from_inputs = all(p.columns for p in parts)
    columns = sorted({c for p in parts for c in p.columns}) if from_inputs else ()
    return dataclasses.replace(made, columns=tuple(columns))


def _with_rows(step: Step, parts: Sequence[Tensor]) -> list[Tensor]:
    """Tensors to put together, none of them without rows."""
    if any(not any(n < 0 for n in p.shape) for p in parts):
        raise step.refused("it puts constants beside rows, in another form.")
    return list(parts)


def _packed(step: Step) -> Value:
    axis = int(step.attribute("axis"))
    return stacked(step, step.given, axis)


def stacked(step: Step, items: Sequence[Value], axis: int) -> Value:
    """Tensors of one shape along a new axis."""
    import tensorflow as tf

    if all(isinstance(item, Known) for item in items):
        whole = [item for item in items if isinstance(item, Known)]
        counts = 1 if all(item.fixed for item in whole) else len(COUNTS)
        each = [[item.at(i) for item in whole] for i in range(counts)]
        return known([None if None in same else tf.stack(same, axis) for same in each])
    parts = []
    for item in items:
        if isinstance(item, Known):
            parts.append(step.rows_of(item))
        elif isinstance(item, Tensor):
            parts.append(item)
        else:
            raise step.refused("what it puts together is no tensor.")
    axis %= len(parts[0].shape) + 1
    lifted = []
    for part in _with_rows(step, parts):
        name = step.g.node("Unsqueeze", part.name, step.ints(axis))
        lifted.append(_kept(step, part, name, (*part.shape[:axis], 1, *part.shape[axis:])))
    return _joined(step, lifted, axis)


def _unpacked(step: Step) -> Sequence[Value]:
    x = step.moved()
    axis = int(step.attribute("axis")) % len(x.shape)
    if axis == x.rows:
        raise step.refused(_ROWS)
    return parted(step, x, axis)


def _split(step: Step) -> Sequence[Value]:
    """In equal parts."""
    x, axis = step.tensor(1), int(step.constant(0))
    axis %= len(x.shape)
    count = len(step.op.outputs)
    return _cut(step, x, axis, [x.shape[axis] // count] * count)


def _split_by(step: Step) -> Sequence[Value]:
    x = step.moved()
    axis = int(step.constant(2)) % len(x.shape)
    sizes = [int(n) for n in step.constant(1)]
    rest = x.shape[axis] - sum(n for n in sizes if n >= 0)
    return _cut(step, x, axis, [rest if n < 0 else n for n in sizes])


def _cut(step: Step, x: Tensor, axis: int, sizes: Sequence[int]) -> Sequence[Value]:
    if axis == x.rows:
        raise step.refused(_ROWS)
    starts = np.cumsum([0, *sizes])
    return [
        _sliced(step, x, {axis: (int(start), int(start) + size, 1)})
        for start, size in zip(starts, sizes, strict=False)
    ]


def _sliced(step: Step, x: Tensor, cuts: dict[int, tuple[int, int, int]]) -> Tensor:
    """`cuts`: by axis, the first place, the one behind the last, and the step, all positive."""
    cuts = {a: c for a, c in cuts.items() if c != (0, x.shape[a], 1)}
    if not cuts:
        return x
    starts, ends, steps = zip(*cuts.values(), strict=True)
    name = step.g.node(
        "Slice", x.name, *(step.ints(*each) for each in (starts, ends, [*cuts], steps))
    )
    shape = list(x.shape)
    for axis, cut in cuts.items():
        shape[axis] = len(range(*cut))
        if not shape[axis]:
            raise step.refused("nothing is left.")
    return _kept(step, x, name, shape)


def _slice(step: Step) -> Value:
    x = step.moved()
    begins, sizes = step.at_counts(1), step.at_counts(2)
    cuts = {}
    for axis, length in enumerate(x.shape):
        firsts = [int(each[axis]) for each in begins]
        many = [int(each[axis]) for each in sizes]
        if axis == x.rows:
            every = [lengths_at(x.shape, i)[axis] for i in range(len(many))]
            if any(firsts) or any(n not in (-1, e) for n, e in zip(many, every, strict=True)):
                raise step.refused(_ROWS)
        elif len({*firsts}) > 1 or len({*many}) > 1:
            raise step.refused("what it takes depends on the number of the rows.")
        else:
            end = length if many[0] < 0 else firsts[0] + many[0]
            cuts[axis] = (firsts[0], end, 1)
    return _sliced(step, x, cuts)


def _strided(step: Step) -> Value:
    """x[…], as Python writes it: slices, places, new axes, and all that is between."""
    x = step.moved()
    begins, ends = step.at_counts(1), step.at_counts(2)
    steps = [int(n) for n in step.constant(3)]
    mask = {name: int(step.attribute(f"{name}_mask")) for name in _MASKS}
    count = len(steps)
    told = sum(not (mask["new_axis"] | mask["ellipsis"]) >> i & 1 for i in range(count))
    cuts: dict[int, tuple[int, int, int]] = {}
    reverse, removed, added, axis, place = [], [], [], 0, 0
    for i in range(count):
        bit = 1 << i
        if mask["ellipsis"] & bit:
            axis += len(x.shape) - told
            place += len(x.shape) - told
            continue
        if mask["new_axis"] & bit:
            added.append(place)
            place += 1
            continue
        first: list[int | None] = [None if mask["begin"] & bit else int(b[i]) for b in begins]
        last: list[int | None] = [None if mask["end"] & bit else int(e[i]) for e in ends]
        if axis == x.rows:
            every = [lengths_at(x.shape, n)[axis] for n in range(len(COUNTS))]
            whole = all(slice(f, e, steps[i]).indices(n) == (0, n, 1)
                        for f, e, n in zip(first, last, every, strict=False))  # fmt: skip
            if not whole or mask["shrink_axis"] & bit:
                raise step.refused(_ROWS)
            place += 1
        elif len({*first}) > 1 or len({*last}) > 1:
            raise step.refused("what it takes depends on the number of the rows.")
        elif mask["shrink_axis"] & bit:
            at = (first[0] or 0) % x.shape[axis]
            cuts[axis] = (at, at + 1, 1)
            removed.append(axis)
        else:
            start, end, stride = slice(first[0], last[0], steps[i]).indices(x.shape[axis])
            if stride < 0:  # the same places from the other end
                taken = range(start, end, stride)
                if not taken:
                    raise step.refused("nothing is left.")
                reverse.append(axis)
                start, end, stride = taken[-1], taken[0] + 1, -stride
            cuts[axis] = (start, end, stride)
            place += 1
        axis += 1
    made = _sliced(step, x, cuts)
    for each in reverse:
        made = _turned(step, made, each)
    if removed:
        name = step.g.node("Squeeze", made.name, step.ints(*removed))
        made = _kept(step, made, name, [n for i, n in enumerate(made.shape) if i not in removed])
    if added:
        shape = list(made.shape)
        for each in added:
            shape.insert(each, 1)
        name = step.g.node("Unsqueeze", made.name, step.ints(*added))
        made = _kept(step, made, name, shape)
    return made


_MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")


def _turned(step: Step, x: Tensor, axis: int) -> Tensor:
    order = step.g.const(np.arange(x.shape[axis])[::-1], "int64")
    return _kept(step, x, step.g.node("Gather", x.name, order, axis=axis), x.shape)


def _reversed(step: Step) -> Value:
    x = step.moved()
    for axis in np.ravel(step.constant(1)):
        if int(axis) % len(x.shape) == x.rows:
            raise step.refused(_ROWS)
        x = _turned(step, x, int(axis) % len(x.shape))
    return x


def _tiled(step: Step) -> Value:
    x = step.moved()
    times = [int(n) for n in step.constant(1)]
    if times[x.rows] != 1:
        raise step.refused(_ROWS)
    if not any(n > 1 for n in times):
        return x
    name = step.g.node("Tile", x.name, step.ints(*times))
    return _kept(
        step, x, name, [n * t if n > 0 else n for n, t in zip(x.shape, times, strict=True)]
    )


def _broadcast(step: Step) -> Value:
    """To a shape, which is known for any number of rows."""
    x = step.moved()
    lengths = [length_of([int(n) for n in each]) for each in zip(*step.at_counts(1), strict=True)]
    if None in lengths:
        raise step.refused(_ROWS)
    shape = tuple(n for n in lengths if n is not None)
    if step.broadcast(x.shape, shape) != shape:
        raise step.refused(_ROWS)
    target = step.ints(*(n if n > 0 else 1 for n in shape))
    return _kept(step, x, step.g.node("Expand", x.name, target), shape)


def _filled(step: Step) -> Value:
    """One number of each row has no shape of its own, and no place here."""
    raise step.refused("what it fills with depends on the rows.")


def _padded(step: Step) -> Value:
    x = step.moved()
    around: Any = step.constant(1)
    value = step.constant(2) if len(step.given) > 2 else np.zeros((), x.dtype)
    if around[x.rows].any() or (around < 0).any() or x.dtype == "string":
        raise step.refused(_ROWS)
    pads = step.ints(*(int(n) for n in around[:, 0]), *(int(n) for n in around[:, 1]))
    name = step.g.node("Pad", x.name, pads, step.g.const(value))
    shape: Shape = tuple(
        n + int(a.sum()) if n > 0 else n for n, a in zip(x.shape, around, strict=True)
    )
    return step.made(name, shape, x.dtype)


OPERATIONS: dict[str, How] = {
    "Shape": _shape,
    "ShapeN": _shapes,
    "Size": _size,
    "Rank": _rank,
    "Reshape": _reshape,
    "ExpandDims": _expanded,
    "Squeeze": _squeezed,
    "Transpose": _transposed,
    "ConcatV2": _concatenated,
    "Pack": _packed,
    "Unpack": _unpacked,
    "Split": _split,
    "SplitV": _split_by,
    "Slice": _slice,
    "StridedSlice": _strided,
    "ReverseV2": _reversed,
    "Tile": _tiled,
    "BroadcastTo": _broadcast,
    "Fill": _filled,
    "Pad": _padded,
    "PadV2": _padded,
}
