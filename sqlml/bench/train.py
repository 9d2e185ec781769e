"""The models, as their authors would train them. Targets are noisy, so that trees grow full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml.bench import data

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Vector = np.ndarray[Any, Any]

SPARSE_WEIGHTS = 40
"""Inputs of 200 that the L1 model's target depends on."""
SPLIT_FEATURES = 30
"""Inputs of 200 that the booster may split on."""


def outcome(rows: pd.DataFrame, random: np.random.Generator) -> Vector:
    """0 or 1, from a few numbers, how two of them act together, and chance."""
    numeric = rows.select_dtypes("number").to_numpy()[:, :8]
    z = (numeric - numeric.mean(axis=0)) / numeric.std(axis=0)
    signal = z[:, 0] + z[:, 1] * z[:, 2] - abs(z[:, 3]) + 0.5 * z[:, 4:].sum(axis=1)
    answer: Vector = (signal + random.normal(size=len(rows)) > 0).astype(int)
    return answer


def scaled_logistic(rows: pd.DataFrame, y: Vector) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Fitted on an array: a model that knows names takes only frames, which are slower to build.
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows.to_numpy(), y)


def encoded(rows: pd.DataFrame, y: Vector, estimator: Any) -> Any:
    """Numbers scaled, texts one-hot, then the estimator."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    prepare = ColumnTransformer(
        [
            ("numbers", StandardScaler(), data.PATIENT_NUMBERS),
            ("texts", OneHotEncoder(handle_unknown="ignore"), [*data.PATIENT_TEXTS]),
        ]
    )
    return make_pipeline(prepare, estimator).fit(rows, y)


def expedia(rows: pd.DataFrame, y: Vector) -> Any:
    """About 4,000 one-hot features, whichever of them the training rows happen to have."""
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = [np.arange(count) for count in data.CODES.values()]
    encode = OneHotEncoder(categories=categories, handle_unknown="ignore")
    prepare = ColumnTransformer(
        [("numbers", StandardScaler(), data.NUMBERS), ("codes", encode, [*data.CODES])]
    )
    return make_pipeline(prepare, LogisticRegression(max_iter=100)).fit(rows, y)


def xgboost(rows: pd.DataFrame, y: Vector, *, trees: int, depth: int) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=trees, max_depth=depth, random_state=0).fit(rows, y)


def lightgbm(rows: pd.DataFrame, y: Vector, *, trees: int, leaves: int) -> Any:
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(
        n_estimators=trees, num_leaves=leaves, learning_rate=0.05, random_state=0, verbose=-1
    )
    return model.fit(rows.to_numpy(), y)


def forest(rows: pd.DataFrame, y: Vector, *, trees: int, depth: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(trees, max_depth=depth, random_state=0, n_jobs=-1)
    model.fit(rows.to_numpy(), y)
    # One thread a task, as Spark divides the cores.
    return model.set_params(n_jobs=1)


def sparse_linear(rows: pd.DataFrame, random: np.random.Generator) -> Any:
    """An L1 model that keeps the 40 inputs of 200 that matter."""
    from sklearn.linear_model import Lasso

    X = rows.to_numpy()
    weights = random.uniform(1, 2, SPARSE_WEIGHTS)
    return Lasso(alpha=0.1).fit(X, X[:, ::5] @ weights + random.normal(size=len(X)))


def narrow_booster(rows: pd.DataFrame, random: np.random.Generator) -> Any:
    """A booster over 200 inputs that splits on 30 of them."""
    from xgboost import XGBRegressor

    X = rows.to_numpy()
    used = random.choice(X.shape[1], SPLIT_FEATURES, replace=False)
    y = X[:, used] @ random.uniform(1, 2, SPLIT_FEATURES) + X[:, used[0]] * X[:, used[1]]
    # An input with one value in all training rows offers nothing to split on.
    known = rows.copy()
    known.iloc[:, [i for i in range(X.shape[1]) if i not in set(used.tolist())]] = 0.0
    return XGBRegressor(n_estimators=100, max_depth=6, random_state=0).fit(known, y)
