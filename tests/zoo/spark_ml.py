"""Spark ML: pipelines from raw columns on, and what becomes of text and of missing values."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.ml import Pipeline
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    FMClassifier,
    GBTClassifier,
    LinearSVC,
    LogisticRegression,
    MultilayerPerceptronClassifier,
    NaiveBayes,
    OneVsRest,
    RandomForestClassifier,
)
from pyspark.ml.clustering import BisectingKMeans, GaussianMixture, KMeans
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import (
    DCT,
    IDF,
    PCA,
    Binarizer,
    Bucketizer,
    ChiSqSelector,
    CountVectorizer,
    ElementwiseProduct,
    HashingTF,
    Imputer,
    IndexToString,
    Interaction,
    MaxAbsScaler,
    MinMaxScaler,
    NGram,
    Normalizer,
    OneHotEncoder,
    PolynomialExpansion,
    QuantileDiscretizer,
    RegexTokenizer,
    RFormula,
    RobustScaler,
    SQLTransformer,
    StandardScaler,
    StopWordsRemover,
    StringIndexer,
    TargetEncoder,
    Tokenizer,
    UnivariateFeatureSelector,
    VarianceThresholdSelector,
    VectorAssembler,
    VectorIndexer,
    VectorSizeHint,
    VectorSlicer,
)
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.ml.recommendation import ALS
from pyspark.ml.regression import (
    AFTSurvivalRegression,
    DecisionTreeRegressor,
    FMRegressor,
    GBTRegressor,
    GeneralizedLinearRegression,
    IsotonicRegression,
    LinearRegression,
    RandomForestRegressor,
)
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit
from pyspark.sql import SparkSession
from xgboost.spark import SparkXGBClassifier, SparkXGBRanker, SparkXGBRegressor

from . import data
from .case import Answer, Case, Fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .data import Table

ROW = "row number"
TARGET = "y"
N = 200
FRESH = 40

gaps = partial(data.customers, missing=0.15, marker=None)
numbers = partial(data.numbers, width=4)
numbers_with_gaps = partial(data.numbers, width=4, missing=0.1)
NUMBERS = [f"v{i}" for i in range(4)]
NUMERIC = ["age", "income", "tenure"]
TEXT = ["plan", "country"]


def own_types(frame: pd.DataFrame) -> dict[str, pa.DataType]:
    """The types of a table of Spark that holds the rows: a missing value changes none."""
    kinds = {"f": pa.float64(), "i": pa.int64(), "b": pa.bool_(), "O": pa.string()}
    return {
        name: pa.float32() if dtype == np.float32 else kinds[dtype.kind]
        for name, dtype in frame.dtypes.items()
    }


def arrow(frame: pd.DataFrame, types: dict[str, pa.DataType], *, nan: bool = False) -> pa.Table:
    """Rows as Spark gets them: what is missing is NULL, or NaN in a column of doubles."""
    columns = {}
    for name, kind in types.items():
        gone = frame[name].isna().to_numpy()
        values = [None if g else v for g, v in zip(gone, frame[name], strict=True)]
        if pa.types.is_floating(kind):
            columns[name] = pa.array(
                frame[name].to_numpy(), type=kind, mask=None if nan else gone, from_pandas=False
            )
        elif pa.types.is_integer(kind):
            columns[name] = pa.array([None if v is None else int(v) for v in values], type=kind)
        elif pa.types.is_boolean(kind):
            columns[name] = pa.array([None if v is None else bool(v) for v in values], type=kind)
        else:  # text, or arrays
            columns[name] = pa.array(values, type=kind)
    return pa.table(columns)


def asked(types: dict[str, pa.DataType], labels: tuple[Any, ...], prediction: str) -> Any:
    """How Spark is asked about rows. It says nothing of those that it drops, gives no number for,
    or scores in another way where NaN stands for NULL: SQL's models know one kind of missing.
    """
    session = SparkSession.builder.getOrCreate().newSession()

    def once(model: Any, table: pa.Table) -> tuple[np.ndarray, np.ndarray | None]:
        frame = session.createDataFrame(table.append_column(ROW, pa.array(range(len(table)))))
        held = [name for name, kind in types.items() if pa.types.is_list(kind)]
        made = model.transform(frame.withColumns({n: array_to_vector(n) for n in held}))
        columns = [ROW, prediction]
        if labels and "probability" in made.columns:
            made = made.withColumn("shares", vector_to_array("probability"))
            columns.append("shares")
        found = made.select(*columns).toArrow()
        at = found[ROW].to_numpy()
        said = np.full(len(table), None, dtype=object)
        said[at] = found[prediction].to_pylist()
        if labels:  # OneVsRest says -1 where all is NaN
            said[[value not in labels for value in said]] = None
        if "shares" not in columns:
            return said, None
        given = np.array(found["shares"].to_pylist())  # RFormula's may have a label more
        shares = np.full((len(table), given.shape[1]), np.nan)
        shares[at] = given
        said[np.isnan(shares).any(axis=1)] = None
        return said, shares

    def ask(model: Any, rows: pd.DataFrame) -> Answer:
        said, shares = once(model, arrow(rows, types))
        if rows.select_dtypes("floating").isna().any(axis=None):
            again, others = once(model, arrow(rows, types, nan=True))
            same = np.array(
                [a == b or (a != a and b != b) for a, b in zip(said, again, strict=True)]
            )
            if shares is not None:
                same &= np.equal(shares, others).all(axis=1)
            said[~same] = None
        if shares is not None:
            shares = np.where(np.equal(said, None)[:, None], None, shares)
        return Answer(said, labels, shares)

    return ask


def piped(
    stages: Callable[[], Sequence[Any]],
    table: Table,
    target: Callable[[np.ndarray, np.random.Generator], Any] | None = None,
    *,
    labels: tuple[Any, ...] = (),
    prediction: str = "prediction",
    rows: Table | None = None,
    inputs: Sequence[str] = (),
    n: int = N,
    barrier: bool = False,
) -> Callable[[], Fitted]:
    """A pipeline, the table that it learns from and its target, in the column `y`.

    In one partition, so that it learns the same each time; a barrier stage makes its own.
    """

    def make_and_fit() -> Fitted:
        session = SparkSession.builder.getOrCreate()
        frame = table(n, 7)
        types = own_types(frame)
        training = arrow(frame, types)
        if target is not None:
            y = pa.array(np.asarray(target(data.signal(frame), np.random.default_rng(8))))
            training = training.append_column(TARGET, y)
        known = session.createDataFrame(training)
        model = Pipeline(stages=list(stages())).fit(known if barrier else known.coalesce(1))
        sample = frame[list(inputs)] if inputs else frame
        scored = data.fresh(rows or table, FRESH, marker=None)
        types = own_types(sample)
        return Fitted(model, sample, scored[list(types)], asked(types, labels, prediction))

    return make_and_fit


def vector(columns: Sequence[str] = NUMBERS, **options: Any) -> VectorAssembler:
    return VectorAssembler(
        inputCols=list(columns), **{"outputCol": "features", "handleInvalid": "keep", **options}
    )


def indexed(columns: Sequence[str] = TEXT, handle: str = "keep") -> StringIndexer:
    return StringIndexer(
        inputCols=list(columns), outputCols=[f"{c} #" for c in columns], handleInvalid=handle
    )


def one_hot(columns: Sequence[str] = TEXT, **options: Any) -> OneHotEncoder:
    return OneHotEncoder(
        inputCols=[f"{c} #" for c in columns], outputCols=[f"{c} 01" for c in columns], **options
    )


def labelled(names: Sequence[str], model: Any, *before: Any) -> list[Any]:
    """A classifier of text: the labels are indexed, and its prediction is decoded."""
    return [
        StringIndexer(inputCol=TARGET, outputCol="label", stringOrderType="alphabetAsc"),
        *before,
        model,
        IndexToString(inputCol="prediction", outputCol="answer", labels=sorted(names)),
    ]


def case(
    name: str,
    stages: Callable[[], Sequence[Any]],
    table: Table = numbers,
    target: Any = data.number,
    why: str = "",
    **options: Any,
) -> Case:
    return Case(f"spark-{name}", piped(stages, table, target, **options), why)


def on_numbers(model: Callable[[], Any], **options: Any) -> Callable[[], list[Any]]:
    return lambda: [vector(**options), model()]


def scaled(scaler: Callable[..., Any]) -> Callable[[], list[Any]]:
    """A scaler between the columns and a linear model."""
    return lambda: [
        VectorAssembler(inputCols=NUMBERS, outputCol="raw", handleInvalid="keep"),
        scaler(inputCol="raw", outputCol="features"),
        LinearRegression(labelCol=TARGET),
    ]


def encoded(model: Any, handle: str = "keep", **options: Any) -> list[Any]:
    return [
        indexed(handle=handle),
        one_hot(handleInvalid="error" if handle != "keep" else "keep", **options),
        vector(["age", "income", "tenure", "plan 01", "country 01"], handleInvalid="error"),
        model,
    ]


def general(family: str, **options: Any) -> Callable[[], list[Any]]:
    return on_numbers(
        lambda: GeneralizedLinearRegression(family=family, labelCol=TARGET, maxIter=15, **options),
        handleInvalid="error",
    )


ZERO_ONE, ZERO_ONE_TWO = (0.0, 1.0), (0.0, 1.0, 2.0)
TWO = {"target": data.zero_one, "labels": ZERO_ONE}
THREE = {"target": data.zero_one_two, "labels": ZERO_ONE_TWO}
YES_NO = {"target": data.yes_no, "labels": ("no", "yes"), "prediction": "answer"}
LEVELS = ("high", "low", "mid")

C = partial(LogisticRegression, labelCol=TARGET, maxIter=20)
R = partial(LinearRegression, labelCol=TARGET)
TREE = partial(DecisionTreeClassifier, labelCol=TARGET, maxDepth=4)


def codes(n: int, seed: int) -> pd.DataFrame:
    """Whole numbers that stand for categories, and doubles that do."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "code": rng.choice([-1, 0, 7, 40], n),
            "grade": rng.choice([0.0, 0.5, 1.0, 2.5], n),
            "size": rng.normal(size=n),
        }
    )


