"""`to_sql` gives PREDICT's scores: as an expression, and as a function without this package."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

import sqlml
from sqlml.compile.export import RESERVED, create_function
from sqlml.compile.formula import formula
from sqlml.compile.sql import expression
from sqlml.errors import NotCompilableError
from sqlml.spark import outputs
from tests.zoo import ZOO

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.zoo import Case

ROWS = """
    SELECT id, age, tenure, plan FROM customers
    UNION ALL SELECT * FROM VALUES
      (1001, NULL, 5, 'pro'), (1002, 30D, NULL, 'pro'), (1003, 30D, 5, NULL),
      (1004, 30D, 5, 'unknown'), (1005, double('NaN'), 5, 'pro'), (1006, -1E300D, 5, 'plus'),
      (1007, double('Infinity'), 5, 'basic')
"""
pytestmark = pytest.mark.usefixtures("table")

WRITTEN = ["churn", "flag", "thirds", "names", "margin", "worth", "pair", "groups"]


def bits(value: Any) -> Any:
    """A value with what == does not see: the sign of a zero, and that NaN is NaN."""
    if isinstance(value, float):
        return struct.pack("d", value)
    if isinstance(value, dict):
        return [(key, bits(v)) for key, v in value.items()]
    return [bits(v) for v in value] if isinstance(value, tuple) else value


def alike(a: Any, b: Any, relative: float = 0) -> bool:
    """The same bits, or but for the last ones of what is not zero."""
    if isinstance(a, float) and isinstance(b, float) and a == a and b == b:
        near = math.isclose(a, b, rel_tol=relative)
        return near and math.copysign(1, a) == math.copysign(1, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and alike(tuple(a.values()), tuple(b.values()), relative)
    if isinstance(a, tuple) and isinstance(b, tuple):
        same_length = len(a) == len(b)
        return same_length and all(alike(x, y, relative) for x, y in zip(a, b, strict=True))
    return bool(bits(a) == bits(b))


def slack(*texts: str) -> float:
    """The last bits of an exponential: PREDICT's is HotSpot's, where plain Spark has StrictMath."""
    return 1e-14 if any("exp(" in text for text in texts) else 0.0


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@pytest.mark.parametrize("name", WRITTEN)
def test_an_expression_scores_as_predict(spark: SparkSession, name: str) -> None:
    model = sqlml.load(name)
    texts = [sqlml.to_sql(model), *(sqlml.to_sql(model, o.name) for o in model.signature.outputs)]
    columns = ", ".join(f"{text} AS y{i}" for i, text in enumerate(texts))
    found = spark.sql(f"SELECT id, {columns} FROM ({ROWS}) ORDER BY id").collect()
    asked = f"PREDICT('{name}', TABLE({ROWS}), backend => 'sql')"
    table = spark.sql(f"SELECT * EXCEPT (age, tenure, plan) FROM {asked} ORDER BY id").collect()
    scalar = spark.sql(f"SELECT predict('{name}', *) FROM ({ROWS}) ORDER BY id").collect()
    assert len(found) == 207
    for a, b in zip(found, table, strict=True):
        assert alike(tuple(a)[:1] + tuple(a)[2:], tuple(b), slack(*texts))
    if model.task != "regression":  # another backend may add up in another order
        assert [r.y0 for r in found] == [r[0] for r in scalar]
    types = dict(spark.sql(f"SELECT * FROM {asked}").dtypes)
    kinds = [kind for _, kind in spark.sql(f"SELECT {columns} FROM ({ROWS})").dtypes]
    assert kinds[1:] == [types[o.name] for o in model.signature.outputs]


# Every sixth: reading a long text takes Spark seconds, and test_zoo.py has every formula.
@pytest.mark.parametrize("case", ZOO[::6], ids=str)
def test_outputs_are_those_of_predict(spark: SparkSession, case: Case) -> None:
    """The outputs in text and those of spark/outputs.py, over the same raw results."""
    model = sqlml.convert(case.fitted.model, sample=case.fitted.sample)
    inputs = model.signature.inputs
    names = [o.name for o in model.signature.outputs]
    try:
        texts = [sqlml.to_sql(model, name) for name in names]
    except NotCompilableError:
        return  # for the reasons of tests/compile
    scalar = sqlml.to_sql(model)
    made = formula(model)
    casts = {i: f"CAST({quoted(x.name)} AS {x.wire})" for i, x in enumerate(inputs)}
    raw = {f.output.name: f"raw_{i}" for i, f in enumerate(made.fields)}
    results = [f"{expression(made, f, casts)} AS {raw[f.output.name]}" for f in made.fields]
    expected = {**outputs.derive(model, raw), "": outputs.predict(model, raw)}
    if "probabilities" in names and model.task == "classification":
        for label in model.labels:
            text = f"'{label}'" if isinstance(label, str) else str(label).lower()
            texts.append(sqlml.to_sql(model, f"probabilities[{text}]"))
            names.append(text)
            expected[text] = outputs.probability_of(model, raw, label)
    rows = spark.createDataFrame(case.fitted.table([i.name for i in inputs]))
    columns = [expected[name] for name in ["", *names]]
    both = [f"{text} AS y{i}" for i, text in enumerate([*columns, scalar, *texts])]
    scored = rows.selectExpr("*", *results).selectExpr(*both)
    half = len(columns)
    for row in scored.collect():
        assert bits(tuple(row)[:half]) == bits(tuple(row)[half:])
    types = [field.dataType.simpleString() for field in scored.schema]
    assert types[:half] == types[half:]


PLAIN = """
import sys
from pyspark.sql import SparkSession

