"""Parity: a converted model scores like its original, or it is not published."""

from sqlml.parity.report import ParityReport, WorstRow
from sqlml.parity.verify import verify

__all__ = ["ParityReport", "WorstRow", "verify"]
