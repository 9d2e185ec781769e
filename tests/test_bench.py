"""`sqlml bench`: who takes part, that scores are compared, and that ratios are measured."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sqlml.bench import data, kernels, measure, report
from sqlml.bench.contestants import CannotCompeteError
from sqlml.bench.results import Figures, Result, times, within
from sqlml.bench.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

SQLML = os.path.join(sysconfig.get_path("scripts"), "sqlml")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def shown(home: Path) -> str:
    """What two runs on very few rows print: one workload in Spark, one without."""
    environment = {k: v for k, v in os.environ.items() if "MLFLOW" not in k} | {"COLUMNS": "200"}
    told = ""
    for number in ("1", "3"):
        command = [SQLML, "bench", number, "--rows-scale", "0.001", "--repeat", "2"]
        done = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        told += done.stdout
    return told


@pytest.fixture(scope="module")
def rows(shown: str, home: Path) -> list[dict[str, str]]:
    """The rows of the CSV file, which has both runs."""
    with (home / "sqlml-bench" / "bench.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_contestant_has_a_row(rows: list[dict[str, str]]) -> None:
    for workload in (w for w in WORKLOADS if w.number in (1, 3)):
        expected = {c.name for c in workload.contestants or kernels.KERNELS}
        assert {r["contestant"] for r in rows if r["workload"] == str(workload.number)} == expected


def test_a_row_has_its_measurements_or_says_why_not(rows: list[dict[str, str]]) -> None:
    assert [r for r in rows if bool(r["median"]) == bool(r["note"])] == []
    for row in (r for r in rows if r["median"]):
        assert 0 < float(row["low"]) <= float(row["median"]) <= float(row["high"])
        assert row["repetitions"] == "2"


def test_those_that_are_ours_took_part(rows: list[dict[str, str]]) -> None:
    measured = {(r["workload"], r["contestant"]) for r in rows if r["median"]}
    assert {("1", "sqlml"), ("1", "scan floor"), ("1", "mlflow spark_udf")} <= measured
    assert {("1", "pandas UDF"), ("1", "predict_batch_udf"), ("1", "Spark ML")} <= measured
    assert ("1", "Arrow UDF + ONNX Runtime") in measured
    assert {("3", "sqlml trees"), ("3", "ONNX Runtime"), ("3", "its own library")} <= measured


def test_the_file_is_read_as_it_was_written(
    rows: list[dict[str, str]], home: Path, tmp_path: Path
) -> None:
    written = report.read_csv(home / "sqlml-bench" / "bench.csv")
    assert {(r.rows_scale, r.workload) for r in written} == {(0.001, 1), (0.001, 3)}
    report.write_csv(written, tmp_path / "again.csv")
    assert report.read_csv(tmp_path / "again.csv") == written
    assert any(r.targets for r in written)
    assert report.read_csv(tmp_path / "absent.csv") == []


def test_ratios_are_of_the_measured_medians(rows: list[dict[str, str]]) -> None:
    medians = {(r["case"], r["contestant"]): r["median"] for r in rows}
    for row in (r for r in rows if r["median"]):
        ours = "sqlml" if row["workload"] == "1" else "sqlml trees"
        ratio = float(row["median"]) / float(medians[row["case"], ours])
        assert float(row["ratio"]) == pytest.approx(ratio)


def test_verdicts_follow_from_the_measured_medians(rows: list[dict[str, str]]) -> None:
    medians = {
        r["contestant"]: float(r["median"]) for r in rows if r["workload"] == "1" and r["median"]
    }
    (target,) = [r["targets"] for r in rows if r["contestant"] == "mlflow spark_udf"]
    name, bound, found, word = re.fullmatch(
        r"(.*) ÷ sqlml ≥ (\d): ([\d.]+), (\w+)", target
    ).groups()
    ratio = medians[name] / medians["sqlml"]
    assert float(found) == pytest.approx(ratio, abs=0.006)
    assert word == ("met" if ratio >= float(bound) else "missed")


def test_scores_were_compared_with_the_library_itself(rows: list[dict[str, str]]) -> None:
    ours = [r for r in rows if r["contestant"] in ("sqlml", "sqlml trees") and r["median"]]
    assert ours
    assert all(float(r["largest_error"]) < 1e-5 for r in ours)


def test_table_shows_medians_spread_ratios_and_targets(shown: str) -> None:
    assert "1. 28 doubles, scaler and logistic regression" in shown
    assert re.search(r"^sqlml +[\d.]+ +[\d.]+ … [\d.]+ +1\.00", shown, re.M)
    assert re.search(
        r"^scan floor .* sqlml ÷ scan floor ≤ 1\.15: [\d.]+, (met|missed)", shown, re.M
    )


def test_chart_is_a_png(shown: str, home: Path) -> None:
    chart = home / "sqlml-bench" / "bench.png"
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert chart.stat().st_size > 10_000


def test_rows_are_not_left_behind(shown: str, home: Path) -> None:
    assert [path.name for path in home.iterdir()] == ["sqlml-bench"]
    assert not (home / "sqlml-bench" / "data").exists()


def result(contestant: str, *values: float) -> Result:
    return Result(1, "case", contestant, values=values)


@pytest.mark.parametrize(("seconds", "word"), [(2.9, "missed"), (3.0, "met"), (8.0, "met")])
def test_a_contestant_must_take_so_many_times_as_long(seconds: float, word: str) -> None:
    verdict = times(3, "other", "sqlml").of([result("sqlml", 0.5, 1, 7), result("other", seconds)])
    assert (verdict.value, verdict.word) == (seconds, word)


@pytest.mark.parametrize(("seconds", "word"), [(2.5, "met"), (2.6, "missed")])
def test_floors_are_added(seconds: float, word: str) -> None:
    results = [result("sqlml", seconds), result("shipping", 1.5), result("kernel", 0.5)]
    assert within(1.25, ["shipping", "kernel"], "sqlml").of(results).word == word


def test_a_target_without_its_contestant_is_not_measured() -> None:
    missing = Result(1, "case", "other", note="other is not installed")
    assert times(3, "other", "sqlml").of([result("sqlml", 1), missing]).word == "not measured"


def test_best_is_of_those_that_were_measured() -> None:
    figures = Figures([result("a", 3), result("b", 2), Result(1, "case", "c", note="refused")])
    assert figures.best(["a", "b", "c"]) == 2


def test_wrong_scores_take_nobody_further() -> None:
    truth = np.linspace(0, 1, 1000)
    assert kernels._difference(lambda batch: batch, [truth[:400], truth[400:]], truth) == 0
    with pytest.raises(CannotCompeteError, match=r"wrong scores: 1\.0% of the rows, up to 0\.5"):
        kernels._difference(lambda batch: batch, [truth + 0.5 * (np.arange(1000) < 10)], truth)


def test_who_fails_drops_out_and_the_others_go_on() -> None:
    asked = []

    def fail() -> None:
        raise RuntimeError("no more memory\nat line 7")

    taken = measure._in_turns(2, {"a": lambda: asked.append("a"), "b": fail})
    assert asked == ["a"] * 3
    assert len(taken["a"]) == 2
    assert measure.reason(taken["b"]) == "no more memory"


def test_missing_package_is_named_with_the_command() -> None:
    with pytest.raises(ImportError) as missing:
        __import__("a_package_that_is_not_there")
    note = measure.reason(missing.value)
    assert note == "a_package_that_is_not_there is not installed; pip install 'sqlml[bench]'"


def test_rows_come_from_the_seed() -> None:
    """The same seed gives the same rows, another seed and another part give others."""
    tables = [
        data.patients(data.generator(seed, "patients", part), 0, 50)
        for seed, part in ((1, 0), (1, 0), (2, 0), (1, 1))
    ]
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]
    assert tables[0] != tables[3]


def test_encoded_widths_are_those_of_the_issue() -> None:
    assert len(data.PATIENT_NUMBERS) + sum(data.PATIENT_TEXTS.values()) == 59
    assert (len(data.NUMBERS), len(data.CODES)) == (8, 20)
    assert 3_900 < len(data.NUMBERS) + sum(data.CODES.values()) < 4_100


def test_all_nine_workloads_are_there() -> None:
    assert [workload.number for workload in WORKLOADS] == list(range(1, 10))
    assert all(workload.targets for workload in WORKLOADS)


def test_a_first_query_is_measured_in_processes_of_its_own() -> None:
    """The module that is the child's loads neither Spark nor sqlml's own query side by itself."""
    code = (
        "import sys, sqlml.bench.fresh as f; print({'pyspark', 'mlflow', 'onnx'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_numbers_keep_three_digits() -> None:
    assert [report._number(v) for v in (0.001234, 12.345, 41_768.0)] == [
        "0.00123",
        "12.3",
        "41,768",
    ]
