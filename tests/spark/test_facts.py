"""What the filters of a query say of its columns: never more than holds of every row."""

from __future__ import annotations

import math
import random

import pytest

from sqlml.compile.facts import Fact, intersect, unite
from sqlml.spark import internals

INF, NAN = math.inf, math.nan
NOT_NULL = Fact(not_null=True)

# Of each type the values at which comparisons turn, as SQL.
EDGES = {
    "small": ("SMALLINT", ["-32768", "-1", "0", "1", "5", "32767"]),
    "age": ("INT", ["-2147483648", "-1", "0", "5", "60", "61", "16777217", "2147483647"]),
    "big": ("BIGINT", ["-1L", "0L", "7L", "9007199254740992L", "9007199254740993L"]),
    "real": ("FLOAT", ["'-Infinity'", "-0.0D", "0.0D", "0.1", "5.5", "1e-45D", "'NaN'"]),
    "dbl": (
        "DOUBLE",
        ["-1.5D", "-0.0D", "0.0D", "5e-324D", "0.1D", "60.0D", "'Infinity'", "'NaN'"],
    ),
    "price": ("DECIMAL(10,2)", ["-0.01", "0", "0.1", "0.11", "60.5"]),
    "plan": ("STRING", ["''", "'basic'", "'Basic'", "'basic '", "'pro'"]),
    "paid": ("BOOLEAN", ["true", "false"]),
}
COLUMNS = ", ".join(f"{name} {kind}" for name, (kind, _) in EDGES.items())


@pytest.fixture(scope="module", autouse=True)
def tables(spark):
    """`edges` has each edge and a NULL in each column; `other` a column `age` and one more."""
    rng = random.Random(5)
    rows = []
    for _ in range(60):
        values = [rng.choice([*edges, "NULL"]) for _, edges in EDGES.values()]
        kinds = [kind for kind, _ in EDGES.values()]
        casts = zip(values, kinds, strict=True)
        rows.append(f"({', '.join(f'CAST({v} AS {k})' for v, k in casts)})")
    spark.sql(f"CREATE TABLE edges ({COLUMNS}) USING parquet")
    spark.sql(f"INSERT INTO edges VALUES {', '.join(rows)}")
    spark.sql("CREATE TABLE other (age INT, seats INT) USING parquet PARTITIONED BY (seats)")
    spark.sql("CREATE TABLE padded (code CHAR(5), name VARCHAR(5)) USING parquet")
    yield
    for table in ("edges", "other", "padded"):
        spark.sql(f"DROP TABLE {table}")


@pytest.fixture
def said(spark):
    """The facts of a query, by the names of its columns."""

    def facts(query: str) -> dict[str, Fact]:
        frame = spark.sql(query)
        found = internals.facts(frame._jdf.queryExecution().analyzed(), spark)
        return {frame.columns[place]: fact for place, fact in found.items()}

    return facts


def whole(low: int | None = None, high: int | None = None, values=None) -> Fact:
    """A fact of an integer column."""
    return Fact(values, low, high, not_null=True, may_be_nan=False)


def real(low: float | None = None, high: float | None = None, *, nan: bool = False) -> Fact:
    """A fact of a DOUBLE column."""
    return Fact(None, low, high, not_null=True, may_be_nan=nan)


