"""Many clients at once get right answers, from a server that does not grow with each of them."""

from __future__ import annotations

import os

from .load import Load

CLIENTS = int(os.environ.get("SQLML_LOAD_CLIENTS", "8"))
SECONDS = float(os.environ.get("SQLML_LOAD_SECONDS", "15"))


def test_many_clients_get_right_answers(server, rows, fitted):
    load = Load(rows, fitted)
    load.run(server, CLIENTS, SECONDS)
    print("\n" + load.report())
    assert load.wrong == []
    assert load.done.total() >= CLIENTS
