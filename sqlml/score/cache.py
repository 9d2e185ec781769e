"""One loaded model per worker process.

A module of its own, so that a function which Spark pickles reaches it by reference:
what is kept here lives as long as the process, not as long as a task.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from sqlml.score.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.model import ScoringModel

# An engine holds about two to four times the file's bytes; the last used always stays.
MAX_BYTES = 512 * 1024 * 1024

_loaded: OrderedDict[str, Scorer] = OrderedDict()
_lock = threading.Lock()


def scorer(key: str, fetch: Callable[[], ScoringModel]) -> Scorer:
    """The scorer of a model, loaded at its first use in this process.

    `key` identifies the model, bytes and metadata; `fetch` brings it, and is called only
    where it is not loaded. Those used longest ago make room past `MAX_BYTES`.
    """
    with _lock:
        if key not in _loaded:
            _loaded[key] = Scorer(fetch())
        _loaded.move_to_end(key)
        held = sum(len(s.model.onnx) for s in _loaded.values())
        while held > MAX_BYTES and len(_loaded) > 1:
            _, oldest = _loaded.popitem(last=False)
            held -= len(oldest.model.onnx)
        return _loaded[key]
