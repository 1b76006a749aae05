"""Spikes of refusals and of calls without an outcome are told once an hour, by tenant, where anybody asked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.control.idempotency.keys import Keys
from tests.control.calls import REFUND, act
from tests.control.hook import Hook, reached
from tests.lab import Lab

Make = Callable[..., Lab]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def watched(make_lab: Make, hook: Hook, tmp_path: Path) -> Lab:
    lab = make_lab(alert_refusals=3, alert_open_outcomes=2, **hook.settings(tmp_path))
    reached(lab)
    return lab


def told(lab: Lab, hook: Hook) -> list[tuple[object, object, object]]:
    """(event, tenant, count)"""
    lab.broker.spikes.look()
    lab.broker.webhooks.deliver()
    return [(one["type"], one["tenant"], one["data"]["count"]) for one in hook.said()]  # type: ignore[index]


def refuse(lab: Lab, times: int, door: str = "/t/acme") -> None:
    for _ in range(times):
        assert lab.client_credentials(door=door, scope="nothing").status_code == 400


def permit(lab: Lab, number: int, tenant: str = "acme", tool: object = REFUND) -> None:
    keys, now = Keys(86400), lab.clock.now()
    one = act(number, tool, tenant=tenant)  # type: ignore[arg-type]
    lab.change(lambda tx: keys.begin(tx.inside(tenant), one, None, f"dec-{number}", now))


def test_a_spike_of_refusals_is_told_once_an_hour(watched: Lab, hook: Hook) -> None:
    refuse(watched, 2)
    assert told(watched, hook) == []
    refuse(watched, 1)
    assert told(watched, hook) == [("refusals.spiked", "acme", 3)]
    refuse(watched, 5)
    assert told(watched, hook) == []
    watched.clock.advance(3600)
    assert told(watched, hook) == [], "those are long ago"
    refuse(watched, 4)
    assert told(watched, hook) == [("refusals.spiked", "acme", 4)]


def test_calls_with_effects_of_which_nobody_says_what_came_are_told(watched: Lab, hook: Hook) -> None:
    for number in range(2):
        permit(watched, number)
    permit(watched, 2, "globex")
    assert told(watched, hook) == [], "they may be running"
    watched.clock.advance(600)
    assert told(watched, hook) == [("outcomes.missing", "acme", 2)]
    watched.clock.advance(3600)
    now = watched.clock.now()
    watched.change(
        lambda tx: watched.broker.decisions.keys.finish(tx, "acme", "dec-0", {"status": "done"}, now)
    )
    assert told(watched, hook) == []


def test_without_a_webhook_nobody_looks(lab: Lab) -> None:
    refuse(lab, 3)
    with lab.without_table("audit_record"):
        lab.broker.spikes.look()
    assert lab.rows("webhook_notice") == 0
