"""Every class of Spark ML that transforms. Those that convert are trained in the zoo."""

from __future__ import annotations

from importlib.metadata import version

from sqlml.convert.spark import stages

from .outcome import CONVERTS, Section

_VERSION = ".".join(version("pyspark").split(".")[:2])


def outcome(name: str) -> str:
    """What the converter's own tables say, which other tests hold against training."""
    if name in stages.converted():
        return CONVERTS
    reason, _ = stages.REFUSED[name]
    return f"refused: {reason.rstrip('.')}"


SECTION = Section(
    title="Spark ML",
    about=(
        f"Every class of Spark ML {_VERSION} that transforms, and the models of `xgboost.spark`. "
        "Those that convert are trained in the tests' zoo, and score on every path as their "
        "`transform`. What a class cannot be converted with, like a cosine distance, is said "
        "when it is met."
    ),
    things="class",
    names=tuple(sorted(stages.converted() | set(stages.REFUSED))),
    outcome=outcome,
)
