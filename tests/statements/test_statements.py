"""Model statements: what `read` makes of a text, and where it says that one is almost right."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlml.errors import StatementSyntaxError
from sqlml.statements import CreateModel, DropModel, SetAlias, UnsetAlias, read

MODELS = "SELECT * FROM models()"


def liked(pattern):
    return (
        f"{MODELS} WHERE exists(split({pattern}, '[|]'), "
        "p -> name ILIKE replace(trim(p), '*', '%')) ORDER BY name"
    )


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("CREATE MODEL churn FROM 'runs:/1/model'", CreateModel("churn", "runs:/1/model")),
        (
            "create or Replace model `churn` from \"models:/old/3\" With (Alias = 'champion')",
            CreateModel("churn", "models:/old/3", replace=True, alias="champion"),
        ),
        (
            "CREATE MODEL churn FROM 'runs:/1/model' WITH (sample='SELECT * FROM t "
            "WHERE a = ''x''', description = 'it\\'s', alias='b')",
            CreateModel(
                "churn",
                "runs:/1/model",
                alias="b",
                sample="SELECT * FROM t WHERE a = 'x'",
                description="it's",
            ),
        ),
        (
            "CREATE MODEL churn FROM '/m.onnx' WITH (labels = '[\"no\", \"yes\"]', sample = 't')",
            CreateModel("churn", "/m.onnx", sample="t", labels='["no", "yes"]'),
        ),
        ("CREATE MODEL my.churn-v2 FROM r'c:\\x'", CreateModel("my.churn-v2", "c:\\x")),
        ("CREATE MODEL 'from' FROM 'x'", CreateModel("from", "x")),
        ("CREATE MODEL `a` FROM '/x/*/*.onnx--\\\n'", CreateModel("a", "/x/*/*.onnx--\n")),
        ("CREATE MODEL 2nd FROM 'x'", CreateModel("2nd", "x")),
        (
            "ALTER MODEL churn SET ALIAS champion TO VERSION 3",
            SetAlias("churn", "champion", 3),
        ),
        ("ALTER MODEL churn SET ALIAS `b-2` TO VERSION 12", SetAlias("churn", "b-2", 12)),
        ("alter model churn unset alias champion", UnsetAlias("churn", "champion")),
        ("DROP MODEL churn", DropModel("churn")),
        ("DROP MODEL IF EXISTS churn", DropModel("churn", if_exists=True)),
        ("DROP MODEL IF EXISTS churn VERSION 2", DropModel("churn", 2, if_exists=True)),
        ("DROP MODEL churn VERSION 2", DropModel("churn", 2)),
        ("DROP MODEL model", DropModel("model")),
    ],
)
def test_what_changes_the_registry_is_a_command(text, command):
    """CREATE, ALTER and DROP MODEL are read into values."""
    assert read(text) == command


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("SHOW MODELS", f"{MODELS} ORDER BY name"),
        ("show models like 'ch%'", liked("'ch%'")),
        ("SHOW MODELS 'ch*|x'", liked("'ch*|x'")),
        ("SHOW MODELS LIKE :pattern", liked(":pattern")),
        ("SHOW MODELS LIKE ?", liked("?")),
        ("SHOW VERSIONS IN MODEL churn", "SELECT * FROM model_versions('churn') ORDER BY version"),
        ("SHOW VERSIONS IN MODEL :m", "SELECT * FROM model_versions(:m) ORDER BY version"),
        ("DESCRIBE MODEL churn", "SELECT * FROM describe_model('churn')"),
        ("DESC MODEL churn@champion", "SELECT * FROM describe_model('churn@champion')"),
        ("DESC MODEL my.churn-v2/3", "SELECT * FROM describe_model('my.churn-v2/3')"),
        ("DESCRIBE MODEL `a.b`@c", "SELECT * FROM describe_model('a.b@c')"),
        (
            "DESCRIBE MODEL EXTENDED 'models:/churn/3'",
            "SELECT * FROM describe_model('models:/churn/3', extended => true)",
        ),
        ("DESCRIBE MODEL extended", "SELECT * FROM describe_model('extended')"),
        ("DESCRIBE MODEL version", "SELECT * FROM describe_model('version')"),
        ("DESCRIBE MODEL ?", "SELECT * FROM describe_model(?)"),
    ],
)
def test_what_only_reads_is_a_query(text, sql):
    """SHOW and DESCRIBE become a SELECT, and what stands around them stays."""
    assert read(text) == sql
    assert read(f"/* a /* b */ */ {text} ; -- c") == f"/* a /* b */ */ {sql} ; -- c"
    assert read(f"EXPLAIN EXTENDED\n{text}") == f"EXPLAIN EXTENDED\n{sql}"


@pytest.mark.parametrize(
    ("prefix", "explain"),
    [
        ("EXPLAIN", "EXPLAIN"),
        ("explain formatted", "EXPLAIN FORMATTED"),
        ("EXPLAIN /* why */ COST", "EXPLAIN COST"),
    ],
)
def test_an_explained_command_knows_how_it_is_explained(prefix, explain):
    """EXPLAIN of a command must not run it."""
    assert read(f"{prefix} DROP MODEL churn") == DropModel("churn", explain=explain)
    assert read("DROP MODEL churn").explain is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  -- CREATE MODEL churn FROM 'x'",
        "/* SHOW MODELS */ SELECT 1",
        "SELECT model, models FROM model JOIN models USING (version)",
        "SELECT 'SHOW MODELS' AS model",
        "CREATE TABLE model (model STRING)",
        "CREATE OR REPLACE VIEW model AS SELECT * FROM models",
        "CREATE OR REPLACE TEMPORARY VIEW model AS SELECT 1",
        "ALTER TABLE model RENAME TO models",
        "DROP TABLE IF EXISTS model",
        "DROP VIEW model",
        "SHOW TABLES LIKE 'models'",
        "SHOW COLUMNS IN model",
        "DESCRIBE model",
        "DESC model;",
        "DESCRIBE model -- of a car",
        "DESCRIBE model.cars",
        "DESCRIBE model . cars price",
        "DESCRIBE EXTENDED model",
        "DESCRIBE TABLE model price",
        "DESCRIBE TABLE EXTENDED model",
        "DESCRIBE model PARTITION (year = 2020)",
        "DESCRIBE model AS JSON",
        "DESCRIBE model größe",
        "DESCRIBE model `list price`;",
        "DESCRIBE model price . net",
        "DESCRIBE QUERY SELECT model FROM cars",
        "DESCRIBE `model` price",
        "EXPLAIN SELECT model FROM cars",
        "EXPLAIN",
        "BEGIN SHOW MODELS; END",
        "SET model = 1",
        "CREATE MODEL churn FROM 'unterminated",
        "CREATE `MODEL` churn FROM 'x'",
        "WITH model AS (SELECT 1) SELECT * FROM model",
        "-- a comment that goes on \\\n CREATE MODEL churn",
        "/*/* twice at once */*/ CREATE MODEL churn",
    ],
)
def test_what_is_sparks_is_left_to_spark(text):
    """Texts about a table or a column named model, strings and comments are not ours."""
    assert read(text) is None


CREATE = "Write CREATE MODEL churn FROM 'runs:/…'."
OPTION = "Write CREATE MODEL churn FROM 'runs:/…' WITH (alias = 'champion')."
ALTER = "Write ALTER MODEL churn SET ALIAS champion TO VERSION 3."
DROP = "Write DROP MODEL IF EXISTS churn VERSION 2."
NAME = "expected a model's name, without alias or version."
END = "found the end of the statement, expected"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("CREATE MODEL churn FORM 'x'", 20, f"found FORM, expected FROM. {CREATE}"),
        ("CREATE MODEL churn", 19, f"{END} FROM. {CREATE}"),
        ("CREATE MODEL", 13, f"{END} a model's name, without alias or version. {CREATE}"),
        ("CREATE MODEL FROM 'x'", 14, f"found FROM, {NAME} {CREATE}"),
        ("CREATE MODEL churn/3 FROM 'x'", 14, f"found churn/3, {NAME} {CREATE}"),
        ("CREATE MODEL 'a b' FROM 'x'", 14, f"found 'a b', {NAME} {CREATE}"),
        ("CREATE MODEL :name FROM 'x'", 14, f"found :name, {NAME} {CREATE}"),
        (
            "CREATE OR REPLACE MODEL churn FROM ?",
            36,
            "found ?, expected the model's source as a string. "
            "Write CREATE OR REPLACE MODEL churn FROM 'runs:/…'.",
        ),
        (
            "CREATE MODEL churn FROM runs:/1/model",
            25,
            f"found runs, expected the model's source as a string. {CREATE}",
        ),
        (
            "CREATE MODEL churn FROM 'x' AS y",
            29,
            f"found AS, expected WITH or the end of the statement. {CREATE}",
        ),
        (
            "CREATE MODEL churn FROM 'x' WITH (alais = 'c')",
            35,
            "found alais, expected alias or sample or description or labels. Did you mean 'alias'? "
            + OPTION,
        ),
        (
            "CREATE MODEL churn FROM 'x' WITH (alias = champion)",
            43,
            f"found champion, expected a string such as 'champion'. {OPTION}",
        ),
        (
            "CREATE MODEL churn FROM 'x' WITH (sample = :rows)",
            44,
            f"found :rows, expected a string such as 'customers'. {OPTION}",
        ),
        ("CREATE MODEL churn FROM 'x' WITH (alias 'c')", 41, f"found 'c', expected =. {OPTION}"),
        ("CREATE MODEL churn FROM 'x' WITH alias = 'c'", 34, f"found alias, expected (. {OPTION}"),
        (
            "CREATE MODEL churn FROM 'x' WITH (alias = 'c', alias = 'd')",
            48,
            f"found alias, expected sample or description or labels. {OPTION}",
        ),
        ("CREATE MODEL churn FROM 'x' WITH (alias = 'c'", 46, f"{END} ). {OPTION}"),
        (
            "CREATE MODEL churn FROM 'x' WITH (alias = 'c') x",
            48,
            f"found x, expected the end of the statement. {OPTION}",
        ),
        ("ALTER MODEL churn RENAME TO x", 19, f"found RENAME, expected SET or UNSET. {ALTER}"),
        ("ALTER MODEL churn SET champion", 23, f"found champion, expected ALIAS. {ALTER}"),
        ("ALTER MODEL churn SET ALIAS c VERSION 3", 31, f"found VERSION, expected TO. {ALTER}"),
        ("ALTER MODEL churn SET ALIAS TO VERSION 3", 29, f"found TO, expected an alias. {ALTER}"),
        (
            "ALTER MODEL churn SET ALIAS c TO VERSION 0",
            42,
            f"found 0, expected the number of a version. {ALTER}",
        ),
        (
            "ALTER MODEL churn SET ALIAS c TO VERSION ?",
            42,
            f"found ?, expected the number of a version. {ALTER}",
        ),
        (
            "ALTER MODEL churn UNSET ALIAS c d",
            33,
            "found d, expected the end of the statement. "
            "Write ALTER MODEL churn UNSET ALIAS champion.",
        ),
        ("DROP MODEL IF EXIST churn", 15, f"found EXIST, expected EXISTS. {DROP}"),
        (
            "DROP MODEL churn VERSION two",
            26,
            f"found two, expected the number of a version. {DROP}",
        ),
        (
            "DROP MODEL churn 2",
            18,
            f"found 2, expected VERSION or the end of the statement. {DROP}",
        ),
        (
            "DROP MODEL a; DROP MODEL b",
            15,
            f"found DROP, expected nothing more, as there is one statement at a time. {DROP}",
        ),
        ("SHOW MODELS IN churn", 13, "found IN, expected LIKE. Write SHOW MODELS LIKE 'ch%'."),
        (
            "SHOW MODELS LIKE churn",
            18,
            "found churn, expected a string. Write SHOW MODELS LIKE 'ch%'.",
        ),
        (
            "SHOW VERSIONS OF MODEL churn",
            15,
            "found OF, expected IN. Write SHOW VERSIONS IN MODEL churn.",
        ),
        (
            "SHOW VERSIONS IN churn",
            18,
            "found churn, expected MODEL. Write SHOW VERSIONS IN MODEL churn.",
        ),
        (
            "DESCRIBE MODEL churn@",
            16,
            "found churn@, expected a model such as churn, churn@champion or churn/3. "
            "Write DESCRIBE MODEL EXTENDED churn@champion.",
        ),
        (
            "DESCRIBE MODEL churn EXTENDED",
            22,
            "found EXTENDED, expected the end of the statement. "
            "Write DESCRIBE MODEL EXTENDED churn@champion.",
        ),
    ],
)
def test_what_is_almost_ours_says_where_and_what_to_write(text, column, message):
    """The message has the place, what was found, what was expected, and the form; one line."""
    for prefix, line in (("", 1), ("-- one\n/* two\n */\t", 3), ("\r\n\n\n\t", 4)):
        with pytest.raises(StatementSyntaxError) as raised:
            read(prefix + text)
        error = raised.value
        at = column if line == 1 else column + len(prefix.rpartition("\n")[2])
        assert (error.line, error.column) == (line, at)
        assert str(error) == f"[STATEMENT_SYNTAX] line {line}, column {at}: {message}"


def test_what_was_found_is_cut_where_it_is_long():
    """A message stays one line that can be read."""
    with pytest.raises(StatementSyntaxError, match=r"found a{39}…, expected FROM"):
        read("CREATE MODEL churn " + "a" * 500)


BLANK = [" ", "\n", "\t", "\u2003", "\r\n", "-- it's `\n", '/* " */', "/* /* * */ '*/"]
BLANKS = st.lists(st.sampled_from(BLANK), min_size=1, max_size=3).map("".join)


@given(st.data())
def test_blanks_and_comments_may_stand_anywhere(data):
    """Between any two words of a statement there may be blanks, comments and nested comments."""

    def spaced(text):
        return "".join(data.draw(BLANKS) + word for word in text.split()) + data.draw(BLANKS)

    created = "EXPLAIN COST CREATE OR REPLACE MODEL churn FROM 'x' WITH ( alias = 'c' ) ;"
    wanted = CreateModel("churn", "x", replace=True, alias="c", explain="EXPLAIN COST")
    assert read(spaced(created)) == wanted
    for shown in ("SHOW MODELS", "DESCRIBE MODEL churn", "SHOW VERSIONS IN MODEL churn"):
        assert read(shown) in read(spaced(shown))
    call = "PREDICT ( MODEL = 'm' , DATA = t ) WITH ( a INT )"
    assert "TABLE(t)" in read(f"SELECT * FROM {spaced(call)}")


NAMES = st.from_regex(r"[A-Za-z0-9_.\-]{1,128}", fullmatch=True).filter(lambda n: set(n) != {"."})
ALIASES = st.from_regex(r"[A-Za-z0-9_\-]{1,128}", fullmatch=True)
NUMBERS = st.integers(1, 999_999_999)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.one_of(
        st.builds(
            CreateModel,
            NAMES,
            TEXTS,
            st.booleans(),
            st.none() | ALIASES,
            st.none() | TEXTS,
            st.none() | TEXTS,
        ),
        st.builds(SetAlias, NAMES, ALIASES, NUMBERS),
        st.builds(UnsetAlias, NAMES, ALIASES),
        st.builds(DropModel, NAMES, st.none() | NUMBERS, st.booleans()),
    )
)
def test_the_canonical_text_of_a_command_is_the_command(command):
    """Whatever its name, source and options: read again, it is the same."""
    assert read(command.text) == command
    explained = dataclasses.replace(command, explain="EXPLAIN")
    assert read(f"EXPLAIN {explained.text}") == explained


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (CreateModel("churn", "runs:/1/m"), "CREATE MODEL churn FROM 'runs:/1/m'"),
        (
            CreateModel("a-b", "x", replace=True, alias="c", description="it's"),
            "CREATE OR REPLACE MODEL 'a-b' FROM 'x' WITH (alias = 'c', description = 'it\\'s')",
        ),
        (SetAlias("churn", "c", 3), "ALTER MODEL churn SET ALIAS c TO VERSION 3"),
        (UnsetAlias("churn", "c"), "ALTER MODEL churn UNSET ALIAS c"),
        (DropModel("churn", 2, if_exists=True), "DROP MODEL IF EXISTS churn VERSION 2"),
    ],
)
def test_a_command_shows_as_it_would_be_typed(command, text):
    """The canonical text is for EXPLAIN."""
    assert command.text == text
