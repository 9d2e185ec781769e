"""PREDICT('m', TABLE(t)): every input column, then the outputs by task."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import sqlml

pytestmark = pytest.mark.usefixtures("table")


def scored(spark, query: str) -> pd.DataFrame:
    return spark.sql(query).orderBy("id").toPandas()


def test_the_outputs_follow_the_input_columns(spark):
    columns = spark.sql("SELECT * FROM PREDICT('churn', TABLE(customers))").dtypes
    assert columns == [
        ("age", "double"),
        ("tenure", "bigint"),
        ("plan", "string"),
        ("id", "bigint"),
        ("country", "string"),
        ("prediction", "string"),
        ("probability", "double"),
        ("probabilities", "map<string,double>"),
    ]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("churn", "string"),
        ("flag", "boolean"),
        ("thirds", "bigint"),
        ("names", "string"),
        ("margin", "boolean"),
        ("worth", "double"),
        ("groups", "bigint"),
        ("odd", "bigint"),
    ],
)
def test_the_prediction_is_the_frameworks_own(spark, fitted, frame, model, kind):
    sample = frame[list(getattr(fitted[model], "feature_names_in_", frame.columns))]
    found = spark.sql(f"SELECT id, prediction FROM PREDICT('{model}', TABLE(customers))")
    assert dict(found.dtypes)["prediction"] == kind
    expected = fitted[model].predict(sample)
    found = found.orderBy("id").toPandas()["prediction"].to_numpy()
    if kind == "double":
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    else:
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("model", ["churn", "flag", "thirds", "names"])
def test_probabilities_are_a_map_by_label_and_probability_is_the_predicted_labels(
    spark, fitted, frame, model
):
    sample = frame[list(fitted[model].feature_names_in_)]
    rows = scored(spark, f"SELECT * FROM PREDICT('{model}', TABLE(customers))")
    expected = fitted[model].predict_proba(sample)
    labels = fitted[model].classes_.tolist()
    found = np.array([[p[label] for label in labels] for p in rows["probabilities"]])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(rows["probability"], found.max(axis=1))


def test_a_classifier_without_probabilities_has_only_a_prediction(spark):
    columns = spark.sql("SELECT * FROM PREDICT('margin', TABLE(SELECT age, tenure FROM customers))")
    assert columns.columns == ["age", "tenure", "prediction"]


def test_several_targets_are_several_columns(spark, fitted, frame):
    rows = scored(spark, "SELECT * FROM PREDICT('pair', TABLE(customers))")
    expected = fitted["pair"].predict(frame[["age", "tenure"]])
    names = [o.name for o in sqlml.load("pair").signature.outputs]
    assert names == ["prediction_1", "prediction_2"]
    np.testing.assert_allclose(rows[names].to_numpy(), expected, rtol=1e-9)


def test_an_outlier_detector_gives_its_score(spark, fitted, frame):
    rows = scored(spark, "SELECT id, score FROM PREDICT('odd', TABLE(customers))")
    expected = fitted["odd"].decision_function(frame[["age", "tenure"]])
    np.testing.assert_allclose(rows["score"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        "PREDICT('churn', TABLE(customers))",
        "predict('churn', TABLE(customers))",
        "Predict(MODEL => 'churn', DATA => TABLE(customers))",
        "PREDICT(data => TABLE(customers), model => 'churn')",
        "PREDICT('churn/1', TABLE(customers))",
        "PREDICT('models:/churn/1', TABLE(customers))",
        "PREDICT('chu' || 'rn', TABLE(SELECT * FROM customers))",
        "PREDICT('churn', TABLE(SELECT age AS AGE, tenure, plan, id FROM customers))",
    ],
)
def test_every_way_to_write_it_scores_the_same(spark, call):
    expected = scored(spark, "SELECT id, probability FROM PREDICT('churn', TABLE(customers))")
    found = scored(spark, f"SELECT id, probability FROM {call}")
    pd.testing.assert_frame_equal(found, expected)


def test_a_prefix_names_the_outputs_apart(spark):
    query = "SELECT * FROM PREDICT('churn', TABLE(customers), prefix => 'churn_')"
    assert spark.sql(query).columns[-3:] == [
        "churn_prediction",
        "churn_probability",
        "churn_probabilities",
    ]


def test_predict_over_predict(spark):
    query = """
        SELECT a_prediction, b_prediction FROM PREDICT('churn', TABLE(
          SELECT * FROM PREDICT('flag', TABLE(customers), prefix => 'a_')), prefix => 'b_')
    """
    assert spark.sql(query).count() == 200


def test_columns_with_spaces_dots_backticks_and_other_letters(spark, registry):
    from sklearn.linear_model import LinearRegression

    names = ["home.dest", "max speed", "tick`ed", "größe", "年齢"]
    values = np.random.default_rng(0).normal(size=(50, 5))
    frame = pd.DataFrame(values, columns=names)
    model = LinearRegression().fit(frame, values.sum(axis=1))
    sqlml.publish(model, "odd_names", sample=frame)
    spark.createDataFrame(frame).createOrReplaceTempView("odd_names")
    for query in (
        "SELECT prediction FROM PREDICT('odd_names', TABLE(odd_names))",
        "SELECT predict('odd_names', *) FROM odd_names",
    ):
        found = [r[0] for r in spark.sql(query).collect()]
        np.testing.assert_allclose(found, model.predict(frame), rtol=1e-9)


def test_three_hundred_extra_columns_pass_through(spark):
    extra = ", ".join(f"{i} AS extra_{i}" for i in range(300))
    query = f"SELECT * FROM PREDICT('churn', TABLE(SELECT *, {extra} FROM customers))"
    found = spark.sql(query)
    assert len(found.columns) == 5 + 300 + 3
    assert found.first()["extra_299"] == 299


def test_two_columns_of_one_name_pass_through_where_no_input_bears_it(spark):
    query = "SELECT * FROM PREDICT('churn', TABLE(SELECT *, id AS id FROM customers)) LIMIT 1"
    assert spark.sql(query).columns.count("id") == 2


def test_narrower_types_widen(spark):
    query = """
        SELECT id, probability FROM PREDICT('churn', TABLE(
          SELECT id, CAST(age AS DECIMAL(10, 2)) AS age, CAST(tenure AS SMALLINT) AS tenure,
                 CAST(plan AS VARCHAR(9)) AS plan FROM customers))
    """
    expected = scored(spark, "SELECT id, probability FROM PREDICT('churn', TABLE(customers))")
    pd.testing.assert_frame_equal(scored(spark, query), expected)


def test_a_null_that_the_model_does_not_take_makes_the_rows_outputs_null(spark):
    query = """
        SELECT id, prediction, probability, probabilities FROM PREDICT('churn', TABLE(
          SELECT id, IF(id = 3, NULL, age) AS age, tenure, plan FROM customers))
    """
    rows = spark.sql(query).orderBy("id").collect()
    assert tuple(rows[3])[1:] == (None, None, None)
    expected = spark.sql("SELECT * FROM PREDICT('churn', TABLE(customers))").orderBy("id")
    assert [r.probability for r in rows if r.id != 3] == [
        r.probability for r in expected.collect() if r.id != 3
    ]


def test_case_sensitivity_is_sparks_own(spark, error_of):
    session = spark.newSession()
    query = """
        SELECT * FROM PREDICT('churn', TABLE(
          SELECT age AS AGE, tenure, plan FROM global_temp.customers))
    """
    assert session.sql(query).count() == 200
    session.conf.set("spark.sql.caseSensitive", "true")
    assert "[INPUT_MISSING] Model 'churn' needs age DOUBLE (did you mean 'AGE'?)" in error_of(
        session, query
    )
