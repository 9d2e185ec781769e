"""A ready-made graph in the house's form: inputs of one column each, outputs by role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from sqlml.convert.graph import DOUBLE, FLOAT, INT64, STRING, Graph, precision_of, wire_of
from sqlml.convert.links import two_columns
from sqlml.convert.ready_made.inputs import check_types, entries_of, places_of, table
from sqlml.convert.ready_made.outputs import columns_of
from sqlml.convert.ready_made.runtime import session
from sqlml.errors import ModelRejectedError, NotConvertibleError
from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.signature import Input, Signature
from sqlml.types import BY_ONNX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.convert.ready_made.file import ReadyMade
    from sqlml.convert.ready_made.outputs import Roles
    from sqlml.model import Label
    from sqlml.sample import Column, Sample

    Array = np.ndarray[Any, Any]

OLDEST = 9
"""The ai.onnx from which on the nodes that are added here mean what they do today."""

# Elements that SQL lacks → the ones that hold all their values.
_WIDER = {
    TensorProto.FLOAT16: TensorProto.FLOAT,
    TensorProto.UINT8: TensorProto.INT16,
    TensorProto.UINT16: TensorProto.INT32,
    TensorProto.UINT32: TensorProto.INT64,
}

MOST_PLACES = 1_000
"""Of a table: verify tries each of them, counted from the start and from the end."""

_TRIAL = 3
"""Rows on which a graph for one row at a time is tried for several."""


def scoring_model(ready: ReadyMade, sample: Sample, labels: tuple[Label, ...]) -> ScoringModel:
    """The graph as a ScoringModel whose inputs are the sample's columns.

    `labels`: those that the author states, or none.

    Raises `NotConvertibleError`, `ModelRejectedError` and `SampleError`.
    """
    names = [column.name for column in sample.columns]
    widths = [column.width or 1 for column in sample.columns]
    places = places_of(ready.feeds, names, widths, ready.kind)
    check_types(ready.feeds, places, sample.columns, ready.kind)
    arrays = _asked(ready, sample)
    roles = ready.roles(arrays, labels)
    g = Graph()
    source = _source(ready, g)
    entries = entries_of(ready.proto.graph, ready.feeds)
    _inputs(g, ready, places, sample.columns)
    _accept_places(g, ready, places, entries)
    made = _inlined(g, ready, source, places, entries)
    outputs = _Outputs(g, ready, arrays, made)
    tensors = outputs.by_role(roles)
    onnx_model = g.finish()  # may narrow inputs
    content = onnx_model.SerializeToString(deterministic=True)
    if any(feed.single for feed in ready.feeds):
        _try_several(ready, content, sample, g)
    return ScoringModel(
        onnx=content,
        signature=Signature(
            tuple(
                Input(
                    column.name,
                    column.type,
                    f"ARRAY<{wire_of(element)}>" if column.width else wire_of(element),
                    categories=g.accepted.get(i),
                    width=column.width,
                )
                for i, (column, element) in enumerate(
                    zip(sample.columns, g.inputs.values(), strict=True)
                )
            ),
            outputs_of(roles.task, tensors, roles.labels),
        ),
        task=roles.task,
        tensors=tensors,
        labels=roles.labels,
        precision=precision_of(onnx_model, narrow=False),
        metadata={
            "framework": "onnx",
            "estimator": ready.proto.producer_name or "ONNX graph",
            "producer_version": ready.proto.producer_version,
            "versions": {"onnx": onnx.__version__},
            **({"labels": "stated"} if labels else {}),
        },
    )


def _asked(ready: ReadyMade, sample: Sample) -> list[Array]:
    try:
        return ready.run(sample.container(sample.frame))
    except (ModelRejectedError, NotConvertibleError):
        raise
    except Exception as error:  # onnxruntime's errors have no common base
        raise NotConvertibleError(
            ready.kind, f"ONNX Runtime does not score the sample with it: {error}"
        ) from error


def _source(ready: ReadyMade, g: Graph) -> onnx.ModelProto:
    """The model, its domains under one name each, whose versions the graph gets."""
    source = onnx.ModelProto()
    source.CopyFrom(ready.proto)
    for entry in (*source.opset_import, *source.graph.node):
        if entry.domain == "ai.onnx":
            entry.domain = ""
    versions = {entry.domain: entry.version for entry in source.opset_import}
    if versions.get("", OLDEST) < OLDEST:
        raise NotConvertibleError(
            ready.kind,
            f"its operators are of ONNX {versions['']}, and {OLDEST} is the oldest that is taken.",
            "onnx.version_converter makes a newer one.",
        )
    old_encoder = any(node.op_type == "LabelEncoder" for node in source.graph.node)
    if versions.get("ai.onnx.ml", 2) < 2:
        if old_encoder:
            raise NotConvertibleError(
                ready.kind, "its LabelEncoder is of ai.onnx.ml 1.", "Export it again."
            )
        versions["ai.onnx.ml"] = 2  # nothing else changed, and the label needs the new encoder
    g.domains |= versions
    return source


def _inputs(
    g: Graph, ready: ReadyMade, places: Sequence[Sequence[int]], columns: Sequence[Column]
) -> None:
    """An input for each column of the sample, in the sample's order."""
    element = {
        i: FLOAT if feed.element == TensorProto.FLOAT16 else feed.element
        for feed, mine in zip(ready.feeds, places, strict=True)
        for i in mine
    }
    for i in sorted(element):
        g.input(f"in{i}", element[i], columns[i].width)


