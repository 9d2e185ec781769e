"""The form that PREDICT has in SQL Server and Azure Synapse, as Spark's own table function.

    PREDICT(MODEL = 'churn', DATA = dbo.customers AS d, RUNTIME = ONNX)
        WITH (score FLOAT NOT NULL, label VARCHAR(10)) AS p

becomes

    PREDICT('churn', TABLE(dbo.customers), outputs => 'score DOUBLE, label STRING',
            data_alias => 'd', alias => 'p')

https://learn.microsoft.com/en-us/sql/t-sql/queries/predict-transact-sql
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import TokenType

from sqlml.errors import did_you_mean, quoted
from sqlml.statements.commands import literal
from sqlml.statements.tokens import Cursor, Source

if TYPE_CHECKING:
    from collections.abc import Callable

FORM = "PREDICT(MODEL = 'churn', DATA = customers AS d) WITH (score FLOAT) AS p"

_QUERIES = ("SELECT", "WITH", "FROM", "VALUES", "(")
"""What a subquery begins with."""

# Words after a relation that are not its alias when AS is left out.
_CLAUSES = """
    ANTI CLUSTER CROSS DISTRIBUTE DO EXCEPT FETCH FULL GROUP HAVING INNER INSERT INTERSECT JOIN
    LATERAL LEFT LIMIT MINUS NATURAL OFFSET ON OPTION ORDER OUTER PIVOT QUALIFY RIGHT SELECT SEMI
    SORT TABLESAMPLE UNION UNPIVOT USING WHEN WHERE WINDOW
"""


@dataclass(frozen=True, slots=True)
class _Data:
    table: str
    """What stands between the parentheses of TABLE(…)."""
    alias: str | None
    """How the query calls its columns: the alias, else the last part of the name."""


def rewrite(source: Source) -> str | None:
    """The text with every PREDICT of this form in Spark's, or None where there is none.

    Raises `StatementSyntaxError` where a PREDICT has MODEL = and DATA =, but not the rest.
    """
    text = _Rewriter(source).between(0, len(source.text), 0, len(source.tokens))
    return None if text == source.text else text


class _Rewriter:
    """Rewrites the calls of a text, those within a call's own subquery first."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def between(self, start: int, end: int, first: int, last: int) -> str:
        """The text from one offset to another, whose tokens are `first` to before `last`."""
        done = []
        tokens = self.source.tokens
        cursor = Cursor(self.source, first, form=FORM)
        for at in range(first, last):
            if at >= cursor.at and _is_call(self.source, at):
                done.append(self.source.text[start : tokens[at].start])
                cursor.at = at + 2
                done.append(self.call(cursor))
                start = tokens[cursor.at - 1].end + 1
        return "".join([*done, self.source.text[start:end]])

    def call(self, cursor: Cursor) -> str:
        """One call, from behind its parenthesis to its alias."""
        data = _Data("", None)
        given = {}
        missing = ["MODEL", "DATA", "RUNTIME"]
        while True:
            argument = _argument(cursor, missing)
            if argument == "MODEL":
                given[argument] = cursor.constant("the model's name as a string, such as 'churn'")
            elif argument == "DATA":
                data = self.data(cursor)
                given[argument] = f"TABLE({data.table})"
            else:
                cursor.expect("ONNX")
            if not cursor.take(","):
                break
        cursor.expect(")", "WITH", "(")
        outputs = [_output(cursor)]
        while cursor.take(","):
            outputs.append(_output(cursor))
        cursor.expect(")")
        alias = _alias(cursor)
        if cursor.sees("("):
            cursor.fail("the end of PREDICT, whose columns have their names in WITH")
        # Parameters that are question marks must not change places.
        in_order = [*given] == ["MODEL", "DATA"]
        texts = {"outputs": ", ".join(outputs), "data_alias": data.alias, "alias": alias}
        arguments = [
            *(value if in_order else f"{name} => {value}" for name, value in given.items()),
            *(f"{name} => {literal(text)}" for name, text in texts.items() if text is not None),
        ]
        return f"PREDICT({', '.join(arguments)})"

    def data(self, cursor: Cursor) -> _Data:
        """A relation: a name, a function's call, or a subquery; and its alias."""
        if cursor.sees("("):
            opening = cursor.at
            cursor.at += 1
            if cursor.raw.upper() not in _QUERIES:
                cursor.fail("SELECT")
            return _Data(self.inside(cursor, opening), _alias(cursor))
        parts = [_identifier(cursor, "a table's name or (SELECT …)")]
        while cursor.take("."):
            parts.append(_identifier(cursor, "a name"))
        name = ".".join(quoted(part) for part in parts)
        if cursor.sees("("):
            call = f"{name}({self.inside(cursor, cursor.at)})"
            return _Data(f"SELECT * FROM {call}", _alias(cursor))
        return _Data(name, _alias(cursor) or parts[-1])

    def inside(self, cursor: Cursor, opening: int) -> str:
        """The text between a parenthesis and its closing one, which the cursor goes past."""
        closing = self.source.closing(opening)
        assert closing is not None  # as the call's own one closes
        cursor.at = closing + 1
        tokens = self.source.tokens
        return self.between(tokens[opening].end + 1, tokens[closing].start, opening + 1, closing)


