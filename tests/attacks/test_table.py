"""The table of attacks, its tests and its waivers agree: no case is forgotten, none is claimed twice."""

import ast
import datetime
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
MEMBERS = {"title", "asked", "expect", "source"}
STEPS = {
    "step 2: engines and races",
    "step 3: clients and proof of possession",
    "step 4: front channel",
    "step 5: identities",
    "step 6: control",
    "step 7: evidence",
    "step 8: administration",
    "step 9: speed",
    "a later step: CIBA is not offered",
    "a later step: keys held in hardware",
    "a later step: security event streams are not offered",
    "a later step: signed request objects are not offered",
    "a later step: idempotency keys are offered to decisions, not at the token endpoint",
    "a later step: the second release",
}

Rows = dict[str, dict[str, object]]


def read_table(folder: Path) -> Rows:
    rows: Rows = {}
    for file in sorted(folder.glob("*.toml")):
        for name, row in tomllib.loads(file.read_text("utf-8")).items():
            assert name not in rows, f"{name} is twice in the table"
            rows[name] = row
    return rows


def read_waivers(file: Path) -> Rows:
    return tomllib.loads(file.read_text("utf-8"))


def marks(source: str, mark: str = "attack") -> Iterator[str]:
    """The ids in every such mark of a module: on functions, classes, parameters or the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == mark:
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                assert isinstance(argument, ast.Constant), (
                    f"line {node.lineno}: a mark names its id literally"
                )
                yield str(argument.value)


def marked_in(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.py")):
        if file != Path(__file__):
            for name in marks(file.read_text("utf-8")):
                found.setdefault(name, []).append(str(file.relative_to(folder)))
    return found


def faults(table: Rows, waivers: Rows, marked: dict[str, list[str]]) -> list[str]:
    """Everything on which table, waivers and marks disagree, one sentence each."""
    wrong = [
        f"{name}: neither test nor waiver" for name in table if name not in marked and name not in waivers
    ]
    for name, where in marked.items():
        if name not in table:
            wrong.append(f"{name}: marked in {', '.join(sorted(set(where)))}, but not in the table")
        elif name in waivers and not waivers[name].get("partly"):
            wrong.append(f"{name}: has a test and a waiver; drop the waiver or say partly = true")
    for name, waiver in waivers.items():
        if name not in table:
            wrong.append(f"{name}: waived, but not in the table")
        if waiver.get("partly") and name not in marked:
            wrong.append(f"{name}: partly proven, but no test is marked")
        if type(waiver.get("dated")) is not datetime.date:
            wrong.append(f"{name}: the waiver has no date")
        if waiver.get("waits_for") not in STEPS:
            wrong.append(f"{name}: the waiver waits for no known step: {waiver.get('waits_for')!r}")
        if len(str(waiver.get("reason", "")).split()) < 3:
            wrong.append(f"{name}: the waiver gives no reason")
        if unknown := set(waiver) - {"dated", "waits_for", "reason", "partly"}:
            wrong.append(f"{name}: the waiver has unknown members {sorted(unknown)}")
    return sorted(wrong)


TABLE = read_table(HERE / "table")


def test_every_case_is_told_whole() -> None:
    assert len(TABLE) > 400
    for name, row in TABLE.items():
        assert set(row) == MEMBERS, name
        assert all(isinstance(value, str) and value.strip() for value in row.values()), name


@pytest.mark.requirement("MCP-AS-24")
def test_every_case_has_a_test_or_a_dated_waiver() -> None:
    wrong = faults(TABLE, read_waivers(HERE / "waivers.toml"), marked_in(TESTS))
    assert not wrong, "\n".join(wrong)


def test_waivers_stand_in_order() -> None:
    names = list(read_waivers(HERE / "waivers.toml"))
    assert names == sorted(names, key=lambda name: (name.rsplit("-", 1)[0], int(name.rsplit("-", 1)[1])))


def test_marks_are_found_wherever_pytest_finds_them() -> None:
    source = (
        "import pytest\n"
        "pytestmark = pytest.mark.attack('A-1')\n"
        "@pytest.mark.attack('A-2', 'A-3')\n"
        "def test_a(): ...\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.attack('A-4')),\n"
        "    pytest.param(2, marks=[pytest.mark.attack('A-5')])])\n"
        "class TestB: ...\n"
    )
    assert sorted(marks(source)) == ["A-1", "A-2", "A-3", "A-4", "A-5"]


@pytest.mark.parametrize(
    ("waiver", "marked", "complaint"),
    [
        ({}, {}, "A-1: neither test nor waiver"),
        ({"A-1": {}}, {"A-1": ["t.py"]}, "has a test and a waiver"),
        ({"A-1": {"partly": True}}, {}, "partly proven, but no test"),
        ({"A-1": {"dated": None}}, {}, "has no date"),
        ({"A-1": {"waits_for": "some day"}}, {}, "no known step"),
        ({"A-1": {"reason": "later"}}, {}, "gives no reason"),
        ({"A-1": {"owner": "me"}}, {}, "unknown members ['owner']"),
        ({"A-1": {}, "B-1": {}}, {}, "B-1: waived, but not in the table"),
        ({"A-1": {}}, {"B-1": ["t.py"]}, "B-1: marked in t.py, but not in the table"),
    ],
)
def test_a_disagreement_is_named(waiver: Rows, marked: dict[str, list[str]], complaint: str) -> None:
    full = {
        "dated": datetime.date(2026, 1, 2),
        "waits_for": "step 6: control",
        "reason": "It is not built yet.",
    }
    waivers = {name: full | members for name, members in waiver.items()}
    found = faults({"A-1": {}}, waivers, marked)
    assert len(found) == 1 and complaint in found[0]


@pytest.mark.parametrize("partly", [False, True])
def test_agreement_is_silent(partly: bool) -> None:
    waiver = {
        "dated": datetime.date(2026, 1, 2),
        "waits_for": "step 6: control",
        "reason": "It is not built yet.",
    }
    waivers = {"A-1": waiver | {"partly": partly}}
    assert (
        faults({"A-1": {}, "A-2": {}}, waivers, {"A-2": ["t.py"], **({"A-1": ["t.py"]} if partly else {})})
        == []
    )
