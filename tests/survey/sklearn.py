"""Every estimator of scikit-learn, with default arguments where those can be trained."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.experimental import (
    enable_halving_search_cv,  # noqa: F401 - all_estimators lists them from here on
    enable_iterative_imputer,  # noqa: F401
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

from .outcome import Section, by_training

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 80


@cache
def estimators() -> dict[str, type]:
    return dict(all_estimators())


# ---- what they are trained on: tables and targets ---------------------------------------


@cache
def numbers() -> pd.DataFrame:
    """None of them negative: counts and shares are asked for by some."""
    rng = np.random.default_rng(11)
    return pd.DataFrame(rng.uniform(0.1, 3, (ROWS, 4)), columns=["a", "b", "c", "d"])


def one_number() -> pd.DataFrame:
    return numbers()[["a"]]


def similarities() -> pd.DataFrame:
    """Of each row to each row that was trained on: a kernel."""
    products = numbers().to_numpy() @ numbers().to_numpy().T
    return pd.DataFrame(products, columns=[f"to{i}" for i in range(ROWS)])


def counts() -> pd.DataFrame:
    return numbers().round().astype("int64")


def holes() -> pd.DataFrame:
    frame = numbers().copy()
    frame.iloc[::5, 0] = np.nan
    frame.iloc[1::7, 2] = np.nan
    return frame


def words() -> pd.DataFrame:
    kinds = np.digitize(numbers()[["a", "b"]], [1.0, 2.0])
    return pd.DataFrame(np.array(["low", "mid", "high"])[kinds], columns=["size", "price"])


def texts() -> pd.DataFrame:
    frame = words()
    return pd.DataFrame({"text": frame["size"] + " and " + frame["price"]})


def signal() -> Any:
    frame = numbers()
    rng = np.random.default_rng(12)
    return frame["a"] - frame["b"] + 0.3 * frame["c"] + rng.normal(0, 0.2, ROWS)


def number() -> Any:
    return np.exp(signal() / 3).to_numpy()


def two_numbers() -> Any:
    return np.column_stack([number(), signal() + 0.5 * numbers()["d"]])


def label() -> Any:
    return np.where(signal() > 0.3, "yes", "no")


def zero_or_one() -> Any:
    return (label() == "yes").astype("int64")


def two_labels() -> Any:
    return np.column_stack([signal() > 0.3, numbers()["d"] > 1.5]).astype("int64")


# ---- what is not the default -------------------------------------------------------------

_MEMBERS = {
    "classifier": [("logistic", LogisticRegression()), ("bayes", GaussianNB())],
    "regressor": [("linear", LinearRegression()), ("ridge", Ridge())],
}

# Arguments that have no default, or whose default cannot be trained on four columns.
ARGUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "ColumnTransformer": lambda: {"transformers": [("scale", StandardScaler(), ["a", "b"])]},
    "FeatureUnion": lambda: {"transformer_list": [("scale", StandardScaler()), ("pca", PCA(2))]},
    "FrozenEstimator": lambda: {"estimator": LogisticRegression().fit(numbers(), label())},
    "GaussianRandomProjection": lambda: {"n_components": 2},
    "GenericUnivariateSelect": lambda: {"param": 50},
    "GridSearchCV": lambda: {"param_grid": {"C": [0.1, 1.0]}},
    "HalvingGridSearchCV": lambda: {"param_grid": {"C": [0.1, 1.0]}},
    "HalvingRandomSearchCV": lambda: {"param_distributions": {"C": [0.1, 1.0]}},
    "Pipeline": lambda: {"steps": [("scale", StandardScaler()), ("model", LogisticRegression())]},
    "RandomizedSearchCV": lambda: {"param_distributions": {"C": [0.1, 1.0]}, "n_iter": 2},
    "SelectKBest": lambda: {"k": 2},
    "SelectPercentile": lambda: {"percentile": 50},
    "SparseCoder": lambda: {"dictionary": np.eye(4)[:3]},
    "SparseRandomProjection": lambda: {"n_components": 2},
    "StackingClassifier": lambda: {"estimators": _MEMBERS["classifier"]},
    "StackingRegressor": lambda: {"estimators": _MEMBERS["regressor"]},
    "VotingClassifier": lambda: {"estimators": _MEMBERS["classifier"]},
    "VotingRegressor": lambda: {"estimators": _MEMBERS["regressor"]},
}

TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "CategoricalNB": counts,
    "IsotonicRegression": one_number,
    "KernelCenterer": similarities,
    **dict.fromkeys(("IterativeImputer", "KNNImputer", "MissingIndicator", "SimpleImputer"), holes),
    **dict.fromkeys(("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"), words),
    **dict.fromkeys(("CountVectorizer", "HashingVectorizer", "TfidfVectorizer"), texts),
}

TARGETS: dict[str, Callable[[], Any]] = {
    "SelfTrainingClassifier": zero_or_one,
    **dict.fromkeys(("ClassifierChain", "MultiOutputClassifier"), two_labels),
    **dict.fromkeys(
        (
            "CCA", "MultiOutputRegressor", "MultiTaskElasticNet", "MultiTaskElasticNetCV",
            "MultiTaskLasso", "MultiTaskLassoCV", "PLSCanonical", "RegressorChain",
        ),
        two_numbers,
    ),
}  # fmt: skip

# What cannot stand in a pipeline of tables: it is fitted to this, and nothing else.
ALONE: dict[str, Callable[[], tuple[Any, ...]]] = {
    "DictVectorizer": lambda: ([{"a": 1.0}, {"b": 2.0}],),
    "FeatureHasher": lambda: ([{"a": 1.0}, {"b": 2.0}],),
    "LabelBinarizer": lambda: (label(),),
    "LabelEncoder": lambda: (label(),),
    "MultiLabelBinarizer": lambda: ([["a"], ["a", "b"]],),
    "PLSSVD": lambda: (numbers(), two_numbers()),
    "PatchExtractor": lambda: (np.zeros((2, 6, 6)),),
}


def train(name: str) -> tuple[Any, Any]:
    """The estimator, trained; one that only transforms, before a linear model."""
    estimator = _made(name)
    if name in ALONE:
        return estimator.fit(*ALONE[name]()), numbers()
    table = TABLES.get(name, numbers)()
    target = TARGETS.get(name, number if _is(estimator, "regressor") else label)()
    # A stack says what it is, but does not know before it is trained whether it predicts.
    predicts = hasattr(estimator, "predict") or _is(estimator, "classifier", "regressor")
    if predicts or not hasattr(estimator, "transform"):
        return estimator.fit(table, target), table
    if "text" in table:
        estimator = make_column_transformer((estimator, "text"))
    last = LogisticRegression() if target.ndim == 1 else LinearRegression()
    return make_pipeline(estimator, last).fit(table, target), table


def _made(name: str) -> Any:
    kind = estimators()[name]
    parameters = inspect.signature(kind).parameters
    given = ARGUMENTS.get(name, dict)()
    if "estimator" in parameters and "estimator" not in given and _needed(name, parameters):
        regressor = name in ("MultiOutputRegressor", "RegressorChain")
        given["estimator"] = Ridge() if regressor else LogisticRegression()
    if "random_state" in parameters:
        given["random_state"] = 0
    return kind(**given)


def _needed(name: str, parameters: Any) -> bool:
    return parameters["estimator"].default is inspect.Parameter.empty or name.startswith("Self")


def _is(estimator: Any, *kinds: str) -> bool:
    return estimator.__sklearn_tags__().estimator_type in kinds


_VERSION = ".".join(sklearn.__version__.split(".")[:2])

SECTION = Section(
    title="scikit-learn",
    about=(
        f"Every estimator of scikit-learn {_VERSION}, with default arguments where those can "
        f"be trained, on {ROWS} rows of four positive numbers (of text or with missing values "
        "where the estimator is for them). One that only transforms stands "
        "before a linear model."
    ),
    things="estimator",
    names=tuple(sorted(estimators())),
    outcome=by_training(train),
)
