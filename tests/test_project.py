"""What must hold of the project as a whole, whatever its models score."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import sqlml
from sqlml import errors

ROOT = Path(__file__).parent.parent
MODULES = sorted(module.name for module in pkgutil.walk_packages(sqlml.__path__, prefix="sqlml."))
HEAVY = [
    "mlflow", "sklearn", "pandas", "torch", "pyspark", "xgboost", "lightgbm", "catboost",
    "skl2onnx", "statsmodels", "patsy",
]  # fmt: skip


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    result = run(sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(
    "command",
    ["ruff check .", "ruff format --check .", "mypy", "lint-imports"],
    ids=["style", "format", "types", "layers"],
)
def test_the_code_keeps_its_own_rules(command: str) -> None:
    """Style, types and the layers of docs/architecture.md hold, as `make lint` says."""
    tool, *arguments = command.split()
    result = run(str(Path(sysconfig.get_path("scripts"), tool)), *arguments)
    assert result.returncode == 0, result.stdout + result.stderr


def test_importing_the_package_is_quick() -> None:
    """A fresh interpreter spends less than 0.3 seconds on `import sqlml`."""
    code = (
        "import time; start = time.process_time(); import sqlml; print(time.process_time() - start)"
    )
    assert min(float(python(code)) for _ in range(3)) < 0.3


@pytest.mark.parametrize(
    ("module", "also"), [("sqlml", ["numpy", "pyarrow", "onnx"]), ("sqlml.score", ["onnx"])]
)
def test_importing_loads_only_what_it_needs(module: str, also: list[str]) -> None:
    """Every Python worker pays for what the package and the executor side import."""
    code = f"import sys, {module}; print(*sorted(set({[*HEAVY, *also]!r}) & sys.modules.keys()))"
    assert python(code) == ""


@pytest.mark.parametrize("name", [n for n in sqlml.__all__ if not n.startswith("_")])
def test_public_names_are_documented(name: str) -> None:
    """Each public name, and each public method of a public class, has a docstring."""
    thing = getattr(sqlml, name)
    parts = {name: thing}
    if inspect.isclass(thing):
        members = {k: v for k, v in vars(thing).items() if not k.startswith("_")}
        parts |= {f"{name}.{k}": v for k, v in members.items() if inspect.isroutine(v)}
    assert [part for part, value in parts.items() if not inspect.getdoc(value)] == []


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_they_are_for(name: str) -> None:
    """Each module that is more than a marker begins with a sentence about itself."""
    module = importlib.import_module(name)
    if inspect.getsource(module):
        assert module.__doc__


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    """An example that is not marked as skipped gives what it shows."""
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_every_room_is_in_the_architecture() -> None:
    """docs/architecture.md says of each module at the top what it knows."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [
        f"{module.name}/" if module.ispkg else f"{module.name}.py"
        for module in pkgutil.iter_modules(sqlml.__path__)
    ]
    assert [room for room in rooms if not re.search(rf"^\| `(sqlml/)?{room}`", text, re.M)] == []


def conditions() -> list[str]:
    """The conditions of every error that can be raised."""
    tree = [errors.SqlmlError]
    for error in tree:
        tree += error.__subclasses__()
    return sorted({error.condition for error in tree[1:]})


@pytest.mark.parametrize("place", ["sqlml/errors.py", "README.md"])
def test_every_error_condition_is_documented(place: str) -> None:
    """A reader who searches for a condition finds it."""
    text = (ROOT / place).read_text()
    documented = text.split('"""')[1] if place.endswith(".py") else text
    assert [c for c in conditions() if not re.search(rf"\b{c}\b", documented)] == []


def test_version_is_one() -> None:
    """The package, its metadata and the changelog name the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == sqlml.__version__
    assert f"## [{sqlml.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_extras_bear_the_names_of_converters() -> None:
    """`pip install 'sqlml[x]'` is the command for the models of sqlml/convert/x."""
    from sqlml.convert import CONVERTERS

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    needing_one = [name for name in CONVERTERS if name != "onnx"]  # onnx itself is always there
    assert [name for name in needing_one if name not in extras] == []


def test_an_extra_installs_no_other_framework() -> None:
    from sqlml.convert import CONVERTERS

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    frameworks = {
        name: {re.match(r"[\w-]+", asked)[0] for asked in extras[name]}  # type: ignore[index]
        for name in CONVERTERS
        # ONNX and Spark are of sqlml itself, and Keras is of TensorFlow.
        if name not in ("onnx", "spark", "tensorflow")
    }
    packages = [package for asked in frameworks.values() for package in asked]
    assert sorted(packages) == sorted(set(packages))
