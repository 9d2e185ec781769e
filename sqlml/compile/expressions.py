"""Scalar expressions: what a graph computes for one row, column by column.

An expression is a node of a DAG. An `Arena` makes the nodes, equal ones once, and simplifies
as it goes: constants are folded with NumPy in the graph's own element types, so that what is
folded has the bits that an engine would compute; whatever depends on one category alone
becomes a lookup in a table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.errors import NotCompilableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlml.compile.facts import Fact

    Key = str | float | int
    Array = np.ndarray[Any, Any]

MAX_NODES = 25_000
"""Nodes of one model; past them it is no expression that anyone would want in a plan."""


@dataclass(frozen=True, eq=False, slots=True)
class Expr:
    """One node. Two nodes of an arena are the same object if they are the same expression."""

    op: str
    args: tuple[Expr, ...]
    dtype: str
    """NumPy's name of the element type; "str" for strings."""
    value: Any = None
    """Of a literal its value, of an input its index, of a lookup its `Table`."""

    @property
    def is_literal(self) -> bool:
        return self.op == "literal"


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A function of one category: a value for some keys, `default` for all others."""

    entries: Mapping[Key, Any]
    default: Any
    inverse: dict[Any, list[Key]] = field(default_factory=dict)
    """Keys by value, made when it is first asked for."""

    def keys_of(self, value: Any) -> list[Key]:
        """The keys that have a value."""
        if not self.inverse:
            for key, found in self.entries.items():
                self.inverse.setdefault(found, []).append(key)
        return self.inverse.get(value, [])


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return np.where(condition, yes, no)


# NumPy's function for each elementwise operation; text.py has Spark's.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "pow": np.power,
    "tanh": np.tanh,
    "max": np.maximum,
    "min": np.minimum,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "isnan": np.isnan,
    "where": _where,
}
_BOOLEAN = frozenset(("lt", "le", "eq", "and", "or", "not", "isnan"))


class Arena:
    """Where the expressions of one model are made."""

    def __init__(self, facts: Mapping[int, Fact] | None = None) -> None:
        self.facts = dict(facts or {})
        """What a query is known to hold of inputs, by their number."""
        self._nodes: dict[tuple[Any, ...], Expr] = {}

    def literal(self, value: Any, dtype: str) -> Expr:
        """A constant."""
        if dtype == "str":
            return self._node("literal", (), dtype, str(value), str(value))
        exact = np.dtype(dtype).type(value)
        return self._node("literal", (), dtype, exact, exact.tobytes())

    def input(self, index: int, dtype: str) -> Expr:
        """A model input; a constant where the facts leave one value."""
        value = _only_value(self.facts.get(index))
        if value is not None:
            return self.literal(value, dtype)
        return self._node("input", (), dtype, index, index)

    def present(self, x: Expr) -> Expr:
        """Whether an input is not NULL, for the types that have no value for missing."""
        fact = self.facts.get(x.value) if x.op == "input" else None
        if x.is_literal or (fact is not None and fact.not_null):
            return self.literal(True, "bool")
        return self._node("present", (x,), "bool")

    def apply(self, op: str, *args: Expr) -> Expr:
        """An elementwise operation of `FUNCTIONS`, simplified."""
        dtype = "bool" if op in _BOOLEAN else args[-1].dtype
        if all(a.is_literal for a in args):
            return self._folded(op, args, dtype)
        simpler = _SIMPLER[op](self, *args) if op in _SIMPLER else None
        if simpler is not None:
            return simpler
        if sum(a.op == "lookup" for a in args) and (mapped := self._mapped(op, args, dtype)):
            return mapped
        return self._node(op, args, dtype)

    def again(self, x: Expr, args: Sequence[Expr]) -> Expr:
        """An expression of another arena over arguments of this one."""
        match x.op:
            case "literal":
                return self.literal(x.value, x.dtype)
            case "input":
                return self.input(x.value, x.dtype)
            case "present":
                return self.present(args[0])
            case "cast":
                return self.cast(args[0], x.dtype)
            case "lookup":
                return self.lookup(args[0], x.value.entries, x.value.default, x.dtype)
        return self.apply(x.op, *args)

    def cast(self, x: Expr, dtype: str) -> Expr:
        """Another element type, rounded as C does."""
        if x.dtype == dtype:
            return x
        if "str" in (x.dtype, dtype):
            raise NotCompilableError("Cast between strings and numbers has no exact form in SQL.")
        if x.is_literal:
            return self.literal(_cast(x.value, dtype), dtype)
        if x.op == "lookup":
            table = x.value
            entries = {k: _cast(v, dtype) for k, v in table.entries.items()}
            return self.lookup(x.args[0], entries, _cast(table.default, dtype), dtype)
        return self._node("cast", (x,), dtype)

    def lookup(self, x: Expr, entries: Mapping[Key, Any], default: Any, dtype: str) -> Expr:
        """A value by key. `x` is a string, or a number whose NaN may be a key."""
        # One NaN for all tables: two are two keys, and would not meet where tables are joined.
        entries = {key if key == key else np.nan: value for key, value in entries.items()}
        if x.is_literal:
            return self.literal(_found(entries, x.value, default), dtype)
        if x.op == "where" and x.args[0].op == "lookup" and x.args[1].is_literal:
            # An imputer before an encoder: where(is_missing(c), 'S', c).
            condition, fill, rest = x.args
            if condition.args[0] is rest:
                return self._imputed(condition.value, fill.value, rest, entries, default, dtype)
        fact = self.facts.get(x.value) if x.op == "input" else None
        if fact is not None and fact.values and fact.not_null:
            known = {v: _found(entries, v, default) for v in fact.values}
            if len({_bits(v) for v in known.values()}) == 1:
                return self.literal(next(iter(known.values())), dtype)
            entries = {k: v for k, v in entries.items() if k in known}
        kept = {k: v for k, v in entries.items() if not _same(v, default)}
        if not kept:
            return self.literal(default, dtype)
        key = (tuple(kept.items()), _bits(default))
        return self._node("lookup", (x,), dtype, Table(kept, default), key)

    def equal_to(self, x: Expr, value: Any) -> Expr:
        """Whether x is a value, quickly where x is a lookup of many keys."""
        if x.op == "lookup" and not _same(x.value.default, value) and value == value:
            return self.lookup(
                x.args[0], dict.fromkeys(x.value.keys_of(value), True), False, "bool"
            )
        return self.apply("eq", x, self.literal(value, x.dtype))

    def sum(self, terms: Sequence[Expr]) -> Expr:
        """The sum, pairwise; what depends on one category is added up beforehand."""
        tables: dict[Expr, list[Expr]] = {}
        for term in terms:
            if term.op == "lookup":
                tables.setdefault(term.args[0], []).append(term)
        left: list[Expr] = []
        for term in terms:
            if term.op != "lookup":
                left.append(term)
            elif group := tables.pop(term.args[0], None):
                left.append(self._added(group))
        return self.balanced("add", left)

    def balanced(self, op: str, terms: Sequence[Expr]) -> Expr:
        """An operation on any number of terms, pairwise: a deep chain would be a deep plan."""
        while len(terms) > 1:
            pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
            terms = [self.apply(op, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return terms[0]

    # --- how -------------------------------------------------------------------------------

    def _node(
        self, op: str, args: tuple[Expr, ...], dtype: str, value: Any = None, key: Any = None
    ) -> Expr:
        known = (op, dtype, key, *map(id, args))
        if known not in self._nodes:
            if len(self._nodes) >= MAX_NODES:
                raise NotCompilableError(f"The model has more than {MAX_NODES:,} operations a row.")
            self._nodes[known] = Expr(op, args, dtype, value)
        return self._nodes[known]

    def _folded(self, op: str, args: Sequence[Expr], dtype: str) -> Expr:
        with np.errstate(all="ignore"):
            return self.literal(FUNCTIONS[op](*(a.value for a in args)), dtype)

    def _mapped(self, op: str, args: tuple[Expr, ...], dtype: str) -> Expr | None:
        """An operation on lookups of one category and constants: done for each key."""
        bases = {a.args[0] for a in args if a.op == "lookup"}
        if len(bases) != 1 or not all(a.is_literal or a.op == "lookup" for a in args):
            return None
        keys = list(dict.fromkeys(k for a in args if a.op == "lookup" for k in a.value.entries))
        columns = [_column(a, keys) for a in args]
        with np.errstate(all="ignore"):
            found = FUNCTIONS[op](*columns).astype(object if dtype == "str" else dtype)
        entries = dict(zip(keys, found[:-1], strict=True))
        return self.lookup(bases.pop(), entries, found[-1], dtype)

    def _added(self, group: Sequence[Expr]) -> Expr:
        """The sum of lookups of one category."""
        if len(group) == 1:
            return group[0]
        keys = list(dict.fromkeys(k for term in group for k in term.value.entries))
        places = {key: i for i, key in enumerate(keys)}
        total: Array | None = None
        for term in group:
            column = np.full(len(keys) + 1, term.value.default, term.dtype)
            for key, value in term.value.entries.items():
                column[places[key]] = value
            total = column if total is None else total + column
        assert total is not None
        entries = dict(zip(keys, total[:-1], strict=True))
        return self.lookup(group[0].args[0], entries, total[-1], group[0].dtype)

    def _imputed(
        self,
        missing: Table,
        fill: Any,
        x: Expr,
        entries: Mapping[Key, Any],
        default: Any,
        dtype: str,
    ) -> Expr:
        filled = _found(entries, fill, default)
        keys = dict.fromkeys([*missing.entries, *entries])
        chosen = {
            k: filled if missing.entries.get(k, missing.default) else entries.get(k, default)
            for k in keys
        }
        return self.lookup(x, chosen, filled if missing.default else default, dtype)


def _column(x: Expr, keys: Sequence[Key]) -> Any:
    """A literal, or a lookup's values for the keys and its default after them."""
    if x.is_literal:
        return x.value
    entries, default = x.value.entries, x.value.default
    kind: Any = object if x.dtype == "str" else x.dtype
    return np.array([*(entries.get(k, default) for k in keys), default], dtype=kind)


