"""A shorter way to see that all inputs of a row are finite, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sqlml.compile.formula import walk
from sqlml.compile.text import flat, in_order, is_zero

if TYPE_CHECKING:
    from sqlml.compile.expressions import Expr
    from sqlml.compile.formula import Formula


def witness(formula: Formula) -> tuple[Expr, Expr] | None:
    """The test of a formula that its inputs are finite, and a value that is not where they are not.

    A weighted sum is NaN or infinite where one of its terms is. It is computed anyway; the test,
    which adds up zero times each input, is left to the rows where the sum is not finite.
    """
    for test in flat(formula.taken, "and"):
        tested = _tested(test)
        if tested:
            kept: dict[Expr, frozenset[Expr]] = {}
            for x, is_certain in in_order(formula.outputs):
                kept[x] = _kept(x, kept)
                if is_certain and tested <= kept[x]:
                    return test, x
    return None


def _tested(x: Expr) -> frozenset[Expr]:
    """The inputs of 0 · a + 0 · b + … = 0."""
    if x.op != "eq" or not all(y.op in ("eq", "add", "mul", "input", "literal") for y in walk([x])):
        return frozenset()
    total, zero = x.args
    products = list(flat(total, "add"))
    if not is_zero(zero) or not all(p.op == "mul" and is_zero(p.args[1]) for p in products):
        return frozenset()
    return frozenset(p.args[0] for p in products)


def _kept(x: Expr, kept: dict[Expr, frozenset[Expr]]) -> frozenset[Expr]:
    """The inputs whose NaN or infinity makes the value of an expression NaN or infinite."""
    match x.op:
        case "input" if x.dtype.startswith("float"):
            return frozenset([x])
        case "add" | "sub" | "neg":
            return frozenset().union(*(kept[a] for a in x.args))
        case "mul" | "div" if _is_factor(x.args[1]):
            return kept[x.args[0]]
        case "mul" if _is_factor(x.args[0]):
            return kept[x.args[1]]
    return frozenset()


def _is_factor(x: Expr) -> bool:
    return bool(x.is_literal and np.isfinite(x.value) and x.value != 0)
