"""sqlml doctor: what scoring needs, what was found, and the command that mends it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlml.errors import SqlmlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    Look = Callable[["Machine"], "Finding"]

JAVA_VERSIONS = (17, 21)
PACKAGES = ("pyspark", "pyarrow", "numpy", "pandas", "onnx", "onnxruntime", "mlflow")
EXECUTOR_PACKAGES = ("pyarrow", "numpy", "onnxruntime", "sqlml")

_INSTALL_JAVA = {  # by the package manager that is there
    "apt-get": "sudo apt-get install openjdk-17-jre-headless",
    "dnf": "sudo dnf install java-17-openjdk-headless",
    "brew": "brew install openjdk@17",
    "winget": "winget install EclipseAdoptium.Temurin.17.JRE",
}

Finding = tuple[bool, str, str]
"""Whether it is right, what was found, and what to type where it is wrong."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    ok: bool
    found: str
    advice: str = ""
    """What to type, where something is wrong."""


class Machine:
    """What several checks look at; Spark is started once, by the first that needs it."""

    def __init__(self, master: str | None = None) -> None:
        self._master = master

    @cached_property
    def spark(self) -> SparkSession:
        from sqlml.spark.session import local_session

        return local_session("sqlml doctor", hive=False, master=self._master)

    def stop(self) -> None:
        if "spark" in self.__dict__:
            self.spark.stop()


def examine(master: str | None = None) -> Iterator[Check]:
    """The checks, one by one as each is done; `master` is the Spark to look at.

    >>> [check.name for check in examine() if not check.ok]           # doctest: +SKIP
    []
    """
    machine = Machine(master)
    try:
        for name, look in CHECKS:
            yield _guarded(name, look, machine)
    finally:
        machine.stop()


def _guarded(name: str, look: Look, machine: Machine) -> Check:
    """A check that fails in a way of its own is a finding, not the end of the report."""
    try:
        ok, found, advice = look(machine)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        advice = "" if isinstance(error, SqlmlError) else "Mend the checks above first."
        return Check(name, False, (lines or [type(error).__name__])[0], advice)
    return Check(name, ok, found, "" if ok else advice)


def _python(_: Machine) -> Finding:
    allowed = metadata.metadata("sqlml")["Requires-Python"] or ""
    found = platform.python_version()
    return _within(found, allowed), f"{found} ({sys.executable})", f"Install Python {allowed}."


def _java(_: Machine) -> Finding:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    advice = next(
        (command for tool, command in _INSTALL_JAVA.items() if shutil.which(tool)),
        "Install Java 17 from https://adoptium.net",
    )
    if java is None:
        return False, "not installed", advice
    if shutil.which(java) is None:
        return False, f"JAVA_HOME is {home}, which has no bin/java", "unset JAVA_HOME"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None:
        return False, " ".join(said.split())[:80], advice
    return int(version[1]) in JAVA_VERSIONS, f"{version[1]} ({java})", advice


def _package(name: str, _: Machine) -> Finding:
    allowed = _required(name)
    advice = f'{sys.executable} -m pip install "{name}{allowed}"'
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return False, "not installed", advice
    return _within(found, allowed), found, advice


def _required(name: str) -> str:
    """The range of versions in sqlml's own metadata."""
    from packaging.requirements import Requirement

    all_of_them = (Requirement(line) for line in metadata.requires("sqlml") or ())
    return next((str(r.specifier) for r in all_of_them if r.name == name and not r.marker), "")


def _within(found: str, allowed: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(allowed).contains(found, prereleases=True)


def _registry(_: Machine) -> Finding:
    from sqlml import registry

    uri = registry.registry_uri()
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not file.exists():
        return True, f"{uri}: not there yet, the first publish makes it", ""
    return True, f"{uri}: {len(registry.models())} models", ""


def _spark(machine: Machine) -> Finding:
    spark = machine.spark
    answer = spark.sql("SELECT 1").collect()[0][0]
    return answer == 1, f"{spark.version} on {spark.sparkContext.master}", ""


def _predict(machine: Machine) -> Finding:
    from sqlml.spark.installation import install

    install(machine.spark)
    return True, "known to this Spark", ""


def _executors(machine: Machine) -> Finding:
    context = machine.spark.sparkContext
    tasks = context.defaultParallelism
    probe = _probe_of(EXECUTOR_PACKAGES)
    hosts = dict(context.parallelize(range(tasks), tasks).mapPartitions(probe).collect())
    here = dict(probe(iter(())))
    wanted = next(iter(here.values()))
    apart = {host: found for host, found in hosts.items() if found != wanted}
    if not apart:
        return True, f"{len(hosts)} hosts, {_spelled(wanted)}", ""
    host, found = next(iter(apart.items()))
    differing = {k: v for k, v in found.items() if v != wanted.get(k)}
    needed = " ".join(f"{k}=={wanted[k]}" for k in differing if k != "python")
    return (
        False,
        f"{len(apart)} of {len(hosts)} hosts differ from the driver, {host}: {_spelled(differing)}",
        f"There: pip install {needed} (or set PYSPARK_PYTHON to an environment that has them)",
    )


def _probe_of(packages: tuple[str, ...]) -> Callable[[Any], Iterator[tuple[str, dict[str, str]]]]:
    # Nested, so that Spark ships its code: an executor without sqlml could not import it.
    def probe(_: Any) -> Iterator[tuple[str, dict[str, str]]]:
        import importlib
        import platform
        import socket

        found = {"python": ".".join(platform.python_version_tuple()[:2])}
        for name in packages:
            try:
                module = importlib.import_module(name)
                if name == "sqlml":
                    importlib.import_module("sqlml.score")
                found[name] = str(module.__version__)
            except Exception as error:
                found[name] = f"missing ({error})"
        yield socket.gethostname(), found

    return probe


def _spelled(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


CHECKS: list[tuple[str, Look]] = [
    ("Python", _python),
    ("Java", _java),
    *((name, partial(_package, name)) for name in PACKAGES),
    ("registry", _registry),
    ("Spark starts", _spark),
    ("PREDICT", _predict),
    ("executors", _executors),
]
