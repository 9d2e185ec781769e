"""PREDICT by each backend: what plans look like, how much code they become, what filters change."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest

import sqlml
from sqlml.compile import prepare
from sqlml.compile.cost import is_small

HUGE = 8_000
"""Bytes of a method from which on HotSpot never compiles it."""
WIDTH = 60


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 600
    found = pd.DataFrame({f"c{i}": rng.normal(size=n) for i in range(WIDTH)})
    found["plan"] = rng.choice(["basic", "plus", "pro", "it's"], n)
    found["city"] = rng.choice([f"city {i}" for i in range(80)], n)
    return found


@pytest.fixture(scope="module")
def wide(spark, rows):
    """The view `wide`: the models' columns with missing values, zeros of both signs, 20 more."""
    more = pd.DataFrame({f"e{i}": np.arange(len(rows)) for i in range(20)})
    table = pd.concat([rows, more], axis=1).assign(id=np.arange(len(rows)))
    table.loc[::7, "c0"] = np.nan
    table.loc[::11, "c1"] = 0.0
    table.loc[5::11, "c1"] = -0.0
    table.loc[::13, "plan"] = None
    table.loc[1::13, "plan"] = "unseen"
    kinds = {"c": "DOUBLE", "e": "BIGINT", "i": "BIGINT"} | dict.fromkeys(
        ("plan", "city"), "STRING"
    )
    schema = ", ".join(f"{name} {kinds.get(name) or kinds[name[0]]}" for name in table)
    stored = [tuple(None if v is None else v for v in row) for row in table.itertuples(index=False)]
    spark.createDataFrame(stored, schema).write.saveAsTable("wide")
    yield
    spark.sql("DROP TABLE wide")


@pytest.fixture(scope="module")
def models(registry, rows):
    """Two just within the budget, two beyond it, and one over text and numbers; published."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    target = rows.filter(like="c").drop(columns="city").sum(axis=1).to_numpy()
    numbers = [f"c{i}" for i in range(WIDTH)]

    def logistic(width):
        model = make_pipeline(StandardScaler(), LogisticRegression())
        return model.fit(rows[numbers[:width]], target > 0), rows[numbers[:width]]

    def tree(leaves):
        model = DecisionTreeRegressor(max_leaf_nodes=leaves, random_state=0)
        return model.fit(rows[numbers[:12]], target), rows[numbers[:12]]

    def largest_fused(made, sizes):
        """A step below it: what is published may test its inputs more."""
        fits = (
            prepare(sqlml.convert(model, sample=sample), backend="sql").fused
            for model, sample in map(made, sizes)
        )
        return made(sizes[next(i for i, fused in enumerate(fits) if fused) + 1])

    encode = make_column_transformer(
        (StandardScaler(), ["c1", "c2"]),
        (OneHotEncoder(handle_unknown="ignore"), ["plan", "city"]),
    )
    mixed = rows[["c1", "c2", "plan", "city"]]
    late = target + 9 * (rows["plan"] == "pro") - 9 * (rows["plan"] == "it's") > 0
    softmax = LogisticRegression().fit(rows[numbers[:28]], pd.qcut(target, 12, labels=False))
    chosen = {
        "near_logistic": largest_fused(logistic, range(WIDTH, 5, -4)),
        "near_tree": largest_fused(tree, range(100, 5, -5)),
        "far_logistic": logistic(WIDTH),
        "far_tree": tree(160),
        "far_softmax": (softmax, rows[numbers[:28]]),
        "mixed": (make_pipeline(encode, LogisticRegression()).fit(mixed, late), mixed),
        "mixed_tree": (
            make_pipeline(encode, DecisionTreeClassifier(max_depth=6, random_state=0)).fit(
                mixed, late
            ),
            mixed,
        ),
    }
    return {
        name: sqlml.publish(model, name, sample=sample).scoring_model
        for name, (model, sample) in chosen.items()
    }


pytestmark = pytest.mark.usefixtures("wide", "models")


@pytest.fixture(autouse=True)
def _plans_as_executed(spark):
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    yield
    spark.conf.unset("spark.sql.adaptive.enabled")


def predict(name: str, backend: str = "sql", table: str = "wide") -> str:
    return f"PREDICT('{name}', TABLE({table}), backend => '{backend}')"


def executed(spark, query: str):
    return spark.sql(query)._jdf.queryExecution().executedPlan()


def lines(spark, query: str) -> list[str]:
    return [line.strip(" +-:") for line in executed(spark, query).toString().splitlines()]


def largest_method(spark, query: str) -> int:
    debug = getattr(spark._jvm.org.apache.spark.sql.execution.debug, "package$")
    code = getattr(debug, "MODULE$").codegenString(executed(spark, query))
    return max(int(size) for size in re.findall(r"maxMethodCodeSize:(\d+)", code))


def narrow(name: str) -> str:
    """The model's own columns and the twenty more: `wide` has too many for a method."""
    inputs = ", ".join(i.name for i in sqlml.load(name).signature.inputs)
    return f"SELECT id, {', '.join(f'e{i}' for i in range(20))}, {inputs} FROM wide"


