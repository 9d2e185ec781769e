"""docs/coverage.md says what running gives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .survey import CONVERTS, DOCUMENT, SECTIONS, document, row

if TYPE_CHECKING:
    from .survey import Section

TEXT = DOCUMENT.read_text(encoding="utf-8")
CASES = [(section, name) for section in SECTIONS for name in section.names]


def page(section: Section) -> str:
    """The section's part of the document."""
    return re.split(r"^## ", TEXT, flags=re.M)[1 + SECTIONS.index(section)]


@pytest.mark.parametrize(("section", "name"), CASES, ids=[f"{s.title}-{n}" for s, n in CASES])
def test_each_row_is_what_becomes_of_the_model(section: Section, name: str) -> None:
    """`make coverage` writes the page anew."""
    assert row(name, section.outcome(name)) in page(section).splitlines()


def test_the_page_has_these_rows_and_no_others() -> None:
    """Sums, versions and order are those that the rows give."""
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", TEXT, re.M)
    outcomes, start = {}, 0
    for section in SECTIONS:
        count = len(section.names)
        outcomes[section.title] = dict(rows[start : start + count])
        start += count
        assert tuple(outcomes[section.title]) == section.names
        assert CONVERTS in outcomes[section.title].values()
    unescaped = {
        title: {name: outcome.replace("&#124;", "|") for name, outcome in found.items()}
        for title, found in outcomes.items()
    }
    assert document(unescaped) == TEXT
