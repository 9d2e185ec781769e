"""SavedModels, the directories in which TensorFlow keeps a graph, its weights and its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml.convert.files import unreadable
from sqlml.convert.hushed import hushed
from sqlml.convert.tensorflow.framework import tensorflow_itself
from sqlml.convert.tensorflow.safety import check

if TYPE_CHECKING:
    from pathlib import Path

DESCRIPTION = "saved_model.pb"


def opened(path: Path) -> Any:
    """The model, its tables filled.

    Raises `ModelRejectedError` where the directory is damaged, or what would be run reaches beyond
    the model, and `DependencyMissingError` where TensorFlow is not installed.
    """
    tf = tensorflow_itself()
    check(path, (path / DESCRIPTION).read_bytes())
    try:
        with hushed("tensorflow"):
            return tf.saved_model.load(str(path))
    except Exception as error:  # it raises whatever it meets
        raise unreadable(path, error) from error
