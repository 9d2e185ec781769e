"""Commands against a registry: what they change, the rows they answer with, and their errors."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import helper

import sqlml
from sqlml import registry
from sqlml.errors import (
    AliasNotFoundError,
    ArgumentError,
    ModelExistsError,
    ModelNotFoundError,
    ModelRejectedError,
    NotConvertibleError,
    ParityError,
    ReferenceNotAllowedError,
    SampleError,
    VersionNotFoundError,
)
from sqlml.statements import read, run

ROWS = 60


@pytest.fixture(scope="module")
def rows():
    """Numbers that the models are trained on, as a table has them."""
    rng = np.random.default_rng(5)
    return pd.DataFrame({"age": rng.normal(40, 9, ROWS), "tenure": rng.normal(20, 5, ROWS)})


@pytest.fixture(scope="module")
def booster(rows):
    """A model whose file is XGBoost's own: nothing has to be trusted."""
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=3, max_depth=2).fit(rows, rows.age - rows.tenure)


@pytest.fixture(scope="module")
def source(registry, booster, rows):
    """Where MLflow has that model, with rows as its input example."""
    with mlflow.start_run() as run:
        mlflow.xgboost.log_model(booster, name="model", input_example=rows)
    return f"runs:/{run.info.run_id}/model"


@pytest.fixture(scope="module")
def without_example(registry, booster):
    """The same, logged without an input example."""
    with mlflow.start_run():
        return mlflow.xgboost.log_model(booster, name="model").model_uri


@pytest.fixture
def sql(rows):
    """Reads a statement and runs it; `customers` is a table, and a query another."""
    tables = {
        "customers": rows,
        "SELECT age, tenure FROM customers LIMIT 30": rows.head(30),
        "wide": rows.assign(id=1, churned=0),
    }

    def statement(text, **options):
        command = read(text)
        answer = run(command, read_table=tables.__getitem__, **options)
        fields = [field.split()[0] for field in command.schema.split(", ")]
        assert all(list(row) == fields for row in answer)
        json.dumps(answer)
        return answer

    return statement


NUMBERS = itertools.count()


@pytest.fixture
def name(sql):
    """A name that no other test uses; whatever bears it in the end is dropped."""
    yield (name := f"stated_{next(NUMBERS)}")
    sql(f"DROP MODEL IF EXISTS {name}")


def test_create_model_publishes_and_answers_what(sql, source, name):
    """The row has the version, its checksum and how it compared with the original."""
    (row,) = sql(f"CREATE MODEL {name} FROM '{source}' WITH (alias = 'champion')")
    scoring = sqlml.load(name)
    assert row.pop("rows_compared") > ROWS
    assert 0 <= row.pop("max_abs_error") < 1e-5
    assert row == {
        "name": name,
        "version": 1,
        "aliases": ["champion"],
        "task": "regression",
        "sha256": scoring.sha256,
    }
    assert [i.name for i in scoring.signature.inputs] == ["age", "tenure"]


def test_the_description_is_the_versions(sql, source, name):
    """WITH (description = …) is what the lists of versions show."""
    sql(f"CREATE MODEL {name} FROM '{source}' WITH (description = 'who''s leaving')")
    assert registry.resolve(name).description == "who's leaving"


@pytest.mark.parametrize("sample", ["customers", "SELECT age, tenure FROM customers LIMIT 30"])
def test_the_sample_is_a_table_or_a_query(sql, without_example, name, sample):
    """WITH (sample = …) gives the rows to compare on."""
    (row,) = sql(f"CREATE MODEL {name} FROM '{without_example}' WITH (sample = '{sample}')")
    assert row["version"] == 1


def test_without_a_sample_or_an_example_it_says_what_to_write(sql, without_example, name):
    """Nothing is published of a model that nothing can be compared on."""
    with pytest.raises(SampleError, match=r"WITH \(sample = 'your_table'\)"):
        sql(f"CREATE MODEL {name} FROM '{without_example}'")
    with pytest.raises(ModelNotFoundError):
        registry.model(name)