def _accept_places(
    g: Graph, ready: ReadyMade, places: Sequence[Sequence[int]], entries: Mapping[str, int]
) -> None:
    """Note which whole numbers an input takes that is a place in a table."""
    for feed, mine in zip(ready.feeds, places, strict=True):
        known = entries.get(feed.name)
        if known is None:
            continue
        if known > MOST_PLACES:
            raise NotConvertibleError(
                ready.kind,
                f"input {feed.name!r} is a place in a table of {known:,} entries, and "
                f"{MOST_PLACES:,} are the most.",
            )
        g.accepted |= dict.fromkeys(mine, tuple(range(-known, known)))


def _inlined(
    g: Graph,
    ready: ReadyMade,
    source: onnx.ModelProto,
    places: Sequence[Sequence[int]],
    entries: Mapping[str, int],
) -> list[str]:
    """The tensors of the outputs, in the graph that the nodes of the source are part of now.

    ONNX Runtime computes half precision in single, and leaves out a cast down that a cast up
    follows at once: a number would keep digits that it did not have. A Reshape stands between.
    """
    feeds = {}
    for feed, mine in zip(ready.feeds, places, strict=True):
        tensor = g.concat([g.cast(f"in{i}", feed.element) for i in mine])
        if feed.name in entries:
            # A place that is counted from the end, as one from the start, which every backend has.
            dtype = helper.tensor_dtype_to_np_dtype(feed.element).name
            first, length = g.const(0, dtype), g.const(entries[feed.name], dtype)
            from_end = g.node("Add", tensor, length)
            tensor = g.node("Where", g.node("Less", tensor, first), from_end, tensor)
        if len(feed.shape) != 1 or feed.element == TensorProto.FLOAT16:
            shape = [-1, *(n or 0 for n in feed.shape)]  # 0: as many as there are
            tensor = g.node("Reshape", tensor, g.const(shape, "int64"))
        feeds[feed.name] = tensor
    try:
        return g.inline(source, feeds, [result.tensor for result in ready.results])
    except KeyError as error:
        raise ModelRejectedError(
            f"{ready.kind} reads the tensor {error}, which nothing before it computes."
        ) from None