def queries(name: str, model) -> list[str]:
    scored = predict(name, table=narrow(name))
    score = "probability" if model.task == "classification" else "prediction"
    outputs = ", ".join(o.name for o in model.signature.outputs)
    more = ", ".join(f"e{i}" for i in range(20))
    return [
        f"SELECT avg({score}) FROM {scored}",
        f"SELECT id, prediction, {score} AS score FROM {scored} WHERE {score} > 0.8",
        f"SELECT id, {more}, {outputs} FROM {scored}",
    ]


@pytest.mark.parametrize("name", ["near_logistic", "near_tree", "mixed", "mixed_tree"])
def test_a_model_within_the_budget_is_fused_and_is_compiled_by_hotspot(spark, models, name):
    prepared = prepare(models[name], backend="sql")
    assert prepared.fused
    small = is_small(prepared.size, len(spark.sql(narrow(name)).columns))
    assert small == name.startswith("mixed")
    for query in queries(name, models[name]):
        expands = [line for line in lines(spark, query) if "Expand" in line]
        # Of the results, of the inputs, and of what is made of these first, if anything is.
        assert len(expands) in ((1,) if small else (2, 3))
        assert all(line.startswith("*(") for line in expands)
        assert largest_method(spark, query) < HUGE


@pytest.mark.parametrize("name", ["near_logistic", "near_tree", "mixed"])
def test_joins_below_do_not_make_a_models_method_too_long(spark, models, name):
    """The model has a method of its own: see docs/decisions/0014."""
    inputs = [i.name for i in models[name].signature.inputs]
    columns = ", ".join(f"{'abc'[i % 3]}.{column}" for i, column in enumerate(inputs))
    joined = (
        f"SELECT a.id, a.e0, {columns} FROM wide a JOIN wide b ON a.id = b.id "
        "JOIN wide c ON b.id = c.id WHERE a.e1 > 3 AND b.e2 > 2 AND c.e3 > 1"
    )
    query = f"SELECT * FROM {predict(name, table=joined)}"
    assert largest_method(spark, query) < HUGE


@pytest.mark.parametrize("more", [50, 72, 80, 84])
def test_no_width_of_a_table_makes_it_too_long(spark, models, more):
    """All columns selected, as many as a method of Spark's takes, and more: decision 0014."""
    added = ", ".join(f"nullif(e0, {i}) AS f{i}" for i in range(more))
    inputs = ", ".join(i.name for i in models["near_tree"].signature.inputs)
    spark.sql(f"CREATE TABLE broad AS SELECT id, {inputs}, {added} FROM wide")
    try:
        query = f"SELECT * FROM {predict('near_tree', table='broad')}"
        assert largest_method(spark, query) < HUGE
        told = spark.sql(f"EXPLAIN {query}").first()[0].splitlines()[-1]
        assert ("outside of it beside 85 columns" in told) == (more == 72)
        by_trees = spark.sql(f"EXPLAIN SELECT * FROM {predict('near_tree', 'trees', 'broad')}")
        assert "outside" not in by_trees.first()[0]
    finally:
        spark.sql("DROP TABLE broad")


@pytest.mark.parametrize("name", ["far_logistic", "far_tree", "far_softmax"])
def test_a_model_beyond_it_leaves_whole_stage_code(spark, models, name):
    assert not prepare(models[name], backend="sql").fused
    for query in queries(name, models[name]):
        found = [line for line in lines(spark, query) if "zip_with" in line]
        assert any(line.startswith("Expand") for line in found)
        assert not any(line.startswith("*(") for line in found)
        assert largest_method(spark, query) < HUGE


def test_it_leaves_even_where_spark_knows_its_first_columns(spark, models):
    query = (
        "SELECT avg(prediction) FROM PREDICT('far_tree', TABLE(SELECT * EXCEPT (c0, c1), "
        "1D AS c0, 2D AS c1 FROM wide), backend => 'sql')"
    )
    expand, *_ = [line for line in lines(spark, query) if "Expand" in line]
    assert expand.startswith("Expand")


