"""PREDICT inside ordinary queries: sessions, views, CTEs, joins, caches, streams."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("table")

PREDICTED = "SELECT id, prediction FROM PREDICT('churn', TABLE(customers))"


def by_id(frame) -> dict[int, str]:
    return {r["id"]: r["prediction"] for r in frame.collect()}


@pytest.fixture(scope="module")
def expected(spark, table):
    return by_id(spark.sql(PREDICTED))


def test_a_session_opened_later_has_predict(spark, expected):
    session = spark.newSession()
    query = PREDICTED.replace("customers", "global_temp.customers")
    assert by_id(session.sql(query)) == expected


def test_a_view_over_predict_is_read_from_a_second_session(spark, other_spark, table, expected):
    table.write.mode("overwrite").saveAsTable("stored_customers")
    spark.sql(
        "CREATE OR REPLACE VIEW scored AS SELECT * FROM PREDICT('churn', TABLE(stored_customers))"
    )
    try:
        assert by_id(other_spark.table("scored")) == expected
        assert other_spark.sql("SELECT max(probability) FROM scored").first()[0] <= 1
    finally:
        spark.sql("DROP VIEW scored")
        spark.sql("DROP TABLE stored_customers")


def test_a_temporary_view_over_predict(spark, expected):
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW scored_now AS {PREDICTED}")
    assert by_id(spark.table("scored_now")) == expected


def test_a_cte_that_is_used_twice(spark, expected):
    query = f"""
        WITH s AS ({PREDICTED})
        SELECT a.id, b.prediction FROM s a JOIN s b ON a.id = b.id
    """
    assert by_id(spark.sql(query)) == expected


def test_two_predicts_over_one_cte_join(spark, expected):
    query = """
        WITH c AS (SELECT * FROM customers)
        SELECT a.id, a.prediction, b.prediction AS flagged
        FROM PREDICT('churn', TABLE(c)) a JOIN PREDICT('flag', TABLE(c)) b USING (id)
    """
    assert by_id(spark.sql(query)) == expected


def test_a_frame_joined_with_itself(spark, expected):
    frame = spark.sql(PREDICTED)
    joined = frame.alias("a").join(frame.alias("b"), "id").selectExpr("id", "b.prediction")
    assert by_id(joined) == expected


def test_a_union(spark, expected):
    query = f"({PREDICTED} WHERE id < 50) UNION ALL ({PREDICTED} WHERE id >= 50)"
    assert by_id(spark.sql(query)) == expected


def test_a_correlated_lateral(spark):
    query = """
        SELECT o.id, p.prediction FROM customers o, LATERAL (
          SELECT prediction FROM PREDICT('churn', TABLE(customers)) q WHERE q.id = o.id) p
    """
    assert spark.sql(query).count() == 200


@pytest.mark.parametrize("where", ["id IN", "id NOT IN"])
def test_a_subquery_in_a_filter(spark, where):
    query = f"""
        SELECT id FROM customers WHERE {where} (
          SELECT id FROM PREDICT('churn', TABLE(customers)) WHERE prediction = 'yes')
    """
    assert 0 < spark.sql(query).count() < 200


def test_a_window_and_a_group(spark, expected):
    counts = spark.sql(
        "SELECT prediction, count(*) AS n FROM PREDICT('churn', TABLE(customers)) GROUP BY 1"
    )
    found = {r.prediction: r.n for r in counts.collect()}
    assert found == {p: list(expected.values()).count(p) for p in set(expected.values())}
    ranked = spark.sql(
        "SELECT id, row_number() OVER (PARTITION BY prediction ORDER BY probability DESC) AS r "
        "FROM PREDICT('churn', TABLE(customers)) QUALIFY r <= 3"
    )
    assert ranked.count() == 6


def test_limit_zero_and_an_empty_table(spark):
    names = spark.sql("SELECT * FROM PREDICT('churn', TABLE(customers))").columns
    for query in (
        "SELECT * FROM PREDICT('churn', TABLE(customers)) LIMIT 0",
        "SELECT * FROM PREDICT('churn', TABLE(SELECT * FROM customers WHERE false))",
        "SELECT * FROM PREDICT('churn', TABLE(SELECT * FROM customers WHERE id < 0))",
    ):
        found = spark.sql(query)
        assert found.columns == names
        assert found.collect() == []


def test_a_cached_table(spark, expected):
    spark.sql(f"CACHE TABLE cached_scores AS {PREDICTED}")
    assert by_id(spark.table("cached_scores")) == expected
    spark.sql("UNCACHE TABLE cached_scores")
    spark.sql("CACHE TABLE cached_customers AS SELECT * FROM customers")
    assert by_id(spark.sql(PREDICTED.replace("customers", "cached_customers"))) == expected
    spark.sql("UNCACHE TABLE cached_customers")


def test_create_table_as_select(spark, expected):
    spark.sql(f"CREATE TABLE stored_scores USING parquet AS {PREDICTED}")
    assert by_id(spark.table("stored_scores")) == expected
    spark.sql("DROP TABLE stored_scores")


def test_without_whole_stage_code_generation(spark, expected):
    session = spark.newSession()
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    assert by_id(session.sql(PREDICTED.replace("customers", "global_temp.customers"))) == expected


def test_a_structured_stream(spark, table, expected, tmp_path):
    source = tmp_path / "in"
    table.write.parquet(str(source))
    stream = spark.readStream.schema(table.schema).parquet(str(source))
    stream.createOrReplaceTempView("arriving")
    scored = spark.sql("SELECT id, prediction FROM PREDICT('churn', TABLE(arriving))")
    query = scored.writeStream.format("memory").queryName("scored_stream").start()
    try:
        query.processAllAvailable()
        assert by_id(spark.table("scored_stream")) == expected
    finally:
        query.stop()


def test_a_version_published_later_is_seen_by_open_sessions(spark, fitted, frame):
    import sqlml

    session = spark.newSession()
    query = "SELECT predict('later', age => 20, tenure => 3)"
    sqlml.publish(fitted["flag"], "later", sample=frame[["age", "tenure"]])
    first = session.sql(query)
    assert first.dtypes[0][1] == "boolean"
    sqlml.publish(fitted["groups"], "later", sample=frame[["age", "tenure"]])
    assert session.sql(query).dtypes[0][1] == "bigint"
    assert first.first()[0] in (True, False)  # resolved once, at analysis
    assert session.sql(query.replace("later", "later/1")).dtypes[0][1] == "boolean"


def test_the_champion_goes_before_the_latest(spark, fitted, frame):
    import sqlml

    sample = frame[["age", "tenure"]]
    sqlml.publish(fitted["flag"], "led", sample=sample, alias="champion")
    sqlml.publish(fitted["groups"], "led", sample=sample)
    call = "SELECT predict('{}', age => 20, tenure => 3)"
    assert spark.sql(call.format("led")).dtypes[0][1] == "boolean"
    assert spark.sql(call.format("led@champion")).dtypes[0][1] == "boolean"
    assert spark.sql(call.format("led/2")).dtypes[0][1] == "bigint"
