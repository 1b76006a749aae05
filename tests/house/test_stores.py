"""A store is opened by its own room alone, and what it does names the tenant.

The rule for the wall, which every statement and every verb must pass: a store builds its statements once, at
module level; each that reads, changes or deletes rows of a table with a `tenant` column compares that column
with the bind parameter `wall`, and is executed with `wall=tx.tenant`; a verb that inserts into such a table
calls `tx.require` with the row's tenant. A table without that column stands in a
module that says in `SERVER_WIDE` why.
"""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Delete, Insert, Select, Table, Update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter

ROOT = Path(__file__).parents[2]
STORES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for package in ("broker", "keys", "wellknown")
    for file in (ROOT / package).rglob("store.py")
)
TENANTS = "tenant"
"""The table of tenants has no column `tenant`: its `id` is the tenant."""
SCHEMA = "broker.schema"
"""Brings all tables together for the migrations, and takes nothing else from a store."""
Statement = Select | Update | Delete | Insert


def importers() -> Iterator[tuple[str, str]]:
    """(module, store that it imports) all over the packages."""
    for package in ("broker", "keys", "wellknown"):
        for file in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                wanted: set[str] = set()
                if isinstance(node, ast.Import):
                    wanted = {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    wanted = {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
                for store in wanted & set(STORES):
                    yield name, store


def statements(module: ModuleType) -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for name, value in vars(module).items():
        values = (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, (tuple, list))
            else [value]
        )
        for number, one in enumerate(values):
            if isinstance(one, (Select, Update, Delete, Insert)):
                found[name if one is value else f"{name}[{number}]"] = one
    return found


def tables(statement: Statement) -> set[Table]:
    return {part for part in visitors.iterate(statement) if isinstance(part, Table)}


def wall_column(table: Table) -> str | None:
    return "id" if table.name == TENANTS else "tenant" if "tenant" in table.c else None


def has_wall(statement: Statement) -> bool:
    """Whether the statement compares the tenant of a table it touches with `wall`."""
    for part in visitors.iterate(statement):
        if (
            isinstance(part, BinaryExpression)
            and isinstance(part.right, BindParameter)
            and part.right.key == "wall"
        ):
            table = getattr(part.left, "table", None)
            if isinstance(table, Table) and part.left.key == wall_column(table):
                return True
    return False


def functions(module: ModuleType) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def checks_tenant(node: ast.FunctionDef) -> bool:
    """`tx.require(the row's tenant)`."""
    return any(
        isinstance(part, ast.Call) and ast.unparse(part.func) == "tx.require" for part in ast.walk(node)
    )


def faults(module: ModuleType) -> list[str]:
    """Where the module breaks the rule, one sentence each."""
    reason = str(getattr(module, "SERVER_WIDE", ""))
    wrong = [
        f"table {value.name} has no tenant and the module no SERVER_WIDE"
        for value in vars(module).values()
        if isinstance(value, Table) and wall_column(value) is None and len(reason.split()) < 4
    ]
    made = statements(module)
    walled = {name: one for name, one in made.items() if any(wall_column(table) for table in tables(one))}
    wrong += [
        f"{name} has no wall"
        for name, one in walled.items()
        if not isinstance(one, Insert) and not has_wall(one)
    ]
    inserting = {name.split("[")[0] for name, one in walled.items() if isinstance(one, Insert)}
    for name, node in functions(module).items():
        built = names_in(node) & {"select", "update", "delete", "insert", "text"}
        if any(
            isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in built
            for part in ast.walk(node)
        ):
            wrong.append(f"{name} builds a statement; statements stand at module level")
        for part in ast.walk(node):
            if (
                isinstance(part, ast.keyword)
                and part.arg == "wall"
                and ast.unparse(part.value) != "tx.tenant"
            ):
                wrong.append(f"{name} passes another wall than tx.tenant")
        if names_in(node) & inserting and not checks_tenant(node):
            wrong.append(f"{name} inserts without a check of tx.tenant")
    return wrong


def test_there_are_stores() -> None:
    assert len(STORES) >= 8


def test_a_store_is_imported_by_its_own_room_only() -> None:
    strangers = [
        f"{name} imports {store}"
        for name, store in importers()
        if not name.startswith(store.removesuffix("store")) and name != SCHEMA
    ]
    assert strangers == []


def test_the_schema_takes_tables_from_stores_and_nothing_else() -> None:
    module = importlib.import_module(SCHEMA)
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in STORES
    }
    assert used <= {"metadata"}


def test_a_face_imports_no_store_not_even_its_own() -> None:
    assert [f"{name} imports {store}" for name, store in importers() if name.split(".")[-1] == "http"] == []


@pytest.mark.parametrize("store", STORES)
def test_every_verb_of_a_store_takes_the_transaction_it_works_in(store: str) -> None:
    module = importlib.import_module(store)
    wanted = ("connection", "Connection") if store.startswith("keys.") else ("tx", "Transaction")
    for name, node in functions(module).items():
        if not name.startswith("_"):
            assert node.args.args, f"{store}.{name}"
            first = node.args.args[0]
            assert (first.arg, ast.unparse(first.annotation) if first.annotation else "") == wanted, (
                f"{store}.{name}"
            )


@pytest.mark.parametrize("store", [store for store in STORES if not store.startswith("keys.")])
def test_no_statement_reaches_over_the_wall_of_a_tenant(store: str) -> None:
    assert faults(importlib.import_module(store)) == []


@pytest.mark.parametrize("store", STORES)
def test_a_store_begins_and_ends_no_transaction(store: str) -> None:
    source = inspect.getsource(importlib.import_module(store))
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert called & {"begin", "begin_nested", "commit", "rollback", "connect", "savepoint"} == set()


GOOD = """
from sqlalchemy import Column, MetaData, String, Table, bindparam, insert, select
from broker.runtime.database import Transaction, wall
thing = Table("thing", MetaData(), Column("id", String, primary_key=True), Column("tenant", String))
_GET = select(thing).where(wall(thing), thing.c.id == bindparam("which"))
_ADD = insert(thing)

def get(tx: Transaction, which: str) -> object:
    return tx.execute(_GET, wall=tx.tenant, which=which).first()

def add(tx: Transaction, which: str, tenant: str) -> None:
    tx.require(tenant)
    tx.execute(_ADD, id=which, tenant=tenant)
"""


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("", "", ""),
        ("wall(thing), ", "", "_GET has no wall"),
        ("wall=tx.tenant", "wall=None", "get passes another wall than tx.tenant"),
        ("tx.require(tenant)", "pass", "add inserts without a check of tx.tenant"),
        (
            "tx.execute(_GET",
            "tx.execute(select(thing)",
            "get builds a statement; statements stand at module level",
        ),
        (', Column("tenant", String))', ")", "table thing has no tenant and the module no SERVER_WIDE"),
    ],
)
def test_the_rule_finds_what_breaks_it(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    file = tmp_path / "store.py"
    file.write_text(GOOD.replace(before, after) if before else GOOD, "utf-8")
    spec = importlib.util.spec_from_file_location(f"store_{abs(hash(complaint))}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if "no tenant" in complaint:
        file.write_text(file.read_text("utf-8").replace("wall(thing), ", ""), "utf-8")
    spec.loader.exec_module(module)
    assert faults(module) == ([complaint] if complaint else [])
