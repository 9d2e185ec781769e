"""Opening somebody's own logged model, for its author to publish. Never on the scoring path."""

from __future__ import annotations

import importlib
import logging
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlml.errors import (
    DependencyMissingError,
    ModelRejectedError,
    NotConvertibleError,
    ReferenceNotAllowedError,
    SampleError,
    listed,
)
from sqlml.registry.lookup import asked

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd

T = TypeVar("T")

_logger = logging.getLogger("sqlml.registry")

# MLflow's flavors that MLflow opens, and the package whose classes they may name where
# nothing has to be trusted. A sklearn flavor is pickled, or in skops' format, whose list
# of trusted types the model file brings along; those of statsmodels and PyTorch are pickled.
FLAVORS = {
    "xgboost": "xgboost.",
    "lightgbm": "lightgbm.basic.Booster",
    "catboost": "catboost.",
    "sklearn": None,
    "statsmodels": None,
    "pytorch": None,
}
# The others: what names the file or directory in their description, the first that is there. It
# is opened as any file of a model.
FILES = {
    "onnx": ("data",),
    "keras": ("data",),
    "tensorflow": ("data", "saved_model_dir"),
    "spark": ("model_data",),
}

_SOURCE = re.compile(r"(runs|models):/[A-Za-z0-9_][A-Za-z0-9_.@ \-]*(/[A-Za-z0-9_.@ \-]+)*")


def open_source(source: str, *, trust_pickle: bool = False) -> Any:
    """The trained model behind `runs:/…` or `models:/…`, as its author logged it with MLflow.

    A flavor of `FILES` gives the path of the model's file, on this machine, for
    `sqlml.convert.opened`. Pickled models run whatever code their file holds, with the rights of
    this process: they are opened only with `trust_pickle`, by whoever knows where the file came
    from. XGBoost's, LightGBM's and CatBoost's own files need no trust.
    Raises `ReferenceNotAllowedError`, `ModelRejectedError` where trust is needed,
    `NotConvertibleError` for other flavors, `DependencyMissingError`, and
    `RegistryUnavailableError`.

        >>> model = open_source("runs:/4f2ab1/model", trust_pickle=True)  # doctest: +SKIP
    """
    if not _SOURCE.fullmatch(source) or ".." in source:
        raise ReferenceNotAllowedError(source)
    found = _flavors(source)
    if "sqlml" in found:
        raise NotConvertibleError(
            source,
            "it is a published version already.",
            "To copy it: CREATE MODEL copy FROM 'models:/<name>/<version>'.",
        )
    known = [*FLAVORS, *FILES]
    flavor = next((name for name in known if name in found), None)
    if flavor is None:
        raise NotConvertibleError(
            source,
            f"its flavor is {listed(sorted(found))}, known are {listed(known, len(known))}.",
            "Publish from Python: sqlml.publish(model, …).",
        )
    if flavor in FILES:
        named = (found[flavor].get(key) for key in FILES[flavor])
        return _file(source, str(next((name for name in named if name), None)))
    if not (trust_pickle or _native(flavor, found[flavor])):
        raise ModelRejectedError(
            f"{source} is pickled, and opening it runs the code inside. If you trust where "
            "it came from: sqlml publish … --trust-pickle; for CREATE MODEL the session's owner "
            "allows it, with sqlml.install(spark, trust_pickle=True) or sqlml serve --trust-pickle."
        )
    if not _native(flavor, found[flavor]):
        _logger.warning("Opening %s, which is pickled: its code runs in this process.", source)
    return _opened(source, flavor)


def input_example(source: str) -> pd.DataFrame | np.ndarray[Any, Any] | None:
    """The example rows that a model was logged with; None where there are no such rows.

    They are one JSON file, read as data. A file of a model has none.
    Raises `RegistryUnavailableError`.

        >>> rows = input_example("runs:/4f2ab1/model")                     # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd
    from mlflow.exceptions import MlflowException

    if not _SOURCE.fullmatch(source):
        return None
    with tempfile.TemporaryDirectory(prefix="sqlml-") as directory:
        example = asked(lambda _: _example(source, directory), patience=None)
        if example is None:
            return None
        model, file = example
        try:
            found = model.load_input_example(str(file.parent))
        except (MlflowException, ValueError, LookupError, TypeError):  # of the file's content
            return None
    table = isinstance(found, pd.DataFrame) or (isinstance(found, np.ndarray) and found.ndim == 2)
    return found if table else None


def sample_of_source(source: str, instead: str) -> pd.DataFrame | np.ndarray[Any, Any]:
    """The example rows that a model was logged with, where nobody gave a sample.

    Raises `SampleError` where there are none; `instead` is how to give one.
    """
    found = input_example(source)
    if found is None:
        raise SampleError(
            f"{source} comes without an input example. Give some hundred rows of "
            f"the training data: {instead}."
        )
    return found


def _example(source: str, directory: str) -> tuple[Any, Path] | None:
    """MLflow's description of a model, and its example's file, which is in the directory now."""
    from mlflow.models import Model
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    model = _or_none(lambda: Model.load(source))
    if model is None or model.saved_input_example_info is None:
        return None
    name = str(model.saved_input_example_info.get("artifact_path"))
    if not re.fullmatch(r"[A-Za-z0-9_\-]+\.json", name):
        return None
    path = _or_none(lambda: get_artifact_repository(source).download_artifacts(name, directory))
    if path is None or Path(path).read_bytes().lstrip()[:1] not in (b"[", b"{"):
        return None  # MLflow would open the file that a string names
    return model, Path(path)


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


def _file(source: str, name: str) -> Path:
    """The model itself among the artifacts: what is named, or the one `model`, `model.…` in it."""
    from mlflow.artifacts import download_artifacts

    directory = Path(asked(lambda _: download_artifacts(source), patience=None)).resolve()
    path = (directory / name).resolve()
    inside = sorted(each for each in path.glob("model*") if each.stem == "model")
    if len(inside) == 1:
        (path,) = inside
    if not path.is_relative_to(directory) or not path.exists():
        raise ModelRejectedError(f"{source} has no file of a model at {name!r}.")
    return path


def _flavors(source: str) -> dict[str, dict[str, Any]]:
    """What the MLmodel file says; a YAML file, read as data."""
    from mlflow.models import Model

    found = asked(lambda _: _or_none(lambda: Model.load(source)), patience=None)
    if found is None:
        raise ModelRejectedError(
            f"MLflow has no model at {source}. The form is runs:/<run id>/<name of the model>, "
            "models:/<name>/<version> or models:/<model id>."
        )
    return dict(found.flavors)


def _or_none(get: Callable[[], T]) -> T | None:
    """What MLflow's artifacts hold, or None where they answer that it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        return get()
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    except FileNotFoundError:
        return None


def _native(flavor: str, facts: dict[str, Any]) -> bool:
    """Whether the file is the library's own format, and names no code to run besides."""
    allowed = FLAVORS[flavor]
    if allowed is None or facts.get("code"):
        return False
    return str(facts.get("model_class", allowed)).startswith(allowed)
