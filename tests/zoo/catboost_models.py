"""The cases of CatBoost."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from catboost import CatBoost, CatBoostClassifier, CatBoostRanker, CatBoostRegressor
from sklearn.pipeline import make_pipeline

from . import data
from .boosters import coarse, float32, gaps, lgb_names, one_hot, single
from .case import Answer, Case, ask_estimator, trained

QUIET = {"verbose": False, "allow_writing_files": False, "thread_count": 1, "random_seed": 3}
CC = partial(CatBoostClassifier, iterations=15, depth=4, **QUIET)
CR = partial(CatBoostRegressor, iterations=15, depth=4, **QUIET)


def ask(model: Any, rows: Any) -> Answer:
    prediction = np.asarray(model.predict(rows))
    if isinstance(model, CatBoostClassifier):
        labels = tuple(np.asarray(model.classes_).tolist())
        return Answer(prediction.ravel(), labels, np.asarray(model.predict_proba(rows)))
    return Answer(prediction)


fitted = partial(trained, ask=ask)


def stopped_early(model: Any, X: Any, y: Any) -> Any:
    half = len(X) // 2
    return model.fit(X[:half], y[:half], eval_set=(X[half:], y[half:]), early_stopping_rounds=3)


def by_category(model: Any, X: Any, y: Any) -> Any:
    return model.fit(X, y, cat_features=["plan", "country", "active"])


def in_groups(model: Any, X: Any, y: Any) -> Any:
    return model.fit(X, y, group_id=np.arange(len(X)) // 20)


CATBOOST = (
    Case("catboost-binary", fitted(CC, lgb_names, data.yes_no)),
    Case("catboost-three", fitted(CC, coarse, data.three)),
    Case(
        "catboost-one-against-all",
        fitted(partial(CC, loss_function="MultiClassOneVsAll"), data.numbers, data.whole_numbers),
        why="probabilities that do not add up to one",
    ),
    Case("catboost-booleans", fitted(CC, data.numbers, data.true_false)),
    Case("catboost-missing", fitted(CC, gaps, data.zero_one), why="a missing value is the least"),
    Case(
        "catboost-missing-max",
        fitted(partial(CC, nan_mode="Max"), gaps, data.zero_one),
        why="a missing value is the greatest",
    ),
    Case(
        "catboost-rare",
        fitted(partial(CC, scale_pos_weight=500), data.numbers, data.rare, n=2000),
    ),
    Case("catboost-regressor", fitted(CR, data.counts, data.number)),
    Case("catboost-missing-regressor", fitted(CR, gaps, data.number)),
    Case("catboost-mae", fitted(partial(CR, loss_function="MAE"), data.numbers, data.number)),
    Case(
        "catboost-quantile",
        fitted(partial(CR, loss_function="Quantile:alpha=0.8"), data.numbers, data.number),
    ),
    Case(
        "catboost-poisson",
        fitted(partial(CR, loss_function="Poisson"), coarse, data.events),
        why="predict gives the exponential, predict of CatBoost itself does not",
    ),
    Case(
        "catboost-tweedie",
        fitted(partial(CR, loss_function="Tweedie:variance_power=1.5"), data.numbers, data.money),
    ),
    Case(
        "catboost-two-targets",
        fitted(partial(CR, loss_function="MultiRMSE"), data.numbers, data.two_numbers),
    ),
    Case(
        "catboost-depthwise",
        fitted(partial(CR, grow_policy="Depthwise"), gaps, data.number),
        why="trees of another form in the file",
    ),
    Case(
        "catboost-lossguide",
        fitted(partial(CC, grow_policy="Lossguide", max_leaves=9), data.numbers, data.three),
        why="trees of another form in the file",
    ),
    Case(
        "catboost-early-stopping",
        fitted(
            partial(CR, iterations=200, learning_rate=0.9),
            data.numbers,
            data.number,
            fit=stopped_early,
        ),
        why="trees after the best round",
    ),
    Case(
        "catboost-ranker",
        fitted(
            partial(CatBoostRanker, iterations=10, depth=3, loss_function="YetiRank", **QUIET),
            data.numbers,
            data.zero_one,
            fit=in_groups,
        ),
    ),
    Case(
        "catboost-plain",
        fitted(
            lambda: CatBoost({"loss_function": "Logloss", "iterations": 10, "depth": 3, **QUIET}),
            data.numbers,
            data.zero_one,
        ),
        why="its predict gives sums, not probabilities",
    ),
    Case(
        "catboost-categories",
        fitted(CC, data.customers, data.yes_no, fit=by_category),
        why="the model has hashes of categories, and statistics of the target by hash",
    ),
    Case(
        "catboost-categories-together",
        fitted(
            partial(CR, one_hot_max_size=2, max_ctr_complexity=4, iterations=40),
            data.customers,
            data.number,
            fit=by_category,
        ),
        why="statistics of categories together, and of splits",
    ),
    Case(
        "catboost-pandas-categories",
        fitted(
            partial(CC, one_hot_max_size=3, grow_policy="Lossguide"),
            partial(data.customers, category=True),
            data.three,
            fit=by_category,
        ),
        why="categories are text in SQL",
    ),
    Case(
        "catboost-integer-categories",
        fitted(
            CC,
            data.counts,
            data.yes_no,
            fit=lambda model, X, y: model.fit(X, y, cat_features=["n0", "n1"]),
        ),
        why="a whole number is hashed as its text",
    ),
    Case("catboost-float32", fitted(CR, float32, data.number)),
    Case("catboost-large-integers", fitted(CR, data.keys, data.number)),
    Case("catboost-one-column", fitted(CC, single, data.zero_one)),
    Case("catboost-array", fitted(CC, data.numbers, data.zero_one, as_array=True)),
    Case(
        "catboost-pipeline",
        trained(
            lambda: make_pipeline(one_hot(), CC()), data.customers, data.yes_no, ask=ask_estimator
        ),
    ),
)