def test_an_example_that_is_no_table_is_none(sql, booster, name):
    """An input example that is one JSON object has no rows to compare on."""
    with mlflow.start_run():
        logged = mlflow.xgboost.log_model(booster, name="model")
    info = mlflow.models.Model.load(logged.model_uri)
    home = Path(mlflow.artifacts.download_artifacts(logged.model_uri))
    for content in ('{"age": 1}', "no JSON"):
        info.saved_input_example_info = {"artifact_path": "e.json", "type": "json_object"}
        info.save(str(home / "MLmodel"))
        (home / "e.json").write_text(content)
        with pytest.raises(SampleError, match="comes without an input example"):
            sql(f"CREATE MODEL {name} FROM '{logged.model_uri}'")


def test_more_columns_than_the_model_has_are_named_as_sql(sql, without_example, name):
    """A target in the sample is refused, with the SELECT that leaves it out."""
    with pytest.raises(SampleError, match=r"SELECT \* EXCEPT \(id, churned\) FROM"):
        sql(f"CREATE MODEL {name} FROM '{without_example}' WITH (sample = 'wide')")


def test_a_name_that_is_taken_is_refused(sql, source, name):
    """CREATE MODEL never touches a model that is there."""
    sql(f"CREATE MODEL {name} FROM '{source}'")
    with pytest.raises(ModelExistsError, match="CREATE OR REPLACE MODEL"):
        sql(f"CREATE MODEL {name} FROM '{source}'")
    assert len(registry.versions(name)) == 1


def test_a_name_without_versions_is_free(sql, source, name):
    """What DROP MODEL … VERSION left of a model does not keep its name."""
    sql(f"CREATE MODEL {name} FROM '{source}'")
    sql(f"DROP MODEL {name} VERSION 1")
    (row,) = sql(f"CREATE MODEL {name} FROM '{source}'")
    assert registry.resolve(name).version == row["version"]


@pytest.mark.parametrize(
    ("first", "second", "bare", "aliases"),
    [
        ("", "", 2, []),
        ("WITH (alias = 'champion')", "", 2, ["champion"]),
        ("WITH (alias = 'champion')", "WITH (alias = 'challenger')", 1, ["challenger"]),
    ],
)
def test_or_replace_makes_the_bare_name_the_new_version(
    sql, source, name, first, second, bare, aliases
):
    """The alias champion moves to it, unless another alias was asked for."""
    sql(f"CREATE OR REPLACE MODEL {name} FROM '{source}' {first}")
    (row,) = sql(f"CREATE OR REPLACE MODEL {name} FROM '{source}' {second}")
    assert (row["version"], row["aliases"]) == (2, aliases)
    assert registry.resolve(name).version == bare


@pytest.mark.parametrize("reference", ["/1", "@champion", ""])
def test_a_published_version_is_copied_under_another_name(sql, source, name, reference):
    """The same bytes and the same report, whatever way the version is named."""
    old = f"{name}.old"
    sql(f"CREATE MODEL {old} FROM '{source}' WITH (alias = 'champion', description = 'd')")
    (row,) = sql(f"CREATE MODEL {name} FROM 'models:/{old}{reference}' WITH (alias = 'b')")
    original, copy = registry.resolve(old), registry.resolve(f"{name}@b")
    assert (copy.sha256, copy.metadata_sha256) == (original.sha256, original.metadata_sha256)
    assert registry.parity(copy) == registry.parity(original)
    assert (row["sha256"], copy.description) == (original.sha256, "d")
    assert sqlml.load(name) == sqlml.load(old)
    sql(f"DROP MODEL {old}")


