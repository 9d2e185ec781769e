"""scikit-learn's pipelines: text, whole numbers and missing values on the way to a model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, TruncatedSVD
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import SelectKBest
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
)
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import SparseRandomProjection
from sklearn.tree import DecisionTreeClassifier

from . import data
from .case import Case, trained

if TYPE_CHECKING:
    from collections.abc import Callable

sql_names = partial(data.numbers, names=data.SQL_NAMES)
customers = data.customers
customers_with_gaps = partial(data.customers, missing=0.15)
customers_with_none = partial(data.customers, missing=0.15, marker=None)

NUMERIC = ["age", "income", "tenure"]
TEXT = ["plan", "country"]


def columns(numeric: object, text: object) -> ColumnTransformer:
    """The usual beginning of a pipeline over a mixed table; `active` is passed through."""
    return ColumnTransformer(
        [("numeric", numeric, NUMERIC), ("text", text, TEXT), ("flag", "passthrough", ["active"])]
    )


def imputed(numeric: object | None = None, text: object | None = None) -> ColumnTransformer:
    return columns(
        make_pipeline(SimpleImputer(strategy="median"), numeric or StandardScaler()),
        make_pipeline(
            SimpleImputer(strategy="most_frequent"),
            text or OneHotEncoder(handle_unknown="ignore"),
        ),
    )


def one_hot(**options: object) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", **options})


def splines(**options: object) -> Callable[[], object]:
    return lambda: make_pipeline(SplineTransformer(**options), Ridge())


PIPELINES = (
    Case(
        "sklearn-customers",
        trained(
            lambda: make_pipeline(imputed(), LogisticRegression(max_iter=500)),
            customers_with_gaps,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-customers-none",
        trained(
            lambda: make_pipeline(
                columns(
                    SimpleImputer(add_indicator=True),
                    make_pipeline(
                        SimpleImputer(
                            missing_values=None, strategy="constant", fill_value="missing"
                        ),
                        one_hot(),
                    ),
                ),
                RandomForestClassifier(20, random_state=0),
            ),
            customers_with_none,
            data.yes_no,
            marker=None,
        ),
        why="None, NaN, '' and 'nan' are four things",
    ),
    Case(
        "sklearn-customers-none-unseen",
        trained(
            lambda: make_pipeline(
                columns(
                    StandardScaler(),
                    make_pipeline(
                        SimpleImputer(missing_values=None, strategy="most_frequent"), one_hot()
                    ),
                ),
                LogisticRegression(max_iter=500),
            ),
            data.customers,
            data.yes_no,
            marker=None,
        ),
        why="the imputer's marker was not in the sample, and was taken for another",
    ),
    Case(
        "sklearn-iterative-imputer",
        trained(
            lambda: make_pipeline(IterativeImputer(max_iter=4, add_indicator=True), Ridge()),
            partial(data.numbers, missing=0.15),
            data.number,
        ),
    ),
    Case(
        "sklearn-nearest-imputer",
        trained(
            lambda: make_pipeline(KNNImputer(n_neighbors=3), LogisticRegression()),
            partial(data.numbers, missing=0.15),
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-projections",
        trained(
            lambda: make_pipeline(
                make_union(
                    FactorAnalysis(2),
                    FastICA(2, random_state=0),
                    FeatureAgglomeration(2),
                    SparseRandomProjection(3, random_state=0),
                ),
                Ridge(),
            ),
            data.numbers,
            data.number,
        ),
    ),
    Case(
        "sklearn-kernel-maps",
        trained(
            lambda: make_pipeline(
                make_union(
                    Nystroem(n_components=8, random_state=0),
                    RBFSampler(n_components=8, random_state=0),
                ),
                LogisticRegression(),
            ),
            data.numbers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-logarithm",
        trained(
            lambda: make_pipeline(FunctionTransformer(np.log1p), LinearRegression()),
            lambda n, seed: data.numbers(n, seed).abs(),
            data.number,
        ),
        why="of numbers below -1 the logarithm is NaN, which the regression refuses",
    ),
    Case(
        "sklearn-customers-nan-category",
        trained(
            lambda: make_pipeline(
                columns(SimpleImputer(), one_hot()), LogisticRegression(max_iter=500)
            ),
            customers_with_gaps,
            data.three,
        ),
        why="a missing text is a category of its own",
    ),
    Case(
        "sklearn-customers-strict",
        trained(
            lambda: make_pipeline(columns(RobustScaler(), OneHotEncoder(drop="first")), Ridge()),
            customers,
            data.number,
        ),
        why="unseen text, which the original refuses",
    ),
    Case(
        "sklearn-customers-infrequent",
        trained(
            lambda: make_pipeline(
                columns(
                    MinMaxScaler(clip=True),
                    one_hot(handle_unknown="infrequent_if_exist", min_frequency=0.24),
                ),
                LogisticRegression(max_iter=500),
            ),
            customers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-customers-hgb",
        trained(
            lambda: make_pipeline(
                columns(
                    "passthrough",
                    OrdinalEncoder(
                        handle_unknown="use_encoded_value",
                        unknown_value=np.nan,
                        encoded_missing_value=-1,
                    ),
                ),
                HistGradientBoostingClassifier(max_iter=30),
            ),
            customers_with_gaps,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-customers-target-encoder",
        trained(
            lambda: make_pipeline(
                columns(StandardScaler(), TargetEncoder(random_state=0)),
                LogisticRegression(max_iter=500),
            ),
            customers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-customers-scaled-forest",
        trained(
            lambda: make_pipeline(imputed(), ExtraTreesClassifier(20, max_depth=8, random_state=0)),
            customers_with_gaps,
            data.zero_one,
        ),
        why="scaled in double, split in float",
    ),
    Case(
        "sklearn-integers-one-hot",
        trained(
            lambda: make_pipeline(one_hot(), LogisticRegression(max_iter=500)),
            data.counts,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-polynomial",
        trained(
            lambda: make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge()),
            data.numbers,
            data.number,
        ),
    ),
    Case(
        "sklearn-pca",
        trained(
            lambda: make_pipeline(StandardScaler(), PCA(3, random_state=0), LogisticRegression()),
            sql_names,
            data.three,
        ),
    ),
    Case(
        "sklearn-union",
        trained(
            lambda: make_pipeline(
                make_union(PCA(2, random_state=0), TruncatedSVD(2, random_state=0), Normalizer()),
                MaxAbsScaler(),
                Ridge(),
            ),
            data.numbers,
            data.number,
        ),
    ),
    Case(
        "sklearn-select",
        trained(
            lambda: make_pipeline(
                SelectKBest(k=3), DecisionTreeClassifier(max_depth=6, random_state=0)
            ),
            data.numbers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-bins",
        trained(
            lambda: make_pipeline(
                KBinsDiscretizer(5, quantile_method="averaged_inverted_cdf"), LogisticRegression()
            ),
            data.numbers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-quantile-transformer",
        trained(
            lambda: make_pipeline(QuantileTransformer(n_quantiles=50), LogisticRegression()),
            data.numbers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-power",
        trained(lambda: make_pipeline(PowerTransformer(), Ridge()), data.numbers, data.number),
    ),
    Case(
        "sklearn-nested",
        trained(
            lambda: make_pipeline(
                FeatureUnion([("a", imputed()), ("b", columns(SimpleImputer(), one_hot()))]),
                SelectKBest(k=12),
                GradientBoostingRegressor(n_estimators=20),
            ),
            customers_with_gaps,
            data.number,
        ),
    ),
    *(
        Case(f"sklearn-splines-{name}", trained(splines(**options), data.numbers, data.number))
        for name, options in (
            ("constant", {}),
            ("linear", {"extrapolation": "linear", "knots": "quantile", "degree": 1}),
            ("continued", {"extrapolation": "continue", "include_bias": False}),
            ("periodic", {"extrapolation": "periodic", "sparse_output": True}),
        )
    ),
    Case(
        "sklearn-splines-missing",
        trained(
            splines(handle_missing="zeros", n_knots=4),
            partial(data.numbers, missing=0.1),
            data.number,
        ),
    ),
)
