"""The workloads, in one table: data, model, query, contestants, and what they must show."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.bench import case, data, fresh, kernels, measure, plans, train
from sqlml.bench.case import Case
from sqlml.bench.contestants import (
    ARROW,
    BATCH,
    IDENTITY,
    MLFLOW,
    ORBITAL,
    OURS,
    OURS_ONNX,
    OURS_SQL,
    OURS_TREES,
    PANDAS,
    SCAN,
    SPARK_ML,
    Contestant,
)
from sqlml.bench.kernels import BARE
from sqlml.bench.results import SECONDS, Result, Target, near_best, times, times_best, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlml.bench.data import Maker
    from sqlml.bench.stage import Stage

SCALED = "logistic regression"
SMALL, LARGE = "XGBoost 100 x depth 6", "XGBoost 500 x depth 8"
BEST, FIRST = "WHERE … ORDER BY … LIMIT 100", "LIMIT 100"
SWEEP, FALL, JUMP = "the whole sweep", "largest fall", "largest jump"
TREES, DEPTHS = (1, 5, 10, 50, 100, 200), (2, 4, 6, 8)

NUMBERS = ("numbers", data.numbers(28))
WIDE = ("wide", data.numbers(200))


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the contest."""

    number: int
    title: str
    rows: int
    """At scale 1."""
    cases: Callable[[Stage], Iterator[Case]]
    measure: Callable[[Stage, Workload, Case], Iterator[Result]]
    contestants: tuple[Contestant, ...]
    targets: tuple[Target, ...]
    observed: tuple[tuple[str, Callable[[Stage, Callable[[], Any]], float]], ...] = ()
    """What else is looked at, once, after the times."""
    summary: Callable[[Sequence[Result]], Iterator[Result]] | None = None
    """What shows only across the cases."""


def _targets(stage: Stage, rows: Any, name: str) -> Any:
    return train.outcome(rows, data.generator(stage.seed, f"outcome of {name}", 0))


def _numbers(stage: Stage, rows: int) -> tuple[str, Any, Any]:
    name, make = NUMBERS
    sample = stage.training(name, make).drop(columns="id")
    return f"SELECT * FROM {stage.table(name, make, rows)}", sample, _targets(stage, sample, name)


def _scaled(stage: Stage) -> Iterator[Case]:
    source, X, y = _numbers(stage, 4_000_000)
    yield Case(SCALED, train.scaled_logistic(X, y), X, source, case.average)


def _patients(stage: Stage) -> Iterator[Case]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    source = f"SELECT * FROM {stage.table('patients', data.patients, 4_000_000)}"
    X = stage.training("patients", data.patients).drop(columns="id")
    y = _targets(stage, X, "patients")
    tree = DecisionTreeClassifier(max_depth=8, random_state=0)
    yield Case("decision tree, depth 8", train.encoded(X, y, tree), X, source, case.average)
    linear = LogisticRegression(max_iter=200)
    yield Case("logistic regression", train.encoded(X, y, linear), X, source, case.average)


def _boosters(stage: Stage) -> Iterator[Case]:
    source, X, y = _numbers(stage, 2_000_000)
    for name, trees, depth in ((SMALL, 100, 6), (LARGE, 500, 8)):
        yield Case(name, train.xgboost(X, y, trees=trees, depth=depth), X, source, case.average)


def _kernels(stage: Stage) -> Iterator[Case]:
    name, make = NUMBERS
    X = stage.training(name, make).drop(columns="id")
    y = _targets(stage, X, name)
    models: dict[str, Callable[[], Any]] = {
        SMALL: lambda: train.xgboost(X, y, trees=100, depth=6),
        LARGE: lambda: train.xgboost(X, y, trees=500, depth=8),
        "LightGBM 100 x 31 leaves": lambda: train.lightgbm(X, y, trees=100, leaves=31),
        "LightGBM 500 x 255 leaves": lambda: train.lightgbm(X, y, trees=500, leaves=255),
        "forest 100 x depth 8": lambda: train.forest(X, y, trees=100, depth=8),
        "forest 100 x depth 10": lambda: train.forest(X, y, trees=100, depth=10),
    }
    for title, model in models.items():
        stage.say(f"training {title}")
        yield Case(title, model(), X, "", case.average)


def _sweep(stage: Stage) -> Iterator[Case]:
    source, X, y = _numbers(stage, 1_000_000)
    for trees in TREES:
        for depth in DEPTHS:
            model = train.xgboost(X, y, trees=trees, depth=depth)
            yield Case(_cell(trees, depth), model, X, source, case.average)


def _cell(trees: int, depth: int) -> str:
    return f"{trees} x depth {depth}"


