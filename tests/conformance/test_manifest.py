"""Every requirement on the server about clients is tied to a test, and every mark to a requirement."""

import datetime
from pathlib import Path

import pytest

from tests.attacks.test_table import STEPS, Rows, marks, read_table

HERE = Path(__file__).parent
TESTS = HERE.parent
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"}
MANIFEST = read_table(HERE / "requirements")


def marked() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in sorted(TESTS.rglob("*.py")):
        for name in marks(file.read_text("utf-8"), "requirement"):
            found.setdefault(name, []).append(str(file.relative_to(TESTS)))
    return found


def faults(manifest: Rows, tests: dict[str, list[str]]) -> list[str]:
    """Everything on which manifest and marks disagree, one sentence each."""
    wrong = []
    for name, row in manifest.items():
        waits = "waits_for" in row
        if not waits and name not in tests:
            wrong.append(f"{name}: no test is marked with it")
        if waits and name in tests:
            wrong.append(f"{name}: has a test and waits; drop the waiver")
        if waits and (row["waits_for"] not in STEPS or type(row.get("dated")) is not datetime.date):
            wrong.append(f"{name}: waits without a date or for no known step")
    return wrong + [
        f"{name}: marked in {', '.join(tests[name])}, but no requirement"
        for name in tests
        if name not in manifest
    ]


def test_every_requirement_is_told_whole() -> None:
    assert len(MANIFEST) > 50
    for name, row in MANIFEST.items():
        assert {"level", "says", "source"} <= set(row) <= {"level", "says", "source", "dated", "waits_for"}, (
            name
        )
        assert row["level"] in LEVELS and str(row["says"]).endswith("."), name


def test_every_requirement_has_a_test_and_every_mark_a_requirement() -> None:
    wrong = faults(MANIFEST, marked())
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("row", "tests", "complaint"),
    [
        ({}, {}, "no test is marked"),
        (
            {"waits_for": "step 5: identities", "dated": datetime.date(2026, 1, 2)},
            {"A": ["t"]},
            "drop the waiver",
        ),
        ({"waits_for": "some day", "dated": datetime.date(2026, 1, 2)}, {}, "no known step"),
        ({"waits_for": "step 5: identities"}, {}, "without a date"),
    ],
)
def test_a_disagreement_is_named(row: dict[str, object], tests: dict[str, list[str]], complaint: str) -> None:
    assert [complaint in found for found in faults({"A": row}, tests)] == [True]
    assert faults({"A": {}}, {"A": ["t"]}) == []
    assert "no requirement" in faults({}, {"B": ["t"]})[0]
