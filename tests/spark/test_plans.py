"""What Catalyst makes of PREDICT where Python scores: one evaluation, filters and limits below
it, columns pruned. test_backends.py has the same of the backend `sql`.

Plans, not timings: a slow machine does not fail them, and a lost rewrite does.
"""

from __future__ import annotations

import re

import pytest

import sqlml
from sqlml.spark.distribute import raw_type

pytestmark = pytest.mark.usefixtures("table")

CHURN = "PREDICT('churn', TABLE(customers), backend => 'onnx')"
FLAG = "PREDICT('flag', TABLE(customers), backend => 'trees')"


def optimized(spark, query: str) -> list[str]:
    plan = spark.sql(query)._jdf.queryExecution().optimizedPlan().toString()
    return [line.strip(" +-:") for line in plan.splitlines()]


def physical(spark, query: str) -> str:
    return spark.sql(query)._jdf.queryExecution().executedPlan().toString()


def place(lines: list[str], pattern: str) -> int:
    """The depth of the only node that matches."""
    found = [i for i, line in enumerate(lines) if re.match(pattern, line)]
    assert len(found) == 1, "\n".join(lines)
    return found[0]


def test_a_score_that_is_filtered_on_and_returned_is_computed_once(spark):
    lines = optimized(
        spark,
        f"SELECT id, probability FROM {CHURN} WHERE probability > 0.6",
    )
    evaluation = place(lines, "ArrowEvalPython")
    assert place(lines, r"Filter .*sqlml_\w+_raw") < evaluation


def test_several_outputs_come_from_one_evaluation(spark):
    lines = optimized(
        spark,
        "SELECT prediction, probability, probabilities['yes'] FROM "
        f"{CHURN} ORDER BY probability DESC",
    )
    evaluation = lines[place(lines, "ArrowEvalPython")]
    assert evaluation.count("sqlml_onnx(") == 1


def test_a_filter_on_other_columns_goes_below_the_scoring_and_to_the_scan(spark):
    query = f"SELECT id, prediction FROM {CHURN} WHERE id > 100"
    lines = optimized(spark, query)
    assert place(lines, "ArrowEvalPython") < place(lines, r"Filter .*id#\d+L > 100")
    assert "GreaterThan(id,100)" in physical(spark, query)


def test_the_two_parts_of_a_filter_go_where_each_can(spark):
    lines = optimized(
        spark,
        f"SELECT id FROM {CHURN} WHERE probability > 0.5 AND id > 100",
    )
    filters = [i for i, line in enumerate(lines) if line.startswith("Filter")]
    assert len(filters) == 2
    assert filters[0] < place(lines, "ArrowEvalPython") < filters[1]


def test_a_limit_goes_below_the_scoring(spark):
    lines = optimized(spark, f"SELECT id, prediction FROM {CHURN} LIMIT 7")
    below = lines[place(lines, "ArrowEvalPython") :]
    assert any(line.startswith("LocalLimit 7") for line in below), "\n".join(lines)


def test_only_columns_that_are_asked_for_or_scored_are_read(spark):
    plan = physical(spark, f"SELECT prediction FROM {CHURN}")
    schema = re.search(r"ReadSchema: struct<(.*?)>", plan)[1]
    assert sorted(c.split(":")[0] for c in schema.split(",")) == ["age", "plan", "tenure"]


def test_a_query_that_needs_no_output_reads_no_more_for_it(spark):
    plan = physical(spark, f"SELECT id FROM {CHURN}")
    assert "country" not in re.search(r"ReadSchema: struct<(.*?)>", plan)[1]


def test_unused_outputs_are_not_derived(spark):
    lines = optimized(spark, f"SELECT probability FROM {CHURN}")
    assert not any("map(" in line for line in lines)


def test_two_labels_come_back_from_python_as_one_number():
    assert raw_type(sqlml.load("churn")) == "DOUBLE"


def test_arguments_leave_the_jvm_in_the_models_own_types(spark):
    lines = optimized(
        spark,
        f"SELECT prediction FROM {FLAG}",
    )
    project = lines[place(lines, "ArrowEvalPython") + 1]
    # A tree compares float32: 4 bytes a value cross to Python, not 8.
    assert "cast(age#" in project
    assert "as float)" in project


def test_a_scored_join_evaluates_each_side_once(spark):
    lines = optimized(
        spark,
        f"SELECT a.id, a.prediction, b.prediction FROM {CHURN} a "
        f"JOIN {FLAG} b ON a.id = b.id WHERE a.id < 10",
    )
    assert sum(line.startswith("ArrowEvalPython") for line in lines) == 2
