"""Spark: PREDICT in every session, and one model as one function."""

from sqlml.spark.installation import install
from sqlml.spark.registration import register, udf

__all__ = ["install", "register", "udf"]
