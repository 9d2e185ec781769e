"""TensorFlow's convolutions and pooling, and batch normalisation, their channels last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.tensorflow.products import mean_of
from sqlml.convert.tensorflow.values import FLOATS, Mixed, Tensor, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.convert.tensorflow.step import How, Step


def _channels_last(step: Step) -> Tensor:
    x = step.moved()
    if step.text("data_format") != "NHWC":
        raise step.refused("its channels stand first.")
    if x.dtype not in FLOATS or x.rows or len(x.shape) != 4:
        raise step.refused(f"it works on {x.dtype}, or its rows do not stand first.")
    return x


def _two(values: Sequence[int]) -> list[int]:
    """What an attribute says of height and width, of four numbers."""
    return [int(n) for n in values[1:3]]


def _window(
    step: Step, x: Tensor, window: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]]:
    """How much is put before and behind, and the lengths that the result has."""
    padding = step.text("padding")
    strides = _two(step.attribute("strides"))
    before, after, lengths = [], [], []
    for axis in range(2):
        size, stride = x.shape[1 + axis], strides[axis]
        reach = (window[axis] - 1) * dilations[axis] + 1
        first = last = 0
        if padding == "SAME":  # what is odd goes behind
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            first, last = total // 2, total - total // 2
        elif padding == "EXPLICIT":
            explicit = step.attribute("explicit_paddings")
            first, last = (int(explicit[2 + 2 * axis + i]) for i in range(2))
        length = (size + first + last - reach) // stride + 1
        if length < 1:
            raise step.refused("nothing is left.")
        before.append(first)
        after.append(last)
        lengths.append(length)
    return [*before, *after], lengths


def _over_channels(step: Step, x: Tensor, made: Callable[[str], str]) -> str:
    """ONNX has the channels first."""
    first = made(step.g.node("Transpose", x.name, perm=[0, 3, 1, 2]))
    return step.g.node("Transpose", first, perm=[0, 2, 3, 1])


def _convolution(step: Step) -> Value:
    x, kernel = _channels_last(step), step.constant(1)
    if x.dtype != "float32":
        raise step.refused(f"it is in {x.dtype}, which ONNX Runtime's convolutions do not take.")
    groups = kernel.shape[2]
    if step.op.type == "DepthwiseConv2dNative":
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    else:
        groups = x.shape[3] // kernel.shape[2]
    dilations = _two(step.attribute("dilations"))
    pads, lengths = _window(step, x, kernel.shape[:2], dilations)
    weights = step.g.const(np.moveaxis(kernel, (3, 2), (0, 1)))
    strides = _two(step.attribute("strides"))

    def made(name: str) -> str:
        return step.g.node(
            "Conv", name, weights, group=int(groups), pads=pads, strides=strides,
            dilations=dilations,
        )  # fmt: skip

    return step.made(_over_channels(step, x, made), (x.shape[0], *lengths, kernel.shape[3]))


def _pooling(op: str, **attributes: Any) -> How:
    def pool(step: Step) -> Value:
        x = _channels_last(step)
        window, strides = (_two(step.attribute(name)) for name in ("ksize", "strides"))
        if step.attribute("ksize")[3] != 1 or step.attribute("strides")[3] != 1:
            raise step.refused("it folds channels.")
        pads, lengths = _window(step, x, window, (1, 1))
        name, least = x.name, None
        if op == "MaxPool":
            # TensorFlow looks for the largest from the least number on; NaN is never larger.
            least = step.number(float(np.finfo(x.dtype).min), x.dtype)
            name = step.g.node("Where", step.g.node("IsNaN", name), least, name)
            name = step.g.node("Max", name, least)

        def made(first: str) -> str:
            return step.g.node(
                op, first, kernel_shape=window, strides=strides, pads=pads, **attributes
            )

        folded = _over_channels(step, Tensor(name, x.dtype, x.shape), made)
        return step.made(folded, (x.shape[0], *lengths, x.shape[3]))

    return pool


def _spread(step: Step) -> Value:
    """Every so manieth step as rows of their own, block by block, which a dilated window needs."""
    x, blocks, around = step.moved(), step.constant(1), step.constant(2)
    axes = range(1, 1 + len(blocks))
    if x.rows or x.dtype not in FLOATS:
        raise step.refused(f"it works on {x.dtype}, or its rows do not stand first.")
    behind = [0] * (len(x.shape) - 1 - len(blocks))
    pads = [0, *around[:, 0].tolist(), *behind, 0, *around[:, 1].tolist(), *behind]
    name = step.g.node("Pad", x.name, step.ints(*pads)) if around.any() else x.name
    lengths = [
        (x.shape[axis] + int(sides.sum())) // int(block)
        for axis, sides, block in zip(axes, around, blocks, strict=True)
    ]
    rest = x.shape[1 + len(blocks) :]
    pairs = [n for pair in zip(lengths, blocks.tolist(), strict=True) for n in pair]
    name = step.g.node("Reshape", name, step.ints(-1, *pairs, *rest))
    many = len(blocks)
    order = [*(2 + 2 * i for i in range(many)), 0, *(1 + 2 * i for i in range(many))]
    order += range(1 + 2 * many, 1 + 2 * many + len(rest))
    name = step.g.node("Transpose", name, perm=order)
    name = step.g.node("Reshape", name, step.ints(-1, *lengths, *rest))
    return step.made(name, (x.shape[0] * int(np.prod(blocks)), *lengths, *rest))


def _gathered(step: Step) -> Value:
    """The steps that were spread, beside each other again."""
    x, blocks, cut = step.moved(), step.constant(1), step.constant(2)
    many, size = len(blocks), int(np.prod(blocks))
    if x.rows or x.shape[0] % size:
        raise step.refused("its rows are not what it spread before.")
    lengths, rest = x.shape[1 : 1 + many], x.shape[1 + many :]
    name = step.g.node("Reshape", x.name, step.ints(*blocks.tolist(), -1, *lengths, *rest))
    pairs = [i for place in range(many) for i in (many + 1 + place, place)]
    order = [many, *pairs, *range(2 * many + 1, 2 * many + 1 + len(rest))]
    name = step.g.node("Transpose", name, perm=order)
    whole = [n * int(block) for n, block in zip(lengths, blocks, strict=True)]
    name = step.g.node("Reshape", name, step.ints(-1, *whole, *rest))
    axes = range(1, 1 + many)
    ends = [n - int(sides[1]) for n, sides in zip(whole, cut, strict=True)]
    starts = cut[:, 0].tolist()
    if cut.any():
        given = (step.ints(*each) for each in (starts, ends, axes))
        name = step.g.node("Slice", name, *given)
    kept = [end - start for start, end in zip(starts, ends, strict=True)]
    return step.made(name, (x.shape[0] // size, *kept, *rest))


def _normalized(step: Step) -> Sequence[Value]:
    """By a mean and a variance that were learnt. Its other results are of use in training only."""
    made = _by_its_own(step) if step.attribute("is_training") else _by_what_was_learnt(step)
    other = Mixed(step.refused("its other results are read."))
    return [made, *[other] * (len(step.op.outputs) - 1)]


def _by_its_own(step: Step) -> Tensor:
    """Each row by itself, its rows in the place of channels: so Keras 2 normalises layers."""
    x = step.moved()
    if step.text("data_format") != "NCHW" or x.rows != 1 or x.dtype not in FLOATS:
        raise step.refused("it is in training, and its means are those of the rows.")
    (scale, _), (offset, _) = step.operand(1), step.operand(2)
    g, axes = step.g, [0, 2, 3]
    centred = replace(x, name=g.node("Sub", x.name, mean_of(step, x, axes)))
    square = replace(x, name=g.node("Mul", centred.name, centred.name))
    epsilon = step.number(float(step.attribute("epsilon")), x.dtype)
    spread = g.node("Sqrt", g.node("Add", mean_of(step, square, axes), epsilon))
    name = g.node("Mul", g.node("Div", centred.name, spread), scale)
    return step.made(g.node("Add", name, offset), x.shape)


def _by_what_was_learnt(step: Step) -> Tensor:
    x = _channels_last(step)
    scale, offset, mean, variance = (step.constant(i) for i in range(1, 5))
    epsilon = np.asarray(step.attribute("epsilon"), scale.dtype)
    factor = scale / np.sqrt(variance + epsilon)
    g = step.g
    name = g.node("Mul", g.node("Sub", x.name, g.const(mean)), g.const(factor))
    return step.made(g.node("Add", name, g.const(offset)), x.shape)


OPERATIONS: dict[str, How] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "SpaceToBatchND": _spread,
    "BatchToSpaceND": _gathered,
    "MaxPool": _pooling("MaxPool"),
    "AvgPool": _pooling("AveragePool", count_include_pad=0),
    "FusedBatchNorm": _normalized,
    "FusedBatchNormV2": _normalized,
    "FusedBatchNormV3": _normalized,
}
