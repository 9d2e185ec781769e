"""What is done to a text before a graph takes it apart: what ONNX has no faithful operator for.

ONNX's StringNormalizer asks the machine's locale for a lower case, and an executor may have
another one than the author. Python's `str.lower` asks nobody (docs/decisions/0021).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.signature import APART, EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Vector = np.ndarray[Any, Any]

_SPACES = re.compile(r"\s\s+")

_JAVA_SPACE = re.compile(r"[ \t\n\x0b\f\r]")
# Capital letters that Unicode has since its versions 14 and 16: Java of one release makes another
# letter of them, and Java of another none.
_NEW = re.compile(
    "[\u2c2f\ua7c0\ua7cb\ua7cc\ua7d0\ua7d6\ua7d8\ua7da\ua7dc\U00010570-\U00010595"
    "\U00010d50-\U00010d65]"
)
# Which sigma ends a word Java asks a BreakIterator: in a word of letters alone it is the last.
_LETTERS = re.compile(r'[(\["\u00ab]*[^\W\d_]*[)\]",;.:!?\u00bb]*')


def _java_lower(text: str) -> str | None:
    if text.isascii():
        return text.lower()
    if _NEW.search(text):
        return None
    if "\u03a3" in text:
        for word in _JAVA_SPACE.split(text):
            if "\u03a3" in word and not (
                _LETTERS.fullmatch(word)
                and all(unicodedata.category(c) in ("Lu", "Ll") for c in word if c.isalpha())
            ):
                return None
    return text.lower()


def _java_parted(text: str) -> str:
    words = _JAVA_SPACE.split(text)
    while len(words) > 1 and not words[-1]:
        words.pop()
    if words == [""] and text:  # nothing but white space
        return ""
    return "\n".join(word or EMPTY for word in words)


def _unaccented(text: str) -> str:
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c))


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


PREPARATIONS: dict[str, Callable[[str], str | None]] = {
    "lower case": str.lower,
    "without accents": _unaccented,
    "in ASCII": _ascii,
    "single spaces": lambda text: _SPACES.sub(" ", text),
    "words apart": lambda text: APART.join(f" {word} " for word in text.split()),
    "lower case of Java": _java_lower,
    "parted as in Java": _java_parted,
}
"""None for a text of which it cannot be told: its row is ruled out."""


def prepared(texts: Vector, steps: Sequence[str]) -> Vector:
    """An [N] array of texts after the steps, keys of `PREPARATIONS`, in their order; None for a
    text of which a step cannot tell.

    >>> prepared(np.array(["Fünf  ÄPFEL"], dtype=object), ["lower case", "without accents"])
    array(['funf  apfel'], dtype=object)
    """
    for step in steps:
        change = PREPARATIONS[step]
        texts = np.array([None if t is None else change(t) for t in texts], dtype=object)
    return texts
