"""PyTorch: networks over columns, embeddings of whole numbers, arrays as inputs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .case import Answer, Case, Fitted
from .data import EXTREMES

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, CODES = 6, 9
LENGTHS = {"vector": WIDTH, "history": 4}


def columns(n: int, seed: int) -> pd.DataFrame:
    """Numbers, whole numbers that are codes, and arrays of both."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.uniform(18, 90, n).round(1),
            "income": rng.lognormal(3, 1, n),
            "plan": rng.integers(0, CODES, n),
            "vector": list(rng.normal(size=(n, WIDTH))),
            "history": list(rng.integers(0, CODES, (n, 4))),
        }
    )


def awkward(names: list[str]) -> pd.DataFrame:
    """Rows to score: NULL, NaN and infinity, codes that there are not, arrays of another length."""
    rows = columns(60, 99)[names]
    odd: dict[str, list[Any]] = {
        "age": [None, *EXTREMES],
        "income": [None, *EXTREMES],
        "plan": [None, -1, 0, CODES - 1, CODES, 2**40],
        "vector": [None, np.zeros(0), np.zeros(WIDTH + 1), *(np.full(WIDTH, v) for v in EXTREMES)],
        "history": [None, np.zeros(3, int), np.full(4, -1), np.full(4, CODES), np.full(4, 8)],
    }
    made = {}
    for name in names:
        values = list(rows[name])
        for place, value in enumerate(odd[name]):
            values[place * len(names) + names.index(name)] = value
        kind = {"age": "float64", "income": "float64", "plan": "Int64"}.get(name, "object")
        made[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(made)


def ask(model: Any, rows: Any) -> Answer:
    """As an author calls it: tensors made by hand."""
    import torch

    def tensor(name: str) -> torch.Tensor:
        values = rows[name]
        if name in LENGTHS:
            if any(len(v) != LENGTHS[name] for v in values):  # a network may take any length
                raise ValueError("SQL takes arrays of the length that was published")
            return torch.tensor(np.stack(list(values)))
        if name == "plan" and values.dtype.kind != "i":
            raise ValueError("codes are whole numbers")
        return torch.tensor(values.to_numpy())

    model.eval()
    with torch.no_grad():
        result = model(*model.tensors(tensor))
    found = result.numpy()
    return Answer(found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found)


def ask_labels(model: Any, rows: Any, *, labels: tuple[Any, ...]) -> Answer:
    """The same of a classifier: its probabilities, and the label of the greatest."""
    found = ask(model, rows).prediction
    table = found if found.ndim == 2 else np.stack([1 - found, found], axis=1)
    return Answer(np.array(labels)[table.argmax(axis=1)], labels, table)


def network(
    make: Callable[[], Any], names: list[str], labels: tuple[Any, ...] = ()
) -> Callable[[], Fitted]:
    def fit() -> Fitted:
        import torch

        torch.manual_seed(0)
        asked = partial(ask_labels, labels=labels) if labels else ask
        return Fitted(make(), columns(200, 7)[names], awkward(names), asked, labels or None)

    return fit


def stacked(dtype: str = "float32", targets: int = 1) -> Callable[[], Any]:
    """A network of one tensor with all columns, with what behaves otherwise in training."""

    def make() -> Any:
        import torch
        from torch import nn

        class Stacked(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                # ONNX Runtime has no Erf of doubles.
                curve = nn.GELU() if dtype == "float32" else nn.Tanh()
                self.layers = nn.Sequential(
                    nn.BatchNorm1d(2), nn.Linear(2, 8), curve, nn.Dropout(0.4),
                    nn.LayerNorm(8), nn.Linear(8, targets),
                )  # fmt: skip

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.layers(x)

            def tensors(self, of: Any) -> tuple[torch.Tensor, ...]:
                x = torch.stack([of("age"), of("income")], dim=1)
                return (x.to(getattr(torch, dtype)),)

        made = Stacked().to(getattr(torch, dtype))
        made(torch.randn(64, 2, dtype=getattr(torch, dtype)) * 20 + 40)  # running statistics
        return made

    return make


def softmax() -> Any:
    from torch import nn

    made = stacked(targets=3)()
    made.layers.append(nn.Softmax(dim=1))
    return made


def by_name() -> Any:
    import torch
    from torch import nn

    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plans = nn.Embedding(CODES, 3)
            self.last = nn.Linear(5, 1)

        def forward(self, age: torch.Tensor, plan: torch.Tensor, income: torch.Tensor) -> Any:
            x = torch.cat([age / 50, torch.log1p(income.abs()), self.plans(plan)], dim=1)
            return torch.sigmoid(self.last(x)).squeeze(1)

        def tensors(self, of: Any) -> tuple[torch.Tensor, ...]:
            return of("age")[:, None].float(), of("plan"), of("income")[:, None].float()

    return ByName()


def of_arrays() -> Any:
    import torch
    from torch import nn

    class OfArrays(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.codes = nn.Embedding(CODES, 3)
            self.last = nn.Linear(WIDTH + 3, 2)

        def forward(self, vector: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
            return self.last(torch.cat([vector, self.codes(history).mean(dim=1)], dim=1))

        def tensors(self, of: Any) -> tuple[torch.Tensor, ...]:
            return of("vector").float(), of("history")

    return OfArrays()


def convolution() -> Any:
    import torch
    from torch import nn

    class Convolution(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.filter = nn.Conv1d(1, 2, 3, padding=1)
            self.last = nn.Linear(2 * WIDTH, 1)

        def forward(self, vector: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.filter(vector[:, None, :])).flatten(1))

        def tensors(self, of: Any) -> tuple[torch.Tensor, ...]:
            return (of("vector").float(),)

    return Convolution()


def over_vector(make: Callable[[], dict[str, Any]], forward: Callable[[Any, Any], Any]) -> Any:
    """A module of some parts over the array `vector`."""

    def made() -> Any:
        import torch
        from torch import nn

        class OverVector(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                for name, part in make().items():
                    setattr(self, name, part)

            def forward(self, vector: torch.Tensor) -> Any:
                return forward(self, vector)

            def tensors(self, of: Any) -> tuple[torch.Tensor, ...]:
                return (of("vector").float(),)

        return OverVector()

    return made


def recurrent_parts() -> dict[str, Any]:
    from torch import nn

    both = nn.LSTM(1, 3, batch_first=True, bidirectional=True)
    return {"both": both, "last": nn.GRU(6, 4, batch_first=True), "out": nn.Linear(4, 1)}


def transformer_parts() -> dict[str, Any]:
    """A token of each number, as in FT-Transformer."""
    import torch
    from torch import nn

    return {
        "weight": nn.Parameter(torch.randn(WIDTH, 8)),
        "block": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True),
        "out": nn.Linear(8, 2),
    }


def pooling_parts() -> dict[str, Any]:
    from torch import nn

    return {"layers": nn.Sequential(
        nn.Unflatten(1, (1, WIDTH)), nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(6, 1),
    )}  # fmt: skip


def large_embedding() -> Any:
    made = by_name()
    from torch import nn

    made.plans = nn.Embedding(100_000, 3)
    return made


def always_dropping() -> Any:
    """`functional.dropout` does not ask whether anything is trained."""
    import torch

    return over_vector(dict, lambda _, v: torch.nn.functional.dropout(v).sum(dim=1))()


def two_results() -> Any:
    return over_vector(dict, lambda _, v: (v.sum(dim=1), v.mean(dim=1)))()


def scripted() -> Any:
    import torch

    return torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 1)))


def random_noise() -> Any:
    import torch
    from torch import nn

    class Noise(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(dim=1) + torch.rand(len(x))

        def tensors(self, of: Any) -> tuple[torch.Tensor, ...]:
            return (torch.stack([of("age"), of("income")], dim=1).float(),)

    return Noise()


def of_the_batch() -> Any:
    """A row's result depends on the rows beside it."""
    import torch
    from torch import nn

    class OfTheBatch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - x.mean(dim=0)).sum(dim=1)

        def tensors(self, of: Any) -> tuple[torch.Tensor, ...]:
            return (torch.stack([of("age"), of("income")], dim=1).float(),)

    return OfTheBatch()


NUMBERS = ["age", "income"]

TORCH: tuple[Case, ...] = (
    Case("torch-stacked", network(stacked(), NUMBERS)),
    Case("torch-double", network(stacked("float64"), NUMBERS)),
    Case("torch-targets", network(stacked(targets=3), NUMBERS)),
    Case("torch-embedding", network(by_name, ["age", "income", "plan"])),
    Case("torch-arrays", network(of_arrays, ["vector", "history"])),
    Case("torch-convolution", network(convolution, ["vector"])),
    Case(
        "torch-recurrent",
        network(
            over_vector(
                recurrent_parts, lambda m, v: m.out(m.last(m.both(v[:, :, None])[0])[0][:, -1])
            ),
            ["vector"],
        ),
        "ONNX Runtime's LSTM clamps NaN",
    ),
    Case(
        "torch-transformer",
        network(
            over_vector(
                transformer_parts, lambda m, v: m.out(m.block(v[:, :, None] * m.weight).mean(dim=1))
            ),
            ["vector"],
        ),
    ),
    Case(
        "torch-pooling",
        network(over_vector(pooling_parts, lambda m, v: m.layers(v)), ["vector"]),
        "ONNX Runtime's MaxPool leaves NaN out",
    ),
    Case("torch-large-embedding", network(large_embedding, ["age", "income", "plan"])),
    Case("torch-labels", network(softmax, NUMBERS, ("high", "low", "größte"))),
    Case("torch-two-labels", network(by_name, ["age", "income", "plan"], (False, True))),
)


def double_gelu() -> Any:
    from torch import nn

    made = stacked("float64")()
    made.layers.append(nn.GELU())
    return made


TORCH_REFUSED: tuple[Case, ...] = (
    Case("torch-double-erf", network(double_gelu, NUMBERS)),
    Case("torch-random", network(random_noise, NUMBERS)),
    Case("torch-dropping", network(always_dropping, ["vector"])),
    Case("torch-two-results", network(two_results, ["vector"])),
    Case("torch-scripted", network(scripted, NUMBERS)),
    Case("torch-half", network(lambda: stacked()().half(), NUMBERS)),
    Case("torch-of-the-batch", network(of_the_batch, NUMBERS)),
    Case("torch-no-probabilities", network(stacked(targets=3), NUMBERS, ("a", "b", "c"))),
)
