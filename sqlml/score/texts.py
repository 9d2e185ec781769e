"""What is done to a text before a graph takes it apart: what ONNX has no faithful operator for.

ONNX's StringNormalizer asks the machine's locale for a lower case, and an executor may have
another one than the author. Python's `str.lower` asks nobody (docs/decisions/0021).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.signature import APART

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Vector = np.ndarray[Any, Any]

_SPACES = re.compile(r"\s\s+")


def _unaccented(text: str) -> str:
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c))


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


PREPARATIONS: dict[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "without accents": _unaccented,
    "in ASCII": _ascii,
    "single spaces": lambda text: _SPACES.sub(" ", text),
    "words apart": lambda text: APART.join(f" {word} " for word in text.split()),
}


def prepared(texts: Vector, steps: Sequence[str]) -> Vector:
    """An [N] array of texts after the steps, keys of `PREPARATIONS`, in their order.

    >>> prepared(np.array(["Fünf  ÄPFEL"], dtype=object), ["lower case", "without accents"])
    array(['funf  apfel'], dtype=object)
    """
    for step in steps:
        change = PREPARATIONS[step]
        texts = np.array([change(text) for text in texts], dtype=object)
    return texts
