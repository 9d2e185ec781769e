"""Opening somebody's own logged model, for its author to publish. Never on the scoring path."""

from __future__ import annotations

import importlib
import logging
import re
from typing import Any

from sqlml.errors import (
    DependencyMissingError,
    ModelRejectedError,
    NotConvertibleError,
    ReferenceNotAllowedError,
    listed,
)
from sqlml.registry.lookup import asked

_logger = logging.getLogger("sqlml.registry")

# MLflow's flavors with a converter here, and the package whose classes it may name where
# nothing has to be trusted. A sklearn flavor is pickled, or in skops' format, whose list
# of trusted types the model file brings along.
FLAVORS = {"xgboost": "xgboost.", "lightgbm": "lightgbm.basic.Booster", "sklearn": None}

_SOURCE = re.compile(r"(runs|models):/[A-Za-z0-9_][A-Za-z0-9_.@ \-]*(/[A-Za-z0-9_.@ \-]+)*")


def open_source(source: str, *, trust_pickle: bool = False) -> Any:
    """The trained model behind `runs:/…` or `models:/…`, as its author logged it with MLflow.

    Pickled models run whatever code their file holds, with the rights of this process:
    they are opened only with `trust_pickle`, by whoever knows where the file came from.
    XGBoost's and LightGBM's own files need no trust.
    Raises `ReferenceNotAllowedError`, `ModelRejectedError` where trust is needed,
    `NotConvertibleError` for other flavors, `DependencyMissingError`, and
    `RegistryUnavailableError`.

        >>> model = open_source("runs:/4f2ab1/model", trust_pickle=True)  # doctest: +SKIP
    """
    if source.lower().endswith(".onnx"):
        raise NotConvertibleError(
            source,
            "ready-made ONNX files are not taken yet.",
            "Publish the model that it was made from: sqlml.publish(model, …).",
        )
    if not _SOURCE.fullmatch(source) or ".." in source:
        raise ReferenceNotAllowedError(source)
    found = _flavors(source)
    if "sqlml" in found:
        raise NotConvertibleError(source, "it is a published version already.")
    flavor = next((name for name in FLAVORS if name in found), None)
    if flavor is None:
        raise NotConvertibleError(
            source,
            f"its flavor is {listed(sorted(found))}, known are {listed([*FLAVORS])}.",
            "Publish from Python: sqlml.publish(model, …).",
        )
    if not (trust_pickle or _native(flavor, found[flavor])):
        raise ModelRejectedError(
            f"{source} is pickled, and opening it runs the code inside. If you trust where "
            "it came from: sqlml publish … --trust-pickle"
        )
    if not _native(flavor, found[flavor]):
        _logger.warning("Opening %s, which is pickled: its code runs in this process.", source)
    return _opened(source, flavor)


def _opened(source: str, flavor: str) -> Any:
    from mlflow.artifacts import download_artifacts

    directory = asked(lambda _: download_artifacts(source), patience=None)
    try:
        return importlib.import_module(f"mlflow.{flavor}").load_model(directory)
    except ImportError as error:
        raise DependencyMissingError(f"Models of {flavor} ({error.name})", flavor) from error
    except Exception as error:  # whatever the code inside, or a library, raises
        raise ModelRejectedError(
            f"{source} cannot be opened: {type(error).__name__}: {error}"
        ) from error


def _flavors(source: str) -> dict[str, dict[str, Any]]:
    """What the MLmodel file says; a YAML file, read as data."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    def read(_: object) -> dict[str, dict[str, Any]] | None:
        try:
            return dict(Model.load(source).flavors)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        except FileNotFoundError:
            return None

    found = asked(read, patience=None)
    if found is None:
        raise ModelRejectedError(
            f"MLflow has no model at {source}. The form is runs:/<run id>/<name of the model>, "
            "models:/<name>/<version> or models:/<model id>."
        )
    return found


def _native(flavor: str, facts: dict[str, Any]) -> bool:
    """Whether the file is the library's own format, and names no code to run besides."""
    allowed = FLAVORS[flavor]
    if allowed is None or facts.get("code"):
        return False
    return str(facts.get("model_class", allowed)).startswith(allowed)
