"""Asking the registry: within seconds, quietly, and not again and again while it is down.

MLflow waits 120 seconds for an answer and asks 7 times more. Shorter times by its
environment variables would hold for the user's own MLflow calls too, uploads included.
So they stay as they are, and each question of ours has a deadline of its own instead.
Whoever sets MLFLOW_HTTP_REQUEST_TIMEOUT or MLFLOW_HTTP_REQUEST_MAX_RETRIES has decided
how long to wait for a server, and is obeyed.
"""

from __future__ import annotations

import contextvars
import logging
import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlml.errors import RegistryUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE = 12.0
"""Seconds for the answer to one question; with the knock before it, below 15 in all."""
KNOCK = (2.0, 2.0)
"""Seconds to connect to a server, and seconds for its first byte."""
REST = 30.0
"""Seconds in which a registry that did not answer is not asked again."""
FRESH = 10.0
"""Seconds in which a registry that answered needs no knock."""

_USERS_OWN = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")


@dataclass(frozen=True, slots=True)
class _Down:
    until: float
    reason: str


_lock = threading.Lock()
_down: dict[str, _Down] = {}
_answered: dict[str, float] = {}


def ask(uri: str, question: Callable[[], T], patience: float | None = PATIENCE) -> T:
    """The answer to `question`, which talks to the registry at `uri`.

    Raises `RegistryUnavailableError` when the registry does not answer within `patience`
    seconds (None: however long it takes), and for the next 30 seconds at once. Errors
    that the question itself raises about models are answers, and pass.
    """
    _refuse_while_down(uri)
    obeyed = uri.startswith("http") and any(name in os.environ for name in _USERS_OWN)
    try:
        if not obeyed and time.monotonic() - _answered.get(uri, -FRESH) >= FRESH:
            _knock(uri)
        answer = _within(None if obeyed else patience, question)
    except _failures() as error:
        reason = _reason(error)
        if patience is not None:  # a long write may fail for reasons of its own
            with _lock:
                _down[uri] = _Down(time.monotonic() + REST, reason)
                _answered.pop(uri, None)
        raise RegistryUnavailableError(_without_password(uri), reason) from None
    _down.pop(uri, None)
    _answered[uri] = time.monotonic()
    return answer


def is_down(uri: str) -> bool:
    """Whether the registry did not answer a moment ago, and is not asked again yet."""
    with _lock:
        down = _down.get(uri)
    return down is not None and time.monotonic() < down.until


def forget() -> None:
    """Ask every registry again, however lately one did not answer."""
    with _lock:
        _down.clear()
        _answered.clear()


def _refuse_while_down(uri: str) -> None:
    now = time.monotonic()
    with _lock:
        down = _down.get(uri)
        if down is None:
            return
        if now < down.until:
            raise RegistryUnavailableError(_without_password(uri), down.reason)
        # This thread asks again; the others need not wait with it.
        _down[uri] = _Down(now + REST, down.reason)


def _failures() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, sqlite3.Error, OSError)


def _knock(uri: str) -> None:
    """Learn in a moment what MLflow's client would find out after minutes."""
    if uri.startswith("http"):
        import requests

        try:
            with requests.get(
                uri.rstrip("/") + "/health", timeout=KNOCK, stream=True, allow_redirects=False
            ):
                return
        except requests.exceptions.SSLError:
            return  # somebody is there; certificates are MLflow's own settings
    if uri.startswith("sqlite:"):
        from sqlalchemy.engine import make_url

        path = make_url(uri).database
        if not path or path == ":memory:" or not Path(path).exists():
            return
        with sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro", KNOCK[0], uri=True) as db:
            db.execute("PRAGMA schema_version").fetchone()
        db.close()


def _within(patience: float | None, question: Callable[[], T]) -> T:
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        _ours.set(True)
        try:
            answers.append(question())
        except BaseException as error:
            errors.append(error)

    context = contextvars.copy_context()
    # A daemon: a question that is never answered must not keep the process from ending.
    thread = threading.Thread(target=context.run, args=(run,), name="sqlml-registry", daemon=True)
    _hush()
    thread.start()
    thread.join(patience)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {patience:.0f} seconds")
    return answers[0]


def _reason(error: Exception) -> str:
    """The library's message in one line a person can read."""
    text = " ".join(str(error).split()) or type(error).__name__
    for known, plain in (
        ("Connection refused", "connection refused"),
        ("Read timed out", "no answer"),
        ("timed out", "no answer"),
        ("Name or service not known", "unknown host"),
        ("Failed to resolve", "unknown host"),
        ("database is locked", "the database is locked"),
    ):
        if known in text:
            return plain
    return text.partition(" [SQL:")[0][:200]


def _without_password(uri: str) -> str:
    head, at, tail = uri.rpartition("@")
    return f"{head.partition('://')[0]}://…@{tail}" if at and "://" in head else uri


# MLflow tells its user of table migrations and prints a database error with its whole
# traceback. Our errors say what there is to say, so what is logged while a question of
# ours is answered is dropped; the user's own MLflow calls log as ever.
_ours: contextvars.ContextVar[bool] = contextvars.ContextVar("sqlml_asks", default=False)
_TALKATIVE = (
    "alembic.runtime.migration",
    "mlflow.store.db.utils",
    "mlflow.store.model_registry.abstract_store",
    "mlflow.tracking._model_registry.client",
    "mlflow.utils.rest_utils",
    "urllib3.connectionpool",
)


def _not_ours(record: logging.LogRecord) -> bool:
    return not _ours.get() or record.levelno <= logging.DEBUG


def _hush() -> None:
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_not_ours)  # a second time changes nothing