def _expedia(stage: Stage) -> Iterator[Case]:
    counts = {"hotels": 20_000, "searches": 400_000}
    hotels, searches = (stage.rows(count) for count in counts.values())
    makers: dict[str, Maker] = {
        "hotels": data.hotels,
        "searches": data.searches,
        "listings": data.listings(hotels, searches),
    }
    full = {**counts, "listings": 4_000_000}
    views = {name: stage.table(name, make, full[name]) for name, make in makers.items()}
    parts = {name: stage.training(name, make) for name, make in makers.items()}
    joined = parts["listings"].assign(
        prop_id=parts["listings"].prop_id % len(parts["hotels"]),
        srch_id=parts["listings"].srch_id % len(parts["searches"]),
    )
    joined = joined.merge(parts["hotels"], on="prop_id").merge(parts["searches"], on="srch_id")
    X = joined[[*data.NUMBERS, *data.CODES]]
    y = _targets(stage, X, "expedia")
    source = f"""
        SELECT id, {", ".join(X.columns)}
        FROM   {views["listings"]} JOIN {views["hotels"]} USING (prop_id)
               JOIN {views["searches"]} USING (srch_id)
        WHERE  prop_location_score1 > 1 AND prop_location_score2 > 0.1
          AND  prop_log_historical_price > 4 AND count_bookings > 5
          AND  srch_booking_window > 10 AND srch_length_of_stay > 1"""
    yield Case("3,965 features", train.expedia(X, y), X, source, case.everything)


def _wide(stage: Stage) -> Iterator[Case]:
    name, make = WIDE
    X = stage.training(name, make).drop(columns="id")
    source = f"SELECT * FROM {stage.table(name, make, 1_000_000)}"
    for title, fit in (
        ("L1 model, 40 of 200 weights", train.sparse_linear),
        ("booster, 30 of 200 columns", train.narrow_booster),
    ):
        model = fit(X, data.generator(stage.seed, title, 0))
        yield Case(title, model, X, source, case.everything)


def _limits(stage: Stage) -> Iterator[Case]:
    source, X, y = _numbers(stage, 2_000_000)
    best = Case(BEST, train.xgboost(X, y, trees=100, depth=6), X, source, case.highest)
    yield best
    yield dataclasses.replace(best, name=FIRST, query=case.first_rows)


def _sessions(stage: Stage) -> Iterator[Case]:
    name, make = NUMBERS
    X = stage.training(name, make).drop(columns="id")
    y = _targets(stage, X, name)
    source = f"SELECT * FROM parquet.`{stage.files(name, make, 1_000)}`"
    yield Case(SCALED, train.scaled_logistic(X, y), X, source, case.average)
    yield Case(SMALL, train.xgboost(X, y, trees=100, depth=6), X, source, case.average)


def _shape(results: Sequence[Result]) -> Iterator[Result]:
    """How the automatic choice grows with the model, from each size to the next."""
    seconds = {r.case: r.median for r in results if r.contestant == OURS.name and r.values}
    pairs = [
        (_cell(few, depth), _cell(many, depth), many / few)
        for few, many in itertools.pairwise(TREES)
        for depth in DEPTHS
    ]
    pairs += [
        (_cell(trees, low), _cell(trees, high), high / low)
        for trees in TREES
        for low, high in itertools.pairwise(DEPTHS)
    ]
    known = [(seconds[a], seconds[b], more) for a, b, more in pairs if {a, b} <= seconds.keys()]
    if known:
        falls = max(small / large for small, large, _ in known)
        jumps = max(large / small / more for small, large, more in known)
        yield Result(5, SWEEP, OURS.name, FALL, (falls,))
        yield Result(5, SWEEP, OURS.name, JUMP, (jumps,))


def _quantity(
    text: str, value: Callable[[Any], float], bound: float, quantity: str, *cases: str
) -> Target:
    return Target(text, OURS.name, value, bound, cases=cases, quantity=quantity)


def _later(name: str) -> Target:
    return Target(
        f"{name} - {fresh.PLAIN}",
        name,
        lambda f: f(name, fresh.LATER) - f(fresh.PLAIN, fresh.LATER),
        0.15,
        cases=(SMALL,),
        quantity=fresh.LATER,
    )


_BACKENDS = (OURS, OURS_SQL, OURS_TREES, OURS_ONNX)
_OTHERS = (MLFLOW, PANDAS, BATCH, ARROW)
_FORCED = [c.name for c in (OURS_SQL, OURS_TREES, OURS_ONNX)]
_BYTES = ((plans.BYTES, plans.bytes_read),)
_PYTHON = ((plans.NODES, plans.evaluations), (plans.SCORED, plans.rows_scored))

