"""Texts → counts of what is in them: ONNX Runtime's Tokenizer, then ONNX's TfIdfVectorizer.

The Tokenizer finds what a regular expression of RE2 matches, from left to right. RE2 knows the
classes of characters in ASCII only, so they are spelled out as Python has them.
Each token becomes a number, its place in a table of those that count: so n-grams are compared as
numbers. A graph's input is a text that `Input.prepared` tells how to change before.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

from sqlml.convert.graph import DOUBLE, INT64, STRING
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.convert.graph import Graph

_RUNTIME = "com.microsoft"
_LAST = 0x110000
_SURROGATES = range(0xD800, 0xE000)
_STOP = -1
"""The number of a token that is taken out of its sentence. What is not in a table is 0."""

SPACING = ("single spaces", "words apart")
"""Preparations that take nothing from a word, so that they go together with others' needs."""


@functools.cache
def characters(kind: str) -> str:
    r"""The class of characters of Python's `\w` or `\S`, spelled out for RE2.

    >>> characters("w").startswith(r"[0-9A-Z\x5fa-z")
    True
    """
    wanted: Callable[[str], bool] = {
        "w": lambda c: c.isalnum() or c == "_",  # as the module `re` defines them
        "S": lambda c: not c.isspace(),
    }[kind]
    codes = [c for c in range(_LAST) if c not in _SURROGATES and wanted(chr(c))]
    breaks = np.flatnonzero(np.diff(codes) != 1)
    starts = [codes[0], *(codes[i + 1] for i in breaks)]
    ends = [*(codes[i] for i in breaks), codes[-1]]
    return f"[{''.join(map(_range, starts, ends))}]"


def _range(start: int, end: int) -> str:
    def escaped(code: int) -> str:
        return f"\\x{code:02x}" if code < 128 and not chr(code).isalnum() else chr(code)

    return escaped(start) if start == end else f"{escaped(start)}-{escaped(end)}"