def queries(n: int, seed: int) -> pd.DataFrame:
    return numbers(n, seed).assign(query=np.arange(n) // 20)


def ratings(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"user": rng.integers(0, 12, n), "item": rng.integers(5, 14, n)})


def customers(n: int, seed: int, **options: Any) -> pd.DataFrame:
    """Without the empty text: a category of that name Spark cannot encode."""
    frame = data.customers(n, seed, **options)
    return frame.assign(country=frame["country"].replace("", "-"))


customers_with_gaps = partial(customers, missing=0.15, marker=None)


def observed(n: int, seed: int) -> pd.DataFrame:
    return numbers(n, seed).assign(seen=1.0)


def singles(n: int, seed: int) -> pd.DataFrame:
    return data.numbers(n, seed, width=4, dtype="float32")


LINEAR = (
    case("logistic", on_numbers(C), **TWO),
    case("logistic-threshold", on_numbers(partial(C, threshold=0.3)), **TWO),
    case(
        "logistic-labels",
        lambda: labelled(("no", "yes"), C(labelCol="label", thresholds=[0.7, 0.3]), vector()),
        **YES_NO,
    ),
    case(
        "softmax",
        on_numbers(partial(C, family="multinomial")),
        **THREE,
        why="the probabilities of several labels were logistic",
    ),
    case(
        "softmax-sparse",
        on_numbers(partial(C, regParam=0.1, elasticNetParam=1.0), handleInvalid="error"),
        **THREE,
    ),
    case(
        "softmax-thresholds",
        lambda: labelled(LEVELS, C(labelCol="label", thresholds=[0.2, 0.5, 0.3]), vector()),
        target=data.three,
        labels=LEVELS,
        prediction="answer",
    ),
    case("linear", on_numbers(R)),
    case("linear-float", on_numbers(R), singles),
    case("linear-l1", on_numbers(partial(R, regParam=0.5, elasticNetParam=1.0))),
    case("huber", on_numbers(partial(R, loss="huber", maxIter=10))),
    case("svc", on_numbers(partial(LinearSVC, labelCol=TARGET, maxIter=10)), **TWO),
    case(
        "svc-threshold",
        on_numbers(partial(LinearSVC, labelCol=TARGET, maxIter=10, threshold=0.25)),
        **TWO,
    ),
    case(
        "glm-gaussian-log",
        general("gaussian", link="log"),
        target=data.money,
        why="the link was left out",
    ),
    case("glm-binomial", general("binomial"), target=data.zero_one),
    case("glm-binomial-cloglog", general("binomial", link="cloglog"), target=data.zero_one),
    case("glm-probit", general("binomial", link="probit"), target=data.zero_one),
    case("glm-poisson", general("poisson"), target=data.events),
    case("glm-poisson-sqrt", general("poisson", link="sqrt"), target=data.events),
    case("glm-gamma", general("gamma", link="log"), target=data.money),
    case("glm-gamma-inverse", general("gamma", link="inverse"), target=data.money),
    case(
        "glm-tweedie",
        general("tweedie", variancePower=1.5, linkPower=0.25),
        target=data.money,
    ),
    case(
        "glm-offset",
        lambda: [
            vector(["v0", "v1"]),
            GeneralizedLinearRegression(
                family="poisson", labelCol=TARGET, offsetCol="v2", maxIter=8
            ),
        ],
        target=data.events,
        inputs=("v0", "v1", "v2"),
    ),
    case("fm", on_numbers(partial(FMRegressor, labelCol=TARGET, factorSize=3, maxIter=10))),
    case(
        "fm-classifier",
        on_numbers(partial(FMClassifier, labelCol=TARGET, factorSize=3, maxIter=10)),
        **TWO,
    ),
)