def _found(entries: Mapping[Key, Any], key: Any, default: Any) -> Any:
    if key != key:  # NaN is a key that equals nothing
        return next((v for k, v in entries.items() if k != k), default)
    return entries.get(key, default)


def _cast(value: Any, dtype: str) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype)[()]


def _bits(value: Any) -> Any:
    return value if isinstance(value, str) else np.asarray(value).tobytes()


def _same(a: Any, b: Any) -> bool:
    return bool(_bits(a) == _bits(b))


# --- simpler forms ---------------------------------------------------------------------------


def _plus(arena: Arena, a: Expr, b: Expr) -> Expr | None:
    # x + 0.0 is x, but for the sign of a zero, which no output shows.
    if b.is_literal and b.value == 0:
        return a
    return b if a.is_literal and a.value == 0 else None


def _minus(arena: Arena, a: Expr, b: Expr) -> Expr | None:
    return a if b.is_literal and b.value == 0 else None


def _times(arena: Arena, a: Expr, b: Expr) -> Expr | None:
    for x, factor in ((a, b), (b, a)):
        if factor.is_literal and factor.value == 1:
            return x
    return None


def _over(arena: Arena, a: Expr, b: Expr) -> Expr | None:
    if b.is_literal and b.value == 1:
        return a
    return None


