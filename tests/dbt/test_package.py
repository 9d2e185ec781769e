"""The package is documented: every example is tested, every macro is described."""

from __future__ import annotations

import re

import pytest
import yaml

from .project import PACKAGE

README = (PACKAGE / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)
PROJECT = PACKAGE / "integration"
EXAMPLES = [
    file.read_text()
    for file in (PROJECT / "profiles.yml", *PROJECT.glob("models/**/*"), *PROJECT.glob("tests/*"))
    if file.is_file()
]
MACROS = {file.stem: file for file in (PACKAGE / "macros").rglob("*.sql")}
DEFINITION = re.compile(r"^\{% (macro|test|materialization) (\w+)(.*?)%\}", re.M)
DESCRIBED = {
    macro["name"]: macro
    for macro in yaml.safe_load((PACKAGE / "macros" / "schema.yml").read_text())["macros"]
}


@pytest.mark.parametrize(("language", "code"), BLOCKS, ids=lambda text: text.split("\n")[0][:40])
def test_every_example_is_a_piece_of_the_tested_project(language: str, code: str) -> None:
    """But for the address of the package, whose folder must be the package's."""
    if "subdirectory:" in code:
        (package,) = yaml.safe_load(code)["packages"]
        folder = PACKAGE.parents[1] / package["subdirectory"]
        project = yaml.safe_load((folder / "dbt_project.yml").read_text())
        assert (project["name"], project["version"]) == ("sqlml", package["revision"])
    else:
        assert language in ("sql", "yaml")
        assert any(code in text for text in EXAMPLES)


@pytest.mark.parametrize("name", MACROS)
def test_a_file_has_one_macro_of_its_name_which_is_described(name: str) -> None:
    """schema.yml says what it does, and has its arguments in their order."""
    ((kind, defined, signature),) = DEFINITION.findall(MACROS[name].read_text())
    assert defined == name
    described = DESCRIBED[
        {
            "macro": name,
            "test": f"test_{name}",
            "materialization": f"materialization_{name}_spark",
        }[kind]
    ]
    assert described["description"]
    arguments = re.findall(r"(\w+)(?:=[^,)]+)?[,)]", signature) if kind != "materialization" else []
    assert [a["name"] for a in described.get("arguments", [])] == arguments


def test_only_what_is_there_is_described() -> None:
    """As many descriptions as macros, and every public one is in the README."""
    assert len(DESCRIBED) == len(MACROS)
    public = [m for m in DESCRIBED.values() if m.get("docs", {}).get("show", True)]
    names = [re.sub("^test_|^materialization_|_spark$", "", macro["name"]) for macro in public]
    assert [
        name for name in names if not re.search(rf"`sqlml\.{name}|^## .*{name}", README, re.M)
    ] == []
