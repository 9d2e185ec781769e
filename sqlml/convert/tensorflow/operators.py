"""The tables of TensorFlow's operations that are converted; those over numbers place by place."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from sqlml.convert import links, special
from sqlml.convert.graph import DOUBLE
from sqlml.convert.tensorflow.values import ELEMENTS, FLOATS, WHOLE, Known, Mixed, Tensor, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.convert.tensorflow.step import How, Step

    Curve = Callable[[Step, str, str], str]
    """A function of numbers: the step, a tensor and its type."""

_NO_CONVERSION = "it has no conversion that is known to be exact."


def conversion(step: Step) -> How | None:
    """How an operation is converted; None where it is known without the rows.

    Raises `NotConvertibleError` for those that are not converted.
    """
    from sqlml.convert.tensorflow import lists, lookups, moves, products, windows

    kind = step.op.type
    if kind in lists.OPERATIONS:
        return lists.OPERATIONS[kind]
    mixed = next((value for value in step.given if isinstance(value, Mixed)), None)
    if mixed is not None:
        return _limited(mixed)
    if all(isinstance(value, Known) for value in step.given):
        return None
    tables = (OPERATIONS, products.OPERATIONS, moves.OPERATIONS, windows.OPERATIONS,
              lookups.OPERATIONS)  # fmt: skip
    how = next((table[kind] for table in tables if kind in table), None)
    if how is None:
        raise step.refused(*REASONS.get(kind, (_NO_CONVERSION,)))
    return how


def _limited(mixed: Mixed) -> How:
    """What several rows make together does not matter between limits that are one and the same."""

    def made(step: Step) -> Value | Sequence[Value]:
        limits = [v for v in step.given if isinstance(v, Known) and v.fixed]
        if step.op.type in ("Maximum", "Minimum") and len(limits) == 1:
            limit = limits[0].values[0]
            if not limit.shape.rank:
                if step.op.type == "Maximum":
                    return dataclasses.replace(mixed, least=float(limit))
                if mixed.least is not None and float(limit) <= mixed.least:
                    return limits[0]
        return [dataclasses.replace(mixed, least=None)] * len(step.op.outputs)

    return made


def _same(step: Step) -> Value:
    return step.given[0]


def _each(step: Step) -> Sequence[Value]:
    return step.given


def _of_numbers(step: Step, *places: int) -> None:
    for place in places or range(len(step.given)):
        value = step.given[place]
        if isinstance(value, Tensor) and value.dtype not in (*FLOATS, *WHOLE):
            raise step.refused(f"it works on {value.dtype}.")


def _of_floats(step: Step) -> Tensor:
    x = step.moved()
    if x.dtype not in FLOATS:
        raise step.refused(f"it works on {x.dtype}.")
    return x


def _binary(op: str, kinds: Sequence[str] = (*FLOATS, *WHOLE)) -> How:
    def made(step: Step) -> Value:
        names, shapes = zip(*(step.operand(i) for i in range(len(step.given))), strict=True)
        kind = next(v.dtype for v in step.given if isinstance(v, Tensor))
        if kind not in kinds:
            raise step.refused(f"it works on {kind}.")
        moved = _shifted(step) if op == "Add" else None
        return step.made(step.g.node(op, *names), step.broadcast(*shapes), within=moved)

    return made


def _shifted(step: Step) -> range | None:
    """Where whole numbers are to which others are added."""
    first, second = (within([value]) for value in step.given)
    if first is None or second is None:
        return None
    return range(first.start + second.start, first.stop + second.stop - 1)


def _compared(op: str, negated: bool = False) -> How:
    def made(step: Step) -> Value:
        kind = next(v.dtype for v in step.given if isinstance(v, Tensor))
        if kind == "string":
            return _text(step, negated)
        if kind == "bool" and op != "Equal":
            raise step.refused("it works on bool.")
        names, shapes = zip(*(step.operand(i) for i in range(2)), strict=True)
        rows = [isinstance(value, Tensor) for value in step.given]
        given = [step.compared(n, kind) if r else n for n, r in zip(names, rows, strict=True)]
        found = step.g.node(op, *given)
        return step.made(step.g.node("Not", found) if negated else found, step.broadcast(*shapes))

    return made


def _text(step: Step, negated: bool) -> Value:
    """Whether texts are one that is known."""
    place = next(i for i, v in enumerate(step.given) if isinstance(v, Tensor))
    x, text = step.tensor(place), step.constant(1 - place)
    if text.size != 1:
        raise step.refused("it compares texts with more than one.")
    found = step.g.node(
        "LabelEncoder", x.name, domain="ai.onnx.ml",
        keys_strings=[str(text.item())], values_int64s=[1], default_int64=0,
    )  # fmt: skip
    op = "Less" if negated else "Greater"
    limit = step.ints(1 if negated else 0)
    shape = step.broadcast(x.shape, text.shape)
    return step.made(step.g.node(op, found, limit), shape)


def _added(step: Step) -> Value:
    """Any number of tensors, of one shape."""
    _of_numbers(step)
    names, shapes = zip(*(step.operand(i) for i in range(len(step.given))), strict=True)
    total = names[0]
    for name in names[1:]:
        total = step.g.node("Add", total, name)
    return step.made(total, step.broadcast(*shapes))


def _bias(step: Step) -> Value:
    if step.text("data_format") != "NHWC":
        raise step.refused("its channels stand first.")
    return _binary("Add")(step)  # type: ignore[return-value]


def _squared_difference(step: Step) -> Value:
    _of_numbers(step)
    (x, first), (y, second) = step.operand(0), step.operand(1)
    difference = step.g.node("Sub", x, y)
    return step.made(step.g.node("Mul", difference, difference), step.broadcast(first, second))


def _ratio(place: int) -> How:
    """X / y, and zero where one of them is zero."""

    def made(step: Step) -> Value:
        (x, first), (y, second) = step.operand(0), step.operand(1)
        zero = step.number(0, step.dtype())
        nothing = step.g.node("Equal", step.compared((x, y)[place], step.dtype()), zero)
        ratio = step.g.node("Where", nothing, zero, step.g.node("Div", x, y))
        return step.made(ratio, step.broadcast(first, second))

    return made


def _modulo(step: Step) -> Value:
    """Of whole numbers, with the divisor's sign."""
    x = step.moved()
    divisor = step.constant(1)
    if x.dtype not in WHOLE or (divisor == 0).any():
        raise step.refused("it is of floating numbers, or by zero.")
    name = step.g.node("Mod", x.name, step.g.const(divisor))
    within = range(int(divisor)) if not divisor.ndim and divisor > 0 else None
    return step.made(name, step.broadcast(x.shape, divisor.shape), within=within)


