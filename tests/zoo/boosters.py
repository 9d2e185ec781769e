"""The cases of XGBoost and LightGBM."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from . import data
from .case import Answer, Case, ask_estimator, trained

gaps = partial(data.numbers, missing=0.2)
coarse = partial(data.numbers, decimals=1)
single = partial(data.numbers, width=1)
wide = partial(data.numbers, width=200)
float32 = partial(data.numbers, dtype="float32")
xgb_names = partial(data.numbers, names=data.SQL_NAMES)
lgb_names = partial(data.numbers, names=("home.dest", "age", "größe", "país", "a`b"))
customers_with_gaps = partial(data.customers, missing=0.15)
categories = partial(data.customers, category=True)
categories_with_gaps = partial(data.customers, category=True, missing=0.15)

grades = partial(data.grades, whole=True)


def squared(y: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An objective of the author's own."""
    return predicted - y, np.ones_like(predicted)


def marked(n: int, seed: int) -> Any:
    """Numbers in which -999 says that there is none."""
    return gaps(n, seed).fillna(-999.0)


def one_hot() -> ColumnTransformer:
    """The usual beginning of a pipeline that ends in a booster: numbers stay as they are."""
    return ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore"), ["plan", "country"])],
        remainder="passthrough",
    )


XC = partial(xgb.XGBClassifier, n_estimators=15, max_depth=4)
XR = partial(xgb.XGBRegressor, n_estimators=15, max_depth=4)
LC = partial(lgb.LGBMClassifier, n_estimators=15, verbose=-1)
LR = partial(lgb.LGBMRegressor, n_estimators=15, verbose=-1)
# Splits by sets of categories need more rows than a zoo has, unless told otherwise.
SETS = {"min_data_per_group": 5, "cat_smooth": 1.0, "max_cat_to_onehot": 1}


def stopped_early(model: Any, X: Any, y: Any) -> Any:
    half = len(X) // 2
    return model.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], verbose=False)


def stopped_early_lgb(model: Any, X: Any, y: Any) -> Any:
    half = len(X) // 2
    stop = lgb.early_stopping(3, verbose=False)
    return model.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], callbacks=[stop])


def xgb_train(params: dict[str, Any], rounds: int = 12) -> Any:
    """A `fit` for `trained` that makes a bare booster."""
    return lambda _, X, y: xgb.train(params, xgb.DMatrix(X, y), num_boost_round=rounds)


def xgb_train_until_worse(_: Any, X: Any, y: Any) -> xgb.Booster:
    half = len(X) // 2
    return xgb.train(
        {"learning_rate": 0.9, "max_depth": 4},
        xgb.DMatrix(X[:half], y[:half]),
        num_boost_round=80,
        evals=[(xgb.DMatrix(X[half:], y[half:]), "validation")],
        early_stopping_rounds=3,
        verbose_eval=False,
    )


def ask_known(table: data.Table) -> Any:
    """XGBoost's answer, which refuses categories that training did not have.

    Its 3.2 refuses those that stand behind all others, and takes the rest for their neighbours.
    """
    known = {
        name: set(column.cat.categories)
        for name, column in table(400, 7).items()
        if hasattr(column, "cat")
    }

    def answer(model: Any, rows: Any) -> Answer:
        for name, values in known.items():
            assert set(rows[name].dropna()) <= values, "an unknown category"
        return ask_estimator(model, rows)

    return answer


def ask_xgb(booster: xgb.Booster, rows: Any) -> Answer:
    return Answer(booster.predict(xgb.DMatrix(rows)))


def ask_classes(ask: Any) -> Any:
    """A bare booster gives probabilities only; SQL gives the likeliest class beside them."""

    def answer(booster: Any, rows: Any) -> Answer:
        found = ask(booster, rows).prediction
        proba = found if found.ndim == 2 else np.column_stack([1 - found, found])
        return Answer(proba.argmax(axis=1), tuple(range(proba.shape[1])), proba)

    return answer


def lgb_train(params: dict[str, Any], rounds: int = 12) -> Any:
    return lambda _, X, y: lgb.train({"verbose": -1, **params}, lgb.Dataset(X, y), rounds)


