"""The compiled library of `trees.c`: found beside this file, or shipped with the code.

The package's build hook (hatch_build.py) compiles it. Where the code travels to executors as
modules in memory, the library travels with it, as data of their loader.
"""

from __future__ import annotations

import ctypes
import functools
import os
import tempfile
from ctypes import POINTER, Structure, c_int64, c_void_p
from typing import Any, cast

LIBRARY = "trees.bin"  # not .so, which Python would take for a module of its own

# `sqlml_format` of the C source that these structures belong to.
FORMAT = 1

LEVELS = ("portable", "avx2", "avx512")


class KernelMissing(Exception):
    """The library is not there, or not for this platform: ONNX Runtime has to serve."""


class Column(Structure):
    """One column of numbers, as trees.c has it."""

    _fields_ = (("data", c_void_p), ("stride", c_int64), ("is_double", c_int64))


class Group(Structure):
    """Some trees of an ensemble, as trees.c has them."""

    numbers = ("is_dense", "n_features", "n_trees", "feature_bits")
    arrays = (
        "columns",
        "missing_low",
        "depth",
        "search_at",
        "sorted_at",
        "sorted_n",
        "test_at",
        "search",
        "sorted",
        "wide",
        "tests",
        "trees",
        "nodes",
        "term_counts",
        "terms",
        "steps",
        "votes",
        "leaves",
    )
    _fields_ = (*((n, c_int64) for n in numbers), *((n, c_void_p) for n in arrays))


class Call(Structure):
    """One ensemble over one batch, as trees.c has it."""

    _fields_ = (
        ("groups", POINTER(Group)),
        ("n_groups", c_int64),
        ("columns", POINTER(Column)),
        ("rows", c_int64),
        ("out", c_void_p),
        ("is_double", c_int64),
        ("aggregate", c_int64),
        ("scratch", c_void_p),
        ("level", c_int64),
    )


@functools.cache
def library() -> Any:
    """The library. Raises `KernelMissing` where there is none that this process can load.

    >>> library().sqlml_level() in range(len(LEVELS))
    True
    """
    try:
        loaded = _load()
        found = int(loaded.sqlml_format())
    except (OSError, AttributeError) as error:
        raise KernelMissing(f"The tree kernel cannot be loaded: {error}") from error
    if found != FORMAT:
        raise KernelMissing("The tree kernel was compiled from another version of its source.")
    loaded.sqlml_level.restype = c_int64
    loaded.sqlml_scratch.restype = c_int64
    loaded.sqlml_scratch.argtypes = (c_int64, c_int64, c_int64)
    loaded.sqlml_trees.restype = None
    loaded.sqlml_trees.argtypes = (POINTER(Call), c_int64)
    return loaded


def _load() -> ctypes.CDLL:
    file = globals().get("__file__")
    path = os.path.join(os.path.dirname(file), LIBRARY) if file else LIBRARY
    if file and os.path.isfile(path):
        return ctypes.CDLL(path)
    loader = cast("Any", __spec__).loader
    return _from_memory(loader.get_data(path))


def _from_memory(code: bytes) -> ctypes.CDLL:
    """The library from its bytes: of a zip, or shipped to an executor without files."""
    if memory := getattr(os, "memfd_create", None):  # of Linux
        descriptor = memory("sqlml trees")
        try:
            os.write(descriptor, code)
            return ctypes.CDLL(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, LIBRARY)
        with open(path, "wb") as file:
            file.write(code)
        return ctypes.CDLL(path)