def _selected(step: Step) -> Value:
    """Where a condition holds one thing, else another."""
    names, shapes = zip(*(step.operand(i) for i in range(3)), strict=True)
    if step.op.type == "Select" and len({len(s) for s in shapes}) > 1:
        raise step.refused("its condition is of another shape.")
    made = step.made(step.g.node("Where", *names), step.broadcast(*shapes))
    one, x = step.given[1:]
    if not isinstance(x, Tensor):
        return dataclasses.replace(made, within=within(step.given[1:]))
    compared, number = _compared_with(step.op)
    if compared == "Less" and number == 0:
        # x < 0 ? … : x, as Keras counts places from the end: those from zero on stay what they
        # are, and no input that is a place takes others.
        least = None if x.within is None or x.within.start < 0 else x.within
        return dataclasses.replace(made, columns=x.columns, within=least)
    if compared == "Equal" and x.within is not None and number == x.within.start:
        # x == -1 ? … : x, as Keras numbers what a lookup does not know.
        x = dataclasses.replace(x, within=range(x.within.start + 1, x.within.stop))
    return dataclasses.replace(made, within=within([one, x]))


def _compared_with(op: Any) -> tuple[str, Any]:
    """How a choice's condition compares the thing that is else chosen, and with which number."""
    import tensorflow as tf

    condition = op.inputs[0].op
    if condition.type not in ("Less", "Equal") or condition.inputs[0].name != op.inputs[2].name:
        return "", None
    number = condition.inputs[1].op
    if number.type != "Const":
        return "", None
    value = tf.make_ndarray(number.get_attr("value"))
    return condition.type, value.item() if value.size == 1 else None


