"""The model statements: which words begin each, and what follows them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import TokenType

from sqlml.errors import StatementSyntaxError, did_you_mean
from sqlml.statements import tsql
from sqlml.statements.commands import (
    OPTIONS,
    Command,
    CreateModel,
    DropModel,
    SetAlias,
    UnsetAlias,
)
from sqlml.statements.tokens import Cursor, Source, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable

EXPLAIN_MODES = ("LOGICAL", "FORMATTED", "EXTENDED", "CODEGEN", "COST")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: how it begins, an example, and how the rest of it is read."""

    words: tuple[str, ...]
    form: str
    read: Callable[[Cursor], Command | str | None]
    """Gives a command, the statement in Spark's own SQL, or None where it is Spark's."""


def parse(text: str) -> str | Command | None:
    """What a text means; see `sqlml.statements.read`."""
    source = tokenize(text)
    if source is None:
        return None
    cursor = Cursor(source)
    explain = _explain(cursor)
    start = cursor.at
    for statement in STATEMENTS:
        if cursor.take(*statement.words):
            cursor.form = statement.form
            meant = statement.read(cursor)
            if meant is None:
                return None
            if isinstance(meant, str):
                return _between(source, start, meant, cursor.at)
            return dataclasses.replace(meant, explain=explain)
    return tsql.rewrite(source)


def _explain(cursor: Cursor) -> str | None:
    if not cursor.take("EXPLAIN"):
        return None
    mode = next((mode for mode in EXPLAIN_MODES if cursor.take(mode)), None)
    return f"EXPLAIN {mode}" if mode else "EXPLAIN"


def _between(source: Source, start: int, sql: str, end: int) -> str:
    """The text with the tokens from `start` to before `end` replaced."""
    tokens = source.tokens
    return source.text[: tokens[start].start] + sql + source.text[tokens[end - 1].end + 1 :]


def _create(cursor: Cursor) -> Command:
    return _created(cursor, replace=False)


def _create_or_replace(cursor: Cursor) -> Command:
    return _created(cursor, replace=True)


def _created(cursor: Cursor, *, replace: bool) -> Command:
    name = cursor.model()
    cursor.expect("FROM")
    source = cursor.string("the model's source as a string")
    options: dict[str, str] = {}
    if cursor.take("WITH"):
        cursor.form += f" WITH (alias = {OPTIONS['alias']})"
        cursor.expect("(")
        _option(cursor, options)
        while cursor.take(","):
            _option(cursor, options)
        cursor.expect(")")
        cursor.finish()
    cursor.finish("WITH")
    return CreateModel(name, source, replace, **options)


def _option(cursor: Cursor, options: dict[str, str]) -> None:
    """One `key = 'value'`, put into `options`."""
    key = cursor.raw.lower()
    others = [option for option in OPTIONS if option not in options]
    if key not in others:
        hint = "" if key in options else did_you_mean(key, others)
        cursor.fail(" or ".join(others) or ")", hint)
    cursor.at += 1
    cursor.expect("=")
    options[key] = cursor.string(f"a string such as {OPTIONS[key]}")


def _alter(cursor: Cursor) -> Command:
    name = cursor.model()
    if cursor.take("UNSET"):
        cursor.form = "ALTER MODEL churn UNSET ALIAS champion"
        cursor.expect("ALIAS")
        unset = UnsetAlias(name, cursor.name("an alias"))
        cursor.finish()
        return unset
    if not cursor.take("SET"):
        cursor.fail("SET or UNSET")
    cursor.expect("ALIAS")
    alias = cursor.name("an alias")
    cursor.expect("TO", "VERSION")
    version = cursor.integer("the number of a version")
    cursor.finish()
    return SetAlias(name, alias, version)


def _drop(cursor: Cursor) -> Command:
    if_exists = cursor.take("IF")
    if if_exists:
        cursor.expect("EXISTS")
    name = cursor.model()
    version = None
    if cursor.take("VERSION"):
        version = cursor.integer("the number of a version")
        cursor.finish()
    cursor.finish("VERSION")
    return DropModel(name, version, if_exists)


def _show_models(cursor: Cursor) -> str:
    everything = "SELECT * FROM models()"
    if cursor.ended():
        return everything + " ORDER BY name"
    expected = "a string" if cursor.take("LIKE") else "LIKE"
    pattern = cursor.constant(expected)  # as in Spark's own SHOW, LIKE may be left out
    cursor.finish()
    # As in Spark's SHOW … LIKE, * stands for any text and | between patterns; in SQL, % does.
    return (
        f"{everything} WHERE exists(split({pattern}, '[|]'), "
        "p -> name ILIKE replace(trim(p), '*', '%')) ORDER BY name"
    )


def _show_versions(cursor: Cursor) -> str:
    cursor.expect("IN", "MODEL")
    name = cursor.parameter() or "'" + cursor.model() + "'"
    cursor.finish()
    return f"SELECT * FROM model_versions({name}) ORDER BY version"


def _describe(cursor: Cursor) -> str | None:
    """To Spark, DESCRIBE model price is a column of a table: ours, if price can be a model.

    What else it takes for a table named model is its own: DESCRIBE model, DESCRIBE
    model.cars, DESCRIBE model PARTITION (…), and with the word TABLE, everything.
    """
    if any(cursor.sees(*words) for words in ((".",), ("AS", "JSON"), ("PARTITION", "("))):
        return None
    if cursor.ended() or _is_only_a_column(cursor):
        return None
    extended = cursor.take("EXTENDED")
    if extended and cursor.ended():  # a model of that name
        extended = False
        cursor.at -= 1
    reference = cursor.reference()
    cursor.finish()
    return f"SELECT * FROM describe_model({reference}{', extended => true' * extended})"


def _is_only_a_column(cursor: Cursor) -> bool:
    """Whether the rest can name a column, but no model: größe, or a . b with blanks."""
    rest = [token.token_type for token in cursor.source.tokens[cursor.at :]]
    while rest[-1] is TokenType.SEMICOLON:
        rest.pop()
    names = {TokenType.VAR, TokenType.IDENTIFIER}
    if len(rest) % 2 == 0 or not names.issuperset(rest[::2]) or {*rest[1::2]} - {TokenType.DOT}:
        return False
    model = Cursor(cursor.source, cursor.at)
    try:
        model.reference()
        model.finish()
    except StatementSyntaxError:
        return True
    return False


STATEMENTS = (
    Statement(("CREATE", "MODEL"), "CREATE MODEL churn FROM 'runs:/…'", _create),
    Statement(
        ("CREATE", "OR", "REPLACE", "MODEL"),
        "CREATE OR REPLACE MODEL churn FROM 'runs:/…'",
        _create_or_replace,
    ),
    Statement(("ALTER", "MODEL"), "ALTER MODEL churn SET ALIAS champion TO VERSION 3", _alter),
    Statement(("DROP", "MODEL"), "DROP MODEL IF EXISTS churn VERSION 2", _drop),
    Statement(("SHOW", "MODELS"), "SHOW MODELS LIKE 'ch%'", _show_models),
    Statement(("SHOW", "VERSIONS"), "SHOW VERSIONS IN MODEL churn", _show_versions),
    Statement(("DESCRIBE", "MODEL"), "DESCRIBE MODEL EXTENDED churn@champion", _describe),
    Statement(("DESC", "MODEL"), "DESCRIBE MODEL EXTENDED churn@champion", _describe),
)
