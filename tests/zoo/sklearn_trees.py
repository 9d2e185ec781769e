"""scikit-learn's trees, and models made of models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OutputCodeClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from . import data
from .case import Case, trained

if TYPE_CHECKING:
    import pandas as pd

sql_names = partial(data.numbers, names=data.SQL_NAMES)
gaps = partial(data.numbers, missing=0.2)
float32 = partial(data.numbers, dtype="float32")
coarse = partial(data.numbers, decimals=1)
customers_with_gaps = partial(data.customers, missing=0.15)
categories_with_gaps = partial(data.customers, category=True, missing=0.15)


def mixed(n: int, seed: int) -> pd.DataFrame:
    """A float32 column that tells much, and doubles that tell less."""
    return data.numbers(n, seed).astype({"v0": "float32"})


LOST_MISSING = "missing values lost their way in the trees"

TREES = (
    Case(
        "sklearn-tree", trained(lambda: DecisionTreeClassifier(random_state=0), coarse, data.three)
    ),
    Case(
        "sklearn-tree-missing",
        trained(lambda: DecisionTreeRegressor(random_state=0), gaps, data.number),
        why=LOST_MISSING,
    ),
    Case("sklearn-tree-one-leaf", trained(DecisionTreeRegressor, data.numbers, data.same)),
    Case(
        "sklearn-tree-large-integers",
        trained(lambda: DecisionTreeClassifier(random_state=0), data.keys, data.yes_no),
        why="whole numbers beyond float32",
    ),
    Case(
        "sklearn-forest",
        trained(lambda: RandomForestClassifier(30, random_state=0), data.numbers, data.yes_no),
    ),
    Case(
        "sklearn-forest-missing",
        trained(lambda: RandomForestClassifier(30, random_state=0), gaps, data.three),
        why=LOST_MISSING,
    ),
    Case(
        "sklearn-forest-integers",
        trained(lambda: RandomForestRegressor(30, random_state=0), data.counts, data.number),
        why="thresholds close to whole numbers",
    ),
    Case(
        "sklearn-forest-rare",
        trained(
            lambda: RandomForestClassifier(10, random_state=0), data.numbers, data.rare, n=2000
        ),
    ),
    Case(
        "sklearn-forest-deep",
        trained(
            lambda: RandomForestRegressor(40, random_state=0), data.numbers, data.number, n=2000
        ),
    ),
    Case(
        "sklearn-forest-two-targets",
        trained(lambda: RandomForestRegressor(20, random_state=0), data.numbers, data.two_numbers),
    ),
    Case(
        "sklearn-forest-twins",
        trained(lambda: RandomForestClassifier(20, random_state=0), data.twins, data.yes_no),
    ),
    Case(
        "sklearn-extra-trees",
        trained(lambda: ExtraTreesClassifier(30, random_state=0), gaps, data.yes_no),
        why=LOST_MISSING,
    ),
    Case(
        "sklearn-extra-trees-float32",
        trained(lambda: ExtraTreesRegressor(20, random_state=0), float32, data.number),
    ),
    Case("sklearn-boosting", trained(GradientBoostingClassifier, data.numbers, data.yes_no)),
    Case(
        "sklearn-adaboost-two",
        trained(
            lambda: AdaBoostClassifier(n_estimators=15, random_state=0), data.numbers, data.yes_no
        ),
    ),
    Case(
        "sklearn-boosting-three",
        trained(lambda: GradientBoostingClassifier(n_estimators=20), coarse, data.three),
    ),
    Case(
        "sklearn-boosting-regressor", trained(GradientBoostingRegressor, data.counts, data.number)
    ),
    Case(
        "sklearn-hgb",
        trained(HistGradientBoostingClassifier, sql_names, data.yes_no),
        why="float32 moved rows across thresholds",
    ),
    Case(
        "sklearn-hgb-missing",
        trained(HistGradientBoostingClassifier, gaps, data.true_false),
        why=LOST_MISSING,
    ),
    Case(
        "sklearn-hgb-three",
        trained(
            lambda: HistGradientBoostingClassifier(max_iter=20, early_stopping=True),
            data.numbers,
            data.whole_numbers,
        ),
    ),
    Case("sklearn-hgb-regressor", trained(HistGradientBoostingRegressor, data.keys, data.number)),
    Case(
        "sklearn-hgb-poisson",
        trained(lambda: HistGradientBoostingRegressor(loss="poisson"), data.counts, data.events),
    ),
    Case(
        "sklearn-hgb-mixed-widths",
        trained(lambda: HistGradientBoostingRegressor(max_iter=1, max_depth=1), mixed, data.number),
        why="the kernel took a float column for one of doubles beside a double without a split",
    ),
    Case(
        "sklearn-hgb-unsigned",
        trained(
            lambda: HistGradientBoostingRegressor(max_iter=10),
            partial(data.counts, dtype="uint16"),
            data.number,
        ),
        why="no number below zero can be tried in an unsigned column",
    ),
    Case(
        "sklearn-hgb-categories",
        trained(
            lambda: HistGradientBoostingClassifier(max_iter=20, categorical_features=[0, 2]),
            partial(data.counts, most=6),
            data.yes_no,
        ),
        why="C6: the sets of categories were read as thresholds",
    ),
    Case(
        "sklearn-hgb-flags",
        trained(
            lambda: HistGradientBoostingClassifier(max_iter=10, categorical_features=[0, 1, 2]),
            data.flags,
            data.three,
        ),
        why="the columns of two categories took each other's place, and none was read",
    ),
    Case(
        "sklearn-hgb-text-categories",
        trained(
            lambda: HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=5),
            categories_with_gaps,
            data.three,
        ),
        why="C6: categories are text in SQL and codes in the model; unseen ones are missing",
    ),
    Case(
        "sklearn-hgb-categories-of-numbers",
        trained(
            lambda: HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=5),
            data.grades,
            data.number,
        ),
        why="C6: categories are numbers or booleans, and their codes are others",
    ),
    Case(
        "sklearn-hgb-encoded-categories",
        trained(
            lambda: make_pipeline(
                make_column_transformer(
                    (
                        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                        ["plan", "country"],
                    ),
                    remainder="passthrough",
                ),
                HistGradientBoostingClassifier(max_iter=20, categorical_features=[0, 1]),
            ),
            customers_with_gaps,
            data.yes_no,
        ),
        why="C6: the codes of an encoder before it are categories",
    ),
    Case(
        "sklearn-adaboost",
        trained(
            lambda: AdaBoostClassifier(n_estimators=15, random_state=0), data.numbers, data.three
        ),
    ),
)

COMBINED = (
    Case(
        "sklearn-bagging",
        trained(
            lambda: BaggingClassifier(max_features=0.6, n_estimators=8, random_state=0),
            data.numbers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-voting",
        trained(
            lambda: VotingClassifier(
                [("a", LogisticRegression()), ("b", GaussianNB())], voting="soft", weights=[1, 2]
            ),
            data.numbers,
            data.three,
        ),
    ),
    Case(
        "sklearn-voting-regressor",
        trained(
            lambda: VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3))]),
            data.numbers,
            data.number,
        ),
    ),
    Case(
        "sklearn-stacking",
        trained(
            lambda: StackingClassifier(
                [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))], cv=3
            ),
            data.numbers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-stacking-regressor",
        trained(
            lambda: StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor())], cv=3),
            data.numbers,
            data.number,
        ),
    ),
    Case(
        "sklearn-calibrated-sigmoid",
        trained(lambda: CalibratedClassifierCV(LinearSVC(), cv=3), data.numbers, data.yes_no),
    ),
    Case(
        "sklearn-calibrated-isotonic",
        trained(
            lambda: CalibratedClassifierCV(
                DecisionTreeClassifier(max_depth=4), method="isotonic", cv=3
            ),
            data.numbers,
            data.yes_no,
        ),
        why="the isotonic step was left out",
    ),
    Case(
        "sklearn-calibrated-temperature",
        trained(
            lambda: CalibratedClassifierCV(GaussianNB(), method="temperature", cv=3),
            data.numbers,
            data.three,
        ),
    ),
    Case(
        "sklearn-output-code",
        trained(
            lambda: OutputCodeClassifier(LogisticRegression(), code_size=3, random_state=0),
            data.numbers,
            data.three,
        ),
    ),
    Case(
        "sklearn-one-vs-one",
        trained(lambda: OneVsOneClassifier(LinearSVC()), data.numbers, data.three),
    ),
    Case(
        "sklearn-tuned-threshold",
        trained(
            lambda: TunedThresholdClassifierCV(LogisticRegression(), scoring="f1", cv=3),
            data.numbers,
            data.zero_one,
        ),
        why="the label was taken at 0.5",
    ),
    Case(
        "sklearn-fixed-threshold",
        trained(
            lambda: FixedThresholdClassifier(LogisticRegression(), threshold=0.8),
            data.numbers,
            data.zero_one,
        ),
        why="the label was taken at 0.5",
    ),
    Case(
        "sklearn-multi-output",
        trained(
            lambda: MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=10)),
            gaps,
            data.two_numbers,
        ),
    ),
    Case(
        "sklearn-regressor-chain",
        trained(lambda: RegressorChain(Ridge(), order=[1, 0]), sql_names, data.two_numbers),
    ),
    Case(
        "sklearn-random-search",
        trained(
            lambda: RandomizedSearchCV(
                RandomForestRegressor(8, random_state=0),
                {"max_depth": [2, 4, 6]},
                n_iter=2,
                cv=3,
                random_state=0,
            ),
            data.numbers,
            data.number,
        ),
    ),
    Case(
        "sklearn-target-scaled",
        trained(
            lambda: TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
            data.numbers,
            data.number,
        ),
    ),
    Case(
        "sklearn-grid-search",
        trained(
            lambda: GridSearchCV(
                make_pipeline(StandardScaler(), LogisticRegression()),
                {"logisticregression__C": [0.1, 1]},
                cv=3,
            ),
            sql_names,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-voting-hard",
        trained(
            lambda: VotingClassifier(
                [
                    ("a", LogisticRegression()),
                    ("b", GaussianNB()),
                    ("c", DecisionTreeClassifier(max_depth=3)),
                ]
            ),
            data.numbers,
            data.three,
        ),
    ),
    Case("sklearn-dummy", trained(DummyClassifier, data.numbers, data.yes_no)),
)