def text(*values: str) -> Fact:
    return Fact(values, not_null=True, may_be_nan=False)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("age = 60", {"age": whole(60, 60, (60,))}),
        ("60 = age", {"age": whole(60, 60, (60,))}),
        ("age <=> 60", {"age": whole(60, 60, (60,))}),
        ("age > 60", {"age": whole(61)}),
        ("60 > age", {"age": whole(None, 59)}),
        ("age >= 20 * 3", {"age": whole(60)}),
        ("age <= -60", {"age": whole(None, -60)}),
        ("age BETWEEN 18 AND 60", {"age": whole(18, 60)}),
        ("age > 18 AND (age < 60 AND age != 30)", {"age": whole(19, 59)}),
        ("NOT (age > 60 OR age < 18)", {"age": whole(18, 60)}),
        ("age NOT BETWEEN 18 AND 60", {"age": whole()}),
        ("age IN (1, 5, NULL)", {"age": whole(1, 5, (1, 5))}),
        ("age = 1 OR age = 5", {"age": whole(1, 5, (1, 5))}),
        ("age = 1 OR age > 5", {"age": whole(1)}),
        ("age = 1 OR plan = 'pro'", {}),
        ("age = 1 OR age IS NULL", {"age": Fact((1,), 1, 1, may_be_nan=False)}),
        ("age IN (1, 5, 9) AND age > 4", {"age": whole(5, 9, (5, 9))}),
        ("age = 1 AND age = 5", {"age": whole(5, 1, ())}),
        ("age >= 60.5D", {"age": whole(61)}),
        ("age < 60.5D", {"age": whole(None, 60)}),
        ("age = 60.5D", {"age": whole(61, 60, ())}),
        ("age < CAST(60 AS BIGINT)", {"age": whole(None, 59)}),
        ("CAST(age AS FLOAT) <= CAST(60 AS FLOAT)", {"age": whole(None, 60)}),
        ("age < '60'", {"age": whole(None, 59)}),
        ("big >= 60.0D", {"big": whole(60)}),
        ("dbl >= 60", {"dbl": real(60.0, nan=True)}),
        ("dbl > 60", {"dbl": real(math.nextafter(60, INF), nan=True)}),
        ("dbl <= 60", {"dbl": real(None, 60.0)}),
        ("dbl < 60", {"dbl": real(None, math.nextafter(60, -INF))}),
        ("dbl = 60", {"dbl": real(60.0, 60.0)}),
        ("dbl IN (1, 60)", {"dbl": real(1.0, 60.0)}),
        ("dbl = 'NaN'", {"dbl": NOT_NULL}),
        ("dbl IN (1, 'NaN')", {"dbl": NOT_NULL}),
        ("dbl < 'NaN'", {"dbl": real()}),
        ("dbl >= 60 AND NOT isnan(dbl)", {"dbl": real(60.0)}),
        ("real >= 0.5", {"real": real(0.5, nan=True)}),
        ("price <= 60.5", {"price": real(None, 60.5)}),
        ("price = 0.1", {"price": real(math.nextafter(0.1, 0), 0.1)}),
        ("plan = 'basic'", {"plan": text("basic")}),
        ("'basic' = plan", {"plan": text("basic")}),
        ("plan IN ('basic', 'naïve 😀')", {"plan": text("basic", "naïve 😀")}),
        ("plan > 'basic'", {"plan": NOT_NULL}),
        ("plan IS NOT NULL", {"plan": NOT_NULL}),
        ("plan IS NULL", {"plan": Fact((), may_be_nan=False)}),
        ("plan <=> NULL", {"plan": Fact((), may_be_nan=False)}),
        ("paid", {"paid": text(True)}),
        ("NOT paid", {"paid": text(False)}),
        ("paid = false AND plan = 'pro'", {"paid": text(False), "plan": text("pro")}),
        ("age < big", {"age": NOT_NULL, "big": NOT_NULL}),
    ],
)
def test_conditions_that_are_understood(said, condition, expected):
    assert said(f"SELECT * FROM edges WHERE {condition}") == expected


@pytest.mark.parametrize(
    "condition",
    [
        "age = NULL",
        "age + 1 > 60",
        "coalesce(age, 70) > 60",
        "age > rand()",
        "age = year(current_date())",
        "age > (SELECT 60)",
        "plan = 'BASIC' COLLATE UTF8_LCASE",
        "upper(plan) = 'BASIC'",
        "plan LIKE 'basic'",
        "price >= 60.5D",
        "big >= 9007199254740993D",
        "CAST(age AS FLOAT) = CAST(16777216 AS FLOAT)",
        "CAST(dbl AS FLOAT) > CAST(60 AS FLOAT)",
        "CAST(dbl AS INT) = 60",
        "CAST(age AS STRING) = '60'",
        "dbl IN (1, age)",
        "age <=> big",
        "true",
    ],
)
def test_of_other_conditions_no_more_is_said_than_not_null(said, condition):
    facts = said(f"SELECT * FROM edges WHERE {condition}")
    assert set(facts.values()) <= {NOT_NULL}


