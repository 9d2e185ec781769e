"""One loaded model per worker process.

A module of its own, so that a function which Spark pickles reaches it by reference:
what is kept here lives as long as the process, not as long as a task.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.score.scorer import Scorer

# An engine holds about two to four times the program's bytes; the last used always stays.
MAX_BYTES = 512 * 1024 * 1024

_loaded: OrderedDict[str, Scorer] = OrderedDict()
_lock = threading.Lock()


def loaded(key: str, load: Callable[[], Scorer]) -> Scorer:
    """The scorer of a model, loaded at its first use in this process.

    `key` identifies what is loaded; `load` is called only where that is not here yet. Those
    used longest ago make room past `MAX_BYTES`.
    """
    with _lock:
        if key not in _loaded:
            _loaded[key] = load()
        _loaded.move_to_end(key)
        held = sum(len(s.program) for s in _loaded.values())
        while held > MAX_BYTES and len(_loaded) > 1:
            _, oldest = _loaded.popitem(last=False)
            held -= len(oldest.program)
        return _loaded[key]
