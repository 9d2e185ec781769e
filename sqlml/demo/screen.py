"""How the demo shows itself: numbered steps, the code they run, and what came of them.

Colour and a spinner on a terminal, plain text elsewhere.
"""

from __future__ import annotations

import contextlib
import textwrap
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame
    from rich.console import Console, RenderableType


class Clock:
    """The seconds that a piece of work took."""

    seconds = 0.0


class Screen:
    """Numbered steps, the code they run, and what came of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0
        self._start = time.monotonic()
        self._after_blank = False

    def total(self) -> float:
        return time.monotonic() - self._start

    def title(self, text: str) -> None:
        self._step += 1
        self._blank()
        self._print(f"[bold]{self._step}. {text}[/bold]")

    def say(self, text: str) -> None:
        self._print(textwrap.indent(text, "   "), markup=False)

    def code(self, text: str, language: str) -> None:
        text = textwrap.indent(text.rstrip(), "   ")
        self._blank()
        if self._console.is_terminal:
            from rich.syntax import Syntax

            self._print(Syntax(text, language, theme="ansi_dark", background_color="default"))
        else:
            self._print(text, markup=False)
        self._blank()

    def table(self, rows: DataFrame) -> None:
        cells = [
            ["" if v is None else str(v) for v in row] for row in [rows.columns, *rows.collect()]
        ]
        widths = [max(len(row[i]) for row in cells) for i in range(len(rows.columns))]
        numbers = [kind not in ("string", "date") for _, kind in rows.dtypes]
        self._blank()
        for at, row in enumerate(cells):
            aligned = [
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(row, widths, numbers, strict=True)
            ]
            self._print(f"   {'  '.join(aligned)}".rstrip(), style="bold" if at == 0 else None)
        self._blank()

    def _print(self, what: RenderableType, **options: Any) -> None:
        self._console.print(what, **options)
        self._after_blank = False

    def _blank(self) -> None:
        if not self._after_blank:
            self._console.print()
        self._after_blank = True

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[Clock]:
        """Say what is going on while it goes on, and how long it took."""
        clock, start = Clock(), time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{what} …"):
                yield clock
        else:
            yield clock
        clock.seconds = time.monotonic() - start
        self._print(f"   [dim]{what}: {clock.seconds:.1f} s[/dim]")
