"""install: PREDICT and the relations in every session of a Spark application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.errors import SparkIncompatibleError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def install(spark: SparkSession) -> None:
    """Make PREDICT known to this session and to every later session of the application.

    Models need no registering: a name is looked up in the MLflow registry when a query is
    analysed, so that a version published later is seen by sessions that are open already.
    Raises `SparkIncompatibleError` on a Spark Connect session, whose server must install
    it (`sqlml.register` works there), and on a Spark that lacks what PREDICT relies on.

    >>> install(spark)                                                  # doctest: +SKIP
    >>> spark.sql("SELECT * FROM PREDICT('churn', TABLE(customers))")    # doctest: +SKIP
    """
    if not hasattr(spark, "_jsparkSession"):
        raise SparkIncompatibleError(
            "PREDICT is installed where Spark's driver runs, and this is a Spark Connect client. "
            "Use sqlml.register(spark, 'predict_churn', 'churn') here."
        )
    # Imported now: a Connect client has no JVM classes to import them with.
    from sqlml.spark import internals, predict, relations

    internals.self_test(spark)
    internals.install_functions(
        spark,
        scalar={"predict": predict.predict_scalar, "predict_proba": predict.predict_proba},
        table={
            "predict": predict.predict_table,
            "models": relations.models,
            "model_versions": relations.model_versions,
            "describe_model": relations.describe_model,
            "model_parity": relations.model_parity,
        },
    )
