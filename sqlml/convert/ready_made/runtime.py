"""The one door from a converter to the executor's side.

A framework answers for its own models; for a ready-made graph that is ONNX Runtime.
"""

from sqlml.score.onnxruntime import session

__all__ = ["session"]
