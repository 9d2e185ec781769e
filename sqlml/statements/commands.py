"""The statements that change the registry, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

OPTIONS = {
    "alias": "'champion'",
    "sample": "'customers'",
    "description": "'who leaves'",
    "labels": """'["no", "yes"]'""",
}
"""The options of CREATE MODEL, each with a value for an example."""


@dataclass(frozen=True, slots=True)
class CreateModel:
    """CREATE MODEL: convert, verify and publish what `source` names."""

    name: str
    source: str
    replace: bool = False
    alias: str | None = None
    sample: str | None = None
    """A table's name, or a query."""
    description: str | None = None
    labels: str | None = None
    """A list in JSON."""
    explain: str | None = None
    """EXPLAIN and its mode, where the plan is asked for and nothing must be done."""

    schema: ClassVar[str] = (
        "name STRING, version INT, aliases ARRAY<STRING>, task STRING, sha256 STRING, "
        "rows_compared BIGINT, max_abs_error DOUBLE"
    )

    @property
    def text(self) -> str:
        """The statement in its one canonical form."""
        given = {key: getattr(self, key) for key in OPTIONS}
        options = [f"{key} = {literal(value)}" for key, value in given.items() if value is not None]
        return (
            f"CREATE {'OR REPLACE ' * self.replace}MODEL {_name(self.name)} "
            f"FROM {literal(self.source)}" + (f" WITH ({', '.join(options)})" if options else "")
        )


@dataclass(frozen=True, slots=True)
class SetAlias:
    """ALTER MODEL … SET ALIAS: let an alias name one version."""

    name: str
    alias: str
    version: int
    explain: str | None = None

    schema: ClassVar[str] = "name STRING, alias STRING, version INT"

    @property
    def text(self) -> str:
        """The statement in its one canonical form."""
        return (
            f"ALTER MODEL {_name(self.name)} SET ALIAS {_name(self.alias)} "
            f"TO VERSION {self.version}"
        )


@dataclass(frozen=True, slots=True)
class UnsetAlias:
    """ALTER MODEL … UNSET ALIAS: let an alias name nothing any more."""

    name: str
    alias: str
    explain: str | None = None

    schema: ClassVar[str] = SetAlias.schema

    @property
    def text(self) -> str:
        """The statement in its one canonical form."""
        return f"ALTER MODEL {_name(self.name)} UNSET ALIAS {_name(self.alias)}"


@dataclass(frozen=True, slots=True)
class DropModel:
    """DROP MODEL: take a model, or one version of it, out of the registry."""

    name: str
    version: int | None = None
    if_exists: bool = False
    explain: str | None = None

    schema: ClassVar[str] = "name STRING, versions ARRAY<INT>"

    @property
    def text(self) -> str:
        """The statement in its one canonical form."""
        return (
            f"DROP MODEL {'IF EXISTS ' * self.if_exists}{_name(self.name)}"
            + f" VERSION {self.version}" * (self.version is not None)
        )


Command = CreateModel | SetAlias | UnsetAlias | DropModel
"""A statement that is to be run, once."""


def literal(text: str) -> str:
    r"""A text as a string of Spark SQL.

    >>> print(literal("it's"))
    'it\'s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


KEYWORDS_AT_NAMES = frozenset({"IF", "FROM", "SET", "UNSET", "VERSION", "TO"})
"""Words that stand where a name may: a model or an alias of such a name is written in quotes."""


def _name(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    return name if plain and name.upper() not in KEYWORDS_AT_NAMES else literal(name)