def test_a_copy_takes_no_sample(sql, source, name):
    """There is no original to compare the sample with."""
    sql(f"CREATE MODEL {name} FROM '{source}'")
    with pytest.raises(ArgumentError, match="Leave sample out"):
        sql(f"CREATE MODEL copy FROM 'models:/{name}/1' WITH (sample = 'customers')")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("models:/nobody/1", ModelNotFoundError),
        ("models:/nobody/latest", ModelRejectedError),
        ("runs:/0123456789abcdef/model", ModelRejectedError),
        ("models:/m-0123456789abcdef0123456789abcdef", ModelRejectedError),
        ("models:/../x", ReferenceNotAllowedError),
        ("/etc/passwd", ReferenceNotAllowedError),
        ("churn", ReferenceNotAllowedError),
    ],
)
def test_a_source_that_is_none_is_refused(sql, name, source, error):
    """Only what MLflow holds under a run or a model's name is opened."""
    with pytest.raises(error):
        sql(f"CREATE MODEL {name} FROM '{source}' WITH (sample = 'customers')")


def test_the_id_of_a_published_model_is_told_how_to_copy_it(sql, source, name):
    """MLflow's id of a model that sqlml logged is not what its versions are copied by."""
    sql(f"CREATE MODEL {name} FROM '{source}'")
    with pytest.raises(NotConvertibleError, match="CREATE MODEL copy FROM 'models:/"):
        sql(f"CREATE MODEL copy FROM '{registry.resolve(name).source}'")


def test_a_version_that_sqlml_did_not_publish_is_converted(sql, booster, rows, name):
    """A model that was registered with MLflow alone becomes a version of the same name."""
    with mlflow.start_run():
        mlflow.xgboost.log_model(
            booster, name="model", input_example=rows, registered_model_name=name
        )
    with pytest.raises(ModelExistsError):
        sql(f"CREATE MODEL {name} FROM 'models:/{name}/1'")
    (row,) = sql(f"CREATE OR REPLACE MODEL {name} FROM 'models:/{name}/1'")
    assert row["version"] == registry.resolve(name).version == 2


def test_a_pickled_model_needs_the_trust_of_the_sessions_owner(sql, rows, name):
    """The message says who can allow it and how; with trust it is published."""
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(rows, rows.age)
    with mlflow.start_run():
        uri = mlflow.sklearn.log_model(
            model, name="model", input_example=rows, serialization_format="pickle"
        ).model_uri
    create = f"CREATE MODEL {name} FROM '{uri}'"
    with pytest.raises(ModelRejectedError, match=r"sqlml\.install\(spark, trust_pickle=True\)"):
        sql(create)
    (row,) = sql(create, trust_pickle=True)
    assert row["task"] == "regression"


def test_a_model_that_scores_differently_is_not_created(sql, source, name, monkeypatch):
    """Verification is part of CREATE MODEL as it is of publish."""
    from xgboost import XGBRegressor

    module = importlib.import_module("sqlml.publish")  # sqlml.publish itself is the function
    convert = module.convert

    def wrong(model, *, sample, labels):
        other = XGBRegressor(n_estimators=1).fit(sample.frame, sample.frame.tenure)
        return dataclasses.replace(
            convert(model, sample=sample), onnx=convert(other, sample=sample).onnx
        )

    monkeypatch.setattr(module, "convert", wrong)
    with pytest.raises(ParityError, match="nothing was published"):
        sql(f"CREATE MODEL {name} FROM '{source}'")
    with pytest.raises(ModelNotFoundError):
        registry.model(name)


@pytest.mark.parametrize("alias", ["latest", "v3", "a b"])
def test_an_alias_that_mlflow_would_refuse_is_refused_first(sql, source, name, alias):
    """Nothing is converted, let alone written, for an alias that cannot be set."""
    with pytest.raises(ArgumentError):
        sql(f"CREATE MODEL {name} FROM '{source}' WITH (alias = '{alias}')")
    with pytest.raises(ModelNotFoundError):
        registry.model(name)


