"""Spark: PREDICT in every session, and one model as one function.

`installation` has `sqlml.install`; `registration` has `sqlml.register` and `sqlml.udf`, for which
pandas is imported, and so only when they are asked for.
"""