TREES = (
    case("tree", on_numbers(TREE), rows=numbers_with_gaps, **THREE),
    case(
        "tree-regressor-categories",
        lambda: [
            indexed(),
            vector(["age", "plan #", "country #"]),
            DecisionTreeRegressor(labelCol=TARGET, maxDepth=5),
        ],
        data.customers,
        rows=gaps,
        inputs=("plan", "country", "age"),
        why="of the left categories only the first was kept",
    ),
    case(
        "forest-categories",
        lambda: labelled(
            ("no", "yes"),
            RandomForestClassifier(labelCol="label", numTrees=6, maxDepth=4, seed=3),
            indexed(),
            vector([*NUMERIC, "plan #", "country #", "active"]),
        ),
        data.customers,
        rows=gaps,
        inputs=("plan", "country", *NUMERIC, "active"),
        **YES_NO,
    ),
    case(
        "tree-label-alone",
        lambda: [indexed(), vector(["plan #"]), TREE(maxDepth=1, probabilityCol="")],
        data.customers,
        inputs=("plan",),
        why="its category was taken for one that no result depends on",
        **THREE,
    ),
    case(
        "forest-thresholds",
        on_numbers(
            lambda: RandomForestClassifier(
                labelCol=TARGET, numTrees=5, maxDepth=4, seed=3
            ).setThresholds([0.5, 0.2, 0.3])
        ),
        **THREE,
    ),
    case(
        "forest-regressor",
        on_numbers(partial(RandomForestRegressor, labelCol=TARGET, numTrees=5, maxDepth=4, seed=3)),
        rows=numbers_with_gaps,
    ),
    case(
        "gbt",
        on_numbers(partial(GBTRegressor, labelCol=TARGET, maxIter=4, maxDepth=3)),
        why="the sum of the trees was taken for a label",
    ),
    case(
        "gbt-classifier",
        on_numbers(partial(GBTClassifier, labelCol=TARGET, maxIter=4, maxDepth=3)),
        **TWO,
    ),
)

