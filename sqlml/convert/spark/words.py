"""Texts → words → counts: Tokenizer, StopWordsRemover, NGram, CountVectorizer, HashingTF, IDF."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from sqlml.convert.spark.frame import (
    Element,
    Frame,
    Part,
    Words,
    features,
    name_of,
    pairs,
    row,
    scalar,
)
from sqlml.convert.texts import Terms, counted, hashed, prepare, tokens
from sqlml.errors import NotConvertibleError
from sqlml.signature import EMPTY

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph

_LOWER, _PARTED = "lower case of Java", "parted as in Java"

MOST_COLUMNS = 2**18
"""Of HashingTF, which is its default: a row of counts is dense."""

# Java's classes \s and \w know ASCII only, as RE2's do.
_VISIBLE, _WORD = r"[^ \t\n\x0b\f\r]", "[0-9A-Za-z_]"
_OWN = r"((?:[A-Za-z]-[A-Za-z]|[0-9]-[0-9]|[A-Za-z0-9_])+)"
_GAPS = {r"\s": _VISIBLE, r"\s+": _VISIBLE, r"\W": _WORD, r"\W+": _WORD}
_FOUND = {r"\S+": _VISIBLE, r"\w+": _WORD}


def _tokenize(g: Graph, stage: Any, frame: Frame) -> Frame:
    """Tokenizer: lower case, then String.split by each white space, which leaves empty words
    between two of them, but not at the end.
    """
    return _words(stage, frame, Words(r"[^\n]+", (_LOWER, _PARTED)))


def _tokenize_by(g: Graph, stage: Any, frame: Frame) -> Frame:
    """RegexTokenizer, where its expression tells one kind of characters from the others."""
    pattern, gaps = str(stage.getPattern()), bool(stage.getGaps())
    own = re.fullmatch(rf"\[\^{_OWN}\]\+?" if gaps else rf"\[{_OWN}\]\+", pattern)
    kind = (_GAPS if gaps else _FOUND).get(pattern)
    if own is not None:
        kind = f"[{own.group(1)}]"
    least = int(stage.getMinTokenLength())
    # Java counts a character beyond 16 bits as two.
    if kind is None or least < 1 or (least > 1 and kind == _VISIBLE):
        raise NotConvertibleError(
            name_of(stage),
            f"its pattern {pattern!r} with minTokenLength={least} has no exact form here.",
            r"Known are \s, \s+, \W, \W+ and [^a-z0-9]+ as gaps, \w+, \S+ and [a-z0-9]+ as words.",
        )
    lower = (_LOWER,) if stage.getToLowercase() else ()
    return _words(stage, frame, Words(f"{kind}{{{least},}}", lower))


def _words(stage: Any, frame: Frame, words: Words) -> Frame:
    part = frame.get(stage.getInputCol())
    if part is None or part.kind != "STRING" or part.source is None:
        raise NotConvertibleError(
            name_of(stage),
            f"its input {stage.getInputCol()!r} is no column of texts.",
            "Make the text in SQL before PREDICT.",
        )
    return {stage.getOutputCol(): dataclasses.replace(part, kind="WORDS", words=words)}


def _found(stage: Any, frame: Frame, name: str) -> tuple[Part, Words]:
    part = frame.get(name)
    if part is None or part.words is None:
        raise NotConvertibleError(
            name_of(stage),
            f"its input {name!r} is an array of texts, which has no form here.",
            "Publish the pipeline from the text on, with its Tokenizer.",
        )
    return part, part.words


def _stop(g: Graph, stage: Any, frame: Frame) -> Frame:
    """StopWordsRemover: unless it minds the case, its words in lower case are compared with the
    text's, which are in lower case already.
    """
    made: Frame = {}
    for source, target in pairs(stage):
        part, words = _found(stage, frame, source)
        stopped = list(stage.getStopWords())
        if not stage.getCaseSensitive():
            # Whose capitals are others in Java and in Python, or in a language of their own.
            unclear = stage.getLocale()[:2] in ("tr", "az", "lt") or any(
                w != w.lower() and not w.isascii() for w in stopped
            )
            if unclear or _LOWER not in words.preparations:
                raise NotConvertibleError(
                    name_of(stage),
                    "it changes the case of words for itself.",
                    "Let the tokenizer make lower case, or use caseSensitive=True.",
                )
            stopped = [w.lower() for w in stopped]
        if words.length > 1:
            raise NotConvertibleError(
                name_of(stage), "it stands behind an NGram.", "Let it stand before the NGram."
            )
        less = dataclasses.replace(words, stopped=words.stopped | {w or EMPTY for w in stopped})
        made[target] = dataclasses.replace(part, words=less)
    return made


def _sequences(g: Graph, stage: Any, frame: Frame) -> Frame:
    """NGram: every n words that follow each other, with a space between."""
    part, words = _found(stage, frame, stage.getInputCol())
    if words.length > 1:
        raise NotConvertibleError(name_of(stage), "it stands behind another NGram.")
    longer = dataclasses.replace(words, length=int(stage.getN()))
    return {stage.getOutputCol(): dataclasses.replace(part, words=longer)}


def _count(g: Graph, stage: Any, frame: Frame) -> Frame:
    """CountVectorizerModel. No word has a space in it, so that terms are taken apart again."""
    part, words = _found(stage, frame, stage.getInputCol())
    least, width = float(stage.getMinTF()), len(stage.vocabulary)
    if least < 1:
        raise NotConvertibleError(
            name_of(stage), f"its minTF={least:g} is a share of the words.", "Use a whole number."
        )
    found = {}
    for column, term in enumerate(stage.vocabulary):
        parts = tuple(word or EMPTY for word in (term.split(" ") if words.length > 1 else [term]))
        if len(parts) == words.length and words.stopped.isdisjoint(parts):
            found[parts] = column
    _prepare(g, stage, part, words, width)
    text = tokens(g, part.tensor, words.pattern)
    counts = counted(g, text, Terms(found, width, words.stopped))
    if least > 1:
        few = g.node("Less", counts, scalar(g, least))
        counts = g.node("Where", few, scalar(g, 0.0), counts)
    return {stage.getOutputCol(): _amounts(g, counts, width, bool(stage.getBinary()))}


def _hash(g: Graph, stage: Any, frame: Frame) -> Frame:
    """HashingTF: a word's column is its Murmur3 hash, with the seed 42, modulo their number."""
    part, words = _found(stage, frame, stage.getInputCol())
    width = int(stage.getNumFeatures())
    if words.length > 1 or width > MOST_COLUMNS:
        raise NotConvertibleError(
            name_of(stage),
            "it hashes sequences of words." if words.length > 1 else f"it has {width:,} columns.",
            f"Use CountVectorizer, or HashingTF of words with at most {MOST_COLUMNS:,} columns.",
        )
    _prepare(g, stage, part, words, width)
    text = tokens(g, part.tensor, words.pattern)
    counts = hashed(g, text, width, 42, words.stopped, EMPTY)
    return {stage.getOutputCol(): _amounts(g, counts, width, bool(stage.getBinary()))}


def _prepare(g: Graph, stage: Any, part: Part, words: Words, width: int) -> None:
    assert part.source is not None
    prepare(g, name_of(stage), part.source, words.preparations, width)


def _amounts(g: Graph, counts: str, width: int, binary: bool) -> Part:
    if binary:
        counts = g.node("Min", counts, scalar(g, 1.0))
    return Part(counts, (Element("amounts"),) * width, vector=True)


def _weigh(g: Graph, stage: Any, frame: Frame) -> Frame:
    """IDFModel: each count times its word's weight."""
    part = features(stage, frame, stage.getInputCol())
    weighed = g.node("Mul", part.tensor, row(g, stage.idf))
    elements = (Element("numbers" if part.holds == "numbers" else "amounts"),) * part.width
    return {stage.getOutputCol(): Part(weighed, elements, vector=True)}


TRANSFORMS = {
    "Tokenizer": _tokenize,
    "RegexTokenizer": _tokenize_by,
    "StopWordsRemover": _stop,
    "NGram": _sequences,
    "CountVectorizerModel": _count,
    "HashingTF": _hash,
    "IDFModel": _weigh,
}
PREDICTORS: dict[str, Any] = {}
