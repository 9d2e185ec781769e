"""CountVectorizer, TfidfVectorizer and TfidfTransformer: texts → counts → weights."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.sklearn.frame import Part, Table, name_of
from sqlml.convert.texts import Terms, characters, counted, prepare, tokens
from sqlml.errors import NotConvertibleError
from sqlml.signature import APART

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph

_ACCENTS: dict[str | None, tuple[str, ...]] = {
    None: (),
    "unicode": ("without accents",),
    "ascii": ("in ASCII",),
}

# `\w\w+`, `\S+`, `[a-z]{3,}` …, with or without `\b` around.
_PATTERN = re.compile(r"(\\b)?(?:((?:\\w)+)|(\\S)|(\[[^\\\]^&|~\[]+\]))(?:\+|\{(\d+),\})(\\b)?")


def _counts(g: Graph, step: Any, table: Table) -> Table:
    """[N, terms] counts, as CountVectorizer gives them."""
    part = _text(step, table)
    terms = _terms(step)
    if step.analyzer == "word":
        found = tokens(g, part.tensor, _expression(step))
        spacing: tuple[str, ...] = ()
    else:
        found = tokens(g, part.tensor, None)
        spacing = ("single spaces",) if step.analyzer == "char" else ("words apart",)
    lower = ("lower case",) if step.lowercase else ()
    assert part.source is not None
    preparations = (*lower, *_ACCENTS[step.strip_accents], *spacing)
    prepare(g, name_of(step), part.source, preparations, terms.width)
    counts = counted(g, found, terms)
    if step.binary:
        counts = g.node("Min", counts, g.const(np.array(1.0)))
    return Table((Part(counts, terms.width),), None, sparse=True)


def _text(step: Any, table: Table) -> Part:
    """The one input that a vectorizer reads."""
    if table.width != 1 or table.kind != "STRING":
        raise NotConvertibleError(
            name_of(step), "it takes one column of texts.", "Give a sample of the training data."
        )
    (part,) = table.parts
    if part.source is None or part.imputed or part.categorical:
        raise NotConvertibleError(
            name_of(step), "its texts are made by another step.", "Make them in SQL before PREDICT."
        )
    return part


def _terms(step: Any) -> Terms:
    """What is counted, as sequences of tokens. What no text can have is left out."""
    _check_plain(step)
    vocabulary = {str(term): int(column) for term, column in step.vocabulary_.items()}
    least, most = step.ngram_range
    if step.analyzer != "word":
        found = {tuple(t): c for t, c in vocabulary.items() if least <= len(t) <= most}
        if step.analyzer == "char_wb":  # a word that is shorter than all sequences is one itself
            found |= {tuple(t): c for t, c in vocabulary.items() if _is_word(t) and len(t) < least}
            found = {term: column for term, column in found.items() if APART not in term}
        return Terms(found, len(vocabulary))
    tokenize = step.build_tokenizer()
    stopped = frozenset(step.get_stop_words() or ())
    read = {tuple(term.split(" ")): column for term, column in vocabulary.items()}
    found = {
        term: column
        for term, column in read.items()
        if least <= len(term) <= most
        and stopped.isdisjoint(term)
        and all(tokenize(token) == [token] for token in term)
    }
    return Terms(found, len(vocabulary), stopped)


def _is_word(term: str) -> bool:
    """Whether characters are those of a whole word, between its spaces."""
    return len(term) > 2 and term[0] == term[-1] == " " and term.split() == [term[1:-1]]


def _check_plain(step: Any) -> None:
    """Refuse what runs an author's code, or reads files."""
    for name in ("analyzer", "preprocessor", "tokenizer", "strip_accents"):
        if callable(getattr(step, name)):
            raise NotConvertibleError(
                name_of(step),
                f"its {name} runs Python code.",
                "Use the options of the vectorizer, or make the texts in SQL before PREDICT.",
            )
    if step.dtype == np.float32:
        raise NotConvertibleError(
            name_of(step), "its dtype is float32, and so all that follows.", "Leave dtype out."
        )
    if step.input != "content":
        raise NotConvertibleError(name_of(step), "it reads files.", "Give it the texts.")


def _expression(step: Any) -> str:
    """The expression of RE2 that finds the same tokens as the step's `token_pattern`."""
    pattern = step.token_pattern.removeprefix("(?u)")
    read = _PATTERN.fullmatch(pattern)
    if read is not None:
        start, word, visible, own, least, end = read.groups()
        count = int(least) if least else 1
        bounded = bool(start or end)
        if word:  # A run of them is bounded by itself.
            return f"{characters('w')}{{{len(word) // 2 - 1 + count},}}"
        if visible and not bounded:
            return f"{characters('S')}{{{count},}}"
        if own and own.isascii() and not bounded and not re.search(own, string.whitespace):
            return f"{own}{{{count},}}"
        if own and start and end and step.ngram_range[1] == 1 and _within_words(own):
            # Whole runs are found, and those that are not of the class are in no table.
            return f"{characters('w')}+"
    raise NotConvertibleError(
        name_of(step),
        f"its token_pattern {step.token_pattern!r} has no certain form here.",
        r"Use a pattern like r'\b\w\w+\b', r'\w{3,}', r'\S+' or r'[a-z]+'.",
    )


def _within_words(own: str) -> bool:
    """Whether a class has only characters of words."""
    return all(re.match(r"\w", chr(c)) for c in range(128) if re.match(own, chr(c)))


def _weights(g: Graph, step: Any, table: Table) -> Table:
    """The weights of counts, as TfidfTransformer gives them."""
    x = table.matrix(g, step, "DOUBLE")
    if step.sublinear_tf:
        zero, one = g.const(np.array(0.0)), g.const(np.array(1.0))
        absent = g.node("Equal", x, zero)
        logarithm = g.node("Log", g.node("Where", absent, one, x))
        x = g.node("Where", absent, zero, g.node("Add", logarithm, one))
    if step.use_idf:
        x = g.node("Mul", x, g.const(np.asarray(step.idf_, dtype="float64").reshape(1, -1)))
    if step.norm is not None:
        size = _NORMS[step.norm](g, x)
        nothing = g.node("Equal", size, g.const(np.array(0.0)))
        x = g.node("Div", x, g.node("Where", nothing, g.const(np.array(1.0)), size))
    return Table((Part(x, table.width),), None, sparse=True)


_ROWS = {"keepdims": 1}
_NORMS = {
    "l1": lambda g, x: g.node("ReduceL1", x, g.const([1], "int64"), **_ROWS),
    "l2": lambda g, x: g.node("ReduceL2", x, g.const([1], "int64"), **_ROWS),
}


def _weighted_counts(g: Graph, step: Any, table: Table) -> Table:
    return _weights(g, step._tfidf, _counts(g, step, table))


TRANSFORMS = {
    "CountVectorizer": _counts,
    "TfidfTransformer": _weights,
    "TfidfVectorizer": _weighted_counts,
}
PREDICTORS: dict[str, Any] = {}


def takes_texts(model: Any) -> bool:
    """Whether the model is called with texts alone, not with a table that has a column of them."""
    if name_of(model) in ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer"):
        return True
    for attribute in ("steps", "transformer_list", "estimators"):
        inside = getattr(model, attribute, None)
        if isinstance(inside, list) and inside:
            first = next((s for _, s, *_ in inside if s not in (None, "passthrough")), None)
            return first is not None and takes_texts(first)
    inner = getattr(model, "estimator", None)
    return inner is not None and takes_texts(inner)
