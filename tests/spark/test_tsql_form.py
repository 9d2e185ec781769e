"""PREDICT as users of SQL Server and Azure Synapse write it, inside Spark's queries."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("table")

SCORED = """
    SELECT d.*, p.score
    FROM PREDICT(MODEL = 'churn', DATA = customers AS d, RUNTIME = ONNX) WITH (score FLOAT) AS p
"""


@pytest.fixture(scope="module")
def risk(fitted, frame) -> dict[int, float]:
    """id → the probability of the second label, as scikit-learn has it."""
    return dict(enumerate(fitted["churn"].predict_proba(frame)[:, 1]))


def scores(frame) -> dict[int, float]:
    columns = [c.lower() for c in frame.columns]
    rows = (dict(zip(columns, row, strict=True)) for row in frame.collect())
    return {r["id"]: r["score"] for r in rows}


def test_both_aliases_name_their_columns(spark, risk):
    frame = spark.sql(SCORED)
    assert frame.columns == ["age", "tenure", "plan", "id", "country", "score"]
    assert dict(frame.dtypes)["score"] == "double"  # FLOAT has 8 bytes in T-SQL
    assert scores(frame) == pytest.approx(risk, abs=1e-9)


@pytest.mark.parametrize(
    "query",
    [
        # The forms of Microsoft's documentation, with the model as a string.
        """SELECT d.*, p.Score
           FROM PREDICT(MODEL = 'churn',
               DATA = default.customers_dbo AS d) WITH (Score FLOAT) AS p;""",
        """SELECT d.*, p.Score
           FROM PREDICT(MODEL = 'churn',
               DATA = default.customers_dbo AS d, RUNTIME = ONNX) WITH (Score FLOAT) AS p""",
        "SELECT d.id, p.score FROM PREDICT(MODEL = 'churn', DATA = customers AS d) "
        "WITH(score FLOAT) AS p;",
        "with d AS (SELECT * FROM customers) SELECT d.id, p.score FROM "
        "PREDICT(MODEL='churn', DATA=d AS d, RUNTIME=ONNX) WITH (score float) AS p",
        # And those that people make of them.
        "SELECT d.id, p.score FROM predict ( runtime = onnx , data = [customers] d , "
        "model = 'churn' ) with ( [score] float NOT NULL ) p",
        "SELECT id, score FROM PREDICT(MODEL = 'churn', DATA = customers AS d) WITH (score FLOAT)",
        "SELECT d.id, p.score FROM PREDICT(MODEL = 'models:/churn/1', DATA = "
        "(SELECT * FROM customers) AS d) WITH (score FLOAT) AS p",
        "SELECT d.id, p.yes_Pred AS score FROM PREDICT(MODEL = 'churn', DATA = customers AS d) "
        "WITH (yes_Pred FLOAT) AS p",
        f"SELECT id, score FROM ({SCORED}) WHERE score >= 0 ORDER BY score",
        f"WITH s AS ({SCORED}) SELECT a.id, b.score FROM s a JOIN s b ON a.id = b.id",
        "SELECT d.id, p.score /* PREDICT(MODEL = 'x') */ FROM PREDICT(MODEL = 'churn', "
        "DATA = customers AS d) WITH (score FLOAT) AS p -- WITH (score INT)",
    ],
)
def test_the_scores_are_the_models(spark, risk, query, table):
    table.write.mode("overwrite").saveAsTable("customers_dbo")
    try:
        assert scores(spark.sql(query)) == pytest.approx(risk, abs=1e-9)
    finally:
        spark.sql("DROP TABLE customers_dbo")


def test_the_data_may_have_a_column_of_an_outputs_name(spark, risk):
    query = SCORED.replace(
        "customers AS d", "(SELECT *, -1.0 AS score FROM customers) AS d"
    ).replace("d.*, p.score", "d.id, p.score, d.score AS before")
    rows = spark.sql(query).collect()
    assert {r["id"]: r["score"] for r in rows} == pytest.approx(risk, abs=1e-9)
    assert {float(r["before"]) for r in rows} == {-1.0}


def test_two_predicts_join(spark, risk):
    query = """
        SELECT d.id, p.score, q.prediction
        FROM PREDICT(MODEL = 'churn', DATA = customers AS d) WITH (score FLOAT) AS p
        JOIN PREDICT(MODEL = 'worth', DATA = customers AS e) WITH (prediction FLOAT) AS q
        ON d.id = e.id WHERE p.score > 0.5
    """
    rows = spark.sql(query).collect()
    assert {r["id"] for r in rows} == {i for i, score in risk.items() if score > 0.5}


def test_an_insert_and_a_view_from_another_session(spark, other_spark, table, risk):
    """Persistent objects over this form are read by sessions that never saw the text."""
    table.write.mode("overwrite").saveAsTable("tsql_customers")
    scored = SCORED.replace("customers AS d", "tsql_customers AS d")
    spark.sql("CREATE TABLE loans (id BIGINT, score DOUBLE) USING parquet")
    try:
        spark.sql(f"CREATE VIEW predictions AS {scored}")
        spark.sql(f"INSERT INTO loans (id, score) {scored.replace('d.*', 'd.id')}")
        spark.sql(f"CREATE TABLE copied USING parquet AS {scored}")
        for name in ("predictions", "loans", "copied"):
            assert scores(other_spark.table(name)) == pytest.approx(risk, abs=1e-9)
    finally:
        spark.sql("DROP VIEW IF EXISTS predictions")
        for name in ("loans", "copied", "tsql_customers"):
            spark.sql(f"DROP TABLE IF EXISTS {name}")


def test_it_is_one_evaluation(spark):
    """A score that is filtered on and returned is computed once."""
    query = SCORED + "WHERE p.score > 0.5 AND d.plan = 'pro'"
    plan = spark.sql(query)._jdf.queryExecution().optimizedPlan().toString()
    above, *model, below = plan.split("Expand")  # of the results, and what more it takes
    assert "pro" in below
    assert "pro" not in above
    assert "Filter" not in "".join(model)


@pytest.mark.parametrize(
    ("columns", "model", "types"),
    [
        ("prediction VARCHAR(10), probability FLOAT", "churn", ["string", "double"]),
        ("prediction BIT", "flag", ["boolean"]),
        ("prediction INT, b_Pred BIGINT", "thirds", None),
        ("prediction INT", "thirds", ["int"]),
        ("prediction TINYINT", "groups", ["smallint"]),
        ("score FLOAT(53)", "worth", ["double"]),
        ("worth_Pred float", "worth", ["double"]),
        ("variable1 float", "worth", ["double"]),
        ("output_label nvarchar(max), no_Pred FLOAT", "churn", ["string", "double"]),
    ],
)
def test_names_and_types_after_with(spark, error_of, columns, model, types):
    query = f"SELECT p.* FROM PREDICT(MODEL = '{model}', DATA = customers AS d) WITH ({columns}) p"
    if types is None:
        assert "[OUTPUT_MISSING]" in error_of(spark, query)
    else:
        frame = spark.sql(query)
        assert [kind for _, kind in frame.dtypes] == types
        assert frame.dropna().count() == frame.count() > 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("score REAL", "[OUTPUT_TYPE] 'score' of model 'churn' is DOUBLE, WITH asks for REAL"),
        ("prediction INT", "[OUTPUT_TYPE] 'prediction' of model 'churn' is STRING"),
        ("probabilities NVARCHAR(MAX)", "[OUTPUT_TYPE]"),
        ("scoer FLOAT", "[OUTPUT_MISSING] Model 'churn' has no output 'scoer'. Did you mean"),
    ],
)
def test_what_would_lose_information_is_refused(spark, error_of, columns, message):
    query = f"SELECT p.* FROM PREDICT(MODEL = 'churn', DATA = customers AS d) WITH ({columns}) p"
    assert error_of(spark, query).startswith(message)


def test_a_label_that_does_not_fit_is_an_error_not_another_number(spark, fitted, frame):
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    import sqlml

    numbers = frame[["age", "tenure"]]
    model = DecisionTreeClassifier(max_depth=1).fit(numbers, np.where(numbers.age > 50, 70000, 1))
    sqlml.publish(model, "large", sample=numbers)
    query = "SELECT p.* FROM PREDICT(MODEL = 'large', DATA = customers AS d) WITH (prediction {}) p"
    assert {r[0] for r in spark.sql(query.format("INT")).collect()} == {1, 70000}
    with pytest.raises(Exception, match=r"\[OUTPUT_TYPE\] A prediction of model 'large' does not"):
        spark.sql(query.format("SMALLINT")).collect()


def test_parameters_stand_for_the_model(spark, risk):
    query = SCORED.replace("'churn'", ":model")
    assert scores(spark.sql(query, {"model": "churn"})) == pytest.approx(risk, abs=1e-9)


def test_text_that_only_looks_like_it_is_sparks(spark):
    row = spark.sql(
        "SELECT 'PREDICT(MODEL = x, DATA = y AS d)' AS a, "  # MODEL = 'churn'
        "`model` = 'x' AS b FROM VALUES ('x') AS predict(model)"
    ).first()
    assert (row.a, row.b) == ("PREDICT(MODEL = x, DATA = y AS d)", True)


def test_a_long_statement_arrives_whole(spark, risk):
    """Texts travel to Python in pieces, which must not cut a character."""
    text = "a" + "😀é" * 3000
    rows = spark.sql(SCORED.replace("d.*", f"d.id, '{text}' AS text")).collect()
    assert {r["text"] for r in rows} == {text}
    assert {r["id"]: r["score"] for r in rows} == pytest.approx(risk, abs=1e-9)
