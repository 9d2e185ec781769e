"""A Python for executors: its own interpreter with chosen libraries, and nothing of sqlml."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def make(directory: Path, libraries: Iterable[str]) -> Path:
    """A virtual environment with these libraries and what they require; its `bin`.

    The libraries are links to those of this interpreter: nothing is downloaded or copied.
    """
    venv = [sys.executable, "-m", "venv", "--without-pip", str(directory)]
    subprocess.run(venv, check=True, timeout=120)
    packages = next(directory.glob("lib/python*/site-packages"))
    for distribution in _with_requirements(libraries):
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(distribution.locate_file(name))
    return directory / "bin"


def _with_requirements(names: Iterable[str]) -> list[metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = metadata.distribution(name)
            required = map(Requirement, found[name].requires or ())
            waiting += [r.name for r in required if not r.marker or r.marker.evaluate()]
    return list(found.values())
