"""The byte estimate of `sqlml/compile/cost.py` beside what Spark generates.

    python benchmarks/bytecode.py

For each model the largest method of the whole-stage code, in three queries: an average, a filter
on the score, and a SELECT of every output with twenty more columns. A model over the budget is
measured as if it were within. The estimate should be above the first, and by little.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import sqlml
from sqlml.compile import Prepared, prepare
from sqlml.compile.cost import BUDGET, bytecode
from sqlml.compile.sql import steps
from sqlml.compile.text import shared
from sqlml.errors import quoted
from sqlml.spark import internals, outputs
from sqlml.spark.session import local_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

ROWS = 3000


def frame() -> pd.DataFrame:
    """Sixty numbers, ten columns of 5 categories, ten of 60, and twenty that no model takes."""
    rng = np.random.default_rng(0)
    numbers = {f"c{i}": rng.normal(size=ROWS) for i in range(60)}
    few = {f"s{i}": rng.choice([f"k{j}" for j in range(5)], ROWS) for i in range(10)}
    many = {f"t{i}": rng.choice([f"k{j}" for j in range(60)], ROWS) for i in range(10)}
    others = {f"e{i}": np.arange(ROWS) * 1.0 for i in range(20)}
    return pd.DataFrame({"id": np.arange(ROWS), **numbers, **few, **many, **others})


def models(rows: pd.DataFrame) -> Iterator[tuple[str, Any, list[str], Any]]:
    """Name, model, columns and target of each."""

    def named(letter: str, count: int) -> list[str]:
        return [f"{letter}{i}" for i in range(count)]

    total = rows[named("c", 60)].sum(axis=1) + np.random.default_rng(1).normal(size=ROWS)
    for count in (5, 28, 60):
        yield f"linear, {count} inputs", LinearRegression(), named("c", count), total
        scaled = make_pipeline(StandardScaler(), LogisticRegression())
        yield f"scaler and logistic, {count}", scaled, named("c", count), total > 0
    imputed = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    yield "imputer, scaler, logistic, 28", imputed, named("c", 28), total > 0
    for classes in (3, 6, 12):
        target = pd.qcut(total, classes, labels=False)
        yield f"softmax of {classes}, 8 inputs", LogisticRegression(), named("c", 8), target
    for depth in (3, 5, 6):
        yield (
            f"tree of depth {depth}",
            DecisionTreeRegressor(max_depth=depth),
            named("c", 12),
            total,
        )
    classifier = DecisionTreeClassifier(max_depth=5)
    yield "classifier of depth 5", classifier, named("c", 12), total > 0
    for letter, size in (("s", 5), ("t", 60)):
        for count in (2, 10):
            columns = named(letter, count)
            encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), columns))
            model = make_pipeline(encoder, LogisticRegression())
            yield f"one-hot, {count} of {size}", model, columns, total > 0
    for count in (5, 20):
        yield f"naive Bayes, {count} inputs", GaussianNB(), named("c", count), total > 0


def main() -> None:
    """Print a line for each model."""
    warnings.simplefilter("ignore")
    spark = local_session("sqlml benchmark", hive=False)
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    rows = frame()
    try:
        with tempfile.TemporaryDirectory() as directory:
            spark.createDataFrame(rows).write.parquet(f"{directory}/rows")
            table = spark.read.parquet(f"{directory}/rows")
            print(f"{'model':32} estimate   average    filter   outputs   estimate ÷ average")
            for name, model, columns, target in models(rows):
                scoring = sqlml.convert(model.fit(rows[columns], target), sample=rows[columns])
                print(_line(name, scoring, table, spark), flush=True)
            print(f"\nThe budget is {BUDGET:,}, HotSpot's limit 8,000.")
    finally:
        spark.stop()


def _line(name: str, scoring: sqlml.ScoringModel, table: DataFrame, spark: SparkSession) -> str:
    prepared = dataclasses.replace(prepare(scoring, backend="sql"), fused=True)
    made = prepared.formula
    assert made is not None
    roots = (*made.outputs, made.taken)
    estimate = bytecode(made, shared(roots))
    scored = _scored(prepared, table, spark)
    score = "probability" if scoring.task == "classification" else "prediction"
    every = [o.name for o in scoring.signature.outputs]
    found = [
        _largest_method(frame, spark)
        for frame in (
            scored.selectExpr(f"avg({score})"),
            scored.where(f"{score} > 0.8").select("id", "prediction", score),
            scored.select("id", *(f"e{i}" for i in range(20)), *every),
        )
    ]
    sizes = "".join(f"{size:10,}" for size in found)
    return f"{name:32} {estimate:8,}{sizes} {estimate / found[0]:12.2f}"


def _scored(prepared: Prepared, table: DataFrame, spark: SparkSession) -> DataFrame:
    """What PREDICT makes of the table, without a registry."""
    from pyspark.sql.classic.dataframe import DataFrame as ClassicDataFrame

    assert prepared.formula is not None
    inputs = prepared.model.signature.inputs
    casts = {i: f"CAST({quoted(f.name)} AS {f.wire})" for i, f in enumerate(inputs)}
    read = tuple(
        (i, casts[i], f"CAST({quoted(inputs[i].name)} AS BIGINT)") for i in prepared.formula.inputs
    )
    chain, results = steps(prepared.formula, read, "m", fused=True)
    plan = internals.compute(
        table._jdf.queryExecution().analyzed(),
        chain,
        results,
        lambda fields: outputs.derive(prepared.model, fields),
        spark,
        fused=True,
        small=False,
    )
    made = spark._jvm.org.apache.spark.sql.classic.Dataset.ofRows(spark._jsparkSession, plan)
    return ClassicDataFrame(made, spark)


def _largest_method(query: DataFrame, spark: SparkSession) -> int:
    debug = getattr(spark._jvm.org.apache.spark.sql.execution.debug, "package$")
    code = debug.__getattr__("MODULE$").codegenString(query._jdf.queryExecution().executedPlan())
    return max(int(size) for size in re.findall(r"maxMethodCodeSize:(\d+)", code))


if __name__ == "__main__":
    main()
