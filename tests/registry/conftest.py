"""A registry of its own for each test, and small models to put into it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from onnx import TensorProto, helper

from sqlml import registry
from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.registry import contact, lookup, storage
from sqlml.signature import Input, Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARITY = json.dumps({"ok": True, "rows": 120, "label_mismatches": 0, "max_abs_error": 1e-12})


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a registry without models: MLflow takes a second to make one."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def home(empty_registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory whose mlflow.db is the registry, for a process that knows nothing yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(tmp_path / "artifacts"))
    shutil.copy(empty_registry, tmp_path / "mlflow.db")
    _forget()
    yield tmp_path
    _forget()


@pytest.fixture
def forget() -> Callable[[], None]:
    """Makes this process as one that has just started."""
    return _forget


def _forget() -> None:
    contact.forget()
    lookup._resolved.clear()
    storage._cache.clear()


@pytest.fixture
def times() -> Callable[[float], ScoringModel]:
    """Makes a regressor: age times a factor."""
    return _times


@pytest.fixture
def logged(home: Path) -> Callable[..., registry.Version]:
    """Logs a model as a new version of churn."""

    def log(model: ScoringModel, name: str = "churn", **options: Any) -> registry.Version:
        return registry.log(model, name, parity_json=PARITY, **options)

    return log


def _times(factor: float) -> ScoringModel:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["in0", "factor"], ["prediction"])],
        "times",
        [helper.make_tensor_value_info("in0", TensorProto.DOUBLE, [None, 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1])],
        [helper.make_tensor("factor", TensorProto.DOUBLE, [1], [factor])],
    )
    onnx = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    tensors = (Tensor("prediction", "DOUBLE"),)
    inputs = (Input("age", "DOUBLE", "DOUBLE", takes_missing=True),)
    return ScoringModel(
        onnx.SerializeToString(),
        Signature(inputs, outputs_of("regression", tensors)),
        "regression",
        tensors,
        metadata={"estimator": "Times"},
    )


class Marks:
    """A model whose pickle writes a file when it is opened."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (Path(self.path), "opened")


@pytest.fixture
def pickled_churn(home: Path) -> tuple[str, Path]:
    """A version that somebody registered with MLflow alone, and what its pickle writes."""
    import pickle

    from mlflow import MlflowClient
    from mlflow.models import Model

    marker = home / "opened"
    model = home / "foreign"
    model.mkdir()
    (model / "model.pkl").write_bytes(pickle.dumps(Marks(str(marker))))
    described = Model(artifact_path="foreign")
    described.add_flavor(
        "sklearn", pickled_model="model.pkl", serialization_format="pickle", code=None
    )
    described.add_flavor("python_function", loader_module="mlflow.sklearn", model_path="model.pkl")
    described.save(str(model / "MLmodel"))
    client = MlflowClient()
    client.create_registered_model("foreign")
    client.create_model_version("foreign", str(model))
    return "models:/foreign/1", marker
