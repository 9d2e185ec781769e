"""Every loss of CatBoost that trains on a CPU, by the estimator that takes it."""

from __future__ import annotations

from typing import Any

import catboost
import numpy as np
import pandas as pd

from .outcome import Section, by_training

ROWS = 120
QUIET = {"iterations": 8, "depth": 3, "verbose": False, "allow_writing_files": False}

# By estimator: loss → what else it is told, as CatBoost writes it.
_LOSSES: dict[str, dict[str, str]] = {
    "CatBoostClassifier": {
        "CrossEntropy": "",
        "Focal": ":focal_alpha=0.5;focal_gamma=1.0",
        "Logloss": "",
        "MultiClass": "",
        "MultiClassOneVsAll": "",
        "MultiCrossEntropy": "",
        "MultiLogloss": "",
    },
    "CatBoostRanker": {
        "LambdaMart": "",
        "PairLogit": "",
        "PairLogitPairwise": "",
        "QueryRMSE": "",
        "QuerySoftMax": "",
        "StochasticFilter": "",
        "StochasticRank": ":metric=DCG",
        "YetiRank": "",
        "YetiRankPairwise": "",
    },
    "CatBoostRegressor": {
        "Cox": "",
        "Expectile": ":alpha=0.3",
        "Huber": ":delta=1.0",
        "LogCosh": "",
        "LogLinQuantile": "",
        "Lq": ":q=3",
        "MAE": "",
        "MAPE": "",
        "MultiQuantile": ":alpha=0.1,0.5,0.9",
        "MultiRMSE": "",
        "MultiRMSEWithMissingValues": "",
        "Poisson": "",
        "Quantile": "",
        "RMSE": "",
        "RMSEWithUncertainty": "",
        "SurvivalAft": "",
        "Tweedie": ":variance_power=1.5",
    },
}
_ESTIMATORS = {loss: kind for kind, losses in _LOSSES.items() for loss in losses}


def table() -> pd.DataFrame:
    """Numbers with gaps, and a text."""
    rng = np.random.default_rng(21)
    gaps = np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(size=ROWS))
    plan = rng.choice(["basic", "pro", "team"], ROWS)
    return pd.DataFrame({"age": rng.normal(size=ROWS), "gap": gaps, "plan": plan})


def _target(loss: str, rows: pd.DataFrame) -> Any:
    signal = (rows.age + (rows.plan == "pro") - rows.gap.fillna(0)).to_numpy()
    if loss in ("MultiCrossEntropy", "MultiLogloss"):
        return np.column_stack([signal > 0, rows.age > 0]).astype(int)
    if loss in ("MultiClass", "MultiClassOneVsAll"):
        return np.digitize(signal, [-0.5, 0.5])
    if _ESTIMATORS[loss] != "CatBoostRegressor":
        return (signal > 0).astype(int)
    if loss.startswith("MultiRMSE"):
        return np.column_stack([signal, rows.age])
    if loss == "SurvivalAft":
        return np.column_stack([np.exp(signal), np.exp(signal) + 1])
    return np.exp(signal / 2)


def train(loss: str) -> tuple[Any, Any]:
    """A model of the loss, and the rows that it learned from."""
    rows, kind = table(), _ESTIMATORS[loss]
    model = getattr(catboost, kind)(loss_function=loss + _LOSSES[kind][loss], **QUIET)
    groups = {"group_id": np.arange(ROWS) // 12} if kind == "CatBoostRanker" else {}
    return model.fit(rows, _target(loss, rows), cat_features=["plan"], **groups), rows


_VERSION = ".".join(catboost.__version__.split(".")[:2])

SECTION = Section(
    title="CatBoost",
    about=(
        f"Every loss of CatBoost {_VERSION} that trains on a CPU, by the estimator that takes it, "
        f"on {ROWS} rows of a number, a number with gaps and a category."
    ),
    things="loss",
    names=tuple(_ESTIMATORS),
    outcome=by_training(train),
)
