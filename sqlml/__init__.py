"""Score trained machine-learning models in Spark SQL.

    import sqlml
    sqlml.publish(model, "churn", sample=X_train, alias="champion")
    sqlml.install(spark)
    spark.sql("SELECT * FROM PREDICT('churn', TABLE(customers))").show()

The public names are resolved on first use: executors import this package too, and pay
only for what scoring needs.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlml.check import CheckedModel as CheckedModel
    from sqlml.check import check as check
    from sqlml.compile.export import to_sql as to_sql
    from sqlml.convert import convert as convert
    from sqlml.errors import SqlmlError as SqlmlError
    from sqlml.model import ScoringModel as ScoringModel
    from sqlml.parity import ParityReport as ParityReport
    from sqlml.parity import verify as verify
    from sqlml.publish import PublishedModel as PublishedModel
    from sqlml.publish import publish as publish
    from sqlml.registry import load as load
    from sqlml.spark.installation import install as install
    from sqlml.spark.registration import register as register
    from sqlml.spark.registration import udf as udf

__version__ = "0.1.0"

_HOMES = {
    "CheckedModel": "sqlml.check",
    "ParityReport": "sqlml.parity",
    "PublishedModel": "sqlml.publish",
    "ScoringModel": "sqlml.model",
    "SqlmlError": "sqlml.errors",
    "check": "sqlml.check",
    "convert": "sqlml.convert",
    "install": "sqlml.spark.installation",
    "load": "sqlml.registry",
    "publish": "sqlml.publish",
    "register": "sqlml.spark.registration",
    "to_sql": "sqlml.compile.export",
    "udf": "sqlml.spark.registration",
    "verify": "sqlml.parity",
}
__all__ = sorted([*_HOMES, "__version__"])


def _public(name: str) -> property:
    def read(_: ModuleType) -> Any:
        return getattr(importlib.import_module(_HOMES[name]), name)

    # `publish` and `convert` are functions here and modules below. Importing a submodule
    # sets it as an attribute of the package; a property lets the public name stand.
    return property(read, lambda _, __: None)


_Package = type("_Package", (ModuleType,), {name: _public(name) for name in _HOMES})
sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return __all__
