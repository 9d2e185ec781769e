"""Parity: a converted model scores like its original, or it is not published.

`provenance` reads from the graph what it compares its inputs with; `edges`, `reach` and
`splits` make rows of it; `original` asks the original; `domain` says what each input takes;
`backends` asks every backend; `compare` holds the scores against each other; `report` is the
result.
"""

from sqlml.parity.domain import accepting
from sqlml.parity.report import ParityReport, WorstRow
from sqlml.parity.verification import verify

__all__ = ["ParityReport", "WorstRow", "accepting", "verify"]
