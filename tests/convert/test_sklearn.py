"""scikit-learn models, converted, say what scikit-learn says: onnxruntime against the original."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn import (
    calibration,
    cluster,
    compose,
    covariance,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    impute,
    isotonic,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from sqlml.convert import convert
from sqlml.convert import sklearn as converter
from sqlml.errors import NotConvertibleError
from sqlml.sample import read_sample
from sqlml.signature import MISSING_STRING

warnings.filterwarnings("ignore", module="sklearn")

N = 300
RANDOM = np.random.default_rng(0)
NUMBERS = ["a b", "c`d", "größe", "flag"]
WIDTHS = {"DOUBLE": "f8", "FLOAT": "f4"}


def _rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "home.dest": RANDOM.choice(["a", "b", "c", "nan", "None", ""], N),
            "a b": RANDOM.normal(size=N),
            "c`d": RANDOM.integers(0, 5, N),
            "größe": RANDOM.normal(5, 3, N),
            "flag": RANDOM.random(N) < 0.4,
        }
    )


X = _rows()
Z = X["a b"] + (X["c`d"] > 2) + X["flag"] + (X["home.dest"] == "a") + RANDOM.normal(size=N) * 0.3
YES = pd.Series(np.where(Z > 1, "yes", "no"))
THREE = np.where(X["c`d"] == 2, "maybe", YES)
TARGET = np.abs(Z.to_numpy()) + 0.1

HOLES = X.copy()
HOLES.loc[::7, "home.dest"] = np.nan
HOLES.loc[::5, "größe"] = np.nan
HOLES.loc[::9, "a b"] = np.nan
UNSEEN = HOLES.copy()
UNSEEN.loc[1::6, "home.dest"] = "never seen"


def scores(scoring, sample, frame):
    """The graph's outputs for rows of a frame, by onnxruntime."""
    onnx.checker.check_model(onnx.load_from_string(scoring.onnx))
    feeds = {}
    for i, field in enumerate(scoring.signature.inputs):
        values = frame[sample.columns[i].name]
        if field.wire == "STRING":
            array = np.array([MISSING_STRING if pd.isna(v) else v for v in values], dtype=object)
        else:
            array = values.astype(object).where(~values.isna(), np.nan)
            array = array.to_numpy(dtype=WIDTHS[field.wire])
        feeds[f"in{i}"] = array.reshape(-1, 1)
    session = onnxruntime.InferenceSession(scoring.onnx, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def agrees(model, rows, others=None, *, within=1e-12):
    """Assert that the converted model says what the original says; return the conversion."""
    sample = read_sample(rows)
    scoring = converter.convert(model, sample)
    frame = sample.frame if others is None else read_sample(others).frame
    found = scores(scoring, sample, frame)
    expected = converter.answer(model, sample.container(frame))
    assert set(found) == {t.name for t in scoring.tensors}
    if scoring.task == "classification":
        index = found["label"] if "label" in found else found["probabilities"].argmax(axis=1)
        assert [scoring.labels[i] for i in index] == expected.prediction.tolist()
        assert (expected.probabilities is not None) == scoring.has_probabilities
        if scoring.has_probabilities:
            np.testing.assert_allclose(
                found["probabilities"], expected.probabilities, rtol=within, atol=within
            )
    else:
        prediction = found["prediction"].reshape(expected.prediction.shape)
        np.testing.assert_allclose(prediction, expected.prediction, rtol=within, atol=within)
        if "score" in found:
            assert found["score"].shape == (len(frame), 1)
            np.testing.assert_allclose(
                found["score"].ravel(), expected.score, rtol=1e-9, atol=1e-12
            )
    return scoring


def columns(strings=None, numbers=None, **options):
    """A column transformer for the strings and for the numbers."""
    fill = pipeline.make_pipeline(
        impute.SimpleImputer(add_indicator=True), preprocessing.StandardScaler()
    )
    return compose.ColumnTransformer(
        [
            ("s", strings or preprocessing.OneHotEncoder(handle_unknown="ignore"), ["home.dest"]),
            ("n", numbers or fill, NUMBERS),
        ],
        **options,
    )


def logistic():
    return linear_model.LogisticRegression(max_iter=500)


def fitted(*steps, rows=HOLES, target=YES):
    return pipeline.make_pipeline(*steps).fit(rows, target)


# ---- columns, strings, missing values ---------------------------------------------------


def test_any_column_name_works():
    """Names are the author's own in the signature, and neutral in the graph."""
    scoring = agrees(fitted(columns(), logistic()), HOLES, UNSEEN)
    assert [i.name for i in scoring.signature.inputs] == list(X)
    graph = onnx.load_from_string(scoring.onnx).graph
    assert [i.name for i in graph.input] == [f"in{i}" for i in range(5)]


def test_columns_are_found_by_name_in_another_order():
    model = fitted(columns(), logistic())
    agrees(model, HOLES[["größe", "flag", "c`d", "home.dest", "a b"]])


def test_integers_and_booleans_travel_as_doubles_and_keep_their_sql_type():
    inputs = agrees(fitted(columns(), logistic()), HOLES).signature.inputs
    assert [i.type for i in inputs] == ["STRING", "DOUBLE", "BIGINT", "DOUBLE", "BOOLEAN"]
    assert [i.wire for i in inputs] == ["STRING", "DOUBLE", "DOUBLE", "DOUBLE", "DOUBLE"]


@pytest.mark.parametrize("marker", [None, float("nan")], ids=["None", "NaN"])
def test_a_missing_string_is_the_authors_own_missing_value(marker):
    rows, others = (f.astype({"home.dest": object}) for f in (HOLES, UNSEEN))
    for frame in (rows, others):
        frame["home.dest"] = frame["home.dest"].where(frame["home.dest"].notna(), marker)
    agrees(fitted(columns(), logistic(), rows=rows), rows, others)


def test_the_most_frequent_text_may_be_none():
    """An imputer for NaN takes None for a text, and leaves it where it is."""
    rows = pd.DataFrame({"plan": np.where(YES == "yes", "basic", None), "size": "S"}, dtype=object)
    fill = impute.SimpleImputer(strategy="most_frequent")
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore")
    model = fitted(fill, encoder, linear_model.Ridge(), rows=rows, target=TARGET)
    assert fill.statistics_.tolist() == [None, "S"]
    agrees(model, rows)


ENCODERS = [
    preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=45),
    preprocessing.OneHotEncoder(handle_unknown="ignore", drop="first"),
    preprocessing.OneHotEncoder(
        handle_unknown="infrequent_if_exist", drop="first", min_frequency=45
    ),
    preprocessing.OneHotEncoder(handle_unknown="ignore", max_categories=3, sparse_output=False),
    preprocessing.OneHotEncoder(handle_unknown="ignore", dtype=np.float32),
    preprocessing.OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    ),
    preprocessing.OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2,
        min_frequency=45,
    ),
    preprocessing.TargetEncoder(random_state=0),
    pipeline.make_pipeline(
        impute.SimpleImputer(strategy="constant", fill_value="missing"),
        preprocessing.OneHotEncoder(handle_unknown="ignore"),
    ),
    pipeline.make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"),
        preprocessing.OneHotEncoder(handle_unknown="ignore"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: str(e).replace("\n", "")[:70])
