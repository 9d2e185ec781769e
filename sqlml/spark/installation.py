"""install: PREDICT and the relations in every session of a Spark application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.errors import SparkIncompatibleError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def install(spark: SparkSession, *, trust_pickle: bool = False) -> None:
    """Make PREDICT and the model statements known to this session and to every later one of
    the application.

    Models need no registering: a name is looked up in the MLflow registry when a query is
    analysed, so that a version published later is seen by sessions that are open already.
    `trust_pickle` lets CREATE MODEL open pickled models, which runs their code in this process:
    leave it off where people whom you do not know send SQL.
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
    from sqlml.spark import internals

    with internals.compiling(spark):
        from sqlml.spark import predict, relations
        from sqlml.spark.commands import ModelStatements
        from sqlml.spark.shipping import is_shipped

    internals.self_test(spark)
    if not is_shipped():
        internals.fork_workers_from(spark, "sqlml.daemon")
    function = internals.Function
    internals.install_functions(
        spark,
        scalar={
            "predict": function(
                "_FUNC_(model, inputs...) - What the published model predicts for a row; inputs "
                "are columns (bound by name), name => value, struct(*), or values in order.",
                predict.predict_scalar,
            ),
            "predict_proba": function(
                "_FUNC_(model, inputs...) - The probability of each label, as a map.",
                predict.predict_proba,
            ),
        },
        table={
            "predict": function(
                "_FUNC_(model, TABLE(relation) [, prefix => 'text']) - Every column of the "
                "relation, then the outputs of the published model.",
                predict.predict_table,
            ),
            "models": function("_FUNC_() - The models of the registry.", relations.models),
            "model_versions": function(
                "_FUNC_(model) - The versions of a model, with their aliases.",
                relations.model_versions,
            ),
            "describe_model": function(
                "_FUNC_(model) - The inputs, the outputs and the backend of a model.",
                relations.describe_model,
            ),
            "model_parity": function(
                "_FUNC_(model) - How a model was compared with its original when published.",
                relations.model_parity,
            ),
        },
    )
    internals.install_statements(spark, ModelStatements(trust_pickle))
    internals.install_optimizations(spark)