def within(values: Sequence[Value]) -> range | None:
    """What holds the whole numbers from several places."""
    found = []
    for value in values:
        if isinstance(value, Tensor) and value.within is not None:
            found.append(value.within)
        elif isinstance(value, Known) and value.fixed and value.values[0].dtype.is_integer:
            numbers = value.values[0].numpy()
            if not numbers.size:
                return None
            found.append(range(int(numbers.min()), int(numbers.max()) + 1))
        else:
            return None
    return range(min(r.start for r in found), max(r.stop for r in found))


def _clipped(step: Step) -> Value:
    _of_numbers(step)
    (x, shape), (low, first), (high, second) = (step.operand(i) for i in range(3))
    name = step.g.node("Min", step.g.node("Max", x, low), high)
    return step.made(name, step.broadcast(shape, first, second))


def _cast(step: Step) -> Value:
    x = step.moved()
    dtype = step.dtype()
    if x.dtype == dtype:
        return x
    if "string" in (x.dtype, dtype):
        raise step.refused("it makes numbers of texts, or texts of numbers.")
    given = step.compared(x.name, x.dtype) if dtype == "bool" else x.name
    name = step.g.node("Cast", given, to=ELEMENTS[dtype])
    # A place that is in reach is a whole number as a floating one too; an input is no other.
    made = step.made(name, x.shape, within=x.within)
    return dataclasses.replace(made, columns=x.columns)


def _curve(curve: Curve) -> How:
    def made(step: Step) -> Value:
        x = _of_floats(step)
        return step.made(curve(step, x.name, x.dtype), x.shape)

    return made


def _numbers(curve: Curve) -> How:
    """A function of whole numbers too."""

    def made(step: Step) -> Value:
        _of_numbers(step, 0)
        x = step.moved()
        return step.made(curve(step, x.name, x.dtype), x.shape)

    return made


def _named(op: str, **attributes: Any) -> Curve:
    return lambda step, x, dtype: step.g.node(op, x, **attributes)


def _step(op: str) -> Curve:
    """What jumps at zero."""
    return lambda step, x, dtype: step.g.node(op, step.compared(x, dtype))


def _width(dtype: str) -> Any:
    return dtype  # a Width, where numbers are floating


def _sigmoid(step: Step, x: str, dtype: str) -> str:
    return links.sigmoid(step.g, x, _width(dtype))


def _softplus(step: Step, x: str, dtype: str) -> str:
    """max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    g, one = step.g, step.number(1, dtype)
    tail = g.node("Exp", g.node("Neg", g.node("Abs", x)))
    return g.node("Add", g.node("Relu", x), g.node("Log", g.node("Add", tail, one)))


def _relu6(step: Step, x: str, dtype: str) -> str:
    return step.g.node("Min", step.g.node("Relu", x), step.number(6, dtype))


def _leaky(step: Step, x: str, dtype: str) -> str:
    return step.g.node("LeakyRelu", x, alpha=float(step.attribute("alpha")))


def _softsign(step: Step, x: str, dtype: str) -> str:
    g = step.g
    return g.node("Div", x, g.node("Add", g.node("Abs", x), step.number(1, dtype)))


def _square(step: Step, x: str, dtype: str) -> str:
    return step.g.node("Mul", x, x)


def _rsqrt(step: Step, x: str, dtype: str) -> str:
    return step.g.node("Div", step.number(1, dtype), step.g.node("Sqrt", x))


def _reciprocal(step: Step, x: str, dtype: str) -> str:
    return step.g.node("Div", step.number(1, dtype), x)


def _erf(step: Step, x: str, dtype: str) -> str:
    """ONNX Runtime's own is of float32 only."""
    if dtype == "float32":
        return step.g.node("Erf", x)
    return step.g.node("Sub", _twice_normal(step, x, math.sqrt(2)), step.number(1, dtype))


