"""predict('m', …) and predict_proba('m', …): by name where names are there, else by position."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("table")


@pytest.fixture(scope="module")
def expected(spark, table):
    rows = spark.sql("SELECT id, prediction FROM PREDICT('churn', TABLE(customers))").collect()
    return {r.id: r.prediction for r in rows}


@pytest.mark.parametrize(
    "call",
    [
        "predict('churn', age, tenure, plan)",
        "predict('churn', plan, age, tenure)",
        "PREDICT('churn', *)",
        "predict('churn', struct(*))",
        "predict('churn', c.age, c.tenure, c.plan)",
        "predict('churn', age => c.age, plan => plan, tenure => tenure)",
        "predict('churn', age => age + 0, plan => CONCAT(plan, ''), tenure => tenure + 0)",
        "predict('churn', age + 0, tenure + 0, CONCAT(plan, ''))",
        "predict('churn', CAST(age AS FLOAT), tenure, plan)",
        "predict('churn', s)",
        "predict('churn', s.plan, s.age, s.tenure)",
        "predict('churn', named_struct('plan', plan, 'tenure', tenure, 'age', age))",
    ],
)
def test_every_way_to_bind_gives_the_same(spark, expected, call):
    query = f"""
        SELECT id, {call} AS prediction FROM (
          SELECT *, struct(plan, country, age, tenure) AS s FROM customers) AS c
    """
    assert {r.id: r.prediction for r in spark.sql(query).collect()} == expected


def test_constants_score(spark, fitted):
    import pandas as pd

    row = spark.sql("SELECT predict('churn', age => 30, plan => 'pro', tenure => 12)").first()
    one = pd.DataFrame({"age": [30.0], "tenure": [12], "plan": ["pro"]})
    assert row[0] == fitted["churn"].predict(one)[0]


def test_predict_proba_is_a_map_by_label(spark):
    found = spark.sql("SELECT predict_proba('churn', *) AS p, * FROM customers")
    assert dict(found.dtypes)["p"] == "map<string,double>"
    query = """
        SELECT predict_proba('churn', *)['yes'] AS a, probabilities['yes'] AS b
        FROM PREDICT('churn', TABLE(customers))
    """
    assert all(r.a == r.b for r in spark.sql(query).collect())


def test_several_targets_are_a_struct(spark):
    found = spark.sql("SELECT predict('pair', age, tenure) AS p FROM customers")
    assert dict(found.dtypes)["p"] == "struct<prediction_1:double,prediction_2:double>"
    query = """
        SELECT predict('pair', age, tenure).prediction_2 = prediction_2 AS same
        FROM PREDICT('pair', TABLE(customers))
    """
    assert all(r.same for r in spark.sql(query).collect())


def test_a_prediction_filters_groups_and_orders(spark, expected):
    query = """
        SELECT predict('churn', age, tenure, plan) AS p, count(*) AS n FROM customers
        WHERE predict('churn', age, tenure, plan) IS NOT NULL GROUP BY 1 ORDER BY 1
    """
    counts = {r.p: r.n for r in spark.sql(query).collect()}
    assert counts == {p: list(expected.values()).count(p) for p in set(expected.values())}


def test_predict_and_predict_proba_in_one_select_run_the_model_once(spark):
    frame = spark.sql("SELECT predict('thirds', *), predict_proba('thirds', *) FROM customers")
    plan = frame._jdf.queryExecution().executedPlan().toString()
    evaluated = next(line for line in plan.splitlines() if "ArrowEvalPython" in line)
    assert plan.count("ArrowEvalPython") == 1
    assert evaluated.count("sqlml_trees(") == 1
