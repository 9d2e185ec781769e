"""sqlml doctor: what scoring needs, what was found, and the command that mends it."""

from __future__ import annotations

import json
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
    from collections.abc import Callable, Iterator, Mapping

    from pyspark.sql import SparkSession

    Look = Callable[["Machine"], "Finding"]

JAVA_VERSIONS = (17, 21)
PACKAGES = ("pyspark", "pyarrow", "numpy", "pandas", "onnx", "onnxruntime", "mlflow")
EXECUTOR_SECONDS = 60
"""How long a cluster may take to start executors."""

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

        # One attempt: the first failure names its host.
        conf = {"spark.task.maxFailures": "1"}
        return local_session("sqlml doctor", hive=False, master=self._master, conf=conf)

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


def _kernel(_: Machine) -> Finding:
    from sqlml.score.kernel import LEVELS, KernelMissing, library

    advice = (
        f"Install a C compiler (gcc, say), then {sys.executable} -m pip install --force-reinstall "
        "--no-deps sqlml. Until then ONNX Runtime scores tree ensembles, some ten times slower."
    )
    try:
        return True, f"compiled, runs with {LEVELS[library().sqlml_level()]}", ""
    except KernelMissing as error:
        return False, str(error), advice


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
    from py4j.protocol import Py4JJavaError

    from sqlml.spark.internals.executors import count_executors, run_command
    from sqlml.spark.shipping import LIBRARIES, is_shipped

    context = machine.spark.sparkContext
    executors = count_executors(machine.spark, EXECUTOR_SECONDS)
    if not executors:
        return (
            False,
            f"{context.master} gave none in {EXECUTOR_SECONDS} s",
            "Free cores and memory there, or ask for less with spark.cores.max and "
            "spark.executor.memory in spark-defaults.conf",
        )
    ask = ("-c", _PROBE, *LIBRARIES)
    try:
        answers = run_command(machine.spark, [context.pythonExec, *ask], executors)
    except Py4JJavaError as error:
        return _not_started(context.pythonExec, str(error.java_exception))
    asked = subprocess.run([sys.executable, *ask], input="", capture_output=True, text=True)
    wanted = json.loads(asked.stdout)["versions"]
    found = {_place(fact): fact for fact in map(json.loads, answers)}
    answered = len({(fact["host"], fact["executor"]) for fact in map(json.loads, answers)})
    if answered < executors:
        return False, f"only {answered} of {executors} answered", "Run sqlml doctor again."
    apart = [fact for _, fact in sorted(found.items()) if fact["versions"] != wanted]
    if apart:
        return (
            False,
            f"{len(apart)} of {len(found)} differ from the driver ({_spelled(wanted)}): "
            + "; ".join(f"{_place(f)} has {_spelled(_differing(f, wanted))}" for f in apart),
            "; ".join(_mend(fact, wanted) for fact in apart),
        )
    brought = "sqlml is shipped to them" if is_shipped() else "with this Python's sqlml"
    hosts = len({fact["host"] for fact in found.values()})
    on = f"{hosts} host{'s' * (hosts > 1)}"
    return True, f"{executors} on {on}, {_spelled(wanted)}; {brought}", ""


# A program of its own, not a Spark function: it runs in a Python of another version too, and in
# one without pyarrow. What Spark writes to it is read, so that Spark does not miss the reader.
_PROBE = """
import importlib, json, os, platform, sys
sys.stdin.read()
versions = {"python": "%d.%d" % sys.version_info[:2]}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.import_module(name).__version__
    except Exception:
        versions[name] = None
print(json.dumps({
    "host": platform.node(),
    "executor": os.getppid(),
    "python": sys.executable,
    "versions": versions,
}))
"""


def _place(fact: dict[str, Any]) -> str:
    return f"{fact['host']} ({fact['python']})"


def _differing(fact: dict[str, Any], wanted: dict[str, str]) -> dict[str, str | None]:
    return {name: found for name, found in fact["versions"].items() if found != wanted[name]}


def _mend(fact: dict[str, Any], wanted: dict[str, str]) -> str:
    differing = _differing(fact, wanted)
    if "python" in differing:
        return f"On {fact['host']}: install Python {wanted['python']}, or set PYSPARK_PYTHON to one"
    needed = " ".join(f"{name}=={wanted[name]}" for name in differing)
    return f"On {fact['host']}: {fact['python']} -m pip install {needed}"


def _not_started(python: str, reason: str) -> Finding:
    lost = re.search(r"\((\S+) executor \S+\): (.*)", reason)
    host, said = lost.groups() if lost else ("an executor", reason.splitlines()[0])
    return (
        False,
        f"{host} cannot run {python}: {said}",
        "export PYSPARK_PYTHON=/path/of/python, one that is on every host",
    )


def _spelled(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())


CHECKS: list[tuple[str, Look]] = [
    ("Python", _python),
    ("Java", _java),
    *((name, partial(_package, name)) for name in PACKAGES),
    ("tree kernel", _kernel),
    ("registry", _registry),
    ("Spark starts", _spark),
    ("PREDICT", _predict),
    ("executors", _executors),
]
