"""The T-SQL form of PREDICT: what Spark parses instead, and that all other text stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlml.errors import SqlmlError, StatementSyntaxError
from sqlml.statements import read

CALL = "PREDICT(MODEL = 'churn', DATA = customers AS d) WITH (score FLOAT) AS p"
SPARK = (
    "PREDICT('churn', TABLE(customers), outputs => 'score DOUBLE', data_alias => 'd', alias => 'p')"
)


@pytest.mark.parametrize(
    "around",
    [
        "SELECT d.*, p.score FROM {};",
        "EXPLAIN FORMATTED SELECT * FROM {} WHERE p.score > 0.5",
        "WITH scored AS (SELECT * FROM {}) SELECT * FROM scored",
        "SELECT * FROM (SELECT * FROM {}) x JOIN y ON x.id = y.id",
        "INSERT INTO scores SELECT d.id, p.score FROM {}",
        "CREATE VIEW v AS SELECT * FROM {}",
        "CREATE OR REPLACE TABLE t AS SELECT * FROM {} ORDER BY 1",
        "SELECT * FROM {} JOIN {} ON 1 = 1",
        "SELECT 'PREDICT(MODEL = x, DATA = y)' AS `PREDICT(`, -- PREDICT(MODEL = 1, DATA = 2)\n"
        " \"it's\" AS é😀, r'\\' /* PREDICT /* ( */ */ FROM {}",
        "BEGIN SELECT * FROM {}; END",
        "SELECT $$it's$$ FROM {}",
        "SELECT :a, ${{b}}, ? FROM {} WHERE x = :c",
    ],
)
def test_it_stands_where_a_relation_stands(around):
    """Only the call is rewritten; every other character of the statement stays."""
    text = around.format(CALL, CALL)
    assert read(text) == around.format(SPARK, SPARK)


@pytest.mark.parametrize(
    ("call", "spark"),
    [
        ("predict (model='churn',data=customers as d)with(score float)as p", SPARK),
        (
            "PREDICT(MODEL = 'churn', DATA = customers d, RUNTIME = ONNX) WITH (score FLOAT) p",
            SPARK,
        ),
        (
            "PREDICT(RUNTIME = onnx, DATA = customers AS d, MODEL = 'churn')"
            " WITH (score FLOAT) AS p",
            "PREDICT(DATA => TABLE(customers), MODEL => 'churn', outputs => 'score DOUBLE', "
            "data_alias => 'd', alias => 'p')",
        ),
        (
            "PREDICT(MODEL = N'churn@champion', DATA = dbo.customers) WITH (score FLOAT)",
            "PREDICT('churn@champion', TABLE(dbo.customers), outputs => 'score DOUBLE', "
            "data_alias => 'customers')",
        ),
        (
            'PREDICT(MODEL = "it\'s", DATA = [my db].`a``b`."c d" AS [the data])'
            " WITH ([Sepal.Length] [float] NOT NULL) AS `p's`",
            "PREDICT(\"it's\", TABLE(`my db`.`a``b`.`c d`), outputs => '`Sepal.Length` DOUBLE', "
            "data_alias => 'the data', alias => 'p\\'s')",
        ),
        (
            "PREDICT(MODEL = :m, DATA = (SELECT * FROM t WHERE f(a) = ')' -- )\n) AS d)"
            " WITH (score FLOAT)",
            "PREDICT(:m, TABLE(SELECT * FROM t WHERE f(a) = ')' -- )\n), "
            "outputs => 'score DOUBLE', data_alias => 'd')",
        ),
        (
            "PREDICT(DATA = (SELECT * FROM t WHERE a = ?), MODEL = ?) WITH (score FLOAT)",
            "PREDICT(DATA => TABLE(SELECT * FROM t WHERE a = ?), MODEL => ?, "
            "outputs => 'score DOUBLE')",
        ),
        (
            "PREDICT(MODEL = 'churn', DATA = range(0, (1 + 2)) AS d) WITH (score FLOAT)",
            "PREDICT('churn', TABLE(SELECT * FROM range(0, (1 + 2))), outputs => 'score DOUBLE', "
            "data_alias => 'd')",
        ),
        (
            f"PREDICT(MODEL = 'b', DATA = (SELECT * FROM {CALL}) AS x) WITH (s INT) AS y",
            f"PREDICT('b', TABLE(SELECT * FROM {SPARK}), outputs => 's INT', "
            "data_alias => 'x', alias => 'y')",
        ),
    ],
)
def test_its_arguments_are_sparks(call, spark):
    """Names, quotes, parameters and subqueries come out as Spark SQL has them."""
    assert read(f"SELECT * FROM {call}") == f"SELECT * FROM {spark}"


CLAUSES = """
    WHERE GROUP ORDER HAVING JOIN INNER LEFT RIGHT FULL CROSS NATURAL ANTI SEMI UNION EXCEPT MINUS
    INTERSECT LIMIT OFFSET LATERAL PIVOT UNPIVOT TABLESAMPLE WINDOW SORT CLUSTER DISTRIBUTE
