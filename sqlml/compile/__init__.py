"""What a model's graph becomes before it is scored: an expression, a tree program, or itself.

Pure functions of a graph: neither Spark nor a registry is known here.
"""

from sqlml.compile.choice import (
    BACKENDS,
    Prepared,
    ensemble_size,
    prepare,
    prepare_for_python,
)
from sqlml.compile.usage import used_inputs

__all__ = [
    "BACKENDS",
    "Prepared",
    "ensemble_size",
    "prepare",
    "prepare_for_python",
    "used_inputs",
]
