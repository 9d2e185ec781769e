"""ParityReport: what was compared, what differed, and with which libraries."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sqlml.errors import ParityError, listed
from sqlml.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlml.model import Precision


@dataclass(frozen=True, slots=True)
class WorstRow:
    """One row on which the two models were furthest apart."""

    kind: str
    """Where the row came from: "sample", "threshold of age", "missing age" …"""
    inputs: Mapping[str, Any]
    """What the original was called with, by column."""
    output: str
    """The output that differs: prediction, probabilities['yes'], prediction (backend sql) …"""
    expected: Any
    """What the original said; a text that starts with "raises" where it refused the row."""
    found: Any
    """What the scoring path said; None where it gave NULL."""
    error: float
    """The difference as it was held against the bound; infinite for labels and NULLs."""
    opinion: str = ""
    """Whom ONNX's reference evaluator bears out, where the row differs and it can say."""
    smallest: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Of the worst row: by column, a value that agrees and the nearest one that does not."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """The original's scores against the scoring path's, on the sample and on edge rows.

    It is stored with the published version; SQL reads it as `model_parity('churn')`.
    """

    rows: int
    sample_rows: int
    edge_rows: int
    mismatches: int
    """Rows that differ by more than the bound, whatever the output."""
    label_mismatches: int
    """Rows whose predicted labels differ, ties left out."""
    max_abs_error: float
    max_rel_error: float
    """Relative to the output's largest magnitude on the sample; absolute for probabilities."""
    bound: float
    precision: Precision
    signature: Signature
    """The model's, with what each input takes as it was found on the original."""
    worst_rows: tuple[WorstRow, ...] = ()
    rejected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By input that is used, what the original does not accept: such rows score NULL."""
    backends: tuple[str, ...] = ("onnx",)
    """Those that were compared: all that can score the model."""
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    """When the rows were compared, UTC, ISO 8601."""

    @property
    def ok(self) -> bool:
        """Whether the model may be published."""
        return self.mismatches == 0

    def raise_if_different(self) -> None:
        """Raise `ParityError`, which names the worst row, unless `ok`."""
        if self.ok:
            return
        worst = self.worst_rows[0]
        inputs = listed([f"{name}={_short(value)}" for name, value in worst.inputs.items()])
        original = (
            worst.expected
            if isinstance(worst.expected, str) and worst.expected.startswith("raises ")
            else f"says {_short(worst.expected)}"
        )
        second = f"ONNX's reference evaluator {worst.opinion}. " if worst.opinion else ""
        if worst.smallest:
            shown = [
                f"{name} {a!r} agrees, {b!r} does not" for name, (a, b) in worst.smallest.items()
            ]
            second += f"The smallest change that shows it: {'; '.join(shown)}. "
        raise ParityError(
            f"The converted model does not score like the original on {self.mismatches:,} of "
            f"{self.rows:,} rows; nothing was published. {worst.output}: the original {original}, "
            f"the converted model says {_short(worst.found)} ({worst.kind}: {inputs}). {second}"
            "sqlml.verify(…).worst_rows has more rows; leave out or replace the step of the "
            "model that they point to.",
            self,
        )

    def to_json(self) -> str:
        """The report as JSON text; NaN and infinities are kept as {"float": "nan"}."""
        facts = dataclasses.asdict(self)
        return json.dumps({"ok": self.ok} | _plain(facts), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ParityReport:
        """The report of `to_json`."""
        facts = json.loads(text, object_hook=_float)
        del facts["ok"]
        signature = facts.pop("signature")
        return cls(
            **facts
            | {
                "signature": Signature.from_dict(signature),
                "backends": tuple(facts.get("backends", ("onnx",))),
                "worst_rows": tuple(_worst_row(w) for w in facts["worst_rows"]),
                "rejected": {name: tuple(what) for name, what in facts["rejected"].items()},
            }
        )

    def __str__(self) -> str:
        verdict = "scores like the original" if self.ok else "does NOT score like the original"
        lines = [
            f"The converted model {verdict}: {self.rows:,} rows compared "
            f"({self.sample_rows:,} of the sample, {self.edge_rows:,} edge rows)",
            f"  rows that differ    {self.mismatches:,} (labels: {self.label_mismatches:,})",
            f"  largest error       {self.max_abs_error:.2g} absolute, "
            f"{self.max_rel_error:.2g} relative; allowed {self.bound:.0e} ({self.precision})",
        ]
        taking = [i.name for i in self.signature.inputs if i.takes_missing]
        lines.append(f"  NULL is scored in   {listed(taking) or 'no input: such rows score NULL'}")
        inputs = self.signature.inputs
        limited = [i.name for i in inputs if i.categories is not None]
        indices = [f"{i.name} (below {i.below:,})" for i in inputs if i.below is not None]
        if indices:
            lines.append(f"  only an index       {listed(indices)}")
        if limited:
            lines.append(f"  only known values   {listed(limited)}")
        return "\n".join(lines)


def _worst_row(facts: dict[str, Any]) -> WorstRow:
    smallest = {name: tuple(pair) for name, pair in facts.get("smallest", {}).items()}
    return WorstRow(**facts | {"smallest": smallest})


Tag = Literal["float"]
_TAG: Tag = "float"


def _plain(value: Any) -> Any:
    """Only what JSON has: NumPy's numbers as Python's, floats that JSON lacks tagged."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _float(found: dict[str, Any]) -> Any:
    return float(found[_TAG]) if found.keys() == {_TAG} else found


def _short(value: Any, most: int = 40) -> str:
    text = "NULL" if value is None else f"{value:.9g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"
