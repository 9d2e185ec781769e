"""Kernels without Spark: the floor under our own queries, and the libraries on one core."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlml.bench import workers
from sqlml.bench.contestants import CannotCompeteError, Contestant
from sqlml.bench.measure import APART, CLOSE, out, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

    from sqlml.bench.case import Case
    from sqlml.bench.results import Result
    from sqlml.bench.stage import Stage
    from sqlml.bench.workloads import Workload
    from sqlml.model import ScoringModel

    Vector = np.ndarray[Any, Any]
    Score = Callable[[Any], Any]

BATCH = 10_000
"""Spark's own number of rows in an Arrow batch."""
_IN_MEMORY = 100_000


@dataclass(frozen=True, slots=True)
class Kernel:
    """What scores batches: `prepare` brings rows into the form it likes best, untimed."""

    name: str
    settings: str
    load: Callable[[Case], tuple[Callable[[Vector], Any], Score]]


def alone(stage: Stage, workload: Workload, case: Case) -> Iterator[Result]:
    """Batches of 10,000 through each kernel, one thread."""
    rows = _matrix(stage, case, workload.rows)
    truth = workers.native(case.model, case.inputs, named=False)([*rows.T])
    asks: dict[str, Callable[[], Any]] = {}
    errors: dict[str, float] = {}
    for kernel in KERNELS:
        try:
            prepare, score = kernel.load(case)
            batches = [prepare(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
            errors[kernel.name] = _difference(score, batches, truth)
        except Exception as error:  # of whatever library: what it says is its result
            yield out(stage, workload, case, kernel.name, error)
        else:
            asks[kernel.name] = partial(_all, score, batches)
    yield from timed(stage, workload, case, asks, errors)


def _all(score: Score, batches: Sequence[Any]) -> None:
    for batch in batches:
        score(batch)


def _difference(score: Score, batches: Sequence[Any], truth: Vector) -> float:
    import numpy as np

    error = abs(np.concatenate([np.asarray(score(batch)).reshape(-1) for batch in batches]) - truth)
    apart = (error > CLOSE).mean()
    if apart > APART:
        raise CannotCompeteError(f"wrong scores: {apart:.1%} of the rows, up to {error.max():.2g}")
    return float(error.max())


def _matrix(stage: Stage, case: Case, full_rows: int) -> Vector:
    """Rows to score: those that were trained on serve, over and over."""
    import numpy as np

    rows = max(stage.rows(full_rows), 1_000)
    return np.resize(case.sample.to_numpy(), (rows, len(case.inputs)))


def _bare(stage: Stage, case: Case) -> Callable[[], Any]:
    """The kernel on every core, over the case's number of rows in memory."""
    import numpy as np

    count = stage.spark.sql(f"SELECT count(*) FROM ({case.data})").collect()[0][0]
    prepare, _ = _sqlml(case)
    part = min(BATCH, -(-count // stage.cores))
    rows = np.resize(case.sample.to_numpy(), (min(count, _IN_MEMORY), len(case.inputs)))
    batches = [prepare(rows[i : i + part]) for i in range(0, len(rows) - part + 1, part)]
    # A core's engine is its own, as a Python worker's is.
    scores = [_sqlml(case)[1] for _ in range(stage.cores)]
    share = -(-count // (part * stage.cores))

    def work(core: int) -> None:
        for i in range(share):
            scores[core](batches[(core + i) % len(batches)])

    pool = ThreadPoolExecutor(stage.cores)
    return lambda: list(pool.map(work, range(stage.cores)))


def _converted(case: Case) -> ScoringModel:
    from sqlml.convert import convert

    return convert(case.model, sample=case.sample[:100])


def _sqlml(case: Case) -> tuple[Callable[[Vector], Any], Score]:
    from sqlml.compile import forest
    from sqlml.score import trees

    model = _converted(case)
    engine = trees.Engine(model, forest.program(model))
    kind = "float32" if model.signature.inputs[0].wire == "FLOAT" else "float64"

    def prepare(rows: Vector) -> list[Vector]:
        return [column.astype(kind) for column in rows.T]

    return prepare, lambda batch: engine.run(batch)[0][:, -1]


def _onnx(case: Case) -> tuple[Callable[[Vector], Any], Score]:
    model = _converted(case)
    kind = "float32" if model.signature.inputs[0].wire == "FLOAT" else "float64"
    predict = workers.onnx_runtime(model.onnx, named=True)
    return lambda rows: [column.astype(kind) for column in rows.T], predict


def _library(case: Case) -> tuple[Callable[[Vector], Any], Score]:
    kind = workers.wanted(case.model)
    return lambda rows: rows.astype(kind), workers.rows_at_once(case.model)


def _treelite(case: Case) -> tuple[Callable[[Vector], Any], Score]:
    import treelite

    load = {
        "xgboost": lambda: treelite.frontend.from_xgboost(case.model.get_booster()),
        "lightgbm": lambda: treelite.frontend.from_lightgbm(case.model.booster_),
        "sklearn": lambda: treelite.sklearn.import_model(case.model),
    }
    model = load[case.library]()
    kind = "float32" if case.library == "xgboost" else "float64"
    return lambda rows: rows.astype(kind), lambda rows: _last(
        treelite.gtil.predict(model, rows, nthread=1)
    )


def _last(scores: Vector) -> Vector:
    """Of [N, 1, classes] the last class: the probability of 1."""
    return scores.reshape(len(scores), -1)[:, -1]


SQLML = Kernel("sqlml trees", "columns as Arrow has them", _sqlml)
LIBRARY = Kernel("its own library", "rows in memory, nthread=1", _library)
ONNX = Kernel("ONNX Runtime", "one thread that does not spin", _onnx)
TREELITE = Kernel("treelite GTIL", "rows in memory, nthread=1", _treelite)
KERNELS = (SQLML, LIBRARY, ONNX, TREELITE)

BARE = Contestant("bare kernel", "every core, no Spark, rows in memory", _bare, True, True)
