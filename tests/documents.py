"""The code blocks of a Markdown document, to be run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Block:
    """A block of sql, python or sh."""

    language: str
    code: str
    answer: str
    """The text block right after it: the error that it gives."""

    def __str__(self) -> str:
        return self.language + " " + self.code.strip().splitlines()[0]


def blocks(document: Path) -> list[Block]:
    pattern = r"^```(sql|python|sh)\n(.*?)^```$(?:\n```text\n(.*?)\n```)?"
    return [Block(*f) for f in re.findall(pattern, document.read_text(), re.M | re.S)]


def run_sql(session: SparkSession, block: Block) -> None:
    """Each statement of a block has rows, or gives the error that stands below it."""
    from pyspark.errors import PySparkException

    for query in block.code.split(";"):
        if block.answer:
            with pytest.raises(PySparkException) as raised:
                session.sql(query).collect()
            assert str(raised.value).strip() == block.answer
        else:
            rows = session.sql(query).collect()
            assert rows or query.strip().startswith(("CREATE", "DROP"))
