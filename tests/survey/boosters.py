"""Every kind of booster and every objective of XGBoost and of LightGBM."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from .outcome import Section, by_training
from .sklearn import ROWS, number, numbers, zero_or_one

if TYPE_CHECKING:
    from collections.abc import Callable

    Target = Callable[[], Any]


def three() -> Any:
    return np.digitize(number(), [0.9, 1.3])


def grades() -> Any:
    """How well a row answers its query, of ten rows each."""
    return three().astype("int64")


def share() -> Any:
    return number() / (1 + number())


def _targets(names: dict[Target, tuple[str, ...]]) -> dict[str, Target]:
    return {name: target for target, group in names.items() for name in group}


# ---- XGBoost ---------------------------------------------------------------------------------

XGBOOST = _targets(
    {
        number: (
            "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
            "reg:quantileerror", "reg:gamma", "reg:tweedie", "count:poisson", "survival:cox",
            "survival:aft",
        ),
        share: ("reg:logistic",),
        zero_or_one: ("binary:logistic", "binary:logitraw", "binary:hinge"),
        three: ("multi:softmax", "multi:softprob"),
        grades: ("rank:ndcg", "rank:map", "rank:pairwise"),
    }
)  # fmt: skip
XGBOOST_BOOSTERS = ("gbtree", "dart", "gblinear")
_NEEDS = {
    "reg:quantileerror": {"quantile_alpha": 0.5},
    "multi:softmax": {"num_class": 3},
    "multi:softprob": {"num_class": 3},
}


def train_xgboost(name: str) -> tuple[Any, Any]:
    import xgboost

    booster, objective = name.split(" ")
    table, target = numbers(), XGBOOST[objective]()
    if objective == "rank:map":
        target = (target > 1).astype("int64")
    data = xgboost.DMatrix(table, target)
    if objective.startswith("rank:"):
        data.set_group([10] * (ROWS // 10))
    if objective == "survival:aft":
        data = xgboost.DMatrix(table)
        data.set_float_info("label_lower_bound", target)
        data.set_float_info("label_upper_bound", target + 1)
    given = {
        "booster": booster,
        "objective": objective,
        "max_depth": 3,
        "verbosity": 0,
        "nthread": 1,
    }
    if booster == "dart":
        given["rate_drop"] = 0.3
    return xgboost.train(given | _NEEDS.get(objective, {}), data, 5), table


# ---- LightGBM ----------------------------------------------------------------------------------

LIGHTGBM = _targets(
    {
        number: (
            "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma",
            "tweedie",
        ),
        share: ("cross_entropy", "cross_entropy_lambda"),
        zero_or_one: ("binary",),
        three: ("multiclass", "multiclassova"),
        grades: ("lambdarank", "rank_xendcg"),
    }
)  # fmt: skip
LIGHTGBM_BOOSTERS = ("gbdt", "dart", "rf")


def train_lightgbm(name: str) -> tuple[Any, Any]:
    import lightgbm

    booster, objective = name.split(" ")
    table, target = numbers(), LIGHTGBM[objective]()
    ranks = [10] * (ROWS // 10) if objective in ("lambdarank", "rank_xendcg") else None
    data = lightgbm.Dataset(table, target, group=ranks)
    given = {
        "boosting": booster,
        "objective": objective,
        "verbose": -1,
        "num_threads": 1,
        "seed": 0,
    }
    if booster == "rf":
        given |= {"bagging_freq": 1, "bagging_fraction": 0.7}
    if objective.startswith("multiclass"):
        given["num_class"] = 3
    given |= {"min_data_in_leaf": 5, "num_leaves": 7}
    return lightgbm.train(given, data, 5), table


def _section(
    title: str, things: str, kinds: tuple[str, ...], objectives: Any, train: Any
) -> Section:
    return Section(
        title=title,
        about=(
            f"Every {things} of {title} {'.'.join(version(title.lower()).split('.')[:2])}: five "
            f"rounds on {ROWS} rows of four positive numbers."
        ),
        things=things,
        names=tuple(f"{kind} {objective}" for kind in kinds for objective in objectives),
        outcome=by_training(train),
    )


SECTIONS = (
    _section("XGBoost", "booster and objective", XGBOOST_BOOSTERS, XGBOOST, train_xgboost),
    _section("LightGBM", "boosting and objective", LIGHTGBM_BOOSTERS, LIGHTGBM, train_lightgbm),
)