def test_encoders_know_missing_and_unseen_strings(encoder):
    agrees(fitted(columns(encoder), logistic()), HOLES, UNSEEN)
    agrees(fitted(columns(encoder), logistic(), target=THREE), HOLES, UNSEEN)


def test_an_encoder_that_raises_on_unseen_values_names_those_it_knows():
    scoring = agrees(fitted(columns(preprocessing.OneHotEncoder()), logistic()), HOLES)
    assert scoring.signature.inputs[0].categories == ("", "None", "a", "b", "c", "nan")
    assert scoring.signature.inputs[1].categories is None


def test_integers_and_booleans_are_encoded_as_categories():
    rows = X[["home.dest", "c`d", "flag"]]
    scoring = agrees(fitted(preprocessing.OneHotEncoder(), logistic(), rows=rows), rows)
    assert scoring.signature.inputs[1].categories == (0, 1, 2, 3, 4)
    assert scoring.signature.inputs[2].categories == (False, True)


def test_columns_may_be_chosen_by_a_function_or_by_position():
    chosen = compose.make_column_selector
    by_type = compose.ColumnTransformer(
        [
            ("n", preprocessing.StandardScaler(), chosen(dtype_include=float)),
            ("s", preprocessing.OneHotEncoder(), chosen(dtype_include=object)),
        ],
        remainder="passthrough",
    )
    agrees(fitted(by_type, logistic(), rows=X), X)
    by_place = compose.ColumnTransformer(
        [("a", preprocessing.StandardScaler(), [0, 2]), ("b", "passthrough", slice(1, 2))],
        transformer_weights={"b": 0.5},
    )
    agrees(fitted(by_place, logistic(), rows=X[NUMBERS].to_numpy("f8")), X[NUMBERS].to_numpy("f8"))


