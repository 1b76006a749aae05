"""Nothing that a store offers is left out of the contract."""

import ast
import importlib
import inspect
from pathlib import Path

from tests.house.test_stores import STORES

HERE = Path(__file__).parent
RUNTIME = {"broker.runtime.database": ("bump", "stamps", "lease", "release")}


def offered(store: str) -> set[str]:
    """The public functions of a store."""
    module = importlib.import_module(store)
    return {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == store and not name.startswith("_")
    }


def exercised(source: str) -> set[str]:
    """`module.function` for everything that a test module takes from a module it imported."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    return {
        f"{names[node.value.id]}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names
    }


def test_every_function_of_every_store_is_in_the_contract() -> None:
    wanted = {f"{store}.{name}" for store in STORES for name in offered(store)}
    wanted |= {f"{module}.{name}" for module, names in RUNTIME.items() for name in names}
    assert len(wanted) > 60
    found: set[str] = set()
    for file in HERE.glob("test_contract_*.py"):
        found |= exercised(file.read_text("utf-8"))
    assert sorted(wanted - found) == []


def test_what_is_not_exercised_is_noticed() -> None:
    source = "from broker.tokens import store as tokens\nfrom x import y\ntokens.find(1)\ny.z\nw.v"
    assert exercised(source) == {"broker.tokens.store.find", "x.y.z"}
    assert "add" in offered("broker.tokens.store") and "find" in offered("broker.tokens.store")
