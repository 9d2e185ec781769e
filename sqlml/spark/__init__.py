"""Spark: PREDICT in every session, and one model as one function."""

from sqlml.spark.install import install
from sqlml.spark.register import register, udf

__all__ = ["install", "register", "udf"]
