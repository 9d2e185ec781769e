"""Which columns make which tensor of a module's forward, in the graph and when it is asked."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.errors import NotConvertibleError, SampleError, listed
from sqlml.types import INTEGERS, element_of

if TYPE_CHECKING:
    from sqlml.convert.ensemble import Width
    from sqlml.convert.graph import Graph
    from sqlml.sample import Column

WRAP = "Wrap it in a module whose forward takes the columns by name, or one tensor of all of them."
"""What an author can do whose module takes something else."""


_INNER = "Publish the module inside: sqlml.publish(model.{}, …)."
WRAPPED = {
    "ScriptModule": (
        "it is scripted or traced, and its Python is gone.",
        "Publish the module that it was made from.",
    ),
    "OptimizedModule": ("torch.compile made it.", _INNER.format("_orig_mod")),
    "DataParallel": ("it spreads rows over devices.", _INNER.format("module")),
    "DistributedDataParallel": ("it spreads rows over devices.", _INNER.format("module")),
}
"""Modules around another one, by their class: why they are not converted, and what to do."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of forward, and the columns that it gets, by their numbers."""

    name: str
    columns: tuple[int, ...]
    whole: bool
    """It is int64: an index, or an array of these."""
    flat: bool
    """It is [N]."""


@dataclass(frozen=True, slots=True)
class Form:
    parameters: tuple[Parameter, ...]
    width: Width


def form_of(model: Any, columns: tuple[Column, ...]) -> Form:
    """Which columns make which tensor."""
    texts = [c.name for c in columns if c.type == "STRING" or c.categorical]
    if texts:
        raise SampleError(
            f"Columns {listed(texts)} of the sample hold text, and tensors hold numbers. Encode "
            "them as whole numbers first."
        )
    names = parameters(model)
    width = width_of(model)
    if len(names) == 1:
        only = columns[0] if len(columns) == 1 else None
        whole = only is not None and only.width is not None and _is_whole(only)
        return Form((Parameter(names[0], tuple(range(len(columns))), whole, False),), width)
    places = {column.name: i for i, column in enumerate(columns)}
    if sorted(names) != sorted(places):
        raise NotConvertibleError(
            name_of(model),
            f"its forward takes {listed(names)}, and the columns of the sample are "
            f"{listed([*places])}.",
            WRAP,
        )
    made = []
    for name in names:
        column = columns[places[name]]
        whole = _is_whole(column)
        made.append(Parameter(name, (places[name],), whole, whole and column.width is None))
    return Form(tuple(made), width)


def _is_whole(column: Column) -> bool:
    return (element_of(column.type) or column.type) in INTEGERS


def parameters(model: Any) -> list[str]:
    """The names of what forward takes."""
    if is_program(model):
        return [str(name) for name in model.graph_signature.user_inputs]
    wrapped = next(
        (WRAPPED[k.__name__] for k in type(model).__mro__ if k.__name__ in WRAPPED), None
    )
    if wrapped is not None:
        raise NotConvertibleError(name_of(model), *wrapped)
    kinds = inspect.Parameter
    taken = list(inspect.signature(model.forward).parameters.values())
    if any(p.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD) for p in taken) or not taken:
        raise NotConvertibleError(
            name_of(model), "its forward does not say what it takes (*args).", WRAP
        )
    return [p.name for p in taken if p.default is kinds.empty]


def width_of(model: Any) -> Width:
    """The floating type in which the module computes: that of its first weight."""
    module = model.module() if is_program(model) else model
    for value in (*module.parameters(), *module.buffers()):
        if value.is_floating_point():
            name = str(value.dtype).removeprefix("torch.")
            if name not in ("float32", "float64"):
                raise NotConvertibleError(
                    name_of(model), f"its weights are {name}.", "Publish module.float()."
                )
            return "float64" if name == "float64" else "float32"
    return "float32"


def column_input(g: Graph, index: int, column: Column, form: Form) -> str:
    """A column as a graph input. A whole number that is no index may be NULL: a double."""
    from sqlml.convert.graph import DOUBLE, FLOAT, INT64

    kind = element_of(column.type) or column.type
    whole = any(p.whole and index in p.columns for p in form.parameters)
    element = INT64 if whole else FLOAT if kind == "FLOAT" else DOUBLE
    return g.input(f"in{index}", element, column.width)


def fed(g: Graph, parameter: Parameter, tensors: list[str], width: Width) -> str:
    """The tensor of a parameter."""
    from sqlml.convert.links import ELEMENT

    given = [tensors[i] for i in parameter.columns]
    if parameter.flat:
        return g.node("Reshape", given[0], g.const([-1], "int64"))
    return given[0] if parameter.whole else g.concat([g.cast(t, ELEMENT[width]) for t in given])


def arguments_of(form_of: tuple[list[str], Any], rows: Any) -> tuple[Any, ...]:
    """The same of an author's rows: torch tensors, in the order of forward's parameters."""
    import numpy as np
    import torch

    names, dtype = form_of
    if isinstance(rows, np.ndarray):
        return (torch.as_tensor(rows).to(dtype),)

    def tensor(label: Any) -> Any:
        values = rows[label].to_numpy()
        if values.dtype == object and len(values) and np.ndim(values[0]):
            values = np.stack([np.asarray(v) for v in values])
        return torch.as_tensor(np.ascontiguousarray(values if values.dtype != object else
                                                    values.astype("float64")))  # fmt: skip

    if len(names) == 1:
        columns = [tensor(label) for label in rows.columns]
        if len(columns) == 1 and columns[0].ndim == 2 and not columns[0].is_floating_point():
            return (columns[0].to(torch.int64),)
        return (torch.cat([(c if c.ndim == 2 else c[:, None]).to(dtype) for c in columns], dim=1),)
    labels = {str(label): label for label in rows.columns}
    made = []
    for name in names:
        column = tensor(labels[name])
        if column.is_floating_point() or column.dtype == torch.bool:
            made.append((column if column.ndim == 2 else column[:, None]).to(dtype))
        else:
            made.append(column.to(torch.int64))
    return tuple(made)


def is_program(model: object) -> bool:
    kind = type(model)
    return (kind.__module__, kind.__name__) == ("torch.export.exported_program", "ExportedProgram")


def name_of(model: Any) -> str:
    return type(model).__name__