PIPELINES = (
    case(
        "customers",
        lambda: labelled(
            ("no", "yes"),
            C(labelCol="label"),
            Imputer(inputCols=["age", "income"], outputCols=["age !", "income !"]),
            indexed(),
            one_hot(),
            VectorAssembler(inputCols=["age !", "income !", "tenure"], outputCol="raw"),
            StandardScaler(inputCol="raw", outputCol="scaled", withMean=True),
            vector(["scaled", "plan 01", "country 01", "active"]),
        ),
        customers_with_gaps, inputs=("age", "income", "plan", "country", "tenure", "active"),
        **YES_NO,
        why="missing values and unseen categories",
    ),
    case(
        "customers-error", lambda: encoded(R(), "error"), customers,
        inputs=(*TEXT, *NUMERIC), why="an unseen category had the index -1",
    ),
    case(
        "customers-skip", lambda: encoded(R(), "skip", dropLast=False), customers,
        inputs=(*TEXT, *NUMERIC), why="rows that are dropped have no score",
    ),
    case(
        "customers-keep-all", lambda: encoded(R(regParam=0.1), dropLast=False), customers,
        inputs=(*TEXT, *NUMERIC),
    ),
    case(
        "codes",
        lambda: [
            indexed(["code", "grade"]),
            one_hot(["code", "grade"]),
            vector(["code 01", "grade 01", "size"]),
            R(),
        ],
        codes, why="numbers are indexed by their texts",
    ),
    case(
        "imputed-integers",
        lambda: [
            Imputer(inputCols=["tenure", "age"], outputCols=["t", "a"], strategy="mean"),
            vector(["t", "a"]),
            R(),
        ],
        data.customers, inputs=("tenure", "age"),
        why="a mean becomes a whole number in a column of these",
    ),
    case(
        "imputed-marker",
        lambda: [
            Imputer(inputCols=["n0", "n1"], outputCols=["a", "b"], strategy="median",
                    missingValue=-3.0),
            vector(["a", "b", "n2"]),
            R(),
        ],
        data.counts, inputs=("n0", "n1", "n2"),
    ),
    case(
        "formula",
        lambda: [
            RFormula(formula=f"{TARGET} ~ age + plan + tenure", handleInvalid="keep"),
            C(labelCol="label"),
        ],
        customers, target=data.yes_no, labels=ZERO_ONE, inputs=("plan", "age", "tenure"),
    ),
    case(
        "formula-interaction",
        lambda: [
            RFormula(formula=f"{TARGET} ~ age + plan:tenure + age:tenure", handleInvalid="keep"),
            LinearRegression(labelCol="label", regParam=0.1),
        ],
        customers, inputs=("plan", "age", "tenure"),
    ),
    case(
        "interaction",
        lambda: [
            indexed(["plan"]),
            vector(["age", "tenure"], outputCol="pair", handleInvalid="error"),
            Interaction(inputCols=["plan #", "pair", "income"], outputCol="features"),
            R(regParam=0.1),
        ],
        data.customers, inputs=("plan", "age", "tenure", "income"),
    ),
    case(
        "target-encoder",
        lambda: [
            indexed(),
            TargetEncoder(inputCols=["plan #", "country #", "tenure"], outputCols=["p", "c", "t"],
                          labelCol=TARGET, targetType="continuous", smoothing=2.0,
                          handleInvalid="keep"),
            vector(["p", "c", "t", "age"]),
            R(),
        ],
        data.customers, inputs=("plan", "country", "tenure", "age"),
    ),
    case(
        "nested",
        lambda: [
            Pipeline(stages=[VectorAssembler(inputCols=NUMBERS, outputCol="raw")]),
            *scaled(StandardScaler)()[1:],
        ],
    ),
    case(
        "stacked",
        lambda: [
            vector(),
            KMeans(k=3, seed=1, predictionCol="group"),
            one_hot(["group"]).setInputCols(["group"]),
            VectorAssembler(inputCols=["features", "group 01"], outputCol="more"),
            R(featuresCol="more"),
        ],
    ),
    case(
        "validated",
        lambda: [
            vector(handleInvalid="error"),
            TrainValidationSplit(
                estimator=R(), estimatorParamMaps=ParamGridBuilder()
                .addGrid(LinearRegression.regParam, [0.0, 0.1]).build(),
                evaluator=RegressionEvaluator(labelCol=TARGET), seed=1,
            ),
        ],
    ),
    case(
        "cross-validated",
        lambda: [
            vector(handleInvalid="error"),
            CrossValidator(
                estimator=R(),
                estimatorParamMaps=ParamGridBuilder()
                .addGrid(LinearRegression.regParam, [0.0, 0.1]).build(),
                evaluator=RegressionEvaluator(labelCol=TARGET), numFolds=2, seed=1,
            ),
        ],
    ),
)  # fmt: skip

