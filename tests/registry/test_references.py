"""A reference names exactly one version, or the error says what there is."""

from __future__ import annotations

import threading
import time

import pytest

from sqlml import registry
from sqlml.errors import (
    AliasNotFoundError,
    ArgumentError,
    ModelNotFoundError,
    ModelRejectedError,
    ReferenceNotAllowedError,
    VersionNotFoundError,
)


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("churn", 1),
        ("churn@champion", 1),
        ("churn@challenger", 2),
        ("churn/2", 2),
        ("models:/churn/3", 3),
        ("models:/churn@champion", 1),
    ],
)
def test_a_reference_names_one_version(logged, times, reference, version):
    logged(times(1), alias="champion")
    logged(times(2), alias="challenger")
    logged(times(3))

    assert registry.resolve(reference).version == version


def test_without_a_champion_the_bare_name_is_the_latest(logged, times):
    logged(times(1))
    logged(times(2))

    assert str(registry.resolve("churn")) == "churn/2"


def test_a_moved_alias_is_seen_at_once(logged, times):
    logged(times(1), alias="champion")
    logged(times(2))
    assert registry.resolve("churn").version == 1

    registry.set_alias("churn", "champion", 2)

    assert registry.resolve("churn").version == 2
    assert registry.load("churn") == times(2)


def test_the_version_tells_what_it_holds(logged, times):
    model = times(1)
    version = logged(model, alias="champion", description="Who leaves")

    assert version == registry.resolve("churn")
    assert version.sha256 == model.sha256
    assert (version.task, version.parity_ok) == ("regression", True)
    assert version.aliases == ("champion",)
    assert version.description == "Who leaves"
    assert abs(version.created.timestamp() - time.time()) < 60


def test_an_unknown_model_is_answered_with_the_nearest(logged, times):
    logged(times(1))
    with pytest.raises(ModelNotFoundError, match="Did you mean 'churn'"):
        registry.resolve("chrun")
    with pytest.raises(ModelNotFoundError):
        registry.versions("chrun")


def test_an_unknown_version_is_answered_with_those_there_are(logged, times):
    logged(times(1))
    with pytest.raises(VersionNotFoundError, match=r"no version 9\. It has: 1"):
        registry.resolve("churn/9")
    with pytest.raises(VersionNotFoundError):
        registry.set_alias("churn", "champion", 9)


def test_an_unknown_alias_is_answered_with_those_there_are(logged, times):
    logged(times(1), alias="champion")
    with pytest.raises(AliasNotFoundError, match="It has: champion"):
        registry.resolve("churn@champ")


@pytest.mark.parametrize(
    "text",
    [
        "../churn",
        "file:///etc/passwd",
        "http://host/churn",
        "runs:/abc/model",
        "churn/latest",
        "churn#x",
        "churn%2e%2e",
        "churn@a@b",
        "models:/churn/1/model.onnx",
        "..",
        "",
    ],
)
def test_nothing_but_a_reference_reaches_the_registry(home, monkeypatch, text):
    monkeypatch.setattr("sqlml.registry.lookup.ask", lambda *_: pytest.fail("asked"))
    with pytest.raises(ReferenceNotAllowedError):
        registry.resolve(text)


@pytest.mark.parametrize("name", ["a b", "churn/1", "churn@champion", "models:/churn", "a'b", ""])
def test_a_name_that_sql_cannot_carry_is_refused_before_anything_is_written(logged, times, name):
    with pytest.raises(ReferenceNotAllowedError):
        logged(times(1), name)
    assert registry.models() == []


@pytest.mark.parametrize("alias", ["latest", "v1", "a b", "a.b", ""])
def test_an_alias_that_mlflow_refuses_is_refused_before_anything_is_written(logged, times, alias):
    with pytest.raises(ArgumentError):
        logged(times(1), alias=alias)
    assert registry.models() == []


def test_models_and_versions_are_listed(logged, times):
    logged(times(1), "churn", alias="champion")
    logged(times(2), "churn", alias="challenger")
    logged(times(3), "a.dotted-name")

    rows = registry.models()
    assert [(m.name, m.latest_version, m.champion_version, m.task) for m in rows] == [
        ("a.dotted-name", 1, None, "regression"),
        ("churn", 2, 1, "regression"),
    ]
    assert [(v.version, v.aliases) for v in registry.versions("churn")] == [
        (1, ("champion",)),
        (2, ("challenger",)),
    ]


def test_a_version_logged_without_sqlml_is_refused_and_never_opened(home, pickled_churn):
    uri, marker = pickled_churn
    for act in (registry.resolve, registry.load):
        with pytest.raises(ModelRejectedError, match="sqlml publish models:/foreign/1"):
            act("foreign")
    assert registry.versions("foreign") == []
    assert [(m.name, m.task) for m in registry.models()] == [("foreign", None)]
    with pytest.raises(ModelRejectedError, match="--trust-pickle"):
        registry.open_source(uri)
    assert not marker.exists()


def test_resolving_takes_milliseconds(logged, times):
    logged(times(1), alias="champion")
    registry.resolve("churn")
    took = []
    for _ in range(20):
        start = time.perf_counter()
        registry.resolve("churn")
        took.append(time.perf_counter() - start)
    assert sorted(took)[10] < 0.05


def test_threads_may_resolve_and_read_at_once(logged, times):
    logged(times(1), alias="champion")
    found, errors = [], []

    def work():
        try:
            found.extend(registry.load("churn").sha256 for _ in range(5))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert set(found) == {times(1).sha256}
    assert len(found) == 80
