"""sql/README.md is true: every statement in it runs, every error is the one that stands there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import sqlml

from .documents import Block, blocks, run_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

LOGGED = "runs:/4f2ab1/model"
"""How the reference names a model that was logged with MLflow."""
REFERENCE = Path(__file__).parent.parent / "sql" / "README.md"


@dataclasses.dataclass(frozen=True)
class Reader:
    """Whoever tries the examples: a session, and a logged model of their own."""

    session: SparkSession
    logged: str


@pytest.fixture(scope="module")
def reader(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A session with the table and the models that the reference takes for given."""
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from xgboost import XGBClassifier

    home = tmp_path_factory.mktemp("reference")
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        {
            "age": rng.uniform(18, 90, 300).round(1),
            "tenure": rng.integers(0, 120, 300),
            "plan": rng.choice(["basic", "plus", "pro"], 300),
        }
    )
    leaves = np.where(rows["age"] - rows["tenure"] + rng.normal(0, 20, 300) > 0, "yes", "no")
    prepare = make_column_transformer(
        (StandardScaler(), ["age", "tenure"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    model = make_pipeline(prepare, LogisticRegression()).fit(rows, leaves)
    session = spark.newSession()
    customers = rows.assign(id=range(300), country="NL")
    session.createDataFrame(customers).createOrReplaceTempView("customers")
    with pytest.MonkeyPatch.context() as env:
        env.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
        env.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(home / "artifacts"))
        sqlml.publish(model, "churn", sample=rows, alias="champion")
        sqlml.register(session, "predict_churn", "churn")
        with mlflow.start_run():
            numbers = rows[["age", "tenure"]].astype(float)
            logged = XGBClassifier(n_estimators=5).fit(numbers, leaves == "yes")
            info = mlflow.xgboost.log_model(logged, name="model", input_example=numbers)
        yield Reader(session, info.model_uri)


SQL = [block for block in blocks(REFERENCE) if block.language == "sql"]


@pytest.mark.parametrize("block", SQL, ids=str)
def test_the_reference_runs(reader: Reader, block: Block) -> None:
    code = block.code.replace(LOGGED, reader.logged)
    run_sql(reader.session, dataclasses.replace(block, code=code))