FEATURES = (
    case("standard", scaled(partial(StandardScaler, withMean=True))),
    case("min-max", scaled(partial(MinMaxScaler, min=-1.0, max=2.0))),
    case("max-abs", scaled(MaxAbsScaler)),
    case("robust", scaled(partial(RobustScaler, withCentering=True))),
    case("normalizer", scaled(Normalizer)),
    case("normalizer-1", scaled(partial(Normalizer, p=1.0))),
    case("dct", scaled(partial(DCT, inverse=False))),
    case("pca", scaled(partial(PCA, k=2))),
    case("polynomial", scaled(partial(PolynomialExpansion, degree=2))),
    case("slicer", scaled(partial(VectorSlicer, indices=[3, 0]))),
    case(
        "product",
        scaled(partial(ElementwiseProduct, scalingVec=Vectors.dense([1.0, -2.0, 0.5, 3.0]))),
    ),
    case(
        "variance",
        lambda: [
            VectorAssembler(inputCols=NUMBERS, outputCol="raw", handleInvalid="keep"),
            VarianceThresholdSelector(featuresCol="raw", outputCol="features",
                                      varianceThreshold=0.9),
            R(),
        ],
    ),
    case(
        "univariate",
        lambda: [
            VectorAssembler(inputCols=NUMBERS, outputCol="raw"),
            UnivariateFeatureSelector(featuresCol="raw", outputCol="features", labelCol=TARGET)
            .setFeatureType("continuous").setLabelType("continuous").setSelectionThreshold(2),
            R(),
        ],
    ),
    case(
        "chi-squared",
        lambda: [
            indexed(), one_hot(),
            vector(["plan 01", "country 01"], outputCol="raw"),
            ChiSqSelector(featuresCol="raw", outputCol="features", labelCol=TARGET,
                          numTopFeatures=4),
            C(),
        ],
        customers, inputs=TEXT, **TWO,
    ),
    case(
        "size-hint",
        lambda: [
            vector(handleInvalid="error"),
            VectorSizeHint(inputCol="features", size=4, handleInvalid="error"),
            R(),
        ],
    ),
    case(
        "quantiles",
        lambda: [
            QuantileDiscretizer(inputCols=NUMBERS, outputCols=[f"{c} #" for c in NUMBERS],
                                numBuckets=4),
            vector([f"{c} #" for c in NUMBERS]),
            R(),
        ],
    ),
    case(
        "buckets",
        lambda: [
            Bucketizer(splits=[-np.inf, -1.0, 0.0, 2.0, np.inf], inputCol="v0", outputCol="b",
                       handleInvalid="keep"),
            one_hot(["b"]).setInputCols(["b"]).setHandleInvalid("keep"),
            vector(["b 01", "v1"], handleInvalid="error"),
            R(),
        ],
        inputs=("v0", "v1"), why="NULL and NaN are two things to it",
    ),
    case(
        "binarizer",
        lambda: [
            Binarizer(thresholds=[0.0, -0.5], inputCols=["v0", "v1"], outputCols=["a", "b"]),
            vector(["a", "b", "v2"]),
            R(),
        ],
        inputs=("v0", "v1", "v2"),
    ),
    case(
        "vector-indexer",
        lambda: [
            VectorAssembler(inputCols=["is_new", "is_paid", "is_abroad"], outputCol="raw"),
            VectorIndexer(inputCol="raw", outputCol="features", maxCategories=3,
                          handleInvalid="keep"),
            DecisionTreeRegressor(labelCol=TARGET, maxDepth=3),
        ],
        data.flags,
    ),
)  # fmt: skip

