"""How executors get the code that scores: the application brings its own.

Executors need NumPy, pyarrow and ONNX Runtime, not this package. A function made here has
the modules of the executor side in it, compiled, so they travel wherever the function does:
to executors that join later, and from a Spark Connect client through a server that has
nothing of sqlml. Files added to an application reach neither, since a Connect session has
its own.

A worker imports them as a package whose name is their hash. Whatever version is installed
there, or was brought by another client, is neither used nor disturbed; and they stay
imported, with the models that they have loaded, for as long as the worker lives.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.resources
import marshal
import pkgutil
import re
import shutil
import sys
import zlib
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from pyspark import SparkContext

from sqlml.score.kernel import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.abc import InspectLoader

LIBRARIES = ("numpy", "pyarrow", "onnxruntime")
"""What executors must have: the packages that the executor side imports."""

_MODULES = ("errors", "types", "signature", "model", "golden", "score")


def on_executors(name: str) -> Callable[..., Any]:
    """A function of `sqlml.score`, such as "prediction.predict", to call in a Python worker.

    What is returned is pickled by value. Workers that are this very Python, on this machine,
    import the package as it is, and nothing is shipped.
    An error of sqlml raised in a worker reaches the user without a traceback; a library that
    is missing there is `ExecutorDependencyError`, which names the host.

    >>> on_executors("prediction.predict").__name__
    'call'
    """
    package, packed = _executor_side() if is_shipped() else ("sqlml", b"")
    versions = {library: _version(library) for library in LIBRARIES}
    module, _, function = name.rpartition(".")

    # Nested, imports and all: a worker could not import them from this module.

    def unpack() -> None:
        import importlib.abc
        import importlib.util
        import marshal
        import sys
        import zlib

        code, data = marshal.loads(zlib.decompress(packed))

        class Shipped(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
                if name not in code:
                    return None
                is_package = any(other.startswith(f"{name}.") for other in code)
                return importlib.util.spec_from_loader(name, self, is_package=is_package)

            def exec_module(self, module: Any) -> None:
                exec(code[module.__name__], module.__dict__)

            def get_data(self, path: str) -> bytes:
                if path not in data:
                    raise FileNotFoundError(path)
                content: bytes = data[path]
                return content

        sys.meta_path.append(Shipped())

    def call(*arguments: Any) -> Any:
        import os
        import platform
        import sys
        from importlib import import_module

        if packed and package not in sys.modules:
            unpack()
        errors = import_module(f"{package}.errors")
        raised: Exception
        try:
            return getattr(import_module(f"{package}.score.{module}"), function)(*arguments)
        except ImportError as error:
            library = (error.name or "").partition(".")[0]
            raised = errors.ExecutorDependencyError(
                platform.node(), sys.executable, library, versions.get(library), str(error)
            )
        except errors.SqlmlError as error:
            raised = error
        type(raised).__module__ = "sqlml.errors"  # as the user knows it
        # Spark's own switch, read as it reports the error; this process ends with that.
        os.environ["SPARK_HIDE_TRACEBACK"] = "1"
        raise raised from None

    return call


def is_shipped() -> bool:
    """Whether the active Spark's workers need the code sent: not where they are this Python.

    >>> is_shipped()                                                     # doctest: +SKIP
    False
    """
    context = SparkContext._active_spark_context
    local = context is not None and re.match(r"local(\[|$)", context.master)
    return not (local and shutil.which(context.pythonExec) == sys.executable)


def _version(library: str) -> str | None:
    """None for a build under another name, such as onnxruntime-gpu."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _executor_side() -> tuple[str, bytes]:
    """The package's name in a worker, and its parts, marshalled and compressed.

    These are the modules' code by name, and the compiled libraries that they load.
    """
    sources, libraries = dict(_sources()), dict(_libraries())
    parts = repr((sorted(sources.items()), sorted(libraries.items())))
    digest = hashlib.sha256(parts.encode()).hexdigest()
    package = f"sqlml_{digest[:16]}"
    code = {package: compile("", "sqlml", "exec")}
    for name, source in sources.items():
        tree = _Renamed(package).visit(ast.parse(source))
        file = name.replace(".", "/") + ".py"
        code[name.replace("sqlml", package, 1)] = compile(tree, file, "exec", dont_inherit=True)
    return package, zlib.compress(marshal.dumps((code, libraries)))


def _sources() -> Iterator[tuple[str, str]]:
    """The modules of the executor side: name and source."""
    for name in _MODULES:
        package = importlib.import_module(f"sqlml.{name}")
        below = pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}.")
        for found in (package.__name__, *(module.name for module in below)):
            spec = find_spec(found)
            assert spec is not None
            # The loader's, not the file's: the package may be in a zip.
            yield found, cast("InspectLoader", spec.loader).get_source(found) or ""


def _libraries() -> Iterator[tuple[str, bytes]]:
    """The tree kernel, if it was compiled: the name by which its loader asks for it, and bytes."""
    file = importlib.resources.files("sqlml.score.kernel") / LIBRARY
    if file.is_file():
        yield LIBRARY, file.read_bytes()


class _Renamed(ast.NodeTransformer):
    """What a module imports from sqlml, it imports from the package of another name."""

    def __init__(self, package: str) -> None:
        self._package = package

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        root, dot, rest = (node.module or "").partition(".")
        if root == "sqlml":
            node.module = self._package + dot + rest
        return node
