"""The list of the OpenID suite's modules and the tests agree: a module without a test of its name has a reason."""

import ast
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
COUNTS = {
    "fapi2-security-profile-final": 58,
    "oidcc-basic-certification": 38,
    "oidcc-config": 1,
    "oidcc-dynamic": 23,
    "oidcc-logout": 17,
}
"""How many modules each plan has, whether tested here or not."""

Plan = dict[str, object]


def plans() -> dict[str, Plan]:
    return tomllib.loads((HERE / "modules.toml").read_text("utf-8"))


def borne(files: list[str]) -> list[str]:
    """The names of the tests in these files."""
    return [
        node.name
        for file in files
        for node in ast.parse((HERE / file).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def missing(plan: Plan, there: list[str]) -> list[str]:
    """The modules that neither a test bears the name of nor a reason excuses."""
    return [
        name
        for name in plan["modules"]  # type: ignore[attr-defined]  # a list of names
        if f"test_{name.replace('-', '_')}".lower() not in {one.lower() for one in there}
    ]


def test_every_module_has_a_test_of_its_name_or_a_reason() -> None:
    for name, plan in plans().items():
        assert missing(plan, borne(plan["files"])) == [], name
        assert plan["modules"] == sorted(set(plan["modules"])), name
        reasons = plan.get("not_offered", {})
        assert not set(reasons) & set(plan["modules"]), name
        assert all(len(str(reason).split()) >= 4 for reason in reasons.values()), name


def test_no_module_falls_off_the_list() -> None:
    assert {n: len(p["modules"]) + len(p.get("not_offered", {})) for n, p in plans().items()} == COUNTS


def test_every_file_of_the_suite_belongs_to_a_plan() -> None:
    listed = sorted(file for plan in plans().values() for file in plan["files"])
    assert listed == sorted(file.name for file in HERE.glob("test_*.py") if file.name != "test_modules.py")


def test_a_deleted_test_is_missed() -> None:
    for plan in plans().values():
        there = borne(plan["files"])
        for gone in plan["modules"]:
            left = [one for one in there if one.lower() != f"test_{gone.replace('-', '_')}".lower()]
            assert missing(plan, left) == [gone]
