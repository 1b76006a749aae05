"""`broker approval`: what waits is listed, shown, refused and withdrawn, and never allowed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from broker.cli.local import Place, composed, settings_for
from broker.control.approvals import store  # one that waits, without a decision
from tests.stores.approving import approval


@pytest.fixture
def held(folder: Path, run: Callable[..., object]) -> str:
    broker = composed(settings_for(Place(folder, None)))
    now = broker.world.clock.now()
    made = replace(approval("a"), subject="alice", created_at=now, expires_at=now + 900)
    other = replace(approval("b", "globex"), created_at=now, expires_at=now + 900)
    broker.world.database.write(lambda tx: [store.add(tx, one) for one in (made, other)])
    broker.close()
    return made.id


def test_what_waits_is_listed_and_shown_with_its_arguments(run, told, held: str) -> None:
    [row] = told("approval", "list", "--tenant", "acme")
    assert (row["id"], row["state"], row["subject"], row["tool"]) == (held, "offered", "alice", "tool a")
    assert [one["id"] for one in told("approval", "list", "--user", "alice")] == [held]
    assert len(told("approval", "list")) == 2
    shown = told("approval", "show", held)
    assert shown["arguments"]["ü"][1]["of"] == "a" and shown["by"] == ["approver", "self"]
    assert shown["url"].endswith(f"/approvals/{held}")
    run("approval", "show", "apr_none", code=3)


def test_an_administrator_refuses_and_withdraws_once_and_cannot_allow(run, told, held: str) -> None:
    assert told("approval", "deny", held, "--why", "too much") == {"approval": held, "state": "denied"}
    assert told("approval", "show", held)["why"] == "too much"
    run("approval", "withdraw", held, code=4)
    run("approval", "deny", "apr_none", code=3)
    assert told("approval", "withdraw", "apr-b")["state"] == "withdrawn"
    assert told("approval", "list") == []
    assert {one["state"] for one in told("approval", "list", "--all")} == {"denied", "withdrawn"}
    run("approval", "approve", held, code=2)
    facts = told("audit", "query", "--fact", "approval.denied")
    assert facts["approval"] == held and "approver" not in facts
