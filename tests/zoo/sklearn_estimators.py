"""scikit-learn's estimators one by one: linear, kernels, neighbours, clusters, outliers."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.cluster import Birch, KMeans, MeanShift, MiniBatchKMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    IsolationForest,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, OneClassSVM

from . import data
from .case import Case, Fitted, ask_estimator, trained

sql_names = partial(data.numbers, names=data.SQL_NAMES)
wide = partial(data.numbers, width=200)
single = partial(data.numbers, width=1)
float32 = partial(data.numbers, dtype="float32")


def renamed_numbers() -> Fitted:
    """The author's frame has a column order of its own; SQL's columns are whole numbers."""
    X = data.numbers(400, 7, width=3, names=["b", "a", "c"]) * 5
    rows = data.fresh(partial(data.counts, dtype="int32"))
    rows = rows.rename(columns=dict(zip(rows.columns, ["a", "b", "c", "d"], strict=True)))
    model = LogisticRegression().fit(X, data.yes_no(data.signal(X), np.random.default_rng(8)))
    return Fitted(model, X, rows[["b", "a", "c"]], ask_estimator)


LINEAR = (
    Case("sklearn-logistic", trained(LogisticRegression, sql_names, data.yes_no)),
    Case(
        "sklearn-logistic-three",
        trained(LogisticRegression, data.numbers, data.whole_numbers),
    ),
    Case("sklearn-logistic-boolean", trained(LogisticRegression, data.numbers, data.true_false)),
    Case("sklearn-logistic-flags", trained(LogisticRegression, data.flags, data.zero_one)),
    Case("sklearn-logistic-widened", renamed_numbers),
    Case(
        "sklearn-logistic-array", trained(LogisticRegression, data.numbers, data.ten, as_array=True)
    ),
    Case(
        "sklearn-logistic-float32",
        trained(LogisticRegression, float32, data.yes_no),
    ),
    Case(
        "sklearn-logistic-rare",
        trained(LogisticRegression, data.numbers, data.rare, n=2000),
    ),
    Case("sklearn-logistic-200-columns", trained(LogisticRegression, wide, data.yes_no)),
    Case(
        "sklearn-one-vs-rest",
        trained(lambda: OneVsRestClassifier(LogisticRegression()), data.numbers, data.three),
    ),
    Case("sklearn-linear", trained(LinearRegression, data.numbers, data.number)),
    Case("sklearn-linear-one-column", trained(LinearRegression, single, data.number)),
    Case("sklearn-linear-large-integers", trained(LinearRegression, data.prices, data.number)),
    Case("sklearn-linear-two-targets", trained(LinearRegression, sql_names, data.two_numbers)),
    Case("sklearn-elastic-net", trained(ElasticNet, data.numbers, data.number)),
    Case("sklearn-ridge-classifier", trained(RidgeClassifier, data.numbers, data.three)),
    Case(
        "sklearn-sgd",
        trained(
            lambda: SGDClassifier(loss="modified_huber", random_state=0), data.numbers, data.three
        ),
    ),
    Case("sklearn-huber", trained(HuberRegressor, data.numbers, data.number)),
    Case("sklearn-poisson", trained(PoissonRegressor, data.numbers, data.events)),
    Case("sklearn-gamma", trained(GammaRegressor, data.numbers, data.money)),
    Case(
        "sklearn-quantile",
        trained(lambda: QuantileRegressor(quantile=0.8, alpha=0.01), data.numbers, data.number),
    ),
    Case("sklearn-pls", trained(lambda: PLSRegression(3), data.numbers, data.number)),
    Case(
        "sklearn-discriminant",
        trained(LinearDiscriminantAnalysis, data.numbers, data.yes_no),
        why="two classes were scored wrongly",
    ),
    Case(
        "sklearn-discriminant-three",
        trained(LinearDiscriminantAnalysis, data.numbers, data.three),
    ),
    Case(
        "sklearn-quadratic-discriminant",
        trained(QuadraticDiscriminantAnalysis, data.numbers, data.three),
    ),
    Case("sklearn-gaussian-bayes", trained(GaussianNB, data.numbers, data.three)),
    Case("sklearn-bernoulli-bayes", trained(BernoulliNB, data.flags, data.yes_no)),
)

KERNELS = (
    Case("sklearn-linear-svc", trained(LinearSVC, data.numbers, data.yes_no)),
    Case("sklearn-linear-svr", trained(LinearSVR, data.numbers, data.number)),
    Case("sklearn-svc", trained(SVC, data.numbers, data.yes_no)),
    Case("sklearn-svc-three", trained(SVC, data.numbers, data.three)),
    Case("sklearn-svr", trained(SVR, data.numbers, data.number)),
    Case(
        "sklearn-kernel-ridge",
        trained(lambda: KernelRidge(kernel="rbf", gamma=0.2), data.numbers, data.number, n=60),
    ),
    Case(
        "sklearn-gaussian-process",
        trained(GaussianProcessRegressor, data.numbers, data.number, n=60),
    ),
    Case("sklearn-neighbours", trained(KNeighborsClassifier, data.numbers, data.three)),
    Case(
        "sklearn-neighbours-regressor",
        trained(KNeighborsRegressor, data.numbers, data.two_numbers),
    ),
    Case(
        "sklearn-mlp",
        trained(
            lambda: MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=60, random_state=0),
            data.numbers,
            data.yes_no,
        ),
    ),
    Case(
        "sklearn-mlp-regressor",
        trained(
            lambda: MLPRegressor(
                hidden_layer_sizes=(16,), activation="tanh", max_iter=60, random_state=0
            ),
            data.numbers,
            data.two_numbers,
        ),
    ),
)

UNSUPERVISED = (
    Case("sklearn-kmeans", trained(lambda: KMeans(4, random_state=0), sql_names, data.none)),
    Case("sklearn-birch", trained(lambda: Birch(n_clusters=3), data.numbers, data.none)),
    Case("sklearn-mean-shift", trained(MeanShift, data.numbers, data.none)),
    Case(
        "sklearn-kmeans-scaled",
        trained(
            lambda: make_pipeline(StandardScaler(), MiniBatchKMeans(3, random_state=0)),
            data.keys,
            data.none,
        ),
    ),
    Case(
        "sklearn-mixture",
        trained(lambda: GaussianMixture(3, random_state=0), data.numbers, data.none),
    ),
    Case(
        "sklearn-isolation-forest",
        trained(lambda: IsolationForest(n_estimators=30, random_state=0), data.numbers, data.none),
    ),
    Case(
        "sklearn-isolation-forest-contamination",
        trained(
            lambda: IsolationForest(n_estimators=30, contamination=0.05, random_state=0),
            data.counts,
            data.none,
        ),
    ),
    Case(
        "sklearn-local-outlier",
        trained(lambda: LocalOutlierFactor(novelty=True), data.numbers, data.none),
    ),
    Case("sklearn-one-class-svm", trained(OneClassSVM, data.numbers, data.none)),
)

ESTIMATORS = (*LINEAR, *KERNELS, *UNSUPERVISED)
