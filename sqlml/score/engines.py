"""The engines that compute a model's graph, in one table."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from sqlml.model import ScoringModel

    Vector = np.ndarray[Any, Any]

# Each module has one class, Engine. A backend that works in Python joins by a row here;
# `reference` is none, and only `parity` asks it.
ENGINES = {"onnx": ".onnxruntime", "trees": ".trees", "reference": ".reference"}


class Engine(Protocol):
    """One loaded model. Its methods are called by one thread at a time."""

    def __init__(self, model: ScoringModel, program: bytes) -> None:
        """`program` is what the backend runs: the ONNX bytes, or what was compiled of them."""
        ...

    def run(self, columns: Sequence[Vector]) -> Sequence[Vector]:
        """The tensors of `model.tensors`, in that order, for N >= 1 rows.

        `columns` has one [N] array per input, of its wire type, strings as objects. A row
        of the result must not depend on the other rows: not on their values, their order or
        their number.
        """
        ...


def load(model: ScoringModel, backend: str, program: bytes) -> Engine:
    """A program, loaded by the engine of that name."""
    module: Any = importlib.import_module(ENGINES[backend], __package__)
    return cast("Engine", module.Engine(model, program))
