"""The models of xgboost.spark: XGBoost's own converter, on the columns that Spark gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml.convert import xgboost
from sqlml.convert.graph import DOUBLE, FLOAT
from sqlml.convert.sklearn.frame import Result
from sqlml.convert.spark.frame import Frame, features, given, name_of, numbers
from sqlml.convert.spark.linear import labels
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph

_SWITCHES = {
    "base_margin_col": "its margins begin with those of a column",
    "enable_sparse_data_optim": "it takes zeros for missing where a vector is sparse",
}


def _boosted(g: Graph, stage: Any, frame: Frame) -> Result:
    """The booster on features narrowed to float; labels are their numbers, as of all of Spark's."""
    for switch, does in _SWITCHES.items():
        if given(stage, switch):
            raise NotConvertibleError(
                name_of(stage), f"{does}, which has no form here.", f"Train without {switch}."
            )
    names = given(stage, "features_cols")
    if names:
        matrix = g.concat([numbers(stage, frame, name).tensor for name in names])
    else:
        matrix = features(stage, frame, stage.getFeaturesCol()).tensor
    scores = xgboost.nodes(g, stage._xgb_sklearn_model, g.cast(matrix, FLOAT))
    if scores.role == "label":
        raise NotConvertibleError(
            name_of(stage), "its objective gives no probabilities.", "Train binary:logistic."
        )
    tensor = g.cast(scores.tensor, DOUBLE)
    if scores.task == "regression":
        if scores.width > 1:
            raise NotConvertibleError(name_of(stage), "it predicts several targets.")
        return Result("regression", tensor)
    return Result("classification", probabilities=tensor, classes=labels(scores.width))


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    "SparkXGBClassifierModel": _boosted,
    "SparkXGBRegressorModel": _boosted,
    "SparkXGBRankerModel": _boosted,
}
