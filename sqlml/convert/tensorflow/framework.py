"""TensorFlow itself, or the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from sqlml.errors import DependencyMissingError


def tensorflow_itself() -> Any:
    """The module `tensorflow`. Raises `DependencyMissingError` where it is not installed."""
    if find_spec("tensorflow") is None:
        raise DependencyMissingError("SavedModels", "tensorflow")
    import tensorflow

    return tensorflow
