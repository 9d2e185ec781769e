"""The executor side: Arrow columns in, one Arrow array of raw results out.

It knows neither Spark nor MLflow, and imports only NumPy, pyarrow and the engine's own
library: every Python worker pays for what is imported here.
"""

from sqlml.score.scorer import Scorer

__all__ = ["Scorer"]
