"""What ALTER MODEL and DROP MODEL need: entries looked up, aliases unset, versions dropped."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pandas as pd
import pytest

from sqlml import registry
from sqlml.errors import (
    AliasNotFoundError,
    ModelNotFoundError,
    ReferenceNotAllowedError,
    VersionNotFoundError,
)


def test_one_model_is_looked_up_as_the_list_has_it(logged, times):
    """The latest version and the champion, as in `models()`."""
    for factor in (1, 2):
        logged(times(factor), alias="champion" if factor == 1 else None)
    assert [registry.model("churn")] == registry.models()
    assert registry.model("churn").champion_version == 1
    with pytest.raises(ModelNotFoundError, match="Did you mean 'churn'"):
        registry.model("chrun")


def test_an_alias_is_unset(logged, times):
    """The version stays; an alias that is not there is an error with those that are."""
    logged(times(1), alias="champion")
    registry.unset_alias("churn", "champion")
    assert registry.resolve("churn").aliases == ()
    with pytest.raises(AliasNotFoundError):
        registry.unset_alias("churn", "champion")


def test_a_dropped_version_is_gone_with_its_aliases(logged, times):
    """The others keep their numbers."""
    for factor in (1, 2, 3):
        logged(times(factor), alias="champion")
    assert registry.drop("churn", 3) == [3]
    assert [v.version for v in registry.versions("churn")] == [1, 2]
    with pytest.raises(AliasNotFoundError):
        registry.resolve("churn@champion")
    with pytest.raises(VersionNotFoundError, match="It has: 1, 2"):
        registry.drop("churn", 3)


def test_a_dropped_model_is_gone_with_all_versions(logged, times):
    """Those that sqlml did not publish go too."""
    logged(times(1))
    mlflow.MlflowClient().create_model_version("churn", "file:///elsewhere")
    assert registry.drop("churn") == [1, 2]
    with pytest.raises(ModelNotFoundError):
        registry.drop("churn")
    assert registry.models() == []


@pytest.mark.parametrize("name", ["churn/1", "churn@champion", "a'b", ""])
def test_only_a_plain_name_is_dropped(home, name):
    """A reference or a text that is no name is refused before the registry is asked."""
    for change in (registry.drop, lambda n: registry.unset_alias(n, "champion")):
        with pytest.raises(ReferenceNotAllowedError):
            change(name)


TABLE = {"type": "dataframe", "pandas_orient": "split"}


@pytest.mark.parametrize(
    ("info", "content", "rows"),
    [
        (TABLE, {"columns": ["age"], "data": [[1.5], [2.5]]}, pd.DataFrame({"age": [1.5, 2.5]})),
        ({"type": "ndarray"}, [[1.0, 2.0]], np.array([[1.0, 2.0]])),
        ({"type": "ndarray"}, [1.0, 2.0], None),
        ({"type": "ndarray"}, "example.json", None),
        ({**TABLE, "artifact_path": "../model/example.json"}, {"columns": ["a"], "data": []}, None),
        ({"type": "json_object"}, {"age": 1.5}, None),
        ({"type": "unheard of"}, {}, None),
        (TABLE, ["nonsense"], None),
        (TABLE, None, None),
        (None, {}, None),
    ],
)
def test_an_input_example_is_rows_or_nothing(home, info, content, rows):
    """Tables and arrays of two axes are rows; other forms, broken and lost files are none."""
    from mlflow.models import Model

    (home / "model").mkdir()
    described = Model(artifact_path="model")
    if info is not None:
        described.saved_input_example_info = {"artifact_path": "example.json", **info}
    described.save(str(home / "model" / "MLmodel"))
    if content is not None:
        (home / "model" / "example.json").write_text(json.dumps(content))
    client = mlflow.MlflowClient()
    client.create_registered_model("logged")
    client.create_model_version("logged", str(home / "model"))
    found = registry.input_example("models:/logged/1")
    assert type(found) is type(rows)
    if rows is not None:
        np.testing.assert_array_equal(found, rows)


def test_reading_an_input_example_opens_no_pickle(pickled_churn):
    """A model that nobody trusts may be asked for its example."""
    source, marker = pickled_churn
    assert registry.input_example(source) is None
    assert not marker.exists()


def test_a_source_that_is_not_there_has_no_example(home):
    """Neither a missing run nor a missing version is an outage."""
    for source in ("models:/nobody/1", "runs:/0123456789abcdef/model"):
        assert registry.input_example(source) is None
