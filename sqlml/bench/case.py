"""One trained model over one relation: what every contestant scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from pyspark.sql import DataFrame

    Vector = np.ndarray[Any, Any]
    Query = Callable[[DataFrame], DataFrame]

LABEL = 1
"""Classifiers tell 0 from 1; the score is the probability of 1."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model, the rows it was trained on, and the SQL that brings the rows to score."""

    name: str
    model: Any
    sample: pd.DataFrame
    """Training rows, the model's inputs only."""
    data: str
    """A query with the inputs and `id`; ids begin at 0."""
    query: Query
    """What is asked of the scored rows; runs it, and returns the DataFrame that ran."""

    @property
    def inputs(self) -> list[str]:
        return [str(name) for name in self.sample.columns]

    @property
    def classifies(self) -> bool:
        return hasattr(self.model, "predict_proba")

    @property
    def library(self) -> str:
        """The package that trained the model: xgboost, lightgbm or sklearn."""
        return type(self.model).__module__.partition(".")[0]

    @property
    def texts(self) -> list[str]:
        return [name for name in self.inputs if self.sample[name].dtype.kind not in "fiu"]

    @property
    def named(self) -> bool:
        """Whether the model picks its columns by name, and so takes only frames."""
        return hasattr(self.model, "feature_names_in_") and self.library == "sklearn"


def average(scored: DataFrame) -> DataFrame:
    """All scores, none of which leaves the JVM."""
    asked = scored.selectExpr("avg(score)")
    asked.collect()
    return asked


def everything(scored: DataFrame) -> DataFrame:
    """SELECT id, score, written to nowhere: what a CREATE TABLE AS would write."""
    asked = scored.select("id", "score")
    asked.write.format("noop").mode("overwrite").save()
    return asked


def highest(scored: DataFrame) -> DataFrame:
    """The hundred highest of those above 0.9."""
    asked = scored.where("score > 0.9").orderBy("score", ascending=False).limit(100)
    asked.collect()
    return asked


def first_rows(scored: DataFrame) -> DataFrame:
    """Any hundred."""
    asked = scored.select("id", "score").limit(100)
    asked.collect()
    return asked
