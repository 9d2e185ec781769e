"""The facts of a trained CatBoost model."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlml.errors import DependencyMissingError, NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.model import Label

# A classifier's loss → what predict_proba makes of the sums.
_PROBABILITIES = {
    "CrossEntropy": "sigmoid",
    "Focal": "sigmoid",
    "Logloss": "sigmoid",
    "MultiClass": "softmax",
    "MultiClassOneVsAll": "sigmoid",  # of each class by itself: they don't add up to one
}

# A regressor's default type of prediction → its link. The ranker's and CatBoost's own predict
# give the sum itself, whatever the loss.
_PREDICTIONS = {"RawFormulaVal": "identity", "Exponent": "exp"}


@dataclass(frozen=True, slots=True)
class Source:
    """A model's JSON, and what follows from it."""

    kind: str
    loss: str
    link: str
    names: list[str]
    categorical: list[int]
    """The features that are categories."""
    labels: tuple[Label, ...]
    outputs: int
    """Sums of a row: classes, targets or one."""
    scale: float
    bias: tuple[float, ...]
    """One for each output."""
    content: dict[str, Any]

    def features(self, kind: str) -> list[dict[str, Any]]:
        """The features of one of the file's kinds: float_features, categorical_features, ctrs."""
        return self.content["features_info"].get(kind) or []

    @property
    def trees(self) -> list[dict[str, Any]]:
        """The trees, oblivious ones or of any shape."""
        return self.content.get("oblivious_trees") or self.content.get("trees") or []


def read(model: Any) -> Source:
    """The facts. Raises `NotConvertibleError` for what has no form in a graph."""
    try:
        import catboost  # noqa: F401
    except ImportError as error:
        raise DependencyMissingError("CatBoost models", "catboost") from error
    kind = type(model).__name__
    if not model.is_fitted():
        raise NotConvertibleError(kind, "it is not trained.", "Call fit first.")
    names = [str(name) for name in model.feature_names_]
    _refuse_features(model, kind, names)
    content = json_of(model)
    scale, bias = content["scale_and_bias"]
    outputs = _outputs(content, bias or [])
    bias = tuple(float(b) for b in bias or [])
    if not any(bias):
        bias = (0.0,) * outputs
    if len(bias) != outputs:
        raise NotConvertibleError(kind, f"it has {outputs} outputs, and {len(bias)} biases.")
    loss = _loss(content)
    link, labels = _link(model, kind, loss, outputs)
    categorical = [int(i) for i in model.get_cat_feature_indices()]
    return Source(
        kind, loss, link, names, categorical, labels, outputs, float(scale), bias, content
    )


def json_of(model: Any, pool: Any = None) -> dict[str, Any]:
    """The model's JSON; with a pool, also the hashes of its categories."""
    with tempfile.TemporaryDirectory(prefix="sqlml-") as directory:
        path = Path(directory, "model.json")
        model.save_model(str(path), format="json", pool=pool)
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _refuse_features(model: Any, kind: str, names: Sequence[str]) -> None:
    """Features that are texts or vectors."""
    for what, found in (
        ("text", model.get_text_feature_indices()),
        ("an embedding", model.get_embedding_feature_indices()),
    ):
        if len(found):
            raise NotConvertibleError(
                kind,
                f"feature {names[found[0]]} is {what}.",
                "Make numbers of it in a pipeline, and publish that.",
            )


def _outputs(content: Mapping[str, Any], bias: Sequence[float]) -> int:
    """Sums of a row: the values of each leaf of the first tree."""
    if trees := content.get("oblivious_trees"):
        leaves = 2 ** len(trees[0]["splits"] or [])
        return int(len(trees[0]["leaf_values"]) // leaves)
    node = (content.get("trees") or [None])[0]
    if node is None:
        return max(len(bias), 1)
    while "value" not in node:
        node = node["left"]
    value = node["value"]
    return len(value) if isinstance(value, list) else 1


def _loss(content: Mapping[str, Any]) -> str:
    params = content["model_info"].get("params") or {}
    return str((params.get("loss_function") or {}).get("type", ""))


def _link(model: Any, kind: str, loss: str, outputs: int) -> tuple[str, tuple[Label, ...]]:
    """What predict, or predict_proba, makes of the sums; and a classifier's labels."""
    if kind == "CatBoostRegressor":
        # What predict asks itself; it goes by the parameters, not by the trained model.
        wanted = model._get_default_prediction_type()
        if wanted not in _PREDICTIONS:
            raise NotConvertibleError(kind, f"{loss} predicts more than one number of a kind.")
        return _PREDICTIONS[wanted], ()
    if kind != "CatBoostClassifier":
        return "identity", ()
    if loss in ("MultiCrossEntropy", "MultiLogloss"):
        raise NotConvertibleError(
            kind, "it predicts several labels a row.", "Train one model for each label."
        )
    if loss not in _PROBABILITIES:
        raise NotConvertibleError(
            kind,
            f"the loss {loss!r} has no known link to probabilities of classes.",
            "Train with Logloss, CrossEntropy, MultiClass or MultiClassOneVsAll.",
        )
    import numpy as np

    labels: tuple[Label, ...] = tuple(np.asarray(model.classes_).tolist())
    if len(labels) != max(outputs, 2):
        raise NotConvertibleError(kind, f"it has {len(labels)} classes, and {outputs} sums a row.")
    if outputs == 1 and model.get_probability_threshold() not in (None, 0.5):
        raise NotConvertibleError(
            kind,
            f"its labels follow a threshold of {model.get_probability_threshold():g}.",
            "Call set_probability_threshold(None), and compare the probability in SQL.",
        )
    return _PROBABILITIES[loss], labels
