"""ReadyMade: an ONNX model as it came, and what ONNX Runtime makes of rows with it."""

from __future__ import annotations

import os
import stat
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.ready_made.inputs import feeds_of, tensors
from sqlml.convert.ready_made.outputs import array_of, results_of, roles_of
from sqlml.convert.ready_made.runtime import session
from sqlml.convert.ready_made.safety import MOST_BYTES, checked
from sqlml.errors import ModelRejectedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx

    from sqlml.convert.ready_made.inputs import Feed
    from sqlml.convert.ready_made.outputs import Result, Roles
    from sqlml.model import Label

    Array = np.ndarray[Any, Any]


class ReadyMade:
    """The bytes of an ONNX model, read once, and what is known of them.

    Nothing but `proto` is there for a model that is not safe: it raises `ModelRejectedError`.
    """

    def __init__(self, content: bytes, kind: str) -> None:
        """`kind`: what messages call the model."""
        self.content = content
        self.kind = kind
        self._roles: dict[tuple[Label, ...], Roles] = {}

    @cached_property
    def proto(self) -> onnx.ModelProto:
        """The model, looked through."""
        return checked(self.content, self.kind)

    @cached_property
    def feeds(self) -> tuple[Feed, ...]:
        """The inputs of the graph."""
        return feeds_of(self.proto.graph, self.kind)

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """The outputs of the graph."""
        return results_of(self.proto.graph, self.kind)

    @property
    def feature_names(self) -> list[str] | None:
        """The names of the columns, where each has an input of its own."""
        return [feed.name for feed in self.feeds] if len(self.feeds) > 1 else None

    def run(self, rows: Any) -> list[Array]:
        """Every output for some rows, [N] or [N, K], by ONNX Runtime on the bytes as they came.

        A graph for one row at a time is asked row by row. Raises what ONNX Runtime raises.
        """
        given = tensors(self.feeds, rows, self.kind)
        count = len(next(iter(given.values())))
        single = any(feed.single for feed in self.feeds)
        size = 1 if single else count
        parts = [
            self._run({name: t[at : at + size] for name, t in given.items()}, size)
            for at in range(0, count, size)
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def roles(self, arrays: Sequence[Array], labels: tuple[Label, ...]) -> Roles:
        """What the outputs are, as the first rows that are asked after tell: the sample's.

        `labels`: those that the author states, or none.
        """
        if labels not in self._roles:
            self._roles[labels] = roles_of(self.proto, self.results, arrays, labels, self.kind)
        return self._roles[labels]

    def _run(self, given: dict[str, Array], rows: int) -> list[Array]:
        found = self._session.run([result.name for result in self.results], given)
        return [
            array_of(result, raw, rows, self.kind)
            for result, raw in zip(self.results, found, strict=True)
        ]

    @cached_property
    def _session(self) -> Any:
        _ = self.proto  # nothing runs unchecked
        return session(self.content)


def opened(path: Path) -> ReadyMade:
    """The model of an .onnx file. Raises `ModelRejectedError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelRejectedError(f"{path} is no file.")
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModelRejectedError(f"{path} cannot be read: {error.strerror}.") from None
    return ReadyMade(content, path.name)