def _erfc(step: Step, x: str, dtype: str) -> str:
    if dtype == "float32":
        return step.g.node("Sub", step.number(1, dtype), step.g.node("Erf", x))
    return _twice_normal(step, x, -math.sqrt(2))


def _twice_normal(step: Step, x: str, factor: float) -> str:
    g = step.g
    scaled = g.node("Mul", x, step.number(factor, "float64"))
    return g.node("Mul", special.normal_cdf(g, scaled), step.number(2, "float64"))


def _atan(step: Step, x: str, dtype: str) -> str:
    return special.arctan(step.g, x) if dtype == "float64" else step.g.node("Atan", x)


def _in_double(step: Step, x: str, dtype: str, made: Callable[[str, str], str]) -> str:
    """What would lose the digits of small numbers."""
    wide = step.g.node("Cast", x, to=DOUBLE)
    name = made(wide, step.number(1, "float64"))
    return step.g.node("Cast", name, to=ELEMENTS[dtype])


def _log1p(step: Step, x: str, dtype: str) -> str:
    g = step.g
    return _in_double(step, x, dtype, lambda wide, one: g.node("Log", g.node("Add", wide, one)))


def _expm1(step: Step, x: str, dtype: str) -> str:
    g = step.g
    return _in_double(step, x, dtype, lambda wide, one: g.node("Sub", g.node("Exp", wide), one))


def _test(op: str) -> How:
    """Whether numbers are something."""

    def made(step: Step) -> Value:
        x = _of_floats(step)
        return step.made(step.g.node(op, x.name), x.shape)

    return made


def _is_finite(step: Step) -> Value:
    x, g = _of_floats(step), step.g
    odd = g.node("Or", g.node("IsNaN", x.name), g.node("IsInf", x.name))
    return step.made(g.node("Not", odd), x.shape)


def _not(step: Step) -> Value:
    x = step.moved()
    return step.made(step.g.node("Not", x.name), x.shape)


def _last_axis(step: Step) -> tuple[Tensor, int]:
    x = _of_floats(step)
    if x.rows == len(x.shape) - 1:
        raise step.refused("it is over the rows.")
    return x, len(x.shape) - 1


def _softmax(step: Step) -> Value:
    x, axis = _last_axis(step)
    return step.made(links.softmax(step.g, x.name, _width(x.dtype), axis), x.shape)


def _log_softmax(step: Step) -> Value:
    x, axis = _last_axis(step)
    g = step.g
    top = g.node("ReduceMax", x.name, step.ints(axis), keepdims=1)
    lower = g.node("Sub", x.name, top)
    total = links.row_sum(g, g.node("Exp", lower), axis)
    return step.made(g.node("Sub", lower, g.node("Log", total)), x.shape)


def _zeros(number: int) -> How:
    """As many of one number as there are in a tensor."""

    def made(step: Step) -> Value:
        import tensorflow as tf

        from sqlml.convert.tensorflow.values import COUNTS, known, lengths_at

        x, kind = step.moved(), step.op.outputs[0].dtype
        shapes = [lengths_at(x.shape, i) for i in range(len(COUNTS) - 1)]
        value = "" if kind == tf.string else number
        return known([*(tf.constant(value, kind, shape) for shape in shapes), None])

    return made


_HASH = "its hash has no form in ONNX."
_LOOKUP = "Use StringLookup or IntegerLookup, which know their words."
_TEXT = "it takes texts apart, which has no form in ONNX."
_RANDOM = "it draws numbers at random."
_PYTHON = "it calls Python."
_EXAMPLE = (
    "its input is a serialised tf.train.Example, and no columns.",
    "Export a signature of tensors: model.export(directory).",
)

