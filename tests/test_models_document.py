"""docs/models.md is true: its code runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from .documents import Block, blocks

BLOCKS = blocks(Path(__file__).parent.parent / "docs" / "models.md")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_its_code_runs(block: Block) -> None:
    assert block.language == "python"
    exec(compile(block.code, "docs/models.md", "exec"), {})