def test_zero_is_both_zeros(said):
    (fact,) = said("SELECT * FROM edges WHERE dbl = 0").values()
    assert (math.copysign(1, fact.low), math.copysign(1, fact.high)) == (-1, 1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "SELECT years FROM (SELECT age AS years FROM edges) WHERE years > 59",
            {"years": whole(60)},
        ),
        ("SELECT age AS a, age AS b FROM edges WHERE age > 59", {"a": whole(60), "b": whole(60)}),
        ("SELECT * FROM (SELECT * FROM edges WHERE age > 59) AS e LIMIT 5", {"age": whole(60)}),
        (
            "SELECT age FROM edges WHERE age > 59 ORDER BY age LIMIT 5 OFFSET 2",
            {"age": whole(60)},
        ),
        ("SELECT DISTINCT age FROM edges WHERE age > 59 DISTRIBUTE BY age", {"age": whole(60)}),
        ("SELECT /*+ COALESCE(1) */ age FROM edges WHERE age > 59", {"age": whole(60)}),
        ("SELECT age FROM edges TABLESAMPLE (5 ROWS) WHERE age > 59", {"age": whole(60)}),
        (
            "SELECT age, max(dbl) FROM edges WHERE age > 59 AND dbl < 1 GROUP BY age",
            {"age": whole(60)},
        ),
        ("SELECT age, count(*) AS n FROM edges GROUP BY age HAVING n > 1", {"n": whole(2)}),
        (
            "SELECT age, row_number() OVER (ORDER BY big) AS n FROM edges WHERE age > 59",
            {"age": whole(60)},
        ),
        ("SELECT * FROM other WHERE seats = 5", {"seats": whole(5, 5, (5,))}),
        (
            "SELECT age, n FROM edges LATERAL VIEW explode(array(1)) AS n WHERE n = 1 AND age = 60",
            {"age": whole(60, 60, (60,)), "n": whole(1, 1, (1,))},
        ),
    ],
)
def test_facts_come_up_through_what_hands_rows_and_columns_on(said, query, expected):
    assert said(query) == expected


def test_facts_come_up_through_views(spark, said):
    spark.sql("CREATE VIEW elders AS SELECT age AS years, plan FROM edges WHERE age > 59")
    spark.sql("CREATE TEMPORARY VIEW basics AS SELECT * FROM elders WHERE plan = 'basic'")
    try:
        assert said("SELECT * FROM basics") == {"years": whole(60), "plan": text("basic")}
    finally:
        spark.sql("DROP VIEW basics")
        spark.sql("DROP VIEW elders")


LEFT = "(SELECT age, plan FROM edges WHERE plan = 'pro') l"
RIGHT = "(SELECT age AS years, seats FROM other WHERE seats = 5) r"


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("JOIN {} ON age = years AND age > 59", {"plan", "seats", "age", "years"}),
        ("CROSS JOIN {}", {"plan", "seats"}),
        ("LEFT JOIN {} ON age = years AND age > 59", {"plan"}),
        ("RIGHT JOIN {} ON age = years AND age > 59", {"seats"}),
        ("FULL JOIN {} ON age = years AND age > 59", set()),
        ("LEFT SEMI JOIN {} ON age = years AND age > 59", {"plan"}),
        ("LEFT ANTI JOIN {} ON age = years AND age > 59", {"plan"}),
    ],
)
def test_a_join_hands_on_the_sides_that_it_does_not_fill_with_null(said, join, expected):
    facts = said(f"SELECT * FROM {LEFT} {join.format(RIGHT)}")
    assert set(facts) == expected
    assert facts.get("plan", text("pro")) == text("pro")
    assert facts.get("seats", whole(5, 5, (5,))) == whole(5, 5, (5,))
    assert facts.get("age", whole(60)) == whole(60)


