"""Models that people logged with MLflow: each flavor is opened, compared and published."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn
from xgboost import XGBClassifier

import sqlml
from sqlml.errors import ModelRejectedError, NotConvertibleError
from sqlml.publish import open_source
from sqlml.registry.source import FILES, FLAVORS

RANDOM = np.random.default_rng(7)
X = pd.DataFrame(RANDOM.normal(size=(60, 3)).astype("float32"), columns=["a", "b", "c"])
Y = (X.a - X.b + 0.3 * X.c > 0).astype(int)


@pytest.fixture(autouse=True)
def no_run_stays_open(monkeypatch):
    """MLflow's spark flavor starts a run, and leaves it open."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    yield
    mlflow.end_run()


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).eval()


def keras_model():
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="relu")])


def onnx_model():
    import onnx

    made = sqlml.convert(LogisticRegression().fit(X.to_numpy(), Y), sample=X.to_numpy())
    return onnx.load_from_string(made.onnx)


def spark_model():
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression as SparkRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import SparkSession

    frame = SparkSession.getActiveSession().createDataFrame(X.astype("float64").assign(label=Y))
    assembler = VectorAssembler(inputCols=["a", "b", "c"], outputCol="features")
    return Pipeline(stages=[assembler, SparkRegression(regParam=0.1)]).fit(frame)


CATBOOST = {"iterations": 3, "verbose": False, "allow_writing_files": False}

# By flavor: the model, the sample, and whether it has to be trusted.
LOGGED = {
    "xgboost": (lambda: XGBClassifier(n_estimators=3).fit(X, Y), X, False),
    "lightgbm": (lambda: LGBMClassifier(n_estimators=3, verbose=-1).fit(X, Y).booster_, X, False),
    "catboost": (lambda: CatBoostClassifier(**CATBOOST).fit(X, Y), X, False),
    "sklearn": (lambda: LogisticRegression().fit(X, Y), X, True),
    "statsmodels": (lambda: sm.OLS(X.a, X.astype("f8")).fit(), X.astype("f8"), True),
    "pytorch": (network, X, True),
    "onnx": (onnx_model, X.set_axis(["in0", "in1", "in2"], axis=1).astype("f8"), False),
    "keras": (keras_model, X, False),
    "spark": (spark_model, X.astype("float64"), False),
}
PICKLED = {"serialization_format": "pickle"}
OPTIONS = {"sklearn": PICKLED, "pytorch": PICKLED}


def logged(flavor, model, **options):
    """Its requirements are stated: MLflow takes ten seconds to find them out."""
    log = getattr(mlflow, flavor).log_model
    name = {"artifact_path" if flavor == "spark" else "name": "model"}
    options = OPTIONS.get(flavor, {}) | options
    return log(model, **name, pip_requirements=["mlflow"], **options).model_uri


def test_each_flavor_is_tried_here():
    """But TensorFlow's, whose Keras models are files like Keras' own."""
    assert set(LOGGED) | {"tensorflow"} == {*FLAVORS, *FILES}


@pytest.mark.parametrize("flavor", LOGGED)
def test_each_flavor_is_published_as_it_was_logged(registry, request, flavor):
    if flavor == "spark":
        request.getfixturevalue("spark")
    make, sample, pickled = LOGGED[flavor]
    source = logged(flavor, make())
    if pickled:
        with pytest.raises(ModelRejectedError, match="--trust-pickle"):
            open_source(source)
    model = open_source(source, trust_pickle=pickled)
    published = sqlml.publish(model, f"from_{flavor}", sample=sample)
    assert published.report.rows > len(sample)
    assert [i.name for i in sqlml.load(published.reference).signature.inputs] == [*sample]


def test_catboost_comes_back_as_the_kind_that_was_logged(registry):
    model = CatBoostRegressor(**CATBOOST).fit(X, X.a)
    source = logged("catboost", model)
    assert isinstance(open_source(source), CatBoostRegressor)


def test_code_besides_the_model_has_to_be_trusted(registry, tmp_path):
    """MLflow would import what it finds there."""
    (tmp_path / "helper.py").write_text("raise SystemExit('it ran')")
    model = XGBClassifier(n_estimators=2).fit(X, Y)
    source = logged("xgboost", model, code_paths=[str(tmp_path / "helper.py")])
    with pytest.raises(ModelRejectedError, match="--trust-pickle"):
        open_source(source)


def test_a_stage_that_is_not_sparks_own_is_not_opened(tmp_path):
    """Spark would import the module that a stage's description names."""
    for stage, name in {
        "": "pyspark.ml.pipeline.PipelineModel",
        "stages/0_a": "theirs.Stage",
    }.items():
        directory = tmp_path / stage / "metadata"
        directory.mkdir(parents=True)
        (directory / "part-00000").write_text(json.dumps({"class": name}))
    with pytest.raises(NotConvertibleError, match=r"theirs\.Stage"):
        open_source(str(tmp_path))


def test_a_file_outside_of_the_model_is_not_opened(registry, tmp_path):
    mlflow.onnx.save_model(onnx_model(), tmp_path / "model")
    outside = tmp_path / "outside.onnx"
    (tmp_path / "model" / "model.onnx").rename(outside)
    description = tmp_path / "model" / "MLmodel"
    text = description.read_text().replace("data: model.onnx", "data: ../outside.onnx")
    description.write_text(text)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "model"), "model")
    with pytest.raises(ModelRejectedError, match="no file of a model"):
        open_source(f"runs:/{run.info.run_id}/model")