WRITTEN = [
    "good", "Bad", "the", "AND", "film", "\u00c4rger", "\u6771\u4eac", "\N{SEEDLING}", "it's",
    "ok!", "\u039f\u0394\u039f\u03a3", "x1",
]  # fmt: skip


def reviews(n: int, seed: int) -> pd.DataFrame:
    """Words with one white space between them, or two, and some before or behind."""
    rng = np.random.default_rng(seed)
    said = [rng.choice(WRITTEN, rng.integers(0, 9)) for _ in range(n)]
    spaces = np.array([" ", " ", "  ", "\t"], dtype=object)
    texts = ["".join(rng.choice(spaces) + word for word in words) for words in said]
    lead = rng.random(n) < 0.5
    texts = [t.lstrip() if bare else t + " " for t, bare in zip(texts, lead, strict=True)]
    return pd.DataFrame({"said": texts, "stars": rng.normal(3, 1, n)})


TOKENIZED = partial(Tokenizer, inputCol="said", outputCol="words")

TEXTS = (
    case(
        "text-counts",
        lambda: [
            TOKENIZED(),
            StopWordsRemover(inputCol="words", outputCol="telling"),
            CountVectorizer(inputCol="telling", outputCol="counts", binary=True),
            vector(["counts", "stars"], handleInvalid="error"),
            C(regParam=0.1),
        ],
        reviews, inputs=("said", "stars"), why="there are empty words", **TWO,
    ),
    case(
        "text-pairs",
        lambda: [
            RegexTokenizer(inputCol="said", outputCol="words", pattern="\\W"),
            NGram(inputCol="words", outputCol="pairs", n=2),
            CountVectorizer(inputCol="pairs", outputCol="features"),
            TREE(),
        ],
        reviews, inputs=("said",), **THREE,
    ),
    case(
        "text-hashes",
        lambda: [
            TOKENIZED(),
            HashingTF(inputCol="words", outputCol="counts", numFeatures=64),
            IDF(inputCol="counts", outputCol="features"),
            NaiveBayes(labelCol=TARGET),
        ],
        reviews, inputs=("said",), **TWO,
    ),
)  # fmt: skip

