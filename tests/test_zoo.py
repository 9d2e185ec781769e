"""Every model of the zoo scores in SQL as in its own framework, on every path.

Paths are held to two rules: the numbers are the framework's own (within the bounds of
parity), and they are to the last bit those of the backend that scores: of the engine, or of
the model as an expression, whose exponential is Java's.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

import sqlml
from sqlml.compile import BACKENDS, prepare
from sqlml.convert import CONVERTERS
from sqlml.errors import ModelNotFoundError, NotCompilableError, NotConvertibleError, ParityError
from sqlml.score import Scorer
from sqlml.score.outputs import derive

from .zoo import REFUSED, ZOO
from .zoo.parity import assert_parity, assert_same, assert_same_as_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyspark.sql import DataFrame, SparkSession

    from sqlml import ScoringModel

    from .zoo import Case

ROW = "row number"
numbers = itertools.count()


# The paths. Each takes a case, its published model and the name of a view with its rows,
# and gives a column per output, in the order of the rows.


def engine(case: Case, model: ScoringModel) -> pd.DataFrame:
    """The engine alone, in one batch."""
    names = [i.name for i in model.signature.inputs]
    table = case.fitted.table(names)
    columns = [table[name].combine_chunks() for name in names]
    return frame(derive(model, Scorer(model).score(columns)))


def table_form(spark: SparkSession, case: Case, model: ScoringModel, view: str) -> pd.DataFrame:
    outputs = ", ".join(quoted(o.name) for o in model.signature.outputs)
    query = f"SELECT `{ROW}`, {outputs} FROM PREDICT('{case.id}', TABLE({view}))"
    return in_order(spark.sql(query))


def scalar_form(spark: SparkSession, case: Case, model: ScoringModel, view: str) -> pd.DataFrame:
    scores = f"predict('{case.id}', *) AS prediction"
    if model.has_probabilities and model.task == "classification":
        scores += f", predict_proba('{case.id}', *) AS probabilities"
    return in_order(spark.sql(f"SELECT `{ROW}`, {scores} FROM {view}"))


def arrow_function(spark: SparkSession, case: Case, model: ScoringModel, view: str) -> pd.DataFrame:
    sqlml.register(spark, "zoo_arrow", case.id)
    return in_order(spark.sql(called("zoo_arrow", model, view)))


def pandas_function(
    spark: SparkSession, case: Case, model: ScoringModel, view: str
) -> pd.DataFrame:
    sqlml.register(spark, "zoo_pandas", case.id, vectorized="pandas")
    return in_order(spark.sql(called("zoo_pandas", model, view)))


def column(spark: SparkSession, case: Case, model: ScoringModel, view: str) -> pd.DataFrame:
    arguments = [F.col(quoted(i.name)) for i in model.signature.inputs]
    score = sqlml.udf(case.id)(*arguments)
    return in_order(spark.table(view).select(f"`{ROW}`", score.alias("prediction")))


def by_backend(
    spark: SparkSession, case: Case, model: ScoringModel, view: str
) -> dict[str, pd.DataFrame]:
    """The table form with each backend that has a form for the model, all in one query."""
    relation, names = f"TABLE({view})", {}
    for backend in filter(partial(compiles, model), BACKENDS):
        names[backend] = [f"{backend}_{o.name}" for o in model.signature.outputs]
        call = f"PREDICT('{case.id}', {relation}, prefix => '{backend}_', backend => '{backend}')"
        relation = f"TABLE(SELECT * FROM {call})"
    outputs = ", ".join(quoted(name) for found in names.values() for name in found)
    scores = in_order(spark.sql(f"SELECT `{ROW}`, {outputs} FROM {call}"))
    return {
        backend: scores[found].rename(columns=lambda name: name.partition("_")[2])
        for backend, found in names.items()
    }


def compiles(model: ScoringModel, backend: str) -> bool:
    try:
        prepare(model, backend=backend)
    except NotCompilableError:
        return False
    return True


PATHS: Mapping[str, Callable[[SparkSession, Case, ScoringModel, str], pd.DataFrame]] = {
    "table-form": table_form,
    "scalar-form": scalar_form,
    "arrow-function": arrow_function,
    "pandas-function": pandas_function,
    "column": column,
}
IN_PYTHON = ("arrow-function", "pandas-function", "column")


def called(function: str, model: ScoringModel, view: str) -> str:
    arguments = ", ".join(quoted(i.name) for i in model.signature.inputs)
    return f"SELECT `{ROW}`, {function}({arguments}) AS prediction FROM {view}"


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def in_order(scored: DataFrame) -> pd.DataFrame:
    table = scored.toArrow().sort_by(ROW).drop_columns([ROW])
    return frame({name: table[name] for name in table.column_names})


def frame(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pd.DataFrame:
    """Arrow columns as Python values, None for NULL; a struct as the columns in it."""
    found = {}
    for name, values in columns.items():
        items = values.to_pylist()
        if pa.types.is_map(values.type):
            items = [None if item is None else dict(item) for item in items]
        if pa.types.is_struct(values.type):
            for field in values.type:
                found[field.name] = [None if i is None else i[field.name] for i in items]
        else:
            found[name] = items
    return pd.DataFrame(found, dtype=object)


def with_nan_of(engine: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of a pandas UDF, whose NaN is NULL: pandas has one missing value for both."""
    return pd.DataFrame(
        {
            name: [
                nan if found is None and isinstance(nan, float) and nan != nan else found
                for found, nan in zip(scores[name], engine[name], strict=True)
            ]
            for name in scores
        },
        dtype=object,
    )


# What the cases share: each is published, and its rows become a view, once.