def _less(strict: bool) -> Callable[[Arena, Expr, Expr], Expr | None]:
    """A comparison that the facts decide, or one without the cast to float32 before it."""

    def simpler(arena: Arena, a: Expr, b: Expr) -> Expr | None:
        if not b.is_literal or b.dtype not in ("float32", "float64") or b.value != b.value:
            return None
        bound = b.value
        if a.op == "cast" and a.dtype == "float32" and a.args[0].dtype == "float64":
            # float32(x) <= t  is  x <= the greatest double that rounds to at most t.
            bound = np.nextafter(bound, np.float32(-np.inf)) if strict else bound
            if np.isinf(bound):
                return None
            return arena.apply("le", a.args[0], arena.literal(_last_below(bound), "float64"))
        if a.op == "cast" and a.dtype == "float64" and a.args[0].dtype == "float32":
            return _narrow(arena, a.args[0], bound, strict)
        decided = (
            _decided(arena.facts.get(a.value), a.dtype, bound, strict) if a.op == "input" else None
        )
        return None if decided is None else arena.literal(decided, "bool")

    return simpler


def _only_value(fact: Fact | None) -> Any:
    """The one value that an input has in every row, if there is one."""
    if fact is None or not fact.not_null:
        return None
    if fact.values is not None:
        return fact.values[0] if len(fact.values) == 1 else None
    # A bound of zero leaves -0.0 and 0.0.
    is_point = fact.low is not None and fact.low == fact.high and fact.low != 0
    return fact.low if is_point and not fact.may_be_nan else None


