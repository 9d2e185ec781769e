"""Expressions as Spark SQL text, with the meaning that ONNX gives them.

Where Spark differs, the text says more: Spark orders NaN above every number and equal to
itself, raises or gives NULL where floating point divides by zero, and gives NULL for the
logarithm of what is not positive. No input is NULL in the text: see `columns`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.compile.formula import walk
from sqlml.errors import NotCompilableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlml.compile.expressions import Expr

SQL_TYPES = {
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INT",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "str": "STRING",
}
_SUFFIX = {"float32": "F", "float64": "D", "int8": "Y", "int16": "S", "int32": "", "int64": "L"}

CHOICES = 8
"""Keys of a lookup that are compared one by one; more are a map, which Spark hashes."""


HASHED = 1_000
"""Keys from which on Spark hashes a map: its spark.sql.optimizer.mapLookupHashThreshold."""

_EXACT = 2**24
"""Whole numbers up to here are floats and doubles alike."""

_SPARSE = 4
"""So many times as many places as keys an array may have."""

_SEPARATORS = (",", ";", "_", "#", "~", "%", "\ufdd1", *map(chr, range(0xE000, 0xF8FF)))
"""Characters between the elements of an array, none of which means more to Java's regex."""


class Writer:
    """Writes the expressions of one model; `names` has the text of what is computed already."""

    def __init__(
        self,
        inputs: Mapping[int, str],
        names: Mapping[Expr, str] | None = None,
        places: Collection[Expr] = (),
    ) -> None:
        """`places`: inputs whose text is a place already, see `place`."""
        self._inputs = inputs
        self._names = dict(names or {})
        self._places = frozenset(places)

    def text(self, x: Expr) -> str:
        """The SQL text of an expression, in parentheses where they may be needed."""
        return self._operand(x, _HIGHEST)

    def _operand(self, x: Expr, level: int) -> str:
        """The same beside an operator of this level: without parentheses where it binds less.

        Spark's parser takes long for parentheses in parentheses.
        """
        if x in self._names:
            return self._names[x]
        if x.op not in _ARITHMETIC or not _is_plain(x):
            return self._whole(x)
        sign, own = _ARITHMETIC[x.op]
        a, b = x.args  # read from left to right, as Spark reads them
        text = f"{self._operand(a, own)} {sign} {self._operand(b, own + 1)}"
        return text if own >= level else f"({text})"

    def _whole(self, x: Expr) -> str:
        if x.op == "literal":
            return literal(x.value, x.dtype)
        if x.op == "input":
            return self._inputs[x.value]
        if x.op == "cast":
            return f"CAST({self.text(x.args[0])} AS {SQL_TYPES[x.dtype]})"
        if x.op == "lookup":
            return self._lookup(x)
        return _TEXT[x.op](x, *map(self.text, x.args))

    def _lookup(self, x: Expr) -> str:
        key, table = x.args[0], x.value
        found = self.text(key)
        by_value: dict[bytes, tuple[Any, list[Any]]] = {}
        for k, v in table.entries.items():
            by_value.setdefault(np.asarray(v).tobytes(), (v, []))[1].append(k)
        if x.dtype == "bool":
            test = _one_of(found, key.dtype, list(table.entries))
            return f"(NOT {test})" if table.default else test
        default = literal(table.default, x.dtype)
        if len(table.entries) <= CHOICES:
            branches = " ".join(
                f"WHEN {_one_of(found, key.dtype, keys)} THEN {literal(value, x.dtype)}"
                for value, keys in by_value.values()
            )
            return f"CASE {branches} ELSE {default} END"
        entries = {k: v for k, v in table.entries.items() if k == k}
        if key in self._places:
            return _at(found, entries, table.default, x.dtype)
        write = _from_array if is_dense(entries) else _from_map
        mapped = write(found, key.dtype, entries, table.default, x.dtype)
        absent = [v for k, v in table.entries.items() if k != k]
        if absent:
            return f"IF(isnan({found}), {literal(absent[0], x.dtype)}, {mapped})"
        return mapped


def _from_array(found: str, kind: str, entries: Mapping[Any, Any], default: Any, dtype: str) -> str:
    """What stands in an array at the place that a whole number is; it needs no hash."""
    if kind in ("int8", "int16", "int32"):
        return _at(found, entries, default, dtype)
    number = f"try_cast({found} AS INT)"
    at = _at(number, entries, default, dtype)
    return f"IF({found} = {number}, {at}, {literal(default, dtype)})"


def _at(place: str, entries: Mapping[Any, Any], default: Any, dtype: str) -> str:
    values = [entries.get(i, default) for i in range(int(max(entries)) + 1)]
    return f"coalesce(get({_array(values, dtype)}, {place}), {literal(default, dtype)})"