def test_booleans_and_numbers_of_python_may_be_none():
    """Columns of objects, as pandas has them of a query's result."""
    rows = X[["a b"]].assign(flag=X["flag"].astype(object), n=X["c`d"].astype(object))
    rows.loc[::7, ["flag", "n"]] = None
    encoder = compose.ColumnTransformer(
        [("e", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["flag", "n"])],
        remainder="passthrough",
    )
    agrees(fitted(encoder, logistic(), rows=rows), rows)


def test_a_category_column_is_one_of_strings():
    rows = X.astype({"home.dest": "category"})
    agrees(fitted(columns(), logistic(), rows=rows), rows)


# ---- numbers ----------------------------------------------------------------------------

TRANSFORMERS = [
    preprocessing.StandardScaler(), preprocessing.RobustScaler(), preprocessing.MaxAbsScaler(),
    preprocessing.MinMaxScaler(clip=True), preprocessing.Normalizer(), preprocessing.Binarizer(),
    preprocessing.KBinsDiscretizer(4), preprocessing.PolynomialFeatures(3),
    preprocessing.PowerTransformer(), preprocessing.QuantileTransformer(n_quantiles=50),
    preprocessing.FunctionTransformer(np.square), decomposition.PCA(2, whiten=True),
    decomposition.TruncatedSVD(2), cluster.KMeans(3, random_state=0, n_init=1),
    feature_selection.SelectKBest(k=1),
    pipeline.FeatureUnion([("a", preprocessing.StandardScaler()), ("b", "passthrough")]),
]  # fmt: skip


@pytest.mark.parametrize("step", TRANSFORMERS, ids=lambda t: type(t).__name__)
def test_transformers_compute_in_double(step):
    rows = X[["a b", "größe"]]
    scoring = agrees(fitted(step, linear_model.Ridge(), rows=rows, target=TARGET), rows)
    assert scoring.precision == "float64"


@pytest.mark.parametrize("quantiles", [10, 200])
def test_quantiles_of_the_normal_distribution(quantiles):
    """At both ends and beyond them too, and of a missing number."""
    step = preprocessing.QuantileTransformer(n_quantiles=quantiles, output_distribution="normal")
    rows = X[["größe", "c`d"]].assign(same=2.0)
    ends = [rows["größe"].min(), rows["größe"].max()]
    few = pd.DataFrame({"größe": [*ends, -1e9, 1e9, ends[1] - 1e-8], "c`d": 2, "same": 2.0})
    model = fitted(step, linear_model.Ridge(), rows=rows, target=TARGET)
    agrees(model, rows, few, within=1e-11)
    agrees(model, rows, within=1e-11)
    gaps = rows.astype({"c`d": float}).where(RANDOM.random(rows.shape) > 0.1)
    agrees(fitted(step, tree.DecisionTreeRegressor(max_depth=4), rows=gaps, target=TARGET), gaps)