def test_an_alias_is_set_moved_and_unset(sql, source, name):
    """ALTER MODEL answers with the alias and the version that it names now."""
    for _ in range(2):
        sql(f"CREATE OR REPLACE MODEL {name} FROM '{source}'")
    for version in (2, 1):
        answer = sql(f"ALTER MODEL {name} SET ALIAS champion TO VERSION {version}")
        assert answer == [{"name": name, "alias": "champion", "version": version}]
        assert registry.resolve(name).version == version
    answer = sql(f"ALTER MODEL {name} UNSET ALIAS champion")
    assert answer == [{"name": name, "alias": "champion", "version": None}]
    assert registry.resolve(name).version == 2


def test_an_alias_that_is_not_there_cannot_be_unset(sql, source, name):
    """The error names the aliases that the model has."""
    sql(f"CREATE MODEL {name} FROM '{source}' WITH (alias = 'champion')")
    with pytest.raises(AliasNotFoundError, match="Did you mean 'champion'"):
        sql(f"ALTER MODEL {name} UNSET ALIAS champoin")


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("ALTER MODEL {} SET ALIAS c TO VERSION 9", VersionNotFoundError),
        ("ALTER MODEL {} SET ALIAS latest TO VERSION 1", ArgumentError),
        ("ALTER MODEL nobody SET ALIAS c TO VERSION 1", ModelNotFoundError),
        ("ALTER MODEL nobody UNSET ALIAS c", ModelNotFoundError),
        ("DROP MODEL {} VERSION 9", VersionNotFoundError),
        ("DROP MODEL nobody", ModelNotFoundError),
        ("DROP MODEL nobody VERSION 1", ModelNotFoundError),
    ],
)
def test_what_is_not_there_cannot_be_changed(sql, source, name, statement, error):
    """A model, version or alias that is missing is an error, and nothing else changes."""
    sql(f"CREATE MODEL {name} FROM '{source}'")
    with pytest.raises(error):
        sql(statement.format(name))
    assert [v.version for v in registry.versions(name)] == [1]


def test_dropping_a_version_leaves_the_others(sql, source, name):
    """Its aliases go with it, and the bare name is the latest that is left."""
    for _ in range(3):
        sql(f"CREATE OR REPLACE MODEL {name} FROM '{source}'")
    sql(f"ALTER MODEL {name} SET ALIAS champion TO VERSION 2")
    assert sql(f"DROP MODEL {name} VERSION 2") == [{"name": name, "versions": [2]}]
    assert [v.version for v in registry.versions(name)] == [1, 3]
    assert registry.resolve(name).version == 3


def test_dropping_a_model_drops_every_version(sql, source, name):
    """The name is free afterwards, and versions count from 1 again."""
    for _ in range(2):
        sql(f"CREATE OR REPLACE MODEL {name} FROM '{source}' WITH (alias = 'champion')")
    assert sql(f"DROP MODEL {name}") == [{"name": name, "versions": [1, 2]}]
    with pytest.raises(ModelNotFoundError):
        registry.resolve(name)
    assert sql(f"CREATE MODEL {name} FROM '{source}'")[0]["version"] == 1


def test_if_exists_answers_with_no_row(sql, source, name):
    """Neither a model nor a version has to be there."""
    assert sql(f"DROP MODEL IF EXISTS {name}") == []
    assert sql(f"DROP MODEL IF EXISTS {name} VERSION 1") == []
    sql(f"CREATE MODEL {name} FROM '{source}'")
    assert sql(f"DROP MODEL IF EXISTS {name} VERSION 2") == []
    assert sql(f"DROP MODEL IF EXISTS {name} VERSION 1") == [{"name": name, "versions": [1]}]


def test_dropping_keeps_the_run_and_its_files(sql, source, name):
    """What is gone is the registry's entry: `mlflow gc` is MLflow's way to remove the rest."""
    sql(f"CREATE MODEL {name} FROM '{source}'")
    version = registry.resolve(name)
    sql(f"DROP MODEL {name}")
    assert mlflow.get_run(version.run_id).info.status == "FINISHED"
    assert (Path(mlflow.artifacts.download_artifacts(version.source)) / "model.onnx").exists()


