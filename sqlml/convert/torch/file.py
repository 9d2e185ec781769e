"""Exported programs that PyTorch wrote into a file, .pt2."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sqlml.convert.files import unreadable
from sqlml.convert.hushed import hushed
from sqlml.errors import DependencyMissingError

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path) -> Any:
    """The exported program. PyTorch unpickles some constants, and evaluates sizes as Python.

    Raises `ModelRejectedError` where PyTorch cannot open it.
    """
    if find_spec("torch") is None:
        raise DependencyMissingError("PyTorch models", "torch")
    import torch

    try:
        with hushed("torch.export"):
            return torch.export.load(str(path))
    except Exception as error:  # it raises whatever it meets
        raise unreadable(path, error) from error
