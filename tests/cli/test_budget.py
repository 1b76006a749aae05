"""`broker budget`, and `budgets` of the estate file: set, shown, applied and exported, and what does not fit."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_policy import ESTATE

BUDGETS = """
budgets:
  - {level: tenant, id: acme, calls_per_day: 1000, budget_per_day: 250.5}
  - {level: user, id: "*", tenant: acme, per_minute: 60, concurrent: 4}
  - {level: tool, id: tickets/refund, tenant: acme, calls_per_day: 20}
"""


def estate(tmp_path: Path, more: str = BUDGETS) -> str:
    file = tmp_path / "estate.yaml"
    file.write_text(
        ESTATE.replace("impact: external_write}", "impact: external_write, family: payments}") + more
    )
    return str(file)


def listed(run: Run) -> list[dict[str, object]]:
    return json.loads(run("budget", "list", "-o", "json").output)  # type: ignore[no-any-return]


def test_budgets_of_the_file_are_applied_once_and_exported(run: Run, tmp_path: Path) -> None:
    file = estate(tmp_path)
    assert "+ budget user:*@acme" in run("apply", file).output
    assert "Nothing changed" in run("apply", file).output
    exported = run("export").output
    assert "level: tool\n  id: tickets/refund\n  tenant: acme\n  calls_per_day: 20\n" in exported
    (tmp_path / "again.yaml").write_text(exported)
    assert "Nothing changed" in run("apply", str(tmp_path / "again.yaml"), "--prune").output
    assert [one["budget"] for one in listed(run)] == [
        "tenant:acme@*",
        "tool:tickets/refund@acme",
        "user:*@acme",
    ]
    assert "- budget user:*@acme" in run("apply", estate(tmp_path, ""), "--prune").output
    assert listed(run) == []


def test_a_budget_is_set_shown_and_deleted_at_the_command_line(run: Run, tmp_path: Path) -> None:
    run("apply", estate(tmp_path, ""))
    run("budget", "set", "family", "tickets/payments", "--tenant", "acme", "--per-minute", "3")
    run("budget", "set", "user", "alice", "--calls-per-day", "5", "--budget-per-day", "2.5")
    assert (
        "per_minute: 3 -> null"
        in run("budget", "set", "family", "tickets/payments", "--tenant", "acme", "--concurrent", "2").output
    )
    got = json.loads(run("budget", "get", "user:alice@*", "-o", "json").output)
    assert got == {"level": "user", "id": "alice", "calls_per_day": 5, "budget_per_day": 2.5}
    assert run("budget", "delete", "user:alice@*").exit_code == 0
    assert run("budget", "delete", "user:alice@*", code=3).exit_code == 3
    assert [one["budget"] for one in listed(run)] == ["family:tickets/payments@acme"]
    assert json.loads(run("budget", "spent", "-o", "json").output) == []
    records = [json.loads(line) for line in run("audit", "query", "-o", "json").output.splitlines()]
    changed = [one["change"] for one in records if one["fact"] == "estate.applied"]
    assert {"family:tickets/payments@acme", "user:alice@*"} <= {one.get("id") for one in changed}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("tenant", "nobody", "--per-minute", "3"), "there is no tenant nobody"),
        (("user", "alice"), "a budget bounds something"),
        (("user", "alice", "--per-minute", "0"), "a limit is 1 to"),
        (("user", "alice", "--tenant", "nowhere", "--per-minute", "1"), "there is no tenant nowhere"),
        (("resource", "nothing", "--per-minute", "1"), "there is no resource nothing"),
        (("tool", "refund", "--per-minute", "1"), "it is RESOURCE/NAME"),
        (("tool", "tickets/nothing", "--per-minute", "1"), "there is no tool tickets/nothing"),
        (("family", "tickets/other", "--per-minute", "1"), "there is no family tickets/other"),
    ],
)
def test_a_budget_of_nothing_is_refused(
    run: Run, tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    run("apply", estate(tmp_path, ""))
    assert complaint in run("budget", "set", *words, code=1).output
    assert listed(run) == []