OTHERS = (
    case(
        "xgboost",
        lambda: [
            vector(),
            SparkXGBClassifier(label_col=TARGET, n_estimators=6, max_depth=3, num_workers=1),
        ],
        rows=numbers_with_gaps, barrier=True, **THREE,
    ),
    case(
        "xgboost-columns",
        lambda: [
            SparkXGBRegressor(features_col=NUMBERS, label_col=TARGET, n_estimators=5, max_depth=3),
        ],
        rows=numbers_with_gaps, barrier=True,
    ),
    case(
        "xgboost-ranker",
        lambda: [
            SparkXGBRanker(features_col=NUMBERS, label_col=TARGET, qid_col="query",
                           n_estimators=4, max_depth=3),
        ],
        queries, target=data.zero_one_two, inputs=NUMBERS, rows=numbers_with_gaps, barrier=True,
    ),
    case(
        "bayes",
        lambda: [*encoded(None)[:2], vector(["plan 01", "country 01"]),
                 NaiveBayes(labelCol=TARGET)],
        customers, inputs=("plan", "country"), **THREE,
    ),
    case(
        "bayes-bernoulli",
        lambda: [*encoded(None)[:2], vector(["plan 01", "country 01", "active"]),
                 NaiveBayes(labelCol=TARGET, modelType="bernoulli")],
        customers, inputs=("plan", "country", "active"), **TWO,
    ),
    case(
        "bayes-complement",
        lambda: [*encoded(None)[:2], vector(["plan 01", "country 01"]),
                 NaiveBayes(labelCol=TARGET, modelType="complement")],
        customers, inputs=("plan", "country"), **THREE,
    ),
    case(
        "bayes-gaussian",
        on_numbers(partial(NaiveBayes, labelCol=TARGET, modelType="gaussian")), **THREE,
    ),
    case(
        "perceptron",
        on_numbers(
            partial(MultilayerPerceptronClassifier, labelCol=TARGET, layers=[4, 5, 3], seed=1,
                    maxIter=15)
        ),
        **THREE,
    ),
    case(
        "one-vs-rest",
        lambda: [vector(), OneVsRest(classifier=LogisticRegression(maxIter=10), labelCol=TARGET)],
        **THREE,
    ),
    case("kmeans", on_numbers(partial(KMeans, k=4, seed=1)), target=None),
    case("bisecting", on_numbers(partial(BisectingKMeans, k=5, seed=1)), target=None),
    case(
        "als",
        lambda: [ALS(userCol="user", itemCol="item", ratingCol=TARGET, rank=3, maxIter=3, seed=1)],
        ratings,
    ),
    case(
        "als-drop",
        lambda: [
            ALS(userCol="user", itemCol="item", ratingCol=TARGET, rank=3, maxIter=3, seed=1,
                coldStartStrategy="drop"),
        ],
        ratings, why="rows that are dropped have no score",
    ),
    case("mixture", on_numbers(partial(GaussianMixture, k=3, seed=1, maxIter=10)), target=None),
    case(
        "isotonic",
        lambda: [IsotonicRegression(featuresCol="v0", labelCol=TARGET)], inputs=("v0",),
    ),
    case(
        "survival",
        lambda: [
            vector(handleInvalid="error"),
            AFTSurvivalRegression(labelCol=TARGET, censorCol="seen", maxIter=10),
        ],
        observed, target=data.money, inputs=NUMBERS,
    ),
)  # fmt: skip


