"""A registry that is away: known within 15 seconds, and what was resolved goes on."""

from __future__ import annotations

import logging
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager

import pytest

from sqlml import registry
from sqlml.errors import ModelNotFoundError, RegistryUnavailableError
from sqlml.registry import contact


@pytest.fixture
def silent_server():
    """A port where connections are accepted and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@contextmanager
def within(seconds):
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@contextmanager
def locked(path):
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")
    db.close()


def test_a_server_that_refuses_is_known_at_once(home, monkeypatch, refusing_server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", refusing_server)
    with within(5), pytest.raises(RegistryUnavailableError, match="connection refused"):
        registry.resolve("churn")


def test_a_server_that_never_answers_is_known_within_15_seconds(home, monkeypatch, silent_server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    with within(15), pytest.raises(RegistryUnavailableError, match="no answer"):
        registry.resolve("churn")
    with within(0.5), pytest.raises(RegistryUnavailableError):
        registry.models()  # not asked again so soon


def test_a_server_that_falls_silent_later_is_known_too(home, monkeypatch, silent_server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setattr(contact, "_knock", lambda _: None)
    monkeypatch.setattr(contact, "PATIENCE", 1.0)
    with within(5), pytest.raises(RegistryUnavailableError, match="within 1 seconds"):
        contact.ask(silent_server, lambda: time.sleep(60), contact.PATIENCE)


def test_whoever_sets_mlflows_timeouts_is_obeyed(home, monkeypatch, silent_server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(contact, "_knock", lambda _: pytest.fail("knocked"))
    with within(5), pytest.raises(RegistryUnavailableError, match="no answer"):
        registry.resolve("churn")


@pytest.mark.parametrize("kind", ["directory", "no database", "below a file"])
def test_a_file_that_is_no_database_is_known_at_once(home, monkeypatch, kind):
    path = home / "odd"
    if kind == "directory":
        path.mkdir()
    else:
        path.write_text("certainly not a database, and long enough to be looked at as one" * 99)
    if kind == "below a file":
        path = path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    with within(5), pytest.raises(RegistryUnavailableError, match="sqlml doctor"):
        registry.resolve("churn")


def test_a_locked_database_is_known_within_15_seconds(home):
    registry.models()
    contact.forget()
    with locked(home / "mlflow.db"), within(15):  # noqa: SIM117 - the lock is the scene
        with pytest.raises(RegistryUnavailableError, match="locked"):
            registry.models()
    contact.forget()
    assert registry.models() == []


def test_what_was_resolved_goes_on_while_the_registry_is_away(home, logged, times, caplog):
    version = logged(times(3), alias="champion")
    model = registry.load("churn")
    contact.forget()
    with locked(home / "mlflow.db"):
        with caplog.at_level(logging.WARNING, "sqlml"), within(15):
            assert registry.resolve("churn") == version
        assert "Going on with churn/1" in caplog.text
        with within(0.5):
            assert registry.load("churn") is model
            with pytest.raises(RegistryUnavailableError):
                registry.resolve("never-resolved")


def test_a_registry_that_is_back_is_asked_again(home, logged, times, monkeypatch):
    logged(times(3), alias="champion")
    registry.resolve("churn")
    monkeypatch.setattr(contact, "REST", 0.2)
    monkeypatch.setattr(contact, "KNOCK", (0.1, 0.1))
    contact.forget()
    with locked(home / "mlflow.db"):
        registry.resolve("churn")
    logged_later = None
    time.sleep(0.3)
    logged_later = logged(times(4), alias="champion")

    assert registry.resolve("churn") == logged_later


def test_one_thread_asks_again_and_the_others_do_not_wait_with_it(home, monkeypatch):
    monkeypatch.setattr(contact, "REST", 0.1)
    monkeypatch.setattr(contact, "_knock", lambda _: None)
    with pytest.raises(RegistryUnavailableError):
        contact.ask("x:", lambda: time.sleep(60), 0.1)
    time.sleep(0.2)
    monkeypatch.setattr(contact, "REST", 30.0)
    slow = threading.Thread(
        target=lambda: contact.ask("x:", lambda: time.sleep(1), 5.0), daemon=True
    )
    slow.start()
    time.sleep(0.2)
    with within(0.5), pytest.raises(RegistryUnavailableError):
        contact.ask("x:", lambda: pytest.fail("asked as well"), 5.0)
    slow.join()
    assert contact.ask("x:", lambda: "answer", 5.0) == "answer"


def test_an_answer_about_a_model_is_no_outage(home):
    for _ in range(2):
        with pytest.raises(ModelNotFoundError):
            registry.resolve("churn")


def test_a_password_in_the_address_is_not_told():
    uri = "postgresql://me:secret@db.example/mlflow"

    def fail():
        raise OSError("no route")

    with pytest.raises(RegistryUnavailableError) as caught:
        contact.ask(uri, fail)
    contact.forget()
    assert "secret" not in str(caught.value)
    assert "db.example" in str(caught.value)


def test_mlflow_keeps_its_own_patience_outside_sqlml(home, logged, times, monkeypatch):
    import os

    logged(times(1))
    registry.load("churn")
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
