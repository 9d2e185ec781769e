"""Compiles the tree kernel when the package is built or installed, with the machine's C compiler.

Without one the package is installed all the same: ONNX Runtime scores what the kernel would.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "sqlml/score/kernel/trees.c"
LIBRARY = "sqlml/score/kernel/trees.bin"

# Results must not depend on the compiler's choice: neither fused nor reordered arithmetic.
# The paths for larger CPUs are chosen when it runs, so the library is for any of its platform.
FLAGS = [
    *("-O3", "-std=gnu11", "-fPIC", "-shared"),
    *("-ffp-contract=off", "-fno-strict-aliasing", "-Wno-psabi"),
]


class TreeKernel(BuildHookInterface):
    """hatchling's hook for the wheel, the editable one included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say for which platform the wheel is."""
        root = Path(self.root)
        problem = compiled(root / SOURCE, root / LIBRARY)
        if problem:
            self.app.display_warning(f"sqlml without its tree kernel, slower: {problem}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"  # it is loaded by ctypes, in any Python
        if version != "editable":
            build_data["force_include"][str(root / LIBRARY)] = LIBRARY


def compiled(source: Path, library: Path) -> str:
    """Compile the library; the reason in one line where that fails, and no library."""
    library.unlink(missing_ok=True)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if sys.platform == "win32" or shutil.which(compiler[0]) is None:
        return f"there is no C compiler ({compiler[0]})."
    made = library.with_suffix(f".{os.getpid()}")
    command = [*compiler, *FLAGS, "-o", str(made), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        made.unlink(missing_ok=True)
        return " ".join(f"{compiler[0]} fails: {result.stderr}".split())
    made.replace(library)  # at once: a process that has the old one keeps it
    return ""