def tokens(g: Graph, text: str, pattern: str | None) -> str:
    """[N, L] strings: what the expression finds in an [N, 1] text, or each of its characters.

    Shorter rows end in empty strings.
    """
    g.domains[_RUNTIME] = 1
    how = {"separators": [""]} if pattern is None else {"tokenexp": pattern}
    flat = g.node("Reshape", text, g.const([-1], "int64"))
    found = g.node("Tokenizer", flat, domain=_RUNTIME, mark=0, mincharnum=1, pad_value="", **how)
    # It says for ONNX, which does not know the Tokenizer, what comes: onnx 1.22's inference of
    # types ends the process where a LabelEncoder's input has none. ONNX Runtime leaves it out.
    return g.node("Cast", found, to=STRING)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is counted: sequences of tokens, each with its column."""

    found: dict[tuple[str, ...], int]
    width: int
    """Of the matrix of counts: some columns may be of terms that no text can have."""
    stopped: frozenset[str] = frozenset()
    """Tokens that are taken out before sequences are looked for."""


def counted(g: Graph, found: str, terms: Terms) -> str:
    """[N, width] doubles: how often each term is in the [N, L] tokens."""
    known = dict.fromkeys(token for term in terms.found for token in term)
    number = {token: i + 1 for i, token in enumerate(known)}
    longest = max((len(term) for term in terms.found), default=1)
    stopped = terms.stopped if longest > 1 else frozenset[str]()
    places = number | dict.fromkeys(sorted(stopped), _STOP)
    numbers = _with_end(g, _numbered(g, found, places))
    if stopped:
        numbers = _closed_up(g, numbers)
    counts = g.cast(_counts(g, numbers, terms, number, longest), DOUBLE)
    # ONNX, which does not know the Tokenizer, learns how many columns there are.
    return g.node("Reshape", counts, g.const([-1, terms.width], "int64"))


def _numbered(g: Graph, found: str, places: dict[str, int]) -> str:
    names = np.array(list(places) or ["?"], dtype=object)
    values = np.array(list(places.values()) or [0], dtype=np.int64)
    return g.node(
        "LabelEncoder",
        found,
        domain="ai.onnx.ml",
        keys_tensor=numpy_helper.from_array(names, "keys"),
        values_tensor=numpy_helper.from_array(values, "values"),
        default_tensor=numpy_helper.from_array(np.array([0], dtype=np.int64), "default"),
    )


def _with_end(g: Graph, numbers: str) -> str:
    """A column more, of what is in no table: texts without a token have none else."""
    rows = g.node("Shape", numbers, start=0, end=1)
    shape = g.node("Concat", rows, g.const([1], "int64"), axis=0)
    return g.concat([numbers, g.node("Expand", g.const([[0]], "int64"), shape)])


def _closed_up(g: Graph, numbers: str) -> str:
    """Those that are stopped moved behind all others, which keep their order."""
    length = g.node("Shape", numbers, start=1, end=2)
    one = g.const(1, "int64")
    last = g.node("Squeeze", length)
    place = g.node("Range", g.const(0, "int64"), last, one)
    behind = g.node("Less", numbers, g.const(0, "int64"))
    order = g.node("Add", place, g.node("Mul", g.cast(behind, INT64), last))
    _, moved = g.nodes_of("TopK", [order, length], 2, axis=1, largest=0, sorted=1)
    return g.node("GatherElements", numbers, moved, axis=1)


def _counts(g: Graph, numbers: str, terms: Terms, number: dict[str, int], longest: int) -> str:
    """ONNX's TfIdfVectorizer, which counts: [N, width] floats, exact up to 2^24."""
    by_length: list[list[tuple[tuple[str, ...], int]]] = [[] for _ in range(longest)]
    for term, column in terms.found.items():
        by_length[len(term) - 1].append((term, column))
    pool: list[int] = []
    starts: list[int] = []
    columns: list[int] = []
    for entries in by_length:
        starts.append(len(pool))
        for term, column in entries:
            pool += [number[token] for token in term]
            columns.append(column)
        if not starts[-1]:
            # The last column makes the matrix as wide as it is, found or not.
            pool.append(_STOP - 1)
            columns.append(terms.width - 1)
    return g.node(
        "TfIdfVectorizer",
        numbers,
        mode="TF",
        min_gram_length=1,
        max_gram_length=longest,
        max_skip_count=0,
        ngram_counts=starts,
        ngram_indexes=columns,
        pool_int64s=pool,
    )


def prepare(g: Graph, step: str, source: int, steps: Sequence[str], terms: int) -> None:
    """Note how an input's text is changed before the graph gets it, and its columns of counts.

    Raises `NotConvertibleError` where another step has the same text changed in another way.
    """
    known = g.prepared.get(source, tuple(steps))
    if _words(known) != _words(steps) or len(both := {*_spacing(known), *_spacing(steps)}) > 1:
        raise NotConvertibleError(
            step,
            f"another step reads the same column in another form ({_told(known)}, not "
            f"{_told(steps)}).",
            "Give both steps the same options of lower case, accents and characters, or the second "
            "one a copy of the column.",
        )
    g.prepared[source] = (*_words(known), *both)
    g.terms[source] = max(terms, g.terms.get(source, 0))


def _words(steps: Sequence[str]) -> tuple[str, ...]:
    return tuple(s for s in steps if s not in SPACING)


def _spacing(steps: Sequence[str]) -> tuple[str, ...]:
    return tuple(s for s in steps if s in SPACING)


def _told(steps: Sequence[str]) -> str:
    return " and ".join(steps) or "as it is"


def check_prepared(g: Graph, step: str) -> None:
    """Raise `NotConvertibleError` where a step needs a text unchanged that another has changed."""
    changed = {f"in{i}" for i, steps in g.prepared.items() if steps}
    flat = {n.output[0] for n in g.nodes if n.op_type == "Reshape" and n.input[0] in changed}
    for node in g.nodes:
        reads = changed.intersection(node.input) if node.op_type != "Reshape" else set[str]()
        reads |= flat.intersection(node.input) if node.op_type != "Tokenizer" else set()
        if reads:
            raise NotConvertibleError(
                step,
                "a column is read as text by one step and as a category by another.",
                "Give one of them a copy of the column.",
            )