"""


@pytest.mark.parametrize(
    "after",
    CLAUSES.split(),
)
def test_the_next_clause_is_no_alias(after):
    """Without an alias, what follows the call stays what it is."""
    call = "PREDICT(MODEL = 'm', DATA = t) WITH (score FLOAT)"
    spark = "PREDICT('m', TABLE(t), outputs => 'score DOUBLE', data_alias => 't')"
    assert read(f"SELECT * FROM {call} {after} x") == f"SELECT * FROM {spark} {after} x"


@pytest.mark.parametrize(
    ("tsql", "spark"),
    [
        ("FLOAT", "DOUBLE"),
        ("float(24)", "FLOAT"),
        ("FLOAT ( 53 )", "DOUBLE"),
        ("REAL", "FLOAT"),
        ("[float]", "DOUBLE"),
        ("DOUBLE", "DOUBLE"),
        ("DOUBLE PRECISION", "DOUBLE"),
        ("BIT", "BOOLEAN"),
        ("BOOLEAN", "BOOLEAN"),
        ("TINYINT", "SMALLINT"),
        ("SMALLINT", "SMALLINT"),
        ("INT", "INT"),
        ("INTEGER", "INT"),
        ("BIGINT", "BIGINT"),
        ("DECIMAL", "DECIMAL(18,0)"),
        ("DECIMAL(9)", "DECIMAL(9,0)"),
        ("NUMERIC(9, 2)", "DECIMAL(9,2)"),
        ("NUMERIC(9, 0)", "DECIMAL(9,0)"),
        ("VARCHAR", "STRING"),
        ("VARCHAR(10)", "STRING"),
        ("[nvarchar](max)", "STRING"),
        ("CHAR(1)", "STRING"),
        ("NCHAR(1)", "STRING"),
        ("TEXT", "STRING"),
        ("STRING", "STRING"),
        ("VARCHAR(10) COLLATE Latin1_General_CI_AS NOT NULL", "STRING"),
        ("INT NULL", "INT"),
    ],
)
def test_types_become_sparks(tsql, spark):
    """T-SQL's types by their meaning: its FLOAT has 8 bytes, its TINYINT no sign."""
    text = f"SELECT * FROM PREDICT(MODEL = 'm', DATA = t) WITH (a {tsql}, b INT)"
    assert f"outputs => 'a {spark}, b INT'" in read(text)