class _Outputs:
    """The outputs of the graph that is made, from those of the graph as it came."""

    def __init__(
        self, g: Graph, ready: ReadyMade, arrays: Sequence[Array], tensors: Sequence[str]
    ) -> None:
        self.g, self.ready, self.arrays, self.tensors = g, ready, arrays, tensors

    def by_role(self, roles: Roles) -> tuple[Tensor, ...]:
        """Declare the outputs of a task."""
        if roles.task == "other":
            return tuple(self._plain(i) for i in range(len(self.arrays)))
        made = []
        if roles.label is not None:
            self._label(roles.label, roles.values)
            made.append(Tensor("label", "BIGINT"))
        if roles.main is not None:
            role = "prediction" if roles.task == "regression" else "probabilities"
            tensor, element = self._widened(roles.main)
            width = columns_of(self.arrays[roles.main])
            if self.arrays[roles.main].ndim == 1:
                tensor = self.g.node("Reshape", tensor, self.g.const([-1, 1], "int64"))
            if role == "probabilities" and width == 1:
                tensor = two_columns(self.g, tensor, "float64" if element == DOUBLE else "float32")
                width = 2
            self.g.output(role, tensor, element, width)
            many = role == "probabilities" or width > 1
            made.append(Tensor(role, BY_ONNX[element].sql, width if many else None))
        return tuple(made)

    def _plain(self, i: int) -> Tensor:
        tensor, element = self._widened(i)
        array, name = self.arrays[i], self.ready.results[i].name
        self.g.output(name, tensor, element, None if array.ndim == 1 else array.shape[1])
        width = columns_of(array)
        return Tensor(name, BY_ONNX[element].sql, width if width > 1 else None)

    def _label(self, i: int, values: Sequence[Any]) -> None:
        """The place of the label among the values that it may have, [N]."""
        tensor, array = self.tensors[i], self.arrays[i]
        if array.dtype.kind in "OU":
            keys: dict[str, Any] = {"keys_strings": list(values)}
        else:
            tensor = self.g.cast(tensor, INT64)
            keys = {"keys_int64s": [int(value) for value in values]}
        places = list(range(len(values)))
        encoder = "LabelEncoder"
        found = self.g.node(encoder, tensor, domain="ai.onnx.ml", values_int64s=places, **keys)
        flat = self.g.node("Reshape", found, self.g.const([-1], "int64"))
        self.g.output("label", flat, INT64, None)

    def _widened(self, i: int) -> tuple[str, int]:
        """An output in a type that SQL has, and that type."""
        array, tensor = self.arrays[i], self.tensors[i]
        element = (
            STRING if array.dtype.kind in "OU" else helper.np_dtype_to_tensor_dtype(array.dtype)
        )
        wider = _WIDER.get(element, element)
        if wider not in BY_ONNX:
            name = self.ready.results[i].name
            raise NotConvertibleError(
                self.ready.kind, f"output {name!r} is of {array.dtype}, which SQL lacks."
            )
        if element == TensorProto.FLOAT16:
            shape = [-1] if array.ndim == 1 else [-1, array.shape[1]]
            tensor = self.g.node("Reshape", tensor, self.g.const(shape, "int64"))
        return (tensor if wider == element else self.g.cast(tensor, wider)), wider


def _try_several(ready: ReadyMade, content: bytes, sample: Sample, g: Graph) -> None:
    """That a graph for one row at a time takes several, now that it does not say so.

    Whether it then scores each as it did alone is for verification.
    """
    rows = sample.frame.iloc[np.arange(_TRIAL) % len(sample)]
    given = {
        name: table(rows.iloc[:, i], element) for i, (name, element) in enumerate(g.inputs.items())
    }
    try:
        found = session(content).run(None, given)
    except Exception as error:  # onnxruntime's errors have no common base
        raise _for_one_row(ready) from error
    if any(len(array) != _TRIAL for array in found):
        raise _for_one_row(ready)


def _for_one_row(ready: ReadyMade) -> NotConvertibleError:
    return NotConvertibleError(
        ready.kind,
        "it was exported for one row at a time, and does not run on several.",
        "Export it with a dynamic first axis.",
    )