def on_vectors() -> Fitted:
    """A model alone: what is a vector to it is an ARRAY in SQL."""
    fitted = piped(on_numbers(C), numbers, data.zero_one)()
    types = {"features": pa.list_(pa.float64())}

    def arrays(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"features": list(rows.to_numpy())})

    ask = asked(types, ZERO_ONE, "prediction")
    return Fitted(fitted.model.stages[-1], arrays(fitted.sample), arrays(fitted.rows), ask)


TRAINED = frozenset(
    name
    for name, kind in globals().items()
    if isinstance(kind, type) and kind.__module__.startswith(("pyspark.ml.", "xgboost.spark."))
)
"""The names of the estimators and transformers that the cases are made of."""

SPARK_ML = (
    *LINEAR,
    *TREES,
    *PIPELINES,
    *FEATURES,
    *TEXTS,
    *OTHERS,
    Case("spark-vector", on_vectors),
)


SPARK_ML_REFUSED = (
    case(
        "sql",
        lambda: [
            SQLTransformer(statement="SELECT *, v0 * v1 AS crossed FROM __THIS__"),
            vector([*NUMBERS, "crossed"]),
            R(),
        ],
    ),
    case(
        "buckets-bounded",
        lambda: [
            Bucketizer(splits=[-100.0, 0.0, 100.0], inputCol="v0", outputCol="b"),
            vector(["b", "v1"]),
            R(),
        ],
        inputs=("v0", "v1"), why="it raises on numbers beyond its splits",
    ),
    case("cosine", on_numbers(partial(KMeans, k=3, seed=1, distanceMeasure="cosine")),
         target=None, why="a row of zeros has no distance"),
    case(
        "behind",
        lambda: [
            vector(), R(),
            Binarizer(inputCol="prediction", outputCol="high", threshold=10.0),
        ],
        why="what the pipeline gives is not the model's prediction alone",
    ),
    case(
        "bayes-negative",
        lambda: [
            Binarizer(inputCol="v0", outputCol="b", threshold=0.0),
            VectorAssembler(inputCols=["b"], outputCol="raw"),
            MinMaxScaler(inputCol="raw", outputCol="features"),
            NaiveBayes(labelCol=TARGET),
        ],
        inputs=("v0",), why="it raises on negative features", **TWO,
    ),
)  # fmt: skip