@pytest.mark.parametrize("function", [np.log1p, np.sign, np.abs], ids=lambda f: f.__name__)
def test_whole_numbers_may_go_through_a_function_that_does_not_overflow(function):
    rows = X[["c`d"]].astype("int64")
    step = preprocessing.FunctionTransformer(function)
    agrees(fitted(step, linear_model.Ridge(), rows=rows, target=TARGET), rows)


def test_small_numbers_keep_their_logarithm():
    rows = pd.DataFrame({"x": np.geomspace(1e-18, 1e18, N)})
    step = preprocessing.FunctionTransformer(np.log1p)
    model = fitted(step, linear_model.LinearRegression(), rows=rows, target=np.log1p(rows["x"]))
    agrees(model, rows)


def test_one_column_keeps_its_double_precision():
    """A scalar divisor before a matrix product is where onnxruntime would round to float32."""
    rows = X[["größe"]]
    agrees(fitted(preprocessing.StandardScaler(), logistic(), rows=rows), rows)
    ridge = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.Ridge(fit_intercept=False)
    )
    model = compose.TransformedTargetRegressor(ridge, transformer=preprocessing.StandardScaler())
    agrees(model.fit(rows, TARGET), rows)


def test_float32_columns_are_scaled_as_float32():
    """A tree after a scaler splits where the original does, to the last bit."""
    rows = X[NUMBERS].astype("float32")
    forest = ensemble.RandomForestClassifier(10, random_state=0)
    scoring = agrees(fitted(preprocessing.StandardScaler(), forest, rows=rows), rows)
    assert {i.wire for i in scoring.signature.inputs} == {"FLOAT"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_rows_of_nearly_zero_are_normalised_as_scikit_learn_does(norm, sparse, dtype):
    """It leaves a dense row as it is below ten times the precision, a sparse one at zero only."""
    rows = X[["a b", "größe"]].astype(dtype)
    few = pd.DataFrame({"a b": [3e-8, 1e-16, 3e-5, 0.0], "größe": [-1e-8, 0.0, 2e-5, 0.0]})
    before = compose.ColumnTransformer(
        [("b", preprocessing.Binarizer(threshold=4.0), ["größe"])], remainder="passthrough"
    )
    if sparse:
        hot = preprocessing.OneHotEncoder(categories=[[0.5]], handle_unknown="ignore")
        before.set_params(transformers=[("h", hot, ["größe"])], sparse_threshold=1.0)
    model = fitted(before, preprocessing.Normalizer(norm), linear_model.Ridge(), rows=rows,
                   target=TARGET)  # fmt: skip
    agrees(model, rows, few.astype(dtype), within=1e-12 if dtype == "float64" else 1e-6)


# ---- classifiers ------------------------------------------------------------------------

CLASSIFIERS = [
    logistic(), linear_model.SGDClassifier(loss="modified_huber", random_state=0),
    linear_model.SGDClassifier(loss="log_loss", random_state=0), linear_model.RidgeClassifier(),
    linear_model.Perceptron(), svm.LinearSVC(), svm.SVC(), svm.SVC(kernel="poly"), svm.NuSVC(),
    svm.SVC(kernel="sigmoid", break_ties=True),
    discriminant_analysis.LinearDiscriminantAnalysis(),
    discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1), naive_bayes.GaussianNB(),
    naive_bayes.BernoulliNB(), neighbors.KNeighborsClassifier(), dummy.DummyClassifier(),
    neural_network.MLPClassifier((8,), max_iter=50, random_state=0),
    tree.DecisionTreeClassifier(random_state=0),
    tree.ExtraTreeClassifier(random_state=0),
    ensemble.RandomForestClassifier(10, random_state=0),
    ensemble.ExtraTreesClassifier(10, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=10),
    ensemble.AdaBoostClassifier(n_estimators=8, random_state=0),
    ensemble.AdaBoostClassifier(naive_bayes.GaussianNB(), n_estimators=4, random_state=0),
    ensemble.BaggingClassifier(n_estimators=5, max_features=0.6, random_state=0),
    ensemble.BaggingClassifier(svm.LinearSVC(), n_estimators=3, random_state=0),
    ensemble.VotingClassifier([("a", logistic()), ("b", naive_bayes.GaussianNB())], voting="soft",
                              weights=[1, 3]),
    ensemble.VotingClassifier([("a", logistic()), ("b", naive_bayes.GaussianNB())]),
    ensemble.StackingClassifier([("a", svm.SVC()), ("b", tree.DecisionTreeClassifier())],
                                passthrough=True),
    calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3),
    calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=3),
    calibration.CalibratedClassifierCV(svm.LinearSVC(), method="temperature", cv=3),
    calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="temperature", cv=3),
    multiclass.OneVsRestClassifier(svm.LinearSVC()), multiclass.OneVsOneClassifier(svm.LinearSVC()),
    multiclass.OneVsRestClassifier(ensemble.RandomForestClassifier(5, random_state=0)),
    multiclass.OutputCodeClassifier(svm.LinearSVC(), code_size=2, random_state=0),
    multiclass.OutputCodeClassifier(naive_bayes.GaussianNB(), code_size=2, random_state=0),
    model_selection.GridSearchCV(logistic(), {"C": [0.1, 1]}),
]  # fmt: skip