def place(number: str) -> str:
    """The place in an array that a BIGINT is, -1 for none.

    >>> place("plan")
    'IF(plan BETWEEN 0 AND 16777216, CAST(plan AS INT), -1)'
    """
    return f"IF({number} BETWEEN 0 AND {_EXACT}, CAST({number} AS INT), -1)"


def places(outputs: Sequence[Expr], taken: Expr, whole: Collection[int]) -> frozenset[Expr]:
    """The inputs that are places in arrays, and nothing else; they are among the `whole` ones."""
    by_place: set[Expr] = set()
    other: set[Expr] = {x for x in walk([taken]) if x.op == "input"}
    for x in walk(outputs):
        for y in x.args:
            if y.op == "input":
                (by_place if _is_by_place(x) else other).add(y)
    other.update(x for x in outputs if x.op == "input")
    return frozenset(x for x in by_place - other if x.value in whole)


def _is_by_place(x: Expr) -> bool:
    """Whether an expression is a lookup in an array, in which NaN is no key."""
    if x.op != "lookup" or x.dtype == "bool" or x.args[0].dtype == "str":
        return False
    return len(x.value.entries) > CHOICES and is_dense(x.value.entries)


def _from_map(found: str, kind: str, entries: Mapping[Any, Any], default: Any, dtype: str) -> str:
    sought, known, nothing = found, "", literal(default, dtype)
    if kind.startswith("float"):
        # A map that is hashed tells -0.0 from 0.0; a sum with 0.0 is never -0.0.
        sought = f"({found} + {literal(0, kind)})"
        if all(abs(k) <= _EXACT and k == int(k) for k in entries):
            # Spark's hash of whole doubles is nearly the same for all of them.
            entries = {int(k): v for k, v in entries.items()}
            kind, sought = "int64", f"try_cast({found} AS BIGINT)"
            known = f"{found} = {sought}"
    mapped = _map(entries, default, kind, dtype)
    mapped = f"coalesce(element_at({mapped}, {sought}), {nothing})"
    return f"IF({known}, {mapped}, {nothing})" if known else mapped


def is_dense(keys: Collection[Any]) -> bool:
    """Whether most of the whole numbers from zero to the largest key are keys.

    >>> is_dense([0, 1, 2.0, 5]), is_dense([0, 1_000_000]), is_dense([0.5, 1]), is_dense(["a"])
    (True, False, False, False)
    """
    # NaN is not within any bounds.
    if any(isinstance(k, str) or not 0 <= k <= _EXACT or k != int(k) for k in keys):
        return False
    return bool(keys) and max(keys) < _SPARSE * len(keys)


def _one_of(text: str, dtype: str, keys: Sequence[Any]) -> str:
    numbers = [literal(k, dtype) for k in keys if k == k]
    tests = []
    if len(numbers) == 1:
        tests.append(f"({text} = {numbers[0]})")
    elif numbers:
        tests.append(f"({text} IN ({', '.join(numbers)}))")
    if len(numbers) < len(keys):
        tests.append(f"isnan({text})")
    return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"


def _map(entries: Mapping[Any, Any], default: Any, key: str, value: str) -> str:
    """A map of constants, of as many keys as it takes for Spark to hash it.

    The keys that fill it up have the default, which is right for whoever has one of them. The
    text is of few tokens: a literal for each key would take Spark's parser seconds.
    """
    keys = _array(list(entries), key)
    values = _array(list(entries.values()), value)
    more = HASHED - len(entries)
    if more > 0 and key not in ("int8", "int16"):
        taken = {
            str(int(k)) if isinstance(k, float) and k.is_integer() else str(k) for k in entries
        }
        start = next(
            n
            for n in range(1_000_000, 16_000_000, HASHED)
            if taken.isdisjoint(map(str, range(n, n + HASHED)))
        )
        fill = f"CAST(sequence({start}, {start + more - 1}) AS ARRAY<{SQL_TYPES[key]}>)"
        keys = f"concat({keys}, {fill})"
        values = f"concat({values}, array_repeat({literal(default, value)}, {more}))"
    return f"map_from_arrays({keys}, {values})"


def _array(values: Sequence[Any], dtype: str) -> str:
    texts = [v if dtype == "str" else _number(v, dtype) for v in values]
    between = next(c for c in _SEPARATORS if not any(c in text for text in texts))
    split = f"split({literal(between.join(texts), 'str')}, '{between}')"
    return split if dtype == "str" else f"CAST({split} AS ARRAY<{SQL_TYPES[dtype]}>)"


