"""What has no faithful form yet: each must be refused, never published with other scores."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from . import data
from .boosters import LC, XC
from .case import Case, trained
from .catboost_models import CC, CR


def two_labels(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.column_stack([data.zero_one(z, rng), data.zero_one(-z * z + 1, rng)])


def one_class(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.zeros(len(z), dtype=np.int64)


class Clipped(TransformerMixin, BaseEstimator):
    """A step of the author's own."""

    def fit(self, X: Any, y: Any = None) -> Clipped:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> np.ndarray:
        return np.clip(np.asarray(X), -1, 1)


class Contrary(LogisticRegression):
    """A converter for the base class would convert it, and score it the wrong way round."""

    def predict_proba(self, X: Any) -> np.ndarray:
        return super().predict_proba(X)[:, ::-1]


def logistic(y: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An objective that a library knows nothing of."""
    p = 1 / (1 + np.exp(-predicted))
    return p - y, p * (1 - p)


class HalfLogistic:
    """An objective in the form of CatBoost's."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[Any]:
        p = 1 / (1 + np.exp(-np.array(approxes)))
        return list(zip((np.array(targets) - p).tolist(), (-p * (1 - p)).tolist(), strict=True))


REFUSED = (
    Case(
        "sklearn-isotonic", trained(IsotonicRegression, partial(data.numbers, width=1), data.number)
    ),
    Case(
        "sklearn-radius-neighbours",
        trained(
            lambda: RadiusNeighborsClassifier(5.0, outlier_label="most_frequent"),
            data.numbers,
            data.yes_no,
        ),
        why="failed when scored",
    ),
    Case(
        "sklearn-hashed-text",
        trained(
            lambda: make_pipeline(
                ColumnTransformer([("words", HashingVectorizer(), "text")], remainder="drop"),
                LogisticRegression(max_iter=500),
            ),
            data.reviews,
            data.yes_no,
        ),
        why="a million columns, which are a dense row in ONNX",
    ),
    Case(
        "sklearn-text-of-two-forms",
        trained(
            lambda: make_pipeline(
                ColumnTransformer(
                    [
                        ("lower", TfidfVectorizer(), "text"),
                        ("as written", TfidfVectorizer(lowercase=False), "text"),
                    ]
                ),
                LogisticRegression(max_iter=500),
            ),
            data.reviews,
            data.yes_no,
        ),
        why="an input is prepared in one way",
    ),
    Case(
        "sklearn-neighbours-by-distance",
        trained(lambda: KNeighborsRegressor(weights="distance"), data.numbers, data.number),
    ),
    Case(
        "sklearn-neighbours-ties",
        trained(
            lambda: KNeighborsClassifier(n_neighbors=4),
            partial(data.numbers, decimals=0),
            data.yes_no,
        ),
        why="which of several rows at one distance is the nearest is not said anywhere",
    ),
    Case(
        "sklearn-boosting-upon-linear",
        trained(
            lambda: GradientBoostingRegressor(init=LinearRegression(), n_estimators=10),
            data.numbers,
            data.number,
        ),
        why="the first model sees float32 too",
    ),
    Case(
        "sklearn-lambda",
        trained(
            lambda: make_pipeline(FunctionTransformer(lambda X: np.sin(X)), LinearRegression()),
            data.numbers,
            data.number,
        ),
        why="any Python code",
    ),
    Case(
        "sklearn-custom-step",
        trained(
            lambda: make_pipeline(StandardScaler(), Clipped(), LinearRegression()),
            data.numbers,
            data.number,
        ),
        why="any Python code",
    ),
    Case(
        "sklearn-subclass",
        trained(Contrary, data.numbers, data.yes_no),
        why="a subclass scores in its own way",
    ),
    Case(
        "sklearn-two-labels",
        trained(lambda: RandomForestClassifier(10), data.numbers, two_labels),
        why="several labels at once have no place in the output columns",
    ),
    Case(
        "sklearn-two-labels-wrapped",
        trained(lambda: MultiOutputClassifier(LogisticRegression()), data.numbers, two_labels),
        why="several labels at once have no place in the output columns",
    ),
    Case(
        "sklearn-two-labels-chained",
        trained(lambda: ClassifierChain(LogisticRegression()), data.numbers, two_labels),
        why="several labels at once have no place in the output columns",
    ),
    Case(
        "xgboost-custom-objective",
        trained(partial(XC, objective=logistic), data.numbers, data.zero_one),
        why="C29: the link from raw score to probability is unknown",
    ),
    Case(
        "xgboost-one-class",
        trained(XC, data.numbers, one_class),
    ),
    Case(
        "sklearn-hgb-one-class",
        trained(HistGradientBoostingClassifier, data.numbers, one_class),
    ),
    Case(
        "lightgbm-one-class",
        trained(LC, data.numbers, one_class),
    ),
    Case(
        "lightgbm-custom-objective",
        trained(partial(LC, objective=logistic), data.numbers, data.zero_one),
        why="C29: the link from raw score to probability is unknown",
    ),
    Case(
        "catboost-text",
        trained(
            CC,
            data.reviews,
            data.yes_no,
            fit=lambda model, X, y: model.fit(X, y, text_features=["text"]),
        ),
        why="tokens and their statistics",
    ),
    Case(
        "catboost-custom-objective",
        trained(
            partial(CC, loss_function=HalfLogistic(), eval_metric="Logloss"),
            data.numbers,
            data.zero_one,
        ),
        why="the link from raw score to probability is unknown",
    ),
    Case(
        "catboost-uncertainty",
        trained(partial(CR, loss_function="RMSEWithUncertainty"), data.numbers, data.number),
        why="a mean and a variance are not two targets",
    ),
)
