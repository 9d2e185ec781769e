"""Tables, and one published model for every task of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import sqlml

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

ROWS = 200


def customers() -> pd.DataFrame:
    """Rows that every model here is trained on."""
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, ROWS).astype(float),
            "tenure": rng.integers(0, 120, ROWS),
            "plan": rng.choice(["basic", "plus", "pro"], ROWS),
        }
    )


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return customers()


@pytest.fixture(scope="session")
def fitted(frame: pd.DataFrame) -> dict[str, Any]:
    """Name → fitted scikit-learn model, over age, tenure and plan or over numbers alone."""
    from sklearn.cluster import KMeans
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import IsolationForest, RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    numbers = ["age", "tenure"]

    def mixed(model: Any) -> Any:
        encode = make_column_transformer(
            (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
        )
        return make_pipeline(encode, model)

    late = frame["age"] + 3 * (frame["plan"] == "pro") > 50 + frame["tenure"] / 10
    thirds = pd.cut(frame["age"], 3, labels=False).to_numpy()
    target = frame["age"] * 2 - frame["tenure"]
    return {
        "churn": mixed(LogisticRegression()).fit(frame, np.where(late, "yes", "no")),
        "flag": DecisionTreeClassifier(max_depth=3).fit(frame[numbers], late),
        "thirds": RandomForestClassifier(8, max_depth=4, random_state=0).fit(
            frame[numbers], thirds
        ),
        "names": mixed(LogisticRegression()).fit(
            frame, np.array(["it's", 'a "b"', "naïve\\"])[thirds]
        ),
        "margin": RidgeClassifier().fit(frame[numbers], late),
        "worth": mixed(LinearRegression()).fit(frame, target),
        "pair": LinearRegression().fit(frame[numbers], np.column_stack([target, -target])),
        "groups": KMeans(3, random_state=0, n_init=3).fit(frame[numbers]),
        "odd": IsolationForest(n_estimators=20, random_state=0).fit(frame[numbers]),
    }


@pytest.fixture(scope="session")
def published(
    registry: str, fitted: dict[str, Any], frame: pd.DataFrame
) -> dict[str, sqlml.PublishedModel]:
    """Each model of `fitted`, in the registry under its name."""
    result = {}
    for name, model in fitted.items():
        sample = frame if name in ("churn", "names", "worth") else frame[["age", "tenure"]]
        result[name] = sqlml.publish(model, name, sample=sample)
    return result


@pytest.fixture(scope="session")
def table(
    spark: SparkSession,
    published: dict[str, sqlml.PublishedModel],
    frame: pd.DataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> DataFrame:
    """The view `customers` over Parquet: id, the model's columns, and one that no model needs."""
    path = str(tmp_path_factory.mktemp("customers"))
    rows = frame.assign(id=np.arange(ROWS), country="NL")
    spark.createDataFrame(rows).repartition(2).write.mode("overwrite").parquet(path)
    view = spark.read.parquet(path)
    view.createOrReplaceTempView("customers")
    view.createOrReplaceGlobalTempView("customers")
    return view


@pytest.fixture(scope="session")
def error_of() -> Callable[[SparkSession, str], str]:
    """Run a query that fails: the one line that a user of spark.sql sees.

    The session must go on working after it.
    """
    from pyspark.errors import PySparkException

    def first_line(session: SparkSession, query: str) -> str:
        with pytest.raises(PySparkException) as raised:
            session.sql(query).collect()
        assert session.sql("SELECT 1").first()[0] == 1
        message = str(raised.value).strip()
        assert "Traceback" not in message
        assert len(message.splitlines()) == 1, message
        return message

    return first_line
