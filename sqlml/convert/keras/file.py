"""Models that Keras 3 wrote into a file, .keras: an archive of a description and weights."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from sqlml.convert.files import unreadable
from sqlml.convert.keras.framework import keras_itself
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DESCRIPTION = "config.json"
_NOT_OF_THE_MODEL = ("compile_config",)
"""Optimizer and losses; they are not opened."""


def opened(path: Path) -> Any:
    """The model, which may have none but Keras' own layers: nobody's code is run.

    Raises `NotConvertibleError` with the layer for any other, `ModelRejectedError` where the file
    is damaged.
    """
    for name in _foreign(_description(path)):
        raise NotConvertibleError(
            name,
            "it is its author's own, and opening it would run code.",
            "Write what it does with Keras' own layers.",
        )
    keras = keras_itself()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # it raises whatever it meets
        raise unreadable(path, error) from error


def _description(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_DESCRIPTION))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise unreadable(path, error) from error


def _foreign(part: Any) -> Iterator[str]:
    """The classes and functions of a description that are not Keras' own, and Lambda."""
    if isinstance(part, list):
        for each in part:
            yield from _foreign(each)
    elif isinstance(part, dict):
        name, module = part.get("class_name"), part.get("module")
        if isinstance(name, str) and "config" in part:
            own = module is None or str(module).split(".")[0] in ("keras", "builtins")
            registered = part.get("registered_name") not in (None, name)
            if name in ("Lambda", "__lambda__") or not own or registered:
                yield name if module is None else f"{module}.{name}"
        for key, each in part.items():
            if key not in _NOT_OF_THE_MODEL:
                yield from _foreign(each)