@pytest.mark.parametrize("name", ["near_tree", "far_tree"])
def test_trees_give_the_same_bits_on_every_backend(spark, name):
    scores = [
        spark.sql(f"SELECT id, prediction FROM {predict(name, backend)} ORDER BY id").collect()
        for backend in ("sql", "trees", "onnx")
    ]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.parametrize(
    "name", ["near_logistic", "far_logistic", "far_softmax", "mixed", "mixed_tree"]
)
def test_classifiers_agree_with_the_engine(spark, name):
    query = "SELECT id, prediction, probability FROM {} ORDER BY id"
    ours, engine = (
        spark.sql(query.format(predict(name, backend))).toPandas() for backend in ("sql", "onnx")
    )
    assert ours["prediction"].equals(engine["prediction"])
    assert ours["probability"].isna().equals(engine["probability"].isna())
    np.testing.assert_allclose(ours["probability"], engine["probability"], rtol=0, atol=1e-9)


def test_no_python_runs_where_the_model_is_an_expression(spark):
    plan = executed(spark, f"SELECT * FROM {predict('mixed')}").toString()
    assert "Python" not in plan
    assert plan.count("Expand") == 2  # beside so many columns it is not fused
    forced = executed(spark, f"SELECT * FROM {predict('mixed', 'onnx')}").toString()
    assert "ArrowEvalPython" in forced


def test_a_small_model_over_more_than_a_scan_has_a_method_of_its_own(spark):
    columns = ", ".join(f"first({name}) AS {name}" for name in ("c1", "c2", "plan", "city"))
    table = f"SELECT id, {columns} FROM wide GROUP BY id"
    plan = executed(spark, f"SELECT * FROM {predict('mixed', table=table)}").toString()
    assert plan.count("Expand") == 3


def test_texts_are_looked_up_before_they_leave_spark(spark):
    found = lines(spark, f"SELECT probability FROM {predict('mixed', 'onnx')}")
    python = next(i for i, line in enumerate(found) if "ArrowEvalPython" in line)
    shipped = found[python + 1]
    assert "(plan" in shipped
    assert "THEN 0" in shipped  # four plans one by one, eighty cities in a map
    assert "element_at(" in shipped
    assert "city AS" not in shipped


def test_filters_go_where_they_can(spark):
    query = f"SELECT id FROM {predict('mixed')} WHERE probability > 0.6 AND id > 100"
    found = lines(spark, query)
    expand = next(i for i, line in enumerate(found) if "Expand" in line)
    above, below = " ".join(found[:expand]), " ".join(found[expand:])
    assert "Filter" in above
    assert "GreaterThan(id,100)" in below
    assert "probability" not in below


def test_a_limit_stops_the_scoring_row_by_row(spark):
    found = lines(spark, f"SELECT id, probability FROM {predict('mixed')} LIMIT 7")
    assert found[0] == "CollectLimit 7"
    assert not any("Exchange" in line or "Sort" in line for line in found)


def test_what_nobody_asks_for_is_not_computed_or_read(spark):
    counted = executed(spark, f"SELECT count(*) FROM {predict('mixed')}").toString()
    assert "ReadSchema: struct<>" in counted
    plan = executed(spark, f"SELECT probability FROM {predict('mixed')}").toString()
    assert "ReadSchema: struct<c1:double,c2:double,plan:string,city:string>" in plan
    assert "'pro'" not in plan
    assert "AS probabilities" not in plan


def test_many_categories_are_a_hashed_map(spark):
    """Spark hashes a constant map of 1,000 keys or more; `city` has 80."""
    query = f"SELECT probability FROM {predict('mixed', table=narrow('mixed'))}"
    assert "element_at(map(keys: [city 0," in executed(spark, query).toString()
    debug = getattr(spark._jvm.org.apache.spark.sql.execution.debug, "package$")
    assert "hash" in getattr(debug, "MODULE$").codegenString(executed(spark, query)).lower()


@pytest.mark.parametrize(
    "condition",
    [
        "plan = 'basic'",
        "plan = 'it\\'s' AND city = 'city 3'",
        "plan IN ('basic', 'pro')",
        "plan IN ('basic', 'unseen')",
        "plan IS NULL",
        "plan IS NOT NULL AND c2 > 0",
        "city = 'no such city'",
        "c0 >= 0.5",
        "c0 > 0 AND NOT isnan(c0)",
        "c1 = 0",
        "c1 <= 0 AND c1 >= 0",
        "c1 BETWEEN -0.5 AND 0.5",
        "c2 < -1 OR c2 > 1",
        "plan = 'basic' AND plan = 'pro'",
    ],
)
@pytest.mark.parametrize("name", ["mixed", "mixed_tree", "near_tree"])
def test_a_filter_below_the_model_changes_no_bit(spark, name, condition):
    """What the filter says of its columns specialises the model; here with and without that."""
    below = (
        f"SELECT * FROM PREDICT('{name}', TABLE(SELECT * FROM (SELECT * FROM wide) "
        f"WHERE {condition}), backend => 'sql')"
    )
    above = f"SELECT * FROM {predict(name)} WHERE {condition}"
    columns = "id, prediction" + ("" if name == "near_tree" else ", probability")
    ordered = "SELECT {} FROM ({}) ORDER BY id"
    found = spark.sql(ordered.format(columns, below)).toPandas()
    assert found.equals(spark.sql(ordered.format(columns, above)).toPandas())