def publish(case: Case) -> None:
    fitted = case.fitted
    sqlml.publish(fitted.model, case.id, sample=fitted.sample, labels=fitted.labels)


@pytest.fixture(scope="session")
def published(registry: str, spark: SparkSession) -> Callable[[Case], ScoringModel]:
    outcomes: dict[Case, ScoringModel | Exception] = {}

    def model(case: Case) -> ScoringModel:
        if case not in outcomes:
            try:
                publish(case)
                outcomes[case] = sqlml.load(case.id)
            except Exception as error:  # raised again by every test of the case
                outcomes[case] = error
        outcome = outcomes[case]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return model


@pytest.fixture(scope="session")
def engine_scores(published: Callable[[Case], ScoringModel]) -> Callable[[Case], pd.DataFrame]:
    scores: dict[Case, pd.DataFrame] = {}

    def of(case: Case) -> pd.DataFrame:
        if case not in scores:
            scores[case] = engine(case, published(case))
        return scores[case]

    return of


@pytest.fixture(scope="session")
def backend_scores(
    spark: SparkSession,
    published: Callable[[Case], ScoringModel],
    view: Callable[[Case], str],
) -> Callable[[Case], dict[str, pd.DataFrame]]:
    scores: dict[Case, dict[str, pd.DataFrame]] = {}

    def of(case: Case) -> dict[str, pd.DataFrame]:
        if case not in scores:
            scores[case] = by_backend(spark, case, published(case), view(case))
        return scores[case]

    return of


@pytest.fixture(scope="module", autouse=True)
def _generated_code(spark: SparkSession) -> Iterator[None]:
    """The optimizer would compute what is selected of given rows itself, without its code."""
    rule = "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation"
    spark.conf.set("spark.sql.optimizer.excludedRules", rule)
    yield
    spark.conf.unset("spark.sql.optimizer.excludedRules")


@pytest.fixture(scope="session")
def view(
    spark: SparkSession, published: Callable[[Case], ScoringModel]
) -> Iterator[Callable[[Case], str]]:
    """A view of a case's rows: columns in another order than the model's, and one more."""
    names: dict[Case, str] = {}

    def of(case: Case) -> str:
        if case not in names:
            rows = case.fitted.table([i.name for i in published(case).signature.inputs])
            rows = rows.select(rows.column_names[::-1])
            rows = rows.append_column(ROW, pa.array(range(len(rows))))
            names[case] = f"zoo_{next(numbers)}"
            spark.createDataFrame(rows).createOrReplaceTempView(names[case])
        return names[case]

    yield of
    for name in names.values():
        spark.catalog.dropTempView(name)


@pytest.mark.parametrize("case", ZOO, ids=str)
def test_the_engine_gives_the_frameworks_own_scores(
    case: Case,
    published: Callable[[Case], ScoringModel],
    engine_scores: Callable[[Case], pd.DataFrame],
) -> None:
    assert_parity(engine_scores(case), case, published(case))


@pytest.mark.parametrize("case", ZOO, ids=str)
def test_every_backend_gives_the_frameworks_own_scores(
    case: Case,
    published: Callable[[Case], ScoringModel],
    engine_scores: Callable[[Case], pd.DataFrame],
    backend_scores: Callable[[Case], dict[str, pd.DataFrame]],
) -> None:
    found = backend_scores(case)
    assert "onnx" in found
    for backend, scores in found.items():
        assert_parity(scores, case, published(case))
        if backend != "sql":
            assert_same(scores, engine_scores(case))


@pytest.mark.parametrize("case", ZOO, ids=str)
def test_a_backend_without_a_form_for_the_model_says_so(
    case: Case,
    spark: SparkSession,
    view: Callable[[Case], str],
    published: Callable[[Case], ScoringModel],
) -> None:
    model = published(case)
    call = f"PREDICT('{case.id}', TABLE({view(case)}), backend => '{{}}')"
    for backend in BACKENDS:
        if not compiles(model, backend):
            with pytest.raises(PySparkException, match=r"\[NOT_COMPILABLE\]"):
                spark.sql(f"SELECT * FROM {call.format(backend)}")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", ZOO, ids=str)
def test_spark_gives_the_frameworks_own_scores(
    case: Case,
    path: str,
    spark: SparkSession,
    view: Callable[[Case], str],
    published: Callable[[Case], ScoringModel],
    engine_scores: Callable[[Case], pd.DataFrame],
    backend_scores: Callable[[Case], dict[str, pd.DataFrame]],
) -> None:
    model = published(case)
    scores = PATHS[path](spark, case, model, view(case))
    if path == "pandas-function":
        scores = with_nan_of(engine_scores(case), scores)
    assert_parity(scores, case, model)
    if path in IN_PYTHON or prepare(model).backend != "sql":
        assert_same(scores, engine_scores(case))
    else:
        assert_same_as_one(scores, backend_scores(case))


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_be_converted_faithfully_is_refused(
    case: Case, registry: str, spark: SparkSession
) -> None:
    """A case that fails here can be published by now: it belongs in the zoo."""
    with pytest.raises((NotConvertibleError, ParityError)):
        publish(case)
    with pytest.raises(ModelNotFoundError):
        sqlml.load(case.id)


def test_the_zoo_is_large_and_says_each_thing_once() -> None:
    ids = [case.id for case in (*ZOO, *REFUSED)]
    assert len(ZOO) >= 40
    assert len(set(ids)) == len(ids)
    # TensorFlow's models are in tests/tensorflow, in an environment of their own.
    assert {case.id.split("-")[0] for case in ZOO} == set(CONVERTERS) - {"tensorflow"}
