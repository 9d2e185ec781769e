"""What converts: docs/coverage.md, made by training, converting and comparing each model there is.

A section is a framework; it joins by a line of `SECTIONS`. There are two outcomes, "converts"
(and scores as the original) and "refused", with the reason. Whatever else a model may raise is
a bug, and stops the survey.
"""

from __future__ import annotations

from pathlib import Path

from . import boosters, catboost, sklearn, spark
from .outcome import CONVERTS, Section

SECTIONS: tuple[Section, ...] = (
    sklearn.SECTION,
    *boosters.SECTIONS,
    catboost.SECTION,
    spark.SECTION,
)
DOCUMENT = Path(__file__).parents[2] / "docs" / "coverage.md"

_HEAD = """\
# Coverage

What converts and what is refused, found out by running: `make coverage` trains each of these
models on a small table, converts it, compares its scores with the original's as `sqlml publish`
does, and writes this page. A test holds each row against what running gives.
"""


def row(name: str, outcome: str) -> str:
    """A line of a section's table."""
    return f"| `{name}` | {outcome.replace('|', '&#124;')} |"


def document(outcomes: dict[str, dict[str, str]]) -> str:
    """The page, from the outcomes of each section by its title."""
    pages = [_HEAD]
    for section in SECTIONS:
        found = outcomes[section.title]
        converted = sum(outcome == CONVERTS for outcome in found.values())
        lines = [row(name, outcome) for name, outcome in found.items()]
        pages.append(
            f"## {section.title}\n\n{section.about}\n\n"
            f"Of {len(found)}, {converted} convert and {len(found) - converted} are refused.\n\n"
            f"| {section.things} | outcome |\n|---|---|\n" + "\n".join(lines) + "\n"
        )
    return "\n".join(pages)


__all__ = ["CONVERTS", "DOCUMENT", "SECTIONS", "Section", "document", "row"]
