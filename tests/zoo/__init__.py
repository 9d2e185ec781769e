"""The zoo: one table of models, crossed with every path that a score can take.

`ZOO` are the models that must score in SQL as in their framework; `REFUSED` those that
must not be published. There is no third kind: a case moves when a converter is mended.
"""

from .boosters import LIGHTGBM, XGBOOST
from .case import Answer, Case, Fitted
from .catboost_models import CATBOOST
from .keras_models import KERAS, KERAS_REFUSED
from .onnx_models import ONNX
from .refused import REFUSED as OTHERS_REFUSED
from .sklearn_estimators import ESTIMATORS
from .sklearn_pipelines import PIPELINES
from .sklearn_texts import TEXTS
from .sklearn_trees import COMBINED, TREES
from .spark_ml import SPARK_ML, SPARK_ML_REFUSED
from .statsmodels_results import STATSMODELS, STATSMODELS_REFUSED
from .torch_models import TORCH, TORCH_REFUSED

ZOO: tuple[Case, ...] = (
    *ESTIMATORS,
    *TREES,
    *COMBINED,
    *PIPELINES,
    *TEXTS,
    *XGBOOST,
    *LIGHTGBM,
    *CATBOOST,
    *ONNX,
    *STATSMODELS,
    *SPARK_ML,
    *TORCH,
    *KERAS,
)
REFUSED: tuple[Case, ...] = (
    *OTHERS_REFUSED,
    *STATSMODELS_REFUSED,
    *SPARK_ML_REFUSED,
    *TORCH_REFUSED,
    *KERAS_REFUSED,
)

__all__ = ["REFUSED", "ZOO", "Answer", "Case", "Fitted"]
