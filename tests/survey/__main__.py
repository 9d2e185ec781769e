"""`python -m tests.survey`: run the survey and write docs/coverage.md."""

from __future__ import annotations

import sys
import time

from . import DOCUMENT, SECTIONS, document


def main() -> None:
    outcomes = {}
    for section in SECTIONS:
        start, found = time.monotonic(), {}
        for name in section.names:
            sys.stderr.write(f"\r\033[K{section.title}: {name}")
            found[name] = section.outcome(name)
        outcomes[section.title] = found
        seconds = time.monotonic() - start
        sys.stderr.write(f"\r\033[K{section.title}: {len(found)} in {seconds:.0f} s\n")
    DOCUMENT.write_text(document(outcomes), encoding="utf-8")


main()