@pytest.mark.parametrize("target", [YES, THREE], ids=["two", "three"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda m: type(m).__name__)
def test_classifiers(model, target):
    scoring = agrees(model.fit(X[NUMBERS], target), X[NUMBERS], within=1e-9)
    assert scoring.labels == tuple(sorted(set(target)))
    assert scoring.precision == "float64"


@pytest.mark.parametrize("pair", [(0, 1), (-3, 7), (False, True), ("no", "yes"), (1.0, 2.0)])
def test_labels_keep_their_kind(pair):
    target = np.where(YES == "yes", pair[1], pair[0])
    for model in (logistic(), svm.SVC(), neighbors.KNeighborsClassifier()):
        labels = agrees(model.fit(X[NUMBERS], target), X[NUMBERS]).labels
        assert labels == pair
        assert [type(label) for label in labels] == [type(p) for p in pair]


@pytest.mark.parametrize(
    "model",
    [
        model_selection.FixedThresholdClassifier(logistic(), threshold=0.3, pos_label="no"),
        model_selection.FixedThresholdClassifier(logistic(), threshold=0.2, pos_label="yes"),
        model_selection.TunedThresholdClassifierCV(logistic()),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_moved_threshold_moves_the_label(model):
    scoring = agrees(model.fit(X[NUMBERS], YES), X[NUMBERS])
    assert {t.name for t in scoring.tensors} == {"probabilities", "label"}


def test_what_computes_in_float32_says_so():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = svm.SVC(probability=True, random_state=0).fit(X[NUMBERS], YES)
    assert agrees(model, X[NUMBERS], within=1e-5).precision == "float32"


# ---- trees and missing values -----------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        tree.DecisionTreeClassifier(random_state=0),
        ensemble.RandomForestClassifier(10, random_state=0),
        ensemble.ExtraTreesClassifier(10, random_state=0),
        ensemble.BaggingClassifier(n_estimators=4, random_state=0),
        ensemble.HistGradientBoostingClassifier(max_iter=10),
    ],
    ids=lambda m: type(m).__name__,
)
def test_missing_values_take_the_branch_they_took_in_training(model):
    for target in (YES, THREE):
        agrees(model.fit(HOLES[NUMBERS], target), HOLES[NUMBERS])


def test_trees_get_their_columns_as_float():
    """scikit-learn narrows to float32 itself, so that half the bytes are enough."""
    forest = ensemble.RandomForestRegressor(5, random_state=0).fit(X[NUMBERS], TARGET)
    scoring = agrees(forest, X[NUMBERS])
    assert {i.wire for i in scoring.signature.inputs} == {"FLOAT"}
    assert {i.type for i in scoring.signature.inputs} == {"DOUBLE", "BIGINT", "BOOLEAN"}
    assert scoring.precision == "float64"


def test_thresholds_decide_between_neighbouring_numbers():
    """A double beside a threshold goes where scikit-learn's float32 of it goes."""
    rows = pd.DataFrame({"x": np.linspace(0, 1, 50)})
    model = tree.DecisionTreeRegressor().fit(rows, np.arange(50.0))
    edges = model.tree_.threshold[model.tree_.feature >= 0]
    near = np.concatenate([np.nextafter(edges, -9), edges, np.nextafter(edges, 9), edges + 1e-9])
    agrees(model, rows, pd.DataFrame({"x": near}), within=0)


# ---- regressors -------------------------------------------------------------------------

REGRESSORS = [
    linear_model.LinearRegression(), linear_model.PoissonRegressor(),
    linear_model.GammaRegressor(), linear_model.TweedieRegressor(power=0),
    linear_model.RANSACRegressor(random_state=0), svm.SVR(), svm.NuSVR(),
    neighbors.KNeighborsRegressor(), dummy.DummyRegressor(),
    tree.DecisionTreeRegressor(random_state=0), ensemble.RandomForestRegressor(5, random_state=0),
    ensemble.GradientBoostingRegressor(loss="quantile", n_estimators=9),
    ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=9),
    ensemble.HistGradientBoostingRegressor(loss="quantile", quantile=0.3, max_iter=9),
    ensemble.AdaBoostRegressor(n_estimators=7, random_state=0),
    ensemble.AdaBoostRegressor(linear_model.Ridge(), n_estimators=7, random_state=0),
    ensemble.BaggingRegressor(linear_model.Ridge(), n_estimators=3, max_features=0.5),
    ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", svm.SVR())]),
    ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", svm.SVR())]),
    compose.TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1),
    feature_selection.RFE(linear_model.Ridge()),
]  # fmt: skip


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda m: type(m).__name__)
def test_regressors(model):
    scoring = agrees(model.fit(X[NUMBERS], TARGET), X[NUMBERS], within=1e-10)
    assert [o.name for o in scoring.signature.outputs] == ["prediction"]