def test_a_filter_on_a_category_removes_what_depends_on_it(spark):
    query = (
        "SELECT probability FROM PREDICT('mixed', TABLE(SELECT * FROM wide "
        "WHERE plan = 'basic' AND city = 'city 3'), backend => 'sql')"
    )
    plan = executed(spark, query).toString()
    assert "element_at" not in plan
    assert "CASE WHEN (plan" not in plan


@pytest.mark.parametrize("backend", ["sql", "onnx"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, probabilities[true] AS p FROM {}",
        "SELECT id, element_at(probabilities, true) AS p FROM {}",
        "SELECT 0 AS id, avg(probabilities[true]) AS p FROM {}",
        "SELECT id, max(probabilities[true]) AS p FROM {} GROUP BY id, probabilities[false] > 0.5",
        "SELECT id, q[true] + q[false] AS p FROM (SELECT id, probabilities AS q FROM {})",
        "SELECT id, e0 AS p FROM {} WHERE probabilities[true] > 0.4",
    ],
)
def test_one_labels_probability_needs_no_map(spark, backend, query):
    """Also in a session that was opened later, and with the values of the whole map."""
    query = query.format(predict("near_logistic", backend)) + " ORDER BY id"
    for session in (spark, spark.newSession()):
        assert "map(false" not in executed(session, query).toString()
    whole = re.sub(r"(probabilities|q)(?=[\[,])", r"map_filter(\1, (k, v) -> true)", query)
    assert "map(false" in executed(spark, whole).toString()
    assert spark.sql(query).collect() == spark.sql(whole).collect()


def test_a_label_that_the_model_does_not_have_has_no_probability(spark):
    query = f"SELECT probabilities[99] AS p FROM {predict('far_softmax')}"
    assert {row.p for row in spark.sql(query).collect()} == {None}


CODES = [None, 0, 1, 7, 39, 40, -1, 2**24, 2**31, 2**40, -(2**62)]
RATES = [None, 0.0, -0.0, 1.0, 39.0, 40.0, -1.0, 1.5, 1e300, float("nan"), float("-inf")]


@pytest.fixture(scope="module")
def coded(spark, registry):
    """Forty categories that are whole numbers, and forty that are doubles; published."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rng = np.random.default_rng(6)
    X = pd.DataFrame({"code": rng.integers(0, 40, 2000), "rate": rng.integers(0, 40, 2000) * 1.0})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    sqlml.publish(model.fit(X, (X["code"] * 7 + X["rate"]) % 5 > 2), "coded", sample=X)
    rows = [(i, code, rate) for i, (code, rate) in enumerate(itertools.product(CODES, RATES))]
    spark.createDataFrame(rows, "id INT, code BIGINT, rate DOUBLE").write.saveAsTable("codes")
    yield
    spark.sql("DROP TABLE codes")


@pytest.mark.usefixtures("coded")
@pytest.mark.parametrize("ansi", ["true", "false"])
@pytest.mark.parametrize(
    "code",
    [
        "code",
        "CAST(IF(abs(code) < 100, code, NULL) AS TINYINT)",
        "CAST(IF(abs(code) < 100, code, NULL) AS DECIMAL(9,0))",
        "code = 1",
    ],
)
def test_categories_are_found_by_their_places(other_spark, code, ansi):
    other_spark.conf.set("spark.sql.ansi.enabled", ansi)
    data = f"SELECT id, {code} AS code, rate FROM codes"
    query = "SELECT id, probability FROM {} ORDER BY id"
    by_place, engine = (
        other_spark.sql(query.format(predict("coded", backend, data))).toPandas()
        for backend in ("sql", "onnx")
    )
    assert by_place["probability"].isna().equals(engine["probability"].isna())
    np.testing.assert_allclose(by_place["probability"], engine["probability"], rtol=0, atol=1e-12)
    plan = executed(other_spark, query.format(predict("coded", "sql", data))).toString()
    assert "map(" not in plan
    assert "element_at" not in plan
