"""The model statements in Spark: read before Spark's parser, run in the session that asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml import statements
from sqlml.errors import StatementSyntaxError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sqlml.statements import Command

# A query, and nothing that writes.
_QUERY = re.compile(r"\s*(SELECT|WITH|FROM|VALUES)\b|\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class ModelStatements:
    """What `internals.install_statements` installs."""

    trust_pickle: bool
    """CREATE MODEL may open pickled models."""

    def read(self, text: str) -> str | Command | None:
        """See `sqlml.statements.read`."""
        return statements.read(text)

    def run(self, text: str, spark: SparkSession) -> tuple[list[dict[str, Any]], str]:
        """Run a command; the sample of CREATE MODEL is read in this session."""
        command = statements.read(text)
        if command is None or isinstance(command, str):
            raise StatementSyntaxError(f"{text} is not a command.")

        def read_table(name: str) -> DataFrame:
            return spark.sql(name) if _QUERY.match(name) else spark.table(name)

        rows = statements.run(command, read_table=read_table, trust_pickle=self.trust_pickle)
        return rows, command.schema