WORKLOADS = (
    Workload(
        1,
        "28 doubles, scaler and logistic regression: avg(probability)",
        4_000_000,
        _scaled,
        measure.in_spark,
        (*_BACKENDS, *_OTHERS, SPARK_ML, ORBITAL, SCAN),
        (within(1.15, [SCAN.name], OURS.name), times(3, MLFLOW.name, OURS.name)),
    ),
    Workload(
        2,
        "9 numbers and 15 texts, 59 encoded: full scan",
        4_000_000,
        _patients,
        measure.in_spark,
        (*_BACKENDS, *_OTHERS, ORBITAL, SCAN),
        (within(1.4, [SCAN.name], OURS.name), times(8, MLFLOW.name, OURS.name)),
    ),
    Workload(
        3,
        "tree kernels alone, one core, batches of 10,000",
        50_000,
        _kernels,
        kernels.alone,
        (),
        (
            times_best(
                2,
                [k.name for k in (kernels.LIBRARY, kernels.ONNX, kernels.TREELITE)],
                kernels.SQLML.name,
            ),
            times(5, kernels.ONNX.name, kernels.SQLML.name),
        ),
    ),
    Workload(
        4,
        "28 doubles, XGBoost through SQL: full scan",
        2_000_000,
        _boosters,
        measure.in_spark,
        (OURS, OURS_TREES, OURS_ONNX, *_OTHERS, SCAN, IDENTITY, BARE),
        (
            times(2, MLFLOW.name, OURS.name),
            times(1.6, PANDAS.name, OURS.name, SMALL),
            times(2, PANDAS.name, OURS.name, LARGE),
            within(1.25, [IDENTITY.name, BARE.name], OURS.name),
        ),
    ),
    Workload(
        5,
        "1 to 200 trees x depth 2 to 8: the choice of backend",
        1_000_000,
        _sweep,
        measure.in_spark,
        (*_BACKENDS, SCAN),
        (
            near_best(1.1, _FORCED, OURS.name),
            _quantity(
                "largest fall of a larger model", lambda f: f(OURS.name, FALL), 1.1, FALL, SWEEP
            ),
            _quantity(
                "largest growth ÷ that of the model", lambda f: f(OURS.name, JUMP), 1.5, JUMP, SWEEP
            ),
        ),
        summary=_shape,
    ),
    Workload(
        6,
        "three tables joined, 8 numbers and 20 codes, 3,965 features: filter, join, score",
        4_000_000,
        _expedia,
        measure.in_spark,
        (OURS, OURS_SQL, OURS_ONNX, MLFLOW, PANDAS, ARROW, SCAN),
        (times(13, PANDAS.name, OURS.name),),
    ),
    Workload(
        7,
        "200 columns of which the model uses few: SELECT id, prediction",
        1_000_000,
        _wide,
        measure.in_spark,
        (OURS, *_OTHERS, SCAN),
        (
            times_best(3, [c.name for c in _OTHERS], OURS.name),
            _quantity(
                "bytes of ours ÷ of all columns",
                lambda f: f(OURS.name, plans.BYTES) / f(SCAN.name, plans.BYTES),
                0.25,
                plans.BYTES,
            ),
        ),
        observed=_BYTES,
    ),
    Workload(
        8,
        "XGBoost 100 x depth 6: limits",
        2_000_000,
        _limits,
        measure.in_spark,
        (OURS, OURS_TREES, OURS_ONNX, MLFLOW, PANDAS, ARROW, SCAN),
        (
            _quantity("evaluations", lambda f: f(OURS.name, plans.NODES), 1, plans.NODES, BEST),
            _quantity(
                "rows scored", lambda f: f(OURS.name, plans.SCORED), 10_000, plans.SCORED, FIRST
            ),
            _quantity(
                "seconds more than without a score",
                lambda f: f(OURS.name) - f(SCAN.name),
                0.3,
                SECONDS,
                FIRST,
            ),
        ),
        observed=_PYTHON,
    ),
    Workload(
        9,
        "1,000 rows: the first and the 20th query of a session",
        1_000,
        _sessions,
        fresh.sessions,
        (),
        (
            Target(
                "sqlml ÷ plain query",
                OURS.name,
                lambda f: f(OURS.name, fresh.LATER) / f(fresh.PLAIN, fresh.LATER),
                1.3,
                cases=(SCALED,),
                quantity=fresh.LATER,
            ),
            _later(OURS.name),
            _later(OURS_ONNX.name),
            Target(
                "mlflow ÷ sqlml",
                MLFLOW.name,
                lambda f: f(MLFLOW.name, fresh.FIRST) / f(OURS.name, fresh.FIRST),
                3,
                at_least=True,
                quantity=fresh.FIRST,
            ),
        ),
    ),
)