def test_isotonic_regression_follows_its_line():
    model = isotonic.IsotonicRegression(out_of_bounds="clip").fit(X[["a b"]], TARGET)
    agrees(model, X[["a b"]])


@pytest.mark.parametrize(
    "model",
    [
        linear_model.LinearRegression(),
        ensemble.RandomForestRegressor(5, random_state=0),
        multioutput.MultiOutputRegressor(ensemble.GradientBoostingRegressor(n_estimators=4)),
        multioutput.RegressorChain(linear_model.Ridge(), order=[1, 0]),
    ],
    ids=lambda m: type(m).__name__,
)
def test_several_targets_are_several_columns(model):
    scoring = agrees(model.fit(X[NUMBERS], np.c_[TARGET, -2 * TARGET]), X[NUMBERS])
    assert [o.name for o in scoring.signature.outputs] == ["prediction_1", "prediction_2"]
    assert scoring.tensors[0].width == 2


# ---- clusters and outliers --------------------------------------------------------------

UNSUPERVISED = [
    cluster.KMeans(3, random_state=0, n_init=1), cluster.MiniBatchKMeans(3, random_state=0),
    mixture.GaussianMixture(3, random_state=0),
    mixture.GaussianMixture(3, covariance_type="tied", random_state=0),
    mixture.BayesianGaussianMixture(n_components=3, covariance_type="diag", random_state=0),
    ensemble.IsolationForest(n_estimators=10, max_features=0.7, random_state=0), svm.OneClassSVM(),
    linear_model.SGDOneClassSVM(random_state=0), covariance.EllipticEnvelope(random_state=0),
    neighbors.LocalOutlierFactor(novelty=True),
]  # fmt: skip