# Why operations are not converted, where more is to be said than that they are not.
REASONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong"),
        (_HASH, _LOOKUP),
    ),
    **dict.fromkeys(
        ("StringSplit", "StringSplitV2", "StringLower", "StringUpper", "StringStrip", "Substr",
         "StaticRegexReplace", "RegexReplace", "StaticRegexFullMatch", "StringJoin",
         "StringNGrams", "UnicodeDecode", "StringLength", "StringFormat", "AsString"),
        (_TEXT,),
    ),
    "StringToNumber": ("it reads numbers in texts, which has no exact form in ONNX.",
                       "Let the input be numbers."),
    **dict.fromkeys(("RandomUniform", "RandomStandardNormal", "TruncatedNormal"), (_RANDOM,)),
    **dict.fromkeys(("PyFunc", "EagerPyFunc", "PyFuncStateless"), (_PYTHON,)),
    **dict.fromkeys(("ParseExample", "ParseExampleV2", "ParseSingleExample"), _EXAMPLE),
}  # fmt: skip


OPERATIONS: dict[str, How] = {
    "Add": _binary("Add"),
    "AddV2": _binary("Add"),
    "AddN": _added,
    "BiasAdd": _bias,
    "Sub": _binary("Sub"),
    "Mul": _binary("Mul"),
    "RealDiv": _binary("Div", FLOATS),
    "DivNoNan": _ratio(1),
    "Xdivy": _ratio(0),
    "Maximum": _binary("Max"),
    "Minimum": _binary("Min"),
    "Pow": _binary("Pow", FLOATS),
    "SquaredDifference": _squared_difference,
    "FloorMod": _modulo,
    "ClipByValue": _clipped,
    "Greater": _compared("Greater"),
    "GreaterEqual": _compared("GreaterOrEqual"),
    "Less": _compared("Less"),
    "LessEqual": _compared("LessOrEqual"),
    "Equal": _compared("Equal"),
    "NotEqual": _compared("Equal", negated=True),
    "LogicalAnd": _binary("And", ("bool",)),
    "LogicalOr": _binary("Or", ("bool",)),
    "LogicalNot": _not,
    "Select": _selected,
    "SelectV2": _selected,
    "Cast": _cast,
    "Identity": _same,
    "IdentityN": _each,
    "StopGradient": _same,
    "PreventGradient": _same,
    "EnsureShape": _same,
    "Snapshot": _same,
    "Neg": _numbers(_named("Neg")),
    "Abs": _numbers(_named("Abs")),
    "Sign": _numbers(_step("Sign")),
    "Square": _numbers(_square),
    "Relu": _curve(_named("Relu")),
    "Relu6": _curve(_relu6),
    "LeakyRelu": _curve(_leaky),
    "Elu": _curve(_named("Elu", alpha=1.0)),
    "Selu": _curve(_named("Selu")),
    "Sigmoid": _curve(_sigmoid),
    "Softplus": _curve(_softplus),
    "Softsign": _curve(_softsign),
    "Tanh": _curve(_named("Tanh")),
    "Exp": _curve(_named("Exp")),
    "Expm1": _curve(_expm1),
    "Log": _curve(_named("Log")),
    "Log1p": _curve(_log1p),
    "Sqrt": _curve(_named("Sqrt")),
    "Rsqrt": _curve(_rsqrt),
    "Reciprocal": _curve(_reciprocal),
    "Inv": _curve(_reciprocal),
    "Erf": _curve(_erf),
    "Erfc": _curve(_erfc),
    "Sin": _curve(_named("Sin")),
    "Cos": _curve(_named("Cos")),
    "Atan": _curve(_atan),
    "Floor": _curve(_step("Floor")),
    "Ceil": _curve(_step("Ceil")),
    "Round": _curve(_named("Round")),
    "Rint": _curve(_named("Round")),
    "IsNan": _test("IsNaN"),
    "IsInf": _test("IsInf"),
    "IsFinite": _is_finite,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "ZerosLike": _zeros(0),
    "OnesLike": _zeros(1),
}
