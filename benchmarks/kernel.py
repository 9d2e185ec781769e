"""The tree kernel beside ONNX Runtime, the models' own libraries and treelite: rows a second.

    python benchmarks/kernel.py
    python benchmarks/kernel.py --memory

Batches of 10,000 rows of 28 features on one core, one thread each, in one process; the
contestants take turns. Each gets its input in the form that it likes best, made beforehand:
the kernel and ONNX Runtime columns as Arrow gives them, the others a matrix. Numbers are medians,
in millions of rows a second of the process's own time, which other processes do not prolong.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"  # before anything loads OpenMP

import numpy as np  # noqa: E402

import sqlml  # noqa: E402
from sqlml.compile.forest import program  # noqa: E402
from sqlml.score import onnxruntime, trees  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS, FEATURES, TURNS = 10_000, 28, 7


def data(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, FEATURES))
    signal = X[:, 0] * X[:, 1] + np.sin(3 * X[:, 2]) + X[:, 3] + X[:, 4:12].sum(axis=1) / 4
    return X, signal + rng.normal(size=rows) / 2


def models() -> Iterator[tuple[str, Any, np.ndarray]]:
    """Name, trained model, and the rows that it is converted with."""
    from lightgbm import LGBMRegressor
    from sklearn.ensemble import RandomForestRegressor
    from xgboost import XGBRegressor

    X, y = data(20_000, 0)
    for count, depth in ((100, 6), (500, 8)):
        single = X.astype(np.float32)
        yield (
            f"XGBoost {count} x depth {depth}",
            XGBRegressor(n_estimators=count, max_depth=depth, n_jobs=1).fit(single, y),
            single,
        )
    for count, leaves in ((100, 31), (500, 255)):
        yield (
            f"LightGBM {count} x {leaves} leaves",
            LGBMRegressor(n_estimators=count, num_leaves=leaves, n_jobs=1, verbose=-1).fit(X, y),
            X,
        )
    for depth in (8, 10):
        yield (
            f"forest 100 x depth {depth}",
            RandomForestRegressor(
                100, max_depth=depth, max_features=0.5, n_jobs=1, random_state=0
            ).fit(X, y),
            X,
        )


def contestants(model: Any, sample: np.ndarray) -> dict[str, Callable[[], Any]]:
    import treelite

    X, _ = data(ROWS, 1)
    X = np.ascontiguousarray(X.astype(sample.dtype))
    converted = sqlml.convert(model, sample=sample)
    wires = [np.float32 if i.wire == "FLOAT" else np.float64 for i in converted.signature.inputs]
    columns = [np.ascontiguousarray(X[:, i].astype(wire)) for i, wire in enumerate(wires)]
    kernel = trees.Engine(converted, program(converted))
    onnx = onnxruntime.Engine(converted, converted.onnx)
    assert kernel.run(columns)[0].tobytes() == onnx.run(columns)[0].tobytes()
    kind = type(model).__module__.partition(".")[0]
    if kind == "xgboost":
        booster = model.get_booster()
        booster.set_param({"nthread": 1})
        compared = treelite.frontend.from_xgboost(booster)
        own: Callable[[], Any] = lambda: booster.inplace_predict(X)  # noqa: E731
    elif kind == "lightgbm":
        compared = treelite.frontend.from_lightgbm(model.booster_)
        own = lambda: model.booster_.predict(X, num_threads=1)  # noqa: E731
    else:
        compared = treelite.sklearn.import_model(model)
        single = X.astype(np.float32)  # as it converts them itself
        own = lambda: model.predict(single)  # noqa: E731
    form = X if kind == "lightgbm" else X.astype(np.float32)
    if kind == "sklearn":
        form = X  # its thresholds are doubles, and GTIL wants one type
    return {
        "sqlml": lambda: kernel.run(columns),
        "ONNX Runtime": lambda: onnx.run(columns),
        "own library": own,
        "treelite GTIL": lambda: treelite.gtil.predict(compared, form, nthread=1),
    }


def rates(contest: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Million rows a second, the median of alternating turns."""
    took: dict[str, list[float]] = {name: [] for name in contest}
    for turn in range(TURNS + 1):
        for name, run in contest.items():
            again = 10 if name == "sqlml" else 1  # long enough to measure
            start = time.process_time()
            for _ in range(again):
                run()
            if turn:  # the first one warms up
                took[name].append((time.process_time() - start) / again)
    return {name: ROWS / statistics.median(t) / 1e6 for name, t in took.items()}


def speed() -> None:
    names = ["sqlml", "ONNX Runtime", "own library", "treelite GTIL"]
    print(f"{'million rows a second':28}" + "".join(f"{n:>15}" for n in names) + f"{'ratio':>8}")
    for name, model, sample in models():
        found = rates(contestants(model, sample))
        best = max(rate for other, rate in found.items() if other != "sqlml")
        line = "".join(f"{found[n]:15.3f}" for n in names)
        print(f"{name:28}{line}{found['sqlml'] / best:8.1f}", flush=True)


# ---- memory ---------------------------------------------------------------------------


def memory() -> None:
    """Peak memory of a process that loads a model and scores a batch, by engine."""
    import pickle

    from lightgbm import LGBMRegressor
    from sklearn.ensemble import ExtraTreesRegressor

    X, y = data(20_000, 0)
    forest = ExtraTreesRegressor(120, random_state=0).fit(X, y)
    boosted = LGBMRegressor(n_estimators=500, num_leaves=255, n_jobs=1, verbose=-1).fit(X, y)
    print(f"{'peak MB of a process':28}{'ONNX file':>12}{'nothing':>12}{'onnx':>12}{'trees':>12}")
    for name, model in (("large forest", forest), ("LightGBM 500 x 255 leaves", boosted)):
        converted = sqlml.convert(model, sample=X)
        with tempfile.TemporaryDirectory() as folder:
            made = {"nothing": b"", "onnx": converted.onnx, "trees": program(converted)}
            text = converted.to_json()
            peaks = []
            for engine, content in made.items():
                path = Path(folder, engine)
                path.write_bytes(pickle.dumps((text, content)))
                peaks.append(int(subprocess.check_output([sys.executable, __file__, str(path)])))
        size = len(converted.onnx) / 1e6
        print(f"{name:28}{size:12.0f}" + "".join(f"{p / 1e3:12.0f}" for p in peaks), flush=True)


def load(path: Path) -> None:
    """In a process of its own: load, score, and print the peak memory in kB."""
    import pickle

    from sqlml.model import ScoringModel

    text, content = pickle.loads(path.read_bytes())
    model = ScoringModel.from_json(text, b"")
    X, _ = data(ROWS, 1)
    columns = [np.ascontiguousarray(c.astype(np.float32)) for c in X.T]
    if model.signature.inputs[0].wire == "DOUBLE":
        columns = [c.astype(np.float64) for c in columns]
    if path.name != "nothing":
        engine = {"onnx": onnxruntime, "trees": trees}[path.name]
        engine.Engine(model, content).run(columns)  # type: ignore[attr-defined]
    status = Path("/proc/self/status").read_text()  # getrusage counts what the parent had
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", action="store_true", help="peak memory instead of speed")
    parser.add_argument("load", nargs="?", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load(given.load)
    else:
        (memory if given.memory else speed)()