def test_an_onnx_file_is_published_by_its_path(sql, booster, rows, name, tmp_path):
    """A file has no example rows: the sample is a table."""
    path = tmp_path / "model.onnx"
    path.write_bytes(sqlml.convert(booster, sample=rows).onnx)
    with pytest.raises(SampleError, match=r"WITH \(sample = 'your_table'\)"):
        sql(f"CREATE MODEL {name} FROM '{path}'")

    onnx.save(_one_input(path), path)
    (row,) = sql(f"CREATE MODEL {name} FROM '{path}' WITH (sample = 'customers')")
    assert row["task"] == "regression"


def test_labels_are_stated_with_a_file_that_knows_none(sql, classifier_file, name):
    """Two numbers that are shares of one are a regression of two targets, unless it is said."""
    options = """labels = '["stays", "leaves"]', sample = 'customers'"""
    (row,) = sql(f"CREATE MODEL {name} FROM '{classifier_file}' WITH ({options})")
    assert row["task"] == "classification"
    assert registry.read(registry.resolve(name)).labels == ("stays", "leaves")


@pytest.mark.parametrize("labels", ["stays, leaves", '{"no": 1}', "[0.5, 1.5]", "[[1], [2]]"])
def test_labels_that_are_no_list_are_said(sql, classifier_file, name, labels):
    with pytest.raises(ArgumentError, match=r'in JSON, such as \["no", "yes"\]; found'):
        sql(f"CREATE MODEL {name} FROM '{classifier_file}' WITH (labels = '{labels}', "
            "sample = 'customers')")  # fmt: skip


def test_a_published_version_has_its_labels(sql, source, name):
    sql(f"CREATE MODEL {name} FROM '{source}'")
    with pytest.raises(ArgumentError, match="Leave labels out"):
        sql(f"""CREATE MODEL copy FROM 'models:/{name}/1' WITH (labels = '["a", "b"]')""")


@pytest.fixture
def classifier_file(booster, rows, tmp_path):
    """An ONNX file that gives two shares of one, and does not say of what."""
    path = tmp_path / "shares.onnx"
    path.write_bytes(sqlml.convert(booster, sample=rows).onnx)
    model = _one_input(path)
    (old,) = model.graph.output
    shares = [
        helper.make_node("Sigmoid", [old.name], ["second"]),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], ["shares"], axis=1),
    ]
    model.graph.node.extend(shares)
    kind = old.type.tensor_type.elem_type
    model.graph.initializer.append(helper.make_tensor("one", kind, [1], [1.0]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("shares", kind, ["N", 2]))
    onnx.save(model, path)
    return path


def _one_input(path):
    """The graph of a file with all columns in one tensor, as other converters write it."""
    model = onnx.load(path)
    names = [i.name for i in model.graph.input]
    del model.graph.input[:]
    model.graph.input.append(
        helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["N", len(names)])
    )
    parts = helper.make_node("Split", ["X"], names, axis=1, num_outputs=len(names))
    model.graph.node.insert(0, parts)
    return model


@pytest.mark.parametrize("source", ["/nowhere/model.onnx", "nowhere.ONNX"])
def test_an_onnx_file_that_is_not_there_is_said(sql, source, name):
    with pytest.raises(ModelRejectedError, match="is not there"):
        sql(f"CREATE MODEL {name} FROM '{source}' WITH (sample = 'customers')")


@pytest.mark.parametrize("source", ["http://host/model.onnx", "dbfs:/m.onnx", "file:///m.onnx"])
def test_an_onnx_file_elsewhere_is_not_fetched(sql, source, name):
    with pytest.raises(ReferenceNotAllowedError):
        sql(f"CREATE MODEL {name} FROM '{source}' WITH (sample = 'customers')")
