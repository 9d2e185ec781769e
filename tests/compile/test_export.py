"""`to_sql` as text: the same for the same model, over the inputs' names, and not too long."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import sqlml
from sqlml.compile.export import create_function
from sqlml.errors import NotCompilableError, OutputMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    numbers = {name: rng.normal(size=300) for name in ("age", "home.dest", "user")}
    return pd.DataFrame({**numbers, "plan": rng.choice(["a", "it's"], 300)})


def encoded(model: Any, rows: pd.DataFrame, y: Sequence[Any] | np.ndarray) -> sqlml.ScoringModel:
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]), remainder="passthrough"
    )
    return sqlml.convert(make_pipeline(encode, model).fit(rows, y), sample=rows)


@pytest.fixture(scope="module")
def churn(rows: pd.DataFrame) -> sqlml.ScoringModel:
    return encoded(LogisticRegression(), rows, np.where(rows["age"] > 0, "yes", "no"))


def test_lines_are_short_and_names_are_quoted_where_they_must_be(churn: sqlml.ScoringModel) -> None:
    text = sqlml.to_sql(churn)
    assert all(len(line) <= 100 for line in text.splitlines())
    for name in ("CAST(age AS", "CAST(`home.dest` AS", "CAST(`user` AS", "CAST(plan AS"):
        assert name in text.replace("\n", " ")
    assert r"'it\'s'" in text


def test_a_tree_has_its_labels_in_its_leaves(rows: pd.DataFrame) -> None:
    X = rows[["age", "home.dest"]]
    thirds = np.array(["low", "middle", "high"])[pd.cut(rows["age"], 3, labels=False).to_numpy()]
    model = sqlml.convert(DecisionTreeClassifier(max_depth=4).fit(X, thirds), sample=X)
    text = sqlml.to_sql(model)
    assert "IF(" in text
    assert "array" not in text
    assert text.count("'low'") == 1
    assert "1.0D" not in text


def test_a_label_mentions_the_score_once(churn: sqlml.ScoringModel) -> None:
    assert sqlml.to_sql(churn).count("exp(") == 1
    assert sqlml.to_sql(churn, "probabilities['no']").count("exp(") == 1


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_same_model_gives_the_same_text(
    churn: sqlml.ScoringModel, seed: str, tmp_path: Any
) -> None:
    (tmp_path / "model.onnx").write_bytes(churn.onnx)
    (tmp_path / "model.json").write_text(churn.to_json())
    code = (
        "import sqlml, pathlib as p; print(sqlml.to_sql(sqlml.ScoringModel.from_json("
        "p.Path('model.json').read_text(), p.Path('model.onnx').read_bytes())), end='')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout == sqlml.to_sql(churn), done.stderr


def test_a_function_names_the_inputs_and_what_it_returns(churn: sqlml.ScoringModel) -> None:
    text = create_function(churn, "ml.predict_churn", "probabilities", comment="version 'one'")
    inputs = "age DOUBLE, `home.dest` DOUBLE, `user` DOUBLE, plan STRING"
    head, body = text.split("RETURN CASE")
    assert head == (
        f"CREATE FUNCTION ml.predict_churn({inputs})\n"
        "RETURNS MAP<STRING, DOUBLE>\nCOMMENT 'version \\'one\\''\n"
    )
    assert body.endswith("END;")
    assert "CAST(age" not in body
    assert "predict_churn.`user`" in body


def test_an_output_that_the_model_does_not_have(churn: sqlml.ScoringModel) -> None:
    with pytest.raises(
        OutputMissingError, match=r"no output 'probabilty'. Did you mean 'probability'"
    ):
        sqlml.to_sql(churn, "probabilty")


def test_an_operator_without_a_form_is_named(rows: pd.DataFrame) -> None:
    X = rows[["age"]]
    model = sqlml.convert(KNeighborsClassifier().fit(X, X["age"] > 0), sample=X)
    with pytest.raises(NotCompilableError, match="Operator Scan has no form in SQL"):
        sqlml.to_sql(model)


def test_what_would_be_too_long_says_so(rows: pd.DataFrame) -> None:
    X = rows[["age", "home.dest"]]
    model = GradientBoostingClassifier(n_estimators=15).fit(X, np.arange(300) % 5)
    with pytest.raises(NotCompilableError, match=r"operations, and .* PREDICT scores it"):
        sqlml.to_sql(sqlml.convert(model, sample=X), "probabilities")


def test_a_model_of_many_columns(rows: pd.DataFrame) -> None:
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(1300, 1200))).add_prefix("c")
    model = sqlml.convert(LinearRegression().fit(wide, wide.sum(axis=1)), sample=wide)
    text = " ".join(sqlml.to_sql(model).split())
    assert text.count("IS NOT NULL") == 1200