def ask_lgb(booster: lgb.Booster, rows: Any) -> Answer:
    return Answer(booster.predict(rows))


XGBOOST = (
    Case(
        "xgboost-binary",
        trained(XC, xgb_names, data.zero_one),
        why="C18: columns had to be f0, f1, …",
    ),
    Case("xgboost-three", trained(XC, coarse, data.zero_one_two)),
    Case("xgboost-missing", trained(XC, gaps, data.zero_one)),
    Case(
        "xgboost-rare",
        trained(partial(XC, scale_pos_weight=500), data.numbers, data.rare, n=2000),
    ),
    Case(
        "xgboost-base-score",
        trained(partial(XC, base_score=0.9), data.numbers, data.zero_one),
        why="C15, C16: base_score was an array, or not the log-odds",
    ),
    Case("xgboost-regressor", trained(XR, data.counts, data.number)),
    Case("xgboost-regressor-base-score", trained(partial(XR, base_score=-40.0), gaps, data.number)),
    Case("xgboost-two-targets", trained(XR, data.numbers, data.two_numbers)),
    Case("xgboost-poisson", trained(partial(XR, objective="count:poisson"), coarse, data.events)),
    Case("xgboost-gamma", trained(partial(XR, objective="reg:gamma"), data.numbers, data.money)),
    Case("xgboost-float32", trained(XR, float32, data.number)),
    Case("xgboost-large-integers", trained(XR, data.keys, data.number)),
    Case("xgboost-one-column", trained(XC, single, data.zero_one)),
    Case("xgboost-200-columns", trained(XC, wide, data.zero_one)),
    Case("xgboost-constant", trained(XR, data.numbers, data.same), why="trees of one leaf"),
    Case(
        "xgboost-early-stopping",
        trained(
            partial(xgb.XGBClassifier, n_estimators=80, early_stopping_rounds=3, learning_rate=0.7),
            data.numbers,
            data.zero_one,
            fit=stopped_early,
        ),
        why="C19: trees after the best iteration counted",
    ),
    Case(
        "xgboost-dart",
        trained(partial(XR, booster="dart", rate_drop=0.3), data.numbers, data.number),
        why="C17: weights of dropped trees",
    ),
    Case(
        "xgboost-forest",
        trained(
            partial(xgb.XGBRFClassifier, n_estimators=10, max_depth=4),
            data.numbers,
            data.zero_one_two,
        ),
    ),
    Case("xgboost-linear", trained(partial(XR, booster="gblinear"), data.numbers, data.number)),
    Case(
        "xgboost-booster",
        trained(
            lambda: None,
            gaps,
            data.number,
            fit=xgb_train({"max_depth": 4}),
            ask=ask_xgb,
        ),
    ),
    Case(
        "xgboost-booster-binary",
        trained(
            lambda: None,
            gaps,
            data.zero_one,
            fit=xgb_train({"objective": "binary:logistic"}),
            ask=ask_classes(ask_xgb),
        ),
        why="C16: two classes were scored wrongly",
    ),
    Case(
        "xgboost-booster-three",
        trained(
            lambda: None,
            coarse,
            data.zero_one_two,
            fit=xgb_train({"objective": "multi:softprob", "num_class": 3}),
            ask=ask_classes(ask_xgb),
        ),
    ),
    Case(
        "xgboost-booster-early-stopping",
        trained(lambda: None, gaps, data.number, fit=xgb_train_until_worse, ask=ask_xgb),
        why="C19: a bare booster counts all trees, its wrapper those up to the best one",
    ),
    Case(
        "xgboost-quantiles",
        trained(
            partial(XR, objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.5, 0.9])),
            gaps,
            data.number,
        ),
    ),
    Case(
        "xgboost-zero-is-missing",
        trained(partial(XR, missing=0.0), data.much_zero, data.number),
        why="C17: the model takes zero for a missing value",
    ),
    Case(
        "xgboost-vector-leaves",
        trained(
            partial(XR, multi_strategy="multi_output_tree", tree_method="hist"),
            data.numbers,
            data.two_numbers,
        ),
    ),
    Case(
        "xgboost-ranker",
        trained(
            partial(xgb.XGBRanker, n_estimators=10, max_depth=3),
            gaps,
            data.zero_one_two,
            fit=lambda model, X, y: model.fit(X, y, qid=np.arange(len(X)) // 20),
        ),
    ),
    Case(
        "xgboost-parallel-trees",
        trained(partial(XC, num_parallel_tree=3, subsample=0.6), gaps, data.zero_one_two),
    ),
    Case(
        "xgboost-own-objective",
        trained(partial(XR, objective=squared), gaps, data.number),
        why="C29: an objective of the author's own gives raw numbers, and a regressor says those",
    ),
    Case(
        "xgboost-marked-missing",
        trained(partial(XR, missing=-999.0), marked, data.number),
        why="C17: a marker means a missing value, and so does NaN",
    ),
    Case(
        "xgboost-categories",
        trained(
            partial(XC, enable_categorical=True),
            categories,
            data.zero_one,
            ask=ask_known(categories),
        ),
        why="C9: categories are text in SQL and codes in the model; unseen ones are refused",
    ),
    Case(
        "xgboost-categories-missing",
        trained(
            partial(XC, enable_categorical=True, max_cat_to_onehot=1),
            categories_with_gaps,
            data.zero_one_two,
            ask=ask_known(categories_with_gaps),
        ),
        why="C9: a missing category goes where the node says, another one left",
    ),
    Case(
        "xgboost-categories-of-numbers",
        trained(
            partial(XR, enable_categorical=True, max_cat_to_onehot=1, booster="dart"),
            grades,
            data.number,
            ask=ask_known(grades),
        ),
        why="C9: categories are whole numbers, and their codes are others",
    ),
    Case(
        "xgboost-coded-categories",
        trained(
            partial(XR, feature_types=["c", "q", "c", "q"], enable_categorical=True),
            data.positives,
            data.number,
        ),
        why="C9: the sets of categories were read as thresholds; a number is its own code",
    ),
    Case(
        "xgboost-customers",
        trained(lambda: make_pipeline(one_hot(), XC()), customers_with_gaps, data.zero_one),
        why="one-hot columns are sparse: a zero is a missing value there",
    ),
    Case(
        "xgboost-scaled",
        trained(lambda: make_pipeline(SimpleImputer(), StandardScaler(), XR()), gaps, data.number),
        why="scaled in double, split in float",
    ),
)