def literal(value: Any, dtype: str) -> str:
    r"""A constant, so written that Spark reads back the same bits.

    >>> literal(0.1, "float64"), literal(-2, "int64"), literal("it's", "str")
    ('0.1D', '-2L', "'it\\'s'")
    """
    if dtype == "str":
        return "'" + "".join(_CHARACTERS.get(c, c) for c in value) + "'"
    if dtype == "bool":
        return "true" if value else "false"
    if dtype.startswith("int"):
        return f"{int(value)}{_SUFFIX[dtype]}"
    text = _number(value, dtype)
    return (
        f"{text}{_SUFFIX[dtype]}" if np.isfinite(value) else f"CAST('{text}' AS {SQL_TYPES[dtype]})"
    )


def _number(value: Any, dtype: str) -> str:
    """A number as Spark's cast of a string reads it."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtype.startswith("int"):
        return str(int(value))
    if not np.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    # NumPy's shortest text that reads back as this very number, of this very type; that of the
    # greatest float is a little above it, which Spark's parser refuses.
    exact = np.dtype(dtype).type(value)
    return repr(float(exact)) if abs(exact) == np.finfo(exact.dtype).max else str(exact)


_CHARACTERS = {"'": "\\'", "\\": "\\\\", "\ufdd0": "\\uFDD0", "\n": "\\n", "\r": "\\r", "\0": "\\0"}


_ARITHMETIC = {"add": ("+", 1), "sub": ("-", 1), "mul": ("*", 2), "div": ("/", 2)}
"""How an operation is written, and how closely it binds its operands."""
_HIGHEST = 3


def _is_plain(x: Expr) -> bool:
    """Whether an operation of arithmetic is written as no more than that."""
    return x.op != "div" or (x.dtype == "float64" and is_nonzero(x.args[1]))


def _infix(sign: str) -> Callable[..., str]:
    return lambda x, a, b: f"({a} {sign} {b})"


def _function(name: str) -> Callable[..., str]:
    """A function that Spark computes in double."""

    def text(x: Expr, *args: str) -> str:
        called = f"{name}({', '.join(args)})"
        return called if x.dtype == "float64" else f"CAST({called} AS {SQL_TYPES[x.dtype]})"

    return text


def _same_type(name: str) -> Callable[..., str]:
    return lambda x, *args: f"{name}({', '.join(args)})"


def _less(sign: str) -> Callable[..., str]:
    def text(x: Expr, a: str, b: str) -> str:
        compared = f"({a} {sign} {b})"
        return compared if is_number(x.args[1]) else f"({compared} AND NOT isnan({b}))"

    return text


def _equal(x: Expr, a: str, b: str) -> str:
    compared = f"({a} = {b})"
    return compared if any(map(is_number, x.args)) else f"({compared} AND NOT isnan({a}))"


def is_number(x: Expr) -> bool:
    """Whether the value is never NaN, as far as is seen at a glance."""
    if x.op == "literal":
        return bool(x.dtype == "str" or x.value == x.value)
    if x.op == "lookup":
        return all(v == v for v in (*x.value.entries.values(), x.value.default))
    return not x.dtype.startswith("float")


def _divide(x: Expr, a: str, b: str) -> str:
    if not x.dtype.startswith("float"):
        raise NotCompilableError("Div of integers has no form in SQL.")
    text = f"({a} / {b})"
    if not is_nonzero(x.args[1]):
        # pow keeps the sign of a zero, as a division by it would.
        by_zero = f"({a} * CAST(pow({b}, -1D) AS {SQL_TYPES[x.dtype]}))"
        text = f"IF({b} = {literal(0, x.dtype)}, {by_zero}, {text})"
    # Spark divides floats as doubles; rounded, the quotient is the one of floats.
    return text if x.dtype == "float64" else f"CAST({text} AS {SQL_TYPES[x.dtype]})"


def is_nonzero(x: Expr) -> bool:
    """Whether the value is never zero, as far as is seen at a glance."""
    if x.op == "literal":
        return bool(x.value != 0)
    if x.op == "lookup":
        return all(v != 0 for v in (*x.value.entries.values(), x.value.default))
    if x.op == "where":
        condition, yes, no = x.args
        # where(x = 0, 1, x)
        spares = condition.op == "eq" and condition.args[0] is no and is_zero(condition.args[1])
        return is_nonzero(yes) and (spares or is_nonzero(no))
    if x.op == "add":
        if any(a.is_literal and a.value > 0 for a in x.args) and all(map(_is_positive, x.args)):
            return True
        return _is_softmax(x)
    return False


def is_zero(x: Expr) -> bool:
    """Whether it is the constant zero."""
    return bool(x.is_literal and x.value == 0)


def _is_positive(x: Expr) -> bool:
    """Never below zero."""
    if x.op in ("literal",):
        return bool(x.value >= 0)
    return x.op in ("exp", "abs", "sqrt") or (x.op == "add" and all(map(_is_positive, x.args)))


def _is_softmax(x: Expr) -> bool:
    """A sum of exp(x_i - max(x_0 … x_k)), one of which is exp(0)."""
    terms = list(flat(x, "add"))
    if not all(t.op == "exp" and t.args[0].op == "sub" for t in terms):
        return False
    tops = {t.args[0].args[1] for t in terms}
    if len(tops) != 1:
        return False
    return set(flat(tops.pop(), "max")) <= {t.args[0].args[0] for t in terms}


def flat(x: Expr, op: str) -> Iterable[Expr]:
    """The terms of a sum of sums, or of what else `op` joins."""
    if x.op != op:
        yield x
        return
    for argument in x.args:
        yield from flat(argument, op)


def _log(x: Expr, a: str) -> str:
    nan, lowest = literal(np.nan, "float64"), literal(-np.inf, "float64")
    text = f"CASE WHEN {a} > 0 THEN ln({a}) WHEN {a} = 0 THEN {lowest} ELSE {nan} END"
    return text if x.dtype == "float64" else f"CAST({text} AS {SQL_TYPES[x.dtype]})"


def _least(x: Expr, a: str, b: str) -> str:
    tests = [t for arg, t in zip(x.args, (a, b), strict=True) if not is_number(arg)]
    found = f"least({a}, {b})"
    for test in tests:
        found = f"IF(isnan({test}), {test}, {found})"
    return found


_TEXT: dict[str, Callable[..., str]] = {
    "div": _divide,
    "neg": lambda x, a: f"(-{a})",
    "abs": _same_type("abs"),
    "exp": _function("exp"),
    "log": _log,
    "sqrt": _function("sqrt"),
    "pow": _function("pow"),
    "tanh": _function("tanh"),
    "max": _same_type("greatest"),
    "min": _least,
    "lt": _less("<"),
    "le": _less("<="),
    "eq": _equal,
    "and": _infix("AND"),
    "or": _infix("OR"),
    "not": lambda x, a: f"(NOT {a})",
    "isnan": _same_type("isnan"),
    "present": lambda x, a: f"({a} IS NOT NULL)",
    "where": _same_type("IF"),
}


# --- what is computed once --------------------------------------------------------------------

_CHEAP = {"bool": 12}
"""Expressions of so many nodes are computed again where they are used again; 3 for numbers."""


def shared(outputs: Sequence[Expr], also: Sequence[Expr] = ()) -> list[Expr]:
    """Expressions that are written more than once and are worth a column, the inner ones first.

    `also` are written once more than the outputs show.

    A column is computed for every row. So a part of a tree, or what is made of trees, becomes one
    only where it is certain to be needed, and stays in the branches of a choice otherwise.
    """
    uses: Counter[Expr] = Counter()
    certain: Counter[Expr] = Counter()
    order: list[Expr] = []
    for x, is_certain in in_order(outputs):
        order.append(x)
        for place, argument in enumerate(x.args):
            uses[argument] += _WRITTEN.get(x.op, 1)
            certain[argument] += is_certain and (x.op != "where" or place == 0)
    for x in (*outputs, *also):
        certain[x] += 1
    uses.update(also)
    trees: set[Expr] = set()
    of_trees: set[Expr] = set()
    written: dict[Expr, int] = {}
    found = []
    for x in order:
        if x.op == "where" and all(a.is_literal or a in trees for a in x.args[1:]):
            trees.add(x)
        if x in trees or any(a in of_trees for a in x.args):
            of_trees.add(x)
        written[x] = 1 + sum(written[a] for a in x.args)
        again = certain[x] if x in of_trees else uses[x]
        if again > 1 and (written[x] > _CHEAP.get(x.dtype, 3) or x.op in ("exp", "lookup")):
            found.append(x)
            of_trees.discard(x)
            written[x] = 1
    return found


_WRITTEN = {"log": 3, "min": 2, "div": 2}
"""How often the text of an operation may have that of its operands."""


def written_size(outputs: Sequence[Expr]) -> int:
    """The operations of the outputs written out, each as often as their text has it."""
    sizes: dict[Expr, int] = {}
    for x, _ in in_order(outputs):
        times = _WRITTEN.get(x.op, 1)
        sizes[x] = 1 + sum(times * sizes[a] for a in x.args)
    return sum(sizes[x] for x in outputs)


def in_order(outputs: Sequence[Expr]) -> list[tuple[Expr, bool]]:
    """Every expression after those in it, and whether it is computed for every row."""
    certain: set[Expr] = set()
    stack = list(outputs)
    while stack:
        x = stack.pop()
        if x not in certain:
            certain.add(x)
            stack.extend(x.args[:1] if x.op == "where" else x.args)
    order: list[tuple[Expr, bool]] = []
    seen: set[Expr] = set()
    work = [(x, False) for x in reversed(outputs)]
    while work:
        x, done = work.pop()
        if done:
            order.append((x, x in certain))
        elif x not in seen:
            seen.add(x)
            work.append((x, True))
            work.extend((a, False) for a in x.args)
    return order
