"""Model statements and the T-SQL form of PREDICT: text in, rewritten text or a command out.

    read     what a text means: the same in Spark's own SQL, a command, or nothing of ours
    run      do what a command says, and answer with its rows

    CREATE [OR REPLACE] MODEL churn FROM 'runs:/4f2…/model' [WITH (alias = 'champion', …)]
    ALTER MODEL churn SET ALIAS champion TO VERSION 3
    ALTER MODEL churn UNSET ALIAS champion
    DROP MODEL [IF EXISTS] churn [VERSION 2]
    SHOW MODELS [LIKE 'ch%']
    SHOW VERSIONS IN MODEL churn
    DESCRIBE MODEL [EXTENDED] churn@champion
    … FROM PREDICT(MODEL = 'churn', DATA = customers AS d) WITH (score FLOAT) AS p …

Neither Spark nor a transport is known here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlml.statements.commands import Command, CreateModel, DropModel, SetAlias, UnsetAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Command", "CreateModel", "DropModel", "SetAlias", "UnsetAlias", "read", "run"]


def read(text: str) -> str | Command | None:
    """What a SQL text means to sqlml, before Spark parses it.

    None: nothing here is ours. A string: the same statement in Spark's own SQL, where all
    text that is not ours stands as it was. A command: to be run once.
    Raises `StatementSyntaxError` for a text that is almost ours, with the place.

    >>> read("SELECT model FROM cars") is None
    True
    >>> read("EXPLAIN SHOW VERSIONS IN MODEL churn;")
    "EXPLAIN SELECT * FROM model_versions('churn') ORDER BY version;"
    >>> read("DROP MODEL churn VERSION 2")
    DropModel(name='churn', version=2, if_exists=False, explain=None)
    """
    if not _may_be_ours(text):
        return None
    # Here, as the tokenizer takes a tenth of a second to import.
    from sqlml.statements.grammar import parse

    return parse(text)


def run(
    command: Command, *, read_table: Callable[[str], Any], trust_pickle: bool = False
) -> list[dict[str, Any]]:
    """Do what a command says; its rows are as `command.schema` has them.

    `read_table` gives the rows of a table or of a query, in any form that `publish` takes.
    `trust_pickle` lets CREATE MODEL open pickled models, which runs the code inside them.
    Raises what `sqlml.publish` raises, `ModelExistsError`, `ModelNotFoundError`,
    `VersionNotFoundError`, `AliasNotFoundError`, `ModelRejectedError`, `ArgumentError`
    and `RegistryUnavailableError`.

        >>> run(read("DROP MODEL churn VERSION 2"), read_table=spark.table)  # doctest: +SKIP
        [{'name': 'churn', 'versions': [2]}]
    """
    from sqlml.statements.running import run as run_command  # loads what converts models

    return run_command(command, read_table, trust_pickle)


# Finding the words of a query of 200 lines takes some 10 ms, so a text is looked through
# first. This lets through more than what is ours, and never less.
_BLANK = r"(?:\s|--[^\r\n]*+|/\*(?:[^*/]|\*(?!/)|/(?!\*))*+\*/)*+"
"""Blanks and comments, but none within a comment; where these are, `/*` follows."""
_STATEMENT = re.compile(
    r"_(?:explain_(?:(?:logical|formatted|extended|codegen|cost)_)?)?"
    r"(?:/\*|(?:alter|drop|desc|describe)_(?:model|/\*)|show_(?:models|versions|/\*)"
    r"|create_(?:model|/\*|or_(?:/\*|replace_(?:model|/\*))))".replace("_", _BLANK),
    re.IGNORECASE,
)
_TSQL = [
    re.compile(words.replace("_", _BLANK), re.IGNORECASE)
    for words in (r"predict_[(/]", r"model_[=/]", r"data_[=/]")
]


def _may_be_ours(text: str) -> bool:
    return bool(_STATEMENT.match(text)) or all(words.search(text) for words in _TSQL)