LIGHTGBM = (
    Case("lightgbm-binary", trained(LC, lgb_names, data.yes_no)),
    Case("lightgbm-three", trained(LC, coarse, data.whole_numbers)),
    Case("lightgbm-boolean", trained(LC, data.flags, data.true_false)),
    Case("lightgbm-missing", trained(LC, gaps, data.yes_no)),
    Case(
        "lightgbm-missing-only-in-scoring",
        trained(LR, data.numbers, data.number),
        why="a missing value is zero where none was seen in training",
    ),
    Case(
        "lightgbm-no-missing",
        trained(partial(LR, use_missing=False), gaps, data.number),
        why="a missing value is zero",
    ),
    Case(
        "lightgbm-rare",
        trained(partial(LC, is_unbalance=True), data.numbers, data.rare, n=2000),
    ),
    Case("lightgbm-regressor", trained(LR, data.counts, data.number)),
    Case("lightgbm-large-integers", trained(LR, data.keys, data.number)),
    Case("lightgbm-float32", trained(LR, float32, data.number)),
    Case("lightgbm-poisson", trained(partial(LR, objective="poisson"), data.numbers, data.events)),
    Case(
        "lightgbm-forest",
        trained(
            partial(LC, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6),
            data.numbers,
            data.yes_no,
        ),
        why="the mean of trees, not their sum",
    ),
    Case(
        "lightgbm-dart",
        trained(partial(LR, boosting_type="dart", drop_rate=0.5), data.numbers, data.number),
    ),
    Case(
        "lightgbm-early-stopping",
        trained(
            partial(lgb.LGBMClassifier, n_estimators=80, learning_rate=0.7, verbose=-1),
            data.numbers,
            data.three,
            fit=stopped_early_lgb,
        ),
    ),
    Case("lightgbm-constant", trained(LR, data.numbers, data.same), why="trees of one leaf"),
    Case("lightgbm-twins", trained(LR, data.twins, data.number)),
    Case("lightgbm-array", trained(LC, data.numbers, data.ten, as_array=True)),
    Case(
        "lightgbm-one-vs-all",
        trained(partial(LC, objective="multiclassova"), data.numbers, data.three),
    ),
    Case(
        "lightgbm-booster",
        trained(lambda: None, gaps, data.number, fit=lgb_train({}), ask=ask_lgb),
    ),
    Case(
        "lightgbm-booster-three",
        trained(
            lambda: None,
            gaps,
            data.zero_one_two,
            fit=lgb_train({"objective": "multiclass", "num_class": 3}),
            ask=ask_classes(ask_lgb),
        ),
    ),
    Case(
        "lightgbm-zero-as-missing",
        trained(partial(LR, zero_as_missing=True), data.much_zero, data.number),
        why="C8: zeros took the way of numbers",
    ),
    Case(
        "lightgbm-linear-tree",
        trained(partial(LR, linear_tree=True), gaps, data.number),
        why="C8: the linear models in the leaves were left out",
    ),
    Case(
        "lightgbm-linear-tree-three",
        trained(
            partial(LC, linear_tree=True, linear_lambda=0.1, **SETS),
            categories_with_gaps,
            data.three,
        ),
        why="C8: a sum of lines for each class, and splits by category above them",
    ),
    Case(
        "lightgbm-categories",
        trained(partial(LC, **SETS), categories, data.yes_no),
        why="C9: categories are text in SQL and codes in the model; unseen ones are missing",
    ),
    Case(
        "lightgbm-categories-missing",
        trained(partial(LC, **SETS), categories_with_gaps, data.three),
        why="C9: a missing category goes right, whatever a set holds",
    ),
    Case(
        "lightgbm-categories-one-by-one",
        trained(partial(LR, max_cat_to_onehot=8), categories, data.number),
        why="C9: a set of one category",
    ),
    Case(
        "lightgbm-categories-of-numbers",
        trained(partial(LR, **SETS), data.grades, data.number),
        why="C9: categories are numbers or booleans, and their codes are others",
    ),
    Case(
        "lightgbm-odd-categories",
        trained(partial(LR, **SETS), data.odd_words, data.number),
        why="C9: names that differ in a blank, a NUL or a way to write é are different categories",
    ),
    Case(
        "lightgbm-integer-categories",
        trained(
            partial(LC, **SETS),
            data.counts,
            data.yes_no,
            fit=lambda model, X, y: model.fit(X, y, categorical_feature=["n0", "n2"]),
        ),
        why="C9: the sets of categories were read as thresholds; negative codes are in no set",
    ),
    Case(
        "lightgbm-ranker",
        trained(
            partial(lgb.LGBMRanker, n_estimators=10, verbose=-1),
            gaps,
            data.zero_one_two,
            fit=lambda model, X, y: model.fit(X, y, group=[20] * (len(X) // 20)),
        ),
    ),
    Case(
        "lightgbm-own-objective",
        trained(partial(LR, objective=squared), gaps, data.number),
        why="C29: an objective of the author's own gives raw numbers, and a regressor says those",
    ),
    Case(
        "lightgbm-steep-sigmoid",
        trained(partial(LC, sigmoid=2.5), gaps, data.yes_no),
        why="the objective's own parameter",
    ),
    Case(
        "lightgbm-root",
        trained(partial(LR, reg_sqrt=True), gaps, data.number),
        why="the trees learn the root of the target",
    ),
    Case(
        "sklearn-calibrated-lightgbm",
        trained(lambda: CalibratedClassifierCV(LC(), cv=2), gaps, data.yes_no),
        why="LightGBM 4.7 has a decision_function, which scikit-learn prefers to probabilities",
    ),
    Case(
        "sklearn-search-lightgbm-categories",
        trained(
            lambda: GridSearchCV(LC(**SETS), {"num_leaves": [5, 9]}, cv=2),
            categories_with_gaps,
            data.yes_no,
        ),
        why="C9: the columns reach LightGBM as they are",
    ),
    Case(
        "lightgbm-customers",
        trained(lambda: make_pipeline(one_hot(), LC()), customers_with_gaps, data.yes_no),
    ),
)
