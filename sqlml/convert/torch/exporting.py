"""Running a module, and PyTorch's own ONNX of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.hushed import hushed
from sqlml.convert.torch.exact import exact
from sqlml.convert.torch.tensors import (
    WRAP,
    Form,
    arguments_of,
    is_program,
    name_of,
    parameters,
    width_of,
)
from sqlml.errors import NotConvertibleError

_ANY_ROWS = "Export it for any number of rows: dynamic_shapes=({0: torch.export.Dim('N')},)."

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx


def run(model: Any, rows: Any) -> Any:
    """What the module gives, as a NumPy array."""
    import torch

    names, width = parameters(model), width_of(model)
    arguments = arguments_of((names, getattr(torch, width)), rows)
    with torch.no_grad(), _evaluating(model) as module:
        result = module(*arguments)
    if not isinstance(result, torch.Tensor):
        raise NotConvertibleError(
            name_of(model), f"its forward returns a {type(result).__name__}, not one tensor.", WRAP
        )
    return result.numpy()


class _evaluating:
    """The module in evaluation mode, and as it was afterwards."""

    def __init__(self, model: Any) -> None:
        self._module = model.module() if is_program(model) else model
        self._modes = [] if is_program(model) else [(m, m.training) for m in model.modules()]

    def __enter__(self) -> Any:
        if self._modes:
            self._module.eval()
        return self._module

    def __exit__(self, *_: object) -> None:
        for module, training in self._modes:
            module.training = training


def shown_of(model: Any, form: Form, rows: Any) -> Any:
    """What the module makes of the sample; that it is one row for each row is seen here."""
    try:
        result = run(model, rows)
    except NotConvertibleError:
        raise
    except Exception as error:  # a forward may raise anything
        fixed = is_program(model) and "size()[0]" in str(error)
        raise NotConvertibleError(
            name_of(model),
            f"its forward refuses the sample: {_reason(error)}",
            _ANY_ROWS if fixed else WRAP,
        ) from error
    if not np.array_equal(run(model, rows), result, equal_nan=True):
        raise NotConvertibleError(
            name_of(model),
            "of the same rows it gives other numbers each time: it draws them at random.",
            "Let nn.Dropout do that, which eval() stops; not functional.dropout.",
        )
    if result.ndim not in (1, 2) or len(result) != len(rows) or result.dtype.name != form.width:
        shape = "x".join(map(str, result.shape))
        raise NotConvertibleError(
            name_of(model),
            f"of {len(rows)} rows it makes a tensor of {shape} {result.dtype}s.",
            f"Let it return [N] or [N, K] in {form.width}.",
        )
    return result


def exported(model: Any, form: Form, few: Any) -> onnx.ModelProto:
    """PyTorch's own ONNX of the module, for any number of rows."""
    import torch

    from sqlml.convert.graph import OPSETS

    names = [p.name for p in form.parameters]
    arguments = arguments_of((names, getattr(torch, form.width)), few)
    rows = torch.export.Dim("N")
    try:
        with warnings.catch_warnings(), hushed("torch"), _evaluating(model) as module:
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                arguments,
                dynamo=True,
                dynamic_shapes=tuple({0: rows} for _ in arguments),
                opset_version=OPSETS[""],
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever it meets
        raise NotConvertibleError(
            name_of(model), f"PyTorch's exporter refuses it: {_reason(error)}"
        ) from error
    proto: onnx.ModelProto = program.model_proto
    if proto.functions:
        raise NotConvertibleError(
            name_of(model), f"PyTorch exports functions of its own: {proto.functions[0].name}."
        )
    drawn = [node.op_type for node in proto.graph.node if node.op_type in _DRAWN]
    if drawn:
        raise NotConvertibleError(name_of(model), f"it draws numbers at random ({drawn[0]}).")
    return exact(proto)


def _reason(error: BaseException) -> str:
    """The first line of what an error was raised for first; the others say how it was met."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


_DRAWN = (
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
)  # fmt: skip


_HANDED_ON = ("Cast", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze", "Transpose")
_OF_THE_SHAPE = ("Constant", "ConstantOfShape", "Range", "Shape", "Expand")


def embeddings(proto: onnx.ModelProto, form: Form) -> Iterator[tuple[int, int]]:
    """The input of each embedding's index, and how many entries it has.

    PyTorch raises on any other index, where ONNX counts from the end, or fails for all rows.
    """
    constants = {t.name: t for t in proto.graph.initializer}
    maker = {name: node for node in proto.graph.node for name in node.output}
    fed = {v.name: p for v, p in zip(proto.graph.input, form.parameters, strict=True)}
    for node in proto.graph.node:
        if node.op_type != "Gather" or node.input[0] not in constants:
            continue
        source = node.input[1]
        while source in maker and maker[source].op_type in _HANDED_ON:
            source = maker[source].input[0]
        if source in constants or (source in maker and maker[source].op_type in _OF_THE_SHAPE):
            continue
        entries = constants[node.input[0]].dims[0]
        parameter = fed.get(source)
        if parameter is None or not parameter.whole:
            raise NotConvertibleError(
                "Embedding", "its index is computed, or stands among other numbers.", WRAP
            )
        yield parameter.columns[0], entries