@pytest.mark.parametrize("model", UNSUPERVISED, ids=lambda m: type(m).__name__)
def test_clusters_and_outliers(model):
    scoring = agrees(model.fit(X[NUMBERS].astype(float)), X[NUMBERS].astype(float))
    assert scoring.task in ("clustering", "outlier_detection")
    assert scoring.signature.outputs[0].type == "BIGINT"


FAR = pd.DataFrame({"a b": [1e160, -1e160, 3.0, 1e30], "größe": [0.0, 2.0, -1e200, 1e30]})


@pytest.mark.parametrize(
    "model",
    [cluster.KMeans(3, random_state=0, n_init=1), cluster.Birch(n_clusters=3),
     cluster.MeanShift(), mixture.GaussianMixture(1, random_state=0),
     multiclass.OutputCodeClassifier(logistic(), code_size=2, random_state=0)],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_a_row_far_from_everything_has_its_cluster(model):
    """The square of the row swallows what tells clusters apart, where scikit-learn adds it."""
    rows = X[["a b", "größe"]]
    agrees(model.fit(rows, THREE), rows, FAR)


def test_clusters_may_have_sparse_centres():
    encoder = preprocessing.OneHotEncoder()
    model = pipeline.make_pipeline(encoder, cluster.AffinityPropagation(random_state=0))
    agrees(model.fit(X[["c`d"]]), X[["c`d"]])


# ---- boosters inside pipelines ----------------------------------------------------------


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("framework", ["xgboost", "lightgbm"])
def test_a_booster_may_be_the_last_step(framework, sparse):
    """XGBoost takes the zeros of a sparse matrix for missing, and so does the graph."""
    module = importlib.import_module(framework)
    if framework == "xgboost":
        model, within = module.XGBClassifier(n_estimators=10), 1e-6
    else:
        model, within = module.LGBMClassifier(n_estimators=10, verbose=-1), 1e-12
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=sparse)
    steps = columns(encoder, preprocessing.StandardScaler(), sparse_threshold=float(sparse))
    target = (YES == "yes").astype(int)
    agrees(fitted(steps, model, target=target), HOLES, UNSEEN, within=within)


NEARLY_ZERO = float(np.float32(1e-35))


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("framework", ["xgboost", "lightgbm"])
def test_a_number_next_to_zero_is_what_it_is_to_a_booster(framework, sparse):
    """LightGBM leaves it out of a dense row and not of a sparse one; to XGBoost it is there."""
    module = importlib.import_module(framework)
    options = {"verbose": -1, "min_child_samples": 2} if framework == "lightgbm" else {}
    model = getattr(module, {"lightgbm": "LGBM", "xgboost": "XGB"}[framework] + "Regressor")(
        n_estimators=5, **options
    )
    rng = np.random.default_rng(3)
    amount = rng.normal(size=400) * (rng.random(400) < 0.4)
    rows = pd.DataFrame({"amount": amount, "shop": rng.choice(list("abcdefgh"), 400)})
    steps = compose.ColumnTransformer(
        [("shop", preprocessing.OneHotEncoder(), ["shop"])],
        remainder="passthrough",
        sparse_threshold=float(sparse),
    )
    trained = pipeline.make_pipeline(steps, model).fit(rows, np.sign(amount) * 3 + 1)
    near = [0.0, 5e-324, 1e-46, 1e-40, NEARLY_ZERO / 2, NEARLY_ZERO, 2 * NEARLY_ZERO, 1e-30]
    others = pd.DataFrame({"amount": [*near, *(-v for v in near)], "shop": "a"})
    agrees(trained, rows, others, within=1e-6)


# ---- refusals ---------------------------------------------------------------------------


