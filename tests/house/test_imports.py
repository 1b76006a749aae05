"""What may import what: the contracts of `.importlinter` hold, and they speak of every room that there is."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("broker", "keys", "wellknown")
SINGLE = ("app", "built", "compose", "schema", "settings")
"""Modules of the house itself, which belong to no room."""


def contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", "utf-8")
    return parser


def modules() -> dict[str, Path]:
    """Dotted name to file of every module of the packages."""
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
    }


def imported(source: str) -> set[str]:
    """Every dotted name that a module's import statements could mean."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.fixture(scope="module")
def rooms() -> set[str]:
    found = {name.split(".")[1] for name in modules() if name.startswith("broker.")}
    return {name for name in found if (ROOT / "broker" / name / "__init__.py").exists() or name in SINGLE}


def test_the_import_contracts_hold() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stdout[result.stdout.find("Contracts") :] + result.stderr


def test_the_guard_is_forbidden_every_room_but_protocol(rooms: set[str]) -> None:
    listed = contracts()["importlinter:contract:guard-down"]["forbidden_modules"].split()
    assert set(listed) == {f"broker.{room}" for room in rooms - {"guard", "protocol"}} | {"keys", "wellknown"}


def test_every_importer_of_the_guard_that_there_is_is_listed(rooms: set[str]) -> None:
    listed = contracts()["importlinter:contract:guard-up"]["allowed_importers"].split()
    allowed = {"tokens", "decisions", "admin", "account", "app", "compose"}
    assert set(listed) == {f"broker.{room}" for room in allowed & rooms}


def test_relative_imports_are_refused_and_absolute_ones_read() -> None:
    assert "a.b.store" in imported("from a.b import store") and "a.b" in imported("import a.b")
    with pytest.raises(AssertionError, match="absolute"):
        imported("from . import store")


def test_imports_lead_to_a_place_that_exists() -> None:
    known = modules()
    for name, file in known.items():
        for wanted in imported(file.read_text("utf-8")):
            package = wanted.split(".")[0]
            if package in PACKAGES:
                assert wanted in known or wanted.rpartition(".")[0] in known, f"{name} imports {wanted}"