def _is_call(source: Source, at: int) -> bool:
    """Whether a PREDICT( begins here that has both MODEL = and DATA = among its arguments.

    In Spark, each could be a comparison of a column; both at once have no other use.
    """
    if source.tokens[at].text.upper() != "PREDICT" or not source.is_word(at + 1, "("):
        return False  # what is quoted differs from its text
    if not source.is_word(at, "PREDICT"):
        return False
    closing = source.closing(at + 1)
    if closing is None or (at > 0 and source.is_word(at - 1, ".")):
        return False
    names = set()
    depth = 0
    for i in range(at + 1, closing):
        kind = source.tokens[i].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        opens = depth == 1 and kind in (TokenType.L_PAREN, TokenType.COMMA)
        if opens and source.is_word(i + 2, "="):
            names.add(source.raw(i + 1).upper())
    return names >= {"MODEL", "DATA"}


def _argument(cursor: Cursor, missing: list[str]) -> str:
    """The name of an argument and its `=`; it is not missing any more."""
    name = cursor.raw.upper()
    if name not in missing:
        cursor.fail(" or ".join(missing) or ")", did_you_mean(name, missing))
    missing.remove(name)
    cursor.at += 1
    cursor.expect("=")
    return name


def _output(cursor: Cursor) -> str:
    """`name type [COLLATE collation] [NULL | NOT NULL]` as `name type` of Spark."""
    name = _identifier(cursor, "the name of an output")
    kind = _type(cursor)
    if cursor.take("COLLATE"):
        _identifier(cursor, "a collation")
    if cursor.take("NOT"):
        cursor.expect("NULL")
    else:
        cursor.take("NULL")
    return f"{quoted(name)} {kind}"


def _type(cursor: Cursor) -> str:
    start = cursor.at
    name = _identifier(cursor, "a type").upper()
    if name not in _TYPES:
        cursor.at = start
        cursor.fail(f"a type ({', '.join(_TYPES)})", did_you_mean(name, _TYPES))
    if name == "DOUBLE":
        cursor.take("PRECISION")
    return _TYPES[name](cursor)


def _always(spark: str) -> Callable[[Cursor], str]:
    return lambda _: spark


def _text(cursor: Cursor) -> str:
    if cursor.take("("):
        if not cursor.take("MAX"):
            cursor.integer("a length or MAX")
        cursor.expect(")")
    return "STRING"


def _float(cursor: Cursor) -> str:
    """T-SQL counts a FLOAT's bits: 8 bytes unless told otherwise, 4 up to 24 bits."""
    if not cursor.take("("):
        return "DOUBLE"
    bits = cursor.integer("a number of bits")
    cursor.expect(")")
    return "FLOAT" if bits <= 24 else "DOUBLE"


def _decimal(cursor: Cursor) -> str:
    """A bare DECIMAL has 18 digits in T-SQL, in Spark 10."""
    if not cursor.take("("):
        return "DECIMAL(18,0)"
    digits = cursor.integer("a number of digits")
    scale = 0
    if cursor.take(",") and not cursor.take("0"):
        scale = cursor.integer("a number of digits")
    cursor.expect(")")
    return f"DECIMAL({digits},{scale})"


_TYPES: dict[str, Callable[[Cursor], str]] = {
    "FLOAT": _float,
    "REAL": _always("FLOAT"),
    "DOUBLE": _always("DOUBLE"),
    "BIT": _always("BOOLEAN"),
    "BOOLEAN": _always("BOOLEAN"),
    "TINYINT": _always("SMALLINT"),  # 0 to 255 in T-SQL
    "SMALLINT": _always("SMALLINT"),
    "INT": _always("INT"),
    "INTEGER": _always("INT"),
    "BIGINT": _always("BIGINT"),
    "DECIMAL": _decimal,
    "NUMERIC": _decimal,
    **dict.fromkeys(("CHAR", "VARCHAR", "NCHAR", "NVARCHAR", "TEXT", "STRING"), _text),
}


def _alias(cursor: Cursor) -> str | None:
    """`[AS] name`, if that comes next."""
    if cursor.take("AS"):
        return _identifier(cursor, "an alias")
    begins = cursor.token is not None and (
        cursor.token.token_type in (TokenType.VAR, TokenType.IDENTIFIER, TokenType.L_BRACKET)
    )
    if not begins or cursor.raw.upper() in _CLAUSES.split():
        return None
    return _identifier(cursor, "an alias")


def _identifier(cursor: Cursor, what: str) -> str:
    """A name: bare, in backticks, in T-SQL's [brackets] or in its double quotes."""
    token, raw = cursor.token, cursor.raw
    if token is None or raw == "[":
        return _bracketed(cursor, what)
    if token.token_type not in (TokenType.VAR, TokenType.IDENTIFIER) and raw[0] != '"':
        cursor.fail(what)
    cursor.at += 1
    return raw if token.token_type is TokenType.VAR else token.text


def _bracketed(cursor: Cursor, what: str) -> str:
    """What stands in brackets, blanks and all."""
    opening = closing = cursor.at
    while closing < len(cursor.source.tokens) and not cursor.source.is_word(closing, "]"):
        closing += 1
    name = cursor.source.inside(opening, closing)
    if not name:
        cursor.fail(what)
    cursor.at = closing + 1
    return name
