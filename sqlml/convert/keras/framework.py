"""Keras itself, or the command that installs what it lacks."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from sqlml.errors import DependencyMissingError

# What Keras runs on, by its name for it, and the package. The first is its default.
BACKENDS = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}


def keras_itself() -> Any:
    """The module `keras`.

    Raises `DependencyMissingError` where it, or what it is set to run on, is not installed.
    """
    if find_spec("keras") is None:
        raise DependencyMissingError("Keras models", "keras")
    try:
        import keras
    except ModuleNotFoundError as error:
        there = [name for name, package in BACKENDS.items() if find_spec(package)]
        raise DependencyMissingError(
            f"Keras is to run on {error.name}, which is not installed. Keras models",
            "tensorflow",
            f", or set KERAS_BACKEND={there[0]}, which is installed." if there else "",
        ) from error
    return keras