def _text(**options):
    """Words of a column of texts, in front of a classifier."""
    vectorizer = feature_extraction.text.TfidfVectorizer(**options)
    columns = compose.ColumnTransformer([("t", vectorizer, "home.dest")])
    return pipeline.make_pipeline(columns, logistic())


WHOLE = X[["c`d"]].astype("int8")

REFUSALS = [
    *(
        (pipeline.make_pipeline(preprocessing.FunctionTransformer(f), logistic()), rows,
         f"FunctionTransformer({f.__name__})", reason)
        for f, rows, reason in (
            (np.square, WHOLE, "of a column of int8 it makes int8"),
            (np.abs, WHOLE, "of a column of int8 it makes int8"),
            (np.negative, WHOLE.astype("uint16"), "it makes uint16"),
            (np.log1p, WHOLE, "it makes float16"),
            (np.square, WHOLE.to_numpy("int64"), "it makes int64"),
        )
    ),
    (preprocessing.StandardScaler(), X[NUMBERS], "StandardScaler", "no predict method"),
    (_text(token_pattern=r"(?<!9)\w+"), X, "TfidfVectorizer", "no certain form"),
    (_text(token_pattern=r"\w*"), X, "TfidfVectorizer", "no certain form"),
    (_text(token_pattern=r"[\w']+"), X, "TfidfVectorizer", "no certain form"),
    (_text(tokenizer=str.split, token_pattern=None), X, "TfidfVectorizer", "Python code"),
    (_text(preprocessor=str.upper), X, "TfidfVectorizer", "Python code"),
    (_text(dtype=np.float32), X, "TfidfVectorizer", "float32"),
    (
        pipeline.make_pipeline(preprocessing.FunctionTransformer(lambda x: x), logistic()),
        X[NUMBERS],
        "FunctionTransformer(<lambda>)",
        "Python code",
    ),
    (neighbors.RadiusNeighborsClassifier(9.0), X[NUMBERS], "RadiusNeighborsClassifier", "outlier"),
    (neighbors.NearestCentroid(), X[NUMBERS], "NearestCentroid", "no conversion"),
    (ensemble.GradientBoostingClassifier(init=logistic(), n_estimators=2), X[NUMBERS],
     "GradientBoostingClassifier", "init"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "rows", "step", "reason"), REFUSALS, ids=lambda v: str(v)[:25])
def test_what_has_no_faithful_form_is_refused_by_name(model, rows, step, reason):
    with pytest.raises(NotConvertibleError, match=reason) as refusal:
        convert(model.fit(rows, YES), sample=rows)
    assert refusal.value.step == step


def test_several_labels_a_row_are_refused():
    model = multioutput.MultiOutputClassifier(logistic())
    model.fit(X[NUMBERS], np.c_[YES, THREE])
    with pytest.raises(NotConvertibleError):
        convert(model, sample=X[NUMBERS])


def test_a_class_of_ones_own_is_not_taken_for_its_base():
    class Doubled(preprocessing.StandardScaler):
        def transform(self, X, copy=None):
            return 2 * super().transform(X, copy)

    model = fitted(Doubled(), logistic(), rows=X[NUMBERS])
    with pytest.raises(NotConvertibleError, match="Doubled"):
        convert(model, sample=X[NUMBERS])


def test_a_row_scores_alone_as_in_its_batch():
    model = fitted(columns(), ensemble.RandomForestClassifier(5, random_state=0))
    sample = read_sample(HOLES)
    scoring = converter.convert(model, sample)
    together = scores(scoring, sample, sample.frame)["probabilities"]
    for i in range(0, N, 50):
        alone = scores(scoring, sample, sample.frame.iloc[[i]])["probabilities"]
        assert alone.tolist() == together[[i]].tolist()


def test_the_same_model_gives_the_same_bytes():
    model = fitted(columns(), logistic())
    assert convert(model, sample=HOLES).sha256 == convert(model, sample=HOLES).sha256


def test_models_are_recognised_by_the_modules_of_their_classes():
    assert converter.recognises(logistic())
    assert not converter.recognises(object())