def test_a_self_join_keeps_its_sides_apart(said):
    facts = said(
        "SELECT l.age AS a, r.age AS b FROM edges l JOIN edges r ON l.big = r.big WHERE l.age > 59"
    )
    assert facts == {"a": whole(60)}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT age FROM edges WHERE age > 59 UNION ALL SELECT age FROM edges",
        "SELECT age FROM edges WHERE age > 59 UNION SELECT age FROM edges WHERE age > 59",
        "SELECT -age AS age FROM (SELECT age FROM edges WHERE age > 59)",
        "SELECT CAST(age AS DOUBLE) AS age FROM edges WHERE age > 59",
        "SELECT plan AS age, age AS plan FROM (SELECT max(age) AS age, 'x' AS plan FROM edges "
        "WHERE age > 59)",
        "SELECT age, plan FROM edges WHERE age > 59 GROUP BY CUBE (age, plan)",
        "SELECT sum(age) AS age FROM edges WHERE age > 59",
    ],
)
def test_a_column_that_is_made_anew_has_no_facts(said, query):
    assert said(query) == {}


def test_char_columns_are_left_alone(said):
    """Spark compares `code` with 'ab   '."""
    assert said("SELECT * FROM padded WHERE code = 'ab' AND name = 'ab'") == {"name": text("ab")}
    assert said("SELECT * FROM (SELECT code AS c FROM padded) WHERE c = 'ab'") == {}


def test_long_conditions(said):
    many = ", ".join(f"'value {i}'" for i in range(3000))
    assert len(said(f"SELECT * FROM edges WHERE plan IN ({many})")["plan"].values) == 3000
    chain = " AND ".join(f"age > {i}" for i in range(400))
    assert said(f"SELECT * FROM edges WHERE {chain}") == {"age": whole(400)}
    nested = "(" * 60 + "age = 1" + " OR age = 2) AND age < 9" * 60
    assert said(f"SELECT * FROM edges WHERE {nested}")["age"].high == 8


def random_condition(rng: random.Random, depth: int = 0) -> str:
    if depth < 2 and rng.random() < 0.5:
        parts = [random_condition(rng, depth + 1) for _ in range(2)]
        return rng.choice(["({} AND {})", "({} OR {})", "NOT ({} OR {})"]).format(*parts)
    name = rng.choice([*EDGES])
    kind, edges = EDGES[name]
    value, second = (f"CAST({edge} AS {kind})" for edge in rng.choices(edges, k=2))
    if name in ("age", "big", "small") and rng.random() < 0.4:
        value = rng.choice(["0.5D", "5.5", "60.0D", "16777216.0D", "9007199254740992.0D"])
    operator = rng.choice(["=", "<=>", "<", "<=", ">", ">=", "IN", "IS NULL", "!=", "BETWEEN"])
    match operator:
        case "IN":
            return f"{name} IN ({value}, {second}, NULL)"
        case "IS NULL":
            return f"{name} IS NULL"
        case "BETWEEN":
            return f"{name} BETWEEN {value} AND {second}"
    return f"{name} {operator} {value}" if rng.random() < 0.7 else f"{value} {operator} {name}"


def holds(fact: Fact, value: object) -> bool:
    if value is None:
        return not fact.not_null
    if isinstance(value, float) and math.isnan(value):
        return fact.may_be_nan and fact.values != ()
    if fact.values is not None and value not in fact.values:
        return False
    if fact.low is not None and value < fact.low:
        return False
    return fact.high is None or value <= fact.high


@pytest.mark.parametrize("seed", range(60))
def test_facts_hold_of_every_row_that_comes_out(spark, said, seed):
    query = f"SELECT * FROM edges WHERE {random_condition(random.Random(seed))}"
    facts = said(query)
    for row in spark.sql(query).collect():
        for name, fact in facts.items():
            assert holds(fact, row[name]), (query, name, fact, row[name])


def test_intersect_and_unite_are_about_the_same_values():
    facts = [
        Fact(),
        Fact((), may_be_nan=False),
        Fact((1, 5), 1, 5, not_null=True, may_be_nan=False),
        Fact((5, 7), 5, 7, may_be_nan=False),
        Fact(low=3.0, not_null=True),
        Fact(high=5.0, may_be_nan=False),
        Fact(may_be_nan=False),
    ]
    for one in facts:
        for other in facts:
            for value in (None, NAN, 0, 1, 3, 5, 6, 7, 9):
                both = holds(one, value) and holds(other, value)
                assert holds(unite(one, other), value) or not (
                    holds(one, value) or holds(other, value)
                )
                assert holds(intersect(one, other), value) or not both
