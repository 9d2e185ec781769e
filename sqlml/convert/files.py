"""Files that hold one model, each in a framework's own format: which are opened, and how.

Most formats of models can run code when they are opened. ONNX is data; `.keras` files are opened
where they name nothing but Keras' own layers, and directories of Spark ML where they name nothing
but Spark's own classes; SavedModels are TensorFlow's graphs, which hold no Python; `.pt2` files,
parts of which PyTorch unpickles, by who trusts them.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any, Protocol, cast

from sqlml.errors import ModelRejectedError, NotConvertibleError


class Opener(Protocol):
    """What a module of `OPENED` offers."""

    def opened(self, path: Path) -> Any: ...


# By what a file's name ends in: the module that opens it, and what may be done instead of it.
OPENED = {
    ".onnx": "sqlml.convert.ready_made.file",
    ".keras": "sqlml.convert.keras.file",
    ".pt2": "sqlml.convert.torch.file",
}
SPARK = "sqlml.convert.spark.file"
TENSORFLOW = "sqlml.convert.tensorflow.file"
TRUSTED = (".pt2",)
_KERAS = "Save the model as Keras 3 does: model.save('model.keras')."
_PYTORCH = (
    "Publish the module from Python: sqlml.publish(module, …); or save it as an exported program: "
    "torch.export.save(torch.export.export(module.eval(), …), 'model.pt2')."
)
_PICKLE = "Open it in Python, if you trust where it came from: sqlml.publish(model, …)."
INSTEAD = {
    ".h5": ("it is of Keras' older format, HDF5, which may hold code.", _KERAS),
    ".hdf5": ("it is of Keras' older format, HDF5, which may hold code.", _KERAS),
    ".pb": ("it is a part of a SavedModel.", "Give the directory that it is in."),
    ".pt": ("it is pickled, or a scripted module.", _PYTORCH),
    ".pth": ("it is pickled, or a scripted module.", _PYTORCH),
    ".pkl": ("it is pickled.", _PICKLE),
    ".pickle": ("it is pickled.", _PICKLE),
    ".joblib": ("it is pickled.", _PICKLE),
}
SAVED_MODEL = "saved_model.pb"
"""The file that makes a directory a SavedModel of TensorFlow."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")


def is_file(source: object) -> bool:
    """Whether a source is the path of a model file, and no URI."""
    if not isinstance(source, str | os.PathLike) or _SCHEME.match(os.fspath(source)):
        return False
    path = Path(source)
    return path.suffix.lower() in {*OPENED, *INSTEAD} or _of_directory(path) is not None


def opened(source: Any, *, trust_pickle: bool = False) -> Any:
    """The model in a file; what is no path of a model file is given back as it is.

    Raises `ModelRejectedError` for a file that is not there, is damaged, or has to be trusted,
    and `NotConvertibleError` for a format that is not opened, which says what to do instead.

    >>> opened("no path of a model file")
    'no path of a model file'
    """
    if not is_file(source):
        return source
    path = Path(source)
    if not path.exists():
        raise ModelRejectedError(
            f"{source} is not there. The path is one of the machine that publishes the model."
        )
    kind = path.suffix.lower()
    module = _of_directory(path) or OPENED.get(kind)
    if module is None:
        raise NotConvertibleError(str(source), *INSTEAD[kind])
    if kind in TRUSTED and not trust_pickle:
        raise ModelRejectedError(
            f"{source} may run code when it is opened. If you trust where it came from: "
            "sqlml publish … --trust-pickle; in Python sqlml.publish(torch.export.load(path), …)."
        )
    return cast("Opener", importlib.import_module(module)).opened(path)


def _of_directory(path: Path) -> str | None:
    """The module that opens a directory, by what Spark ML and TensorFlow write into theirs."""
    if any(path.glob("metadata/part-*")):
        return SPARK
    return TENSORFLOW if (path / SAVED_MODEL).is_file() else None


def unreadable(path: Path, error: Exception) -> ModelRejectedError:
    """The error for a file or directory that its framework could not open, with what it said."""
    reason = " ".join(str(error).split())[:300]
    return ModelRejectedError(f"{path} cannot be opened: {type(error).__name__}: {reason}")