# The statements in Microsoft's documentation of PREDICT, with the model's name for @model:
# learn.microsoft.com/sql/t-sql/queries/predict-transact-sql,
# …/sql/machine-learning/predictions/native-scoring-predict-transact-sql and
# …/azure/synapse-analytics/sql-data-warehouse/sql-data-warehouse-predict.
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "SELECT d.*, p.Score\nFROM PREDICT(MODEL = 'churn',\n"
            "    DATA = dbo.accounts AS d) WITH (Score FLOAT) AS p;",
            ["outputs => 'Score DOUBLE'", "TABLE(dbo.accounts)", "data_alias => 'd'"],
        ),
        (
            "SELECT d.*, p.Score\nFROM PREDICT(MODEL = 'churn',\n"
            "    DATA = dbo.accounts AS d, RUNTIME = ONNX) WITH (Score FLOAT) AS p;",
            ["outputs => 'Score DOUBLE'", "alias => 'p'"],
        ),
        (
            "CREATE VIEW forecasts\nAS\nSELECT d.*, p.Score\nFROM PREDICT(MODEL = 'churn',\n"
            "             DATA = dbo.accounts AS d, RUNTIME = ONNX) WITH (Score FLOAT) AS p;",
            ["CREATE VIEW forecasts\nAS\nSELECT d.*, p.Score\nFROM PREDICT('churn', TABLE("],
        ),
        (
            "INSERT INTO applications (a, b, c, d, score)\nSELECT d.a, d.b, d.c, d.d, p.score\n"
            "FROM PREDICT(MODEL = 'churn', DATA = dbo.accounts AS d) WITH(score FLOAT) AS p;",
            ["INSERT INTO applications (a, b, c, d, score)", "outputs => 'score DOUBLE'"],
        ),
        (
            "INSERT INTO applications (a, b, c, d, score)\nSELECT d.a, d.b, d.c, d.d, p.score\n"
            "FROM PREDICT(MODEL = 'churn', DATA = dbo.accounts AS d, RUNTIME = ONNX)"
            " WITH(score FLOAT) AS p;",
            ["SELECT d.a, d.b, d.c, d.d, p.score", "outputs => 'score DOUBLE'"],
        ),
        (
            "WITH rows_in\nAS (\n    SELECT id\n        , crim\n    FROM dbo.features\n    )\n"
            "SELECT rows_in.id\n    , p.variable1 AS price\n"
            "FROM PREDICT(MODEL = 'churn', DATA = rows_in, RUNTIME=ONNX)"
            " WITH (variable1 FLOAT) AS p;",
            ["outputs => 'variable1 DOUBLE'", "data_alias => 'rows_in'", "SELECT rows_in.id"],
        ),
        (
            "SELECT d.*, p.*\n  FROM PREDICT(MODEL = 'churn', DATA = dbo.flowers as d)\n"
            "  WITH(setosa_Pred float, versicolor_Pred float, virginica_Pred float) as p;",
            ["'setosa_Pred DOUBLE, versicolor_Pred DOUBLE, virginica_Pred DOUBLE'"],
        ),
        (
            "-- scores\nSELECT d.*, p.Score\nFROM PREDICT(MODEL = 'churn',\n"
            "DATA = dbo.accounts AS d, RUNTIME = ONNX) WITH (Score float) AS p;",
            ["-- scores\nSELECT d.*, p.Score\nFROM PREDICT('churn', TABLE(dbo.accounts)"],
        ),
    ],
)
def test_the_documented_statements_are_read(text, parts):
    """The forms of Microsoft's documentation need nothing but the model's name."""
    rewritten = read(text)
    assert [part for part in parts if part not in rewritten] == []
    assert "WITH(" not in rewritten
    assert "WITH (" not in rewritten


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM PREDICT('churn', TABLE(customers))",
        "SELECT * FROM PREDICT(MODEL => 'churn', DATA => TABLE(customers)) AS p",
        "SELECT predict('churn', model = 'x', data)",
        "SELECT predict(model = 'x', a), data = b FROM t",
        "SELECT predict(model == 'x', data == b) FROM t",
        "SELECT predict(f(model = 'x'), f(data = b)) FROM t",
        "SELECT predict(model <=> 'x', data <=> b) FROM t",
        "SELECT mine.predict(model = 'x', data = b) FROM t",
        "SELECT `predict`(model = 'x', data = b) FROM t",
        "SELECT predict FROM t WHERE (model = 'x') AND (data = 'y')",
        "SELECT 'PREDICT(MODEL = 1, DATA = 2)', \"PREDICT(MODEL = 1, DATA = 2)\"",
        "SELECT 1 -- PREDICT(MODEL = 1, DATA = 2)",
        "SELECT 1 /* PREDICT(MODEL = 1, DATA = 2) */",
        "SELECT `PREDICT(MODEL = 1, DATA = 2)` FROM t",
        "SELECT * FROM PREDICT(MODEL = 'm', DATA = t",
        "CREATE VIEW v AS $$ PREDICT(MODEL = 1, DATA = 2) $$",
    ],
)
def test_sparks_own_forms_are_left_to_spark(text):
    """Calls of another form, strings, comments and quoted names stay as they are."""
    assert read(text) is None


WRITE = "Write PREDICT(MODEL = 'churn', DATA = customers AS d) WITH (score FLOAT) AS p."
MODEL = "expected the model's name as a string, such as 'churn'."


