"""The process that Spark forks its Python workers from, with their imports made before the fork.

    python -m sqlml.daemon pyspark.worker

stands where Spark has pyspark.daemon. A worker lives only as long as its tasks are read to the
end, so every LIMIT begins a new one. What it need not do here is to import pandas and pyarrow
and, with Python 3.11, to read the directory of pyspark.zip once for each package in it, in
importlib.invalidate_caches() (https://github.com/python/cpython/issues/103200). The figures are
in docs/decisions/0016.

PySpark imports them after the fork lest a thread be lost by it. Of these libraries one has a
thread, jemalloc in pyarrow, which stops it before a fork and starts it again after. ONNX Runtime
starts one of its own as it is imported, and is left to the workers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from importlib.machinery import PathFinder

MODULES = ("pyspark.worker", "pandas", "pyarrow.compute", "sqlml.score.prediction")
"""What a task imports: for Spark, for what Spark makes of results, and for the models."""

ZIPS = ("pyspark.zip", "py4j-")


def without_zips(path: list[str]) -> list[str]:
    """The module path without Spark's zip files, if they belong to the pyspark beside them.

    >>> without_zips(["/opt/spark/python/lib/pyspark.zip", "/work"])
    ['/opt/spark/python/lib/pyspark.zip', '/work']
    """
    rest = [p for p in path if not os.path.basename(p).startswith(ZIPS)]
    found = PathFinder.find_spec("pyspark", rest)
    if found is None or found.origin is None:
        return path
    own = os.path.join(os.path.dirname(found.origin), "")
    return rest if all(p in rest or p.startswith(own) for p in path) else path


def main() -> None:
    """Import what workers need, and serve Spark until it ends."""
    # As pyspark.daemon does, but before the imports: Ctrl-C is for the driver.
    os.setpgid(0, 0)
    sys.path[:] = without_zips(sys.path)
    for module in MODULES:
        with contextlib.suppress(ImportError):  # a worker says what it lacks
            importlib.import_module(module)
    from pyspark.daemon import manager

    manager()


if __name__ == "__main__":
    main()