rows, results, *statements = sys.argv[1:]
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
spark.read.parquet(rows).createOrReplaceTempView("customers")
*statements, query = statements
for statement in statements:
    spark.sql(statement.removesuffix(";"))
spark.sql(query).coalesce(1).write.parquet(results)
assert not any(name.startswith("sqlml") for name in sys.modules)
"""


def test_functions_score_in_a_plain_session(spark: SparkSession, tmp_path: Path) -> None:
    """In another process, with no PREDICT: what PREDICT gives."""
    rows, results = str(tmp_path / "rows"), str(tmp_path / "results")
    spark.sql(ROWS).write.parquet(rows)
    models = {name: sqlml.load(name) for name in WRITTEN}
    statements, calls, expected = [], [], spark.sql(f"SELECT id FROM ({ROWS})")
    for number, (name, model) in enumerate(models.items()):
        output = "probabilities" if model.has_probabilities else None
        made = create_function(model, f"predict_{name}", output, "it's a comment")
        if number % 2:
            made = made.replace("CREATE FUNCTION", "CREATE TEMPORARY FUNCTION", 1)
        statements.append(made)
        arguments = ", ".join(i.name for i in model.signature.inputs)
        calls.append(f"predict_{name}({arguments}) AS {name}")
        scored = spark.sql(f"SELECT * FROM PREDICT('{name}', TABLE({ROWS}), backend => 'sql')")
        column = output or "prediction"
        if name == "pair":
            score = F.when(
                F.col("prediction_1").isNotNull(), F.struct("prediction_1", "prediction_2")
            )
        else:
            score = F.col(column)
        expected = expected.join(scored.select("id", score.alias(name)), "id")
    query = f"SELECT id, {', '.join(calls)} FROM customers"
    command = [sys.executable, "-c", PLAIN, rows, results, *statements, query]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = spark.read.parquet(results).orderBy("id").collect()
    assert len(found) == 207
    predicted = expected.orderBy("id").collect()
    allowed = [0.0, *map(slack, statements)]
    for a, b in zip(found, predicted, strict=True):
        assert all(map(alike, tuple(a), tuple(b), allowed))


@pytest.mark.parametrize(("apart", "kind"), [(1, "AS INT)"), (1000, "AS BIGINT)")])
def test_whole_numbers_are_looked_for_as_such(
    other_spark: SparkSession, apart: int, kind: str
) -> None:
    """In an array where they are near to one another, else in a map: see docs/decisions/0013.

    Spark's hash of a double is the same for all small ones.
    """
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    codes = np.random.default_rng(0).integers(0, 40, 400).astype("float64") * apart
    X = pd.DataFrame({"code": codes})
    author = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression())
    author.fit(X, np.sin(codes))
    text = sqlml.to_sql(sqlml.convert(author, sample=X))
    assert kind in text.replace("\n", " ")
    near = [apart * x for x in (3.0, 3.5, 39.0, 41.0, 5.000000000000001)]
    asked = [*near, -0.0, -1.0, 2.0**24, 1e300]
    rows = other_spark.createDataFrame([(x,) for x in asked], "code DOUBLE")
    for ansi in ("true", "false"):
        other_spark.conf.set("spark.sql.ansi.enabled", ansi)
        found = [row[0] for row in rows.selectExpr(text).collect()]
        assert found == pytest.approx(author.predict(pd.DataFrame({"code": asked})))
        odd = "SELECT double('NaN') AS code UNION ALL SELECT double('-Infinity')"
        assert len(other_spark.sql(f"SELECT {text} FROM ({odd})").collect()) == 2


def test_every_name_of_an_input_is_a_column_and_a_parameter(spark: SparkSession) -> None:
    """Names with signs, and words that Spark would take for something of its own."""
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    names = ["home.dest", "a`b", "years of age", "größe", "x'y", "_1", *sorted(RESERVED)]
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(300, len(names))), columns=names)
    model = sqlml.convert(LinearRegression().fit(X, X.sum(axis=1)), sample=X)
    columns = ", ".join(f"{i}D AS {quoted(name)}" for i, name in enumerate(names))
    total = sum(range(len(names)))
    row = spark.sql(f"SELECT {sqlml.to_sql(model)} AS y FROM (SELECT {columns})").first()
    assert row.y == pytest.approx(total)
    for name in ("summed", "default.summed", "select"):
        spark.sql(create_function(model, name).removesuffix(";"))
        called = ".".join(map(quoted, name.split(".")))
        values = ", ".join(f"{i}D" for i in range(len(names)))
        assert spark.sql(f"SELECT {called}({values})").first()[0] == pytest.approx(total)
        spark.sql(f"DROP FUNCTION {called}")


def test_the_words_are_sparks(spark: SparkSession) -> None:
    session = spark.newSession()
    session.conf.set("spark.sql.ansi.enforceReservedKeywords", "true")
    words = session.sql("SELECT lower(keyword) FROM sql_keywords() WHERE reserved").collect()
    assert {word for (word,) in words} - RESERVED == set()