@pytest.mark.parametrize(
    ("call", "column", "message"),
    [
        ("PREDICT(MODEL = @model, DATA = t) WITH (s INT)", 17, f"found @model, {MODEL}"),
        ("PREDICT(MODEL = (SELECT m), DATA = t) WITH (s INT)", 17, f"found (, {MODEL}"),
        ("PREDICT(MODEL = churn, DATA = t) WITH (s INT)", 17, f"found churn, {MODEL}"),
        ("PREDICT(MODEL = 'a' || 'b', DATA = t) WITH (s INT)", 21, "found |, expected )."),
        ("PREDICT(MODEL = 'm', DATA = t)", 31, "found the end of the statement, expected WITH."),
        ("PREDICT(MODEL = 'm', DATA = t) AS p", 32, "found AS, expected WITH."),
        ("PREDICT(MODEL = 'm', DATA = t) WITH s INT", 37, "found s, expected (."),
        ("PREDICT(MODEL = 'm', DATA = 't') WITH (s INT)", 29, "found 't', expected a table's name"),
        ("PREDICT(MODEL = 'm', DATA = (t)) WITH (s INT)", 30, "found t, expected SELECT."),
        ("PREDICT(MODEL = 'm', DATA = a.) WITH (s INT)", 31, "found ), expected a name."),
        ("PREDICT(MODEL = 'm', DATA = [] AS d) WITH (s INT)", 29, "found [, expected a table's"),
        ("PREDICT(MODEL = 'm', DATA = t AS) WITH (s INT)", 33, "found ), expected an alias."),
        (
            "PREDICT(MODEL = 'm', DATA = t, RUNTME = ONNX) WITH (s INT)",
            32,
            "found RUNTME, expected RUNTIME. Did you mean 'RUNTIME'?",
        ),
        ("PREDICT(MODEL = 'm', DATA = t, RUNTIME = R) WITH (s INT)", 42, "found R, expected ONNX."),
        (
            "PREDICT(MODEL = 'm', DATA = t, MODEL = 'n') WITH (s INT)",
            32,
            "found MODEL, expected RUNTIME.",
        ),
        ("PREDICT(MODEL = 'm', DATA = t,) WITH (s INT)", 31, "found ), expected RUNTIME."),
        ("PREDICT(MODEL = 'm', DATA = t) WITH ()", 38, "found ), expected the name of an output."),
        ("PREDICT(MODEL = 'm', DATA = t) WITH (s)", 39, "found ), expected a type."),
        (
            "PREDICT(MODEL = 'm', DATA = t) WITH (s FLOT)",
            40,
            "found FLOT, expected a type (FLOAT, REAL, DOUBLE, BIT, BOOLEAN, TINYINT, SMALLINT, "
            "INT, INTEGER, BIGINT, DECIMAL, NUMERIC, CHAR, VARCHAR, NCHAR, NVARCHAR, TEXT, "
            "STRING). Did you mean 'FLOAT'?",
        ),
        ("PREDICT(MODEL = 'm', DATA = t) WITH (s FLOAT(x))", 46, "found x, expected a number of"),
        ("PREDICT(MODEL = 'm', DATA = t) WITH (s INT(3))", 43, "found (, expected )."),
        ("PREDICT(MODEL = 'm', DATA = t) WITH (s INT NOT)", 47, "found ), expected NULL."),
        ("PREDICT(MODEL = 'm', DATA = t) WITH (s INT b INT)", 44, "found b, expected )."),
        ("PREDICT(MODEL = 'm', DATA = t) WITH (s INT) AS", 47, "found the end of the statement"),
        ("PREDICT(MODEL = 'm', DATA = t) WITH (s INT) p (a)", 47, "found (, expected the end of"),
    ],
)
def test_what_is_almost_right_says_where_and_what_to_write(call, column, message):
    """Each wrong, missing or extra word has its place and what was expected there."""
    with pytest.raises(StatementSyntaxError) as raised:
        read(f"SELECT *\nFROM\n{call}")
    text = str(raised.value)
    assert text.startswith(f"[STATEMENT_SYNTAX] line 3, column {column}: {message}")
    assert text.endswith(WRITE)
    assert len(text.splitlines()) == 1


WORDS = """
    OR REPLACE ALTER DROP SHOW DESCRIBE MODELS VERSIONS IN FROM SET UNSET ALIAS TO VERSION IF EXISTS
    LIKE WITH EXPLAIN EXTENDED PREDICT DATA RUNTIME ONNX AS SELECT churn 3 'x' "y" `z` ( ) [ ] = =>
    , ; . * / @ : ? ${ } N'q' r'\\' é 😀 float
"""
TRAPS = "CREATE MODEL -- /* */ $$ \\ ' ` \""


def texts(words, between):
    """Texts of these words, with one of `between` after each."""
    pieces = st.tuples(st.sampled_from(words.split()), st.sampled_from(between))
    return st.lists(pieces).map(lambda parts: "".join(a + b for a, b in parts))


@settings(max_examples=500)
@given(st.text() | texts(WORDS + TRAPS, ["", " ", "\n"]))
def test_no_text_makes_it_fail(text):
    """Whatever is typed: nothing of ours, SQL, a command, or an error for people."""
    message = ""
    try:
        read(text)
    except SqlmlError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@given(texts(WORDS, [" "]), texts(WORDS, [" "]))
def test_text_around_a_call_is_never_changed(before, after):
    """Where a call is rewritten, what stood before and behind it stands there still."""
    around = [f"SELECT {before} FROM {call} WHERE {after}" for call in (CALL, SPARK)]
    assert read(around[0]) == around[1]