def _decided(fact: Fact | None, dtype: str, bound: Any, strict: bool) -> bool | None:
    """Whether an input is below (or at) a bound in every row, or in none."""
    if fact is None:
        return None
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        if fact.low is not None and not FUNCTIONS["lt" if strict else "le"](kind(fact.low), bound):
            return False  # nor is NULL, which arrives as NaN, or NaN itself
        if fact.high is not None and fact.not_null and not fact.may_be_nan:
            reached = FUNCTIONS["lt" if strict else "le"](kind(fact.high), bound)
            return True if reached else None
    return None


def _narrow(arena: Arena, x: Expr, bound: Any, strict: bool) -> Expr | None:
    """A float32 against a double, as a comparison of float32."""
    with np.errstate(over="ignore"):
        near = np.float32(bound)
    if near > bound:
        near = np.nextafter(near, np.float32(-np.inf))
    if np.isinf(near):
        return None
    op = "lt" if strict and near == bound else "le"
    return arena.apply(op, x, arena.literal(near, "float32"))


def _last_below(bound: np.float32) -> np.float64:
    """The greatest double that float32 rounds to `bound` or less (half to even).

    >>> x = _last_below(np.float32(0.1))
    >>> bool(np.float32(x) <= np.float32(0.1) < np.float32(np.nextafter(x, np.inf)))
    True
    """
    above = np.nextafter(bound, np.float32(np.inf))
    if np.isinf(above):  # what rounds to infinity begins half a step above the greatest
        above_exact = np.float64(bound) + (
            np.float64(bound) - np.float64(np.nextafter(bound, np.float32(-np.inf)))
        )
    else:
        above_exact = np.float64(above)
    middle = (np.float64(bound) + above_exact) / 2
    with np.errstate(over="ignore"):
        stays = np.float32(middle) <= bound
    return middle if stays else np.nextafter(middle, np.float64(-np.inf))


def _not(arena: Arena, a: Expr) -> Expr | None:
    return a.args[0] if a.op == "not" else None


def _and(arena: Arena, a: Expr, b: Expr) -> Expr | None:
    for x, other in ((a, b), (b, a)):
        if x.is_literal:
            return other if x.value else x
    return None


def _or(arena: Arena, a: Expr, b: Expr) -> Expr | None:
    for x, other in ((a, b), (b, a)):
        if x.is_literal:
            return x if x.value else other
    return None


def _isnan(arena: Arena, a: Expr) -> Expr | None:
    fact = arena.facts.get(a.value) if a.op == "input" else None
    if fact is not None and fact.not_null and not fact.may_be_nan:
        return arena.literal(False, "bool")
    # A narrower float is NaN where the wider one was.
    return arena.apply("isnan", a.args[0]) if a.op == "cast" and _is_float(a.args[0]) else None


def _is_float(x: Expr) -> bool:
    return x.dtype in ("float32", "float64")


def _choose(arena: Arena, condition: Expr, yes: Expr, no: Expr) -> Expr | None:
    if condition.is_literal:
        return yes if condition.value else no
    return yes if yes is no else None


def _power(arena: Arena, a: Expr, b: Expr) -> Expr | None:
    return arena.apply("mul", a, a) if b.is_literal and b.value == 2 else None


_SIMPLER: dict[str, Callable[..., Expr | None]] = {
    "add": _plus,
    "sub": _minus,
    "mul": _times,
    "div": _over,
    "pow": _power,
    "lt": _less(strict=True),
    "le": _less(strict=False),
    "not": _not,
    "and": _and,
    "or": _or,
    "isnan": _isnan,
    "where": _choose,
}
