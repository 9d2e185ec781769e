"""What a SavedModel may hold, looked through before TensorFlow opens it.

Opening one runs what fills its tables, and publishing runs its signature. Both are graphs, which
hold no Python, but some of TensorFlow's operations read and write files, call other machines, or
end the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml.errors import ModelRejectedError, NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Of the operations that TensorFlow calls stateful, those that touch the model's own memory only.
OWN = frozenset((
    "Assert", "AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp", "CheckNumerics",
    "DestroyResourceOp", "DisableCopyOnRead", "HashTableV2", "If", "InitializeTableV2",
    "LookupTableExportV2", "LookupTableFindV2", "LookupTableImportV2", "LookupTableInsertV2",
    "LookupTableSizeV2", "MutableDenseHashTableV2", "MutableHashTableV2", "RandomStandardNormal",
    "RandomUniform", "RandomUniformInt", "ReadVariableOp", "ResourceGather",
    "StatefulPartitionedCall", "TruncatedNormal", "VarHandleOp", "VarIsInitializedOp", "While",
))  # fmt: skip

# Of the others, those that reach beyond it.
FOREIGN = frozenset((
    "Abort", "DebugIdentity", "DebugNanCount", "DebugNumericSummary", "GenerateVocabRemapping",
    "MatchingFiles", "PyFuncStateless", "ReadFile",
))  # fmt: skip


def check(path: Path, content: bytes) -> None:
    """Look through the bytes of a saved_model.pb.

    Raises `ModelRejectedError` for what is none, and for an operation that reaches beyond the
    model; `NotConvertibleError` for one of TensorFlow 1.
    """
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own, which changes its name from release to release
        raise ModelRejectedError(f"{path} cannot be opened: it is no SavedModel.") from error
    for graph in model.meta_graphs:
        if not graph.HasField("object_graph_def"):
            raise NotConvertibleError(
                str(path), "it is of TensorFlow 1.", "Save it with TensorFlow 2."
            )
        for node in _run(graph):
            known = op_def_registry.get(node.op)
            beyond = known is not None and known.is_stateful and node.op not in OWN
            if beyond or node.op in FOREIGN:
                raise ModelRejectedError(
                    f"{path} has the operation {node.op}, which may reach beyond the model. If you "
                    "trust where it came from: sqlml.publish(tf.saved_model.load(path), …)."
                )


def _run(graph: Any) -> Iterator[Any]:
    """The nodes of the functions that TensorFlow can be asked for, and of those they call.

    Others, as those that save a model again, nobody runs.
    """
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    waiting = list(graph.object_graph_def.concrete_functions)
    found = set(waiting)
    while waiting:
        function = functions.get(waiting.pop())
        for node in function.node_def if function is not None else ():
            yield node
            for value in node.attr.values():
                called = {value.func.name, *(f.name for f in value.list.func)} - found
                found |= called
                waiting += called
