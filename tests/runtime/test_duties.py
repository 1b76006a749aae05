"""Duties under leases: one process does each, another takes over, and none stops for a fault."""

from collections.abc import Callable

import pytest

from broker.runtime.database import Unavailable
from broker.runtime.duties import LEASE_SECONDS, RENEW_SECONDS, Duties, Duty
from broker.runtime.metrics import Metrics
from tests.lab import Lab

Make = Callable[..., Duties]


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def make(lab: Lab, done: list[str]) -> Make:
    """A process: its name is what it adds to `done`."""

    def call(name: str, *more: Duty, every: float = 5.0) -> Duties:
        duty = Duty("sweep", every, lambda: done.append(name))
        return Duties(lab.broker.world.database, lab.clock, Metrics(), name, (duty, *more))

    return call


def test_of_two_processes_one_does_a_duty(lab: Lab, make: Make, done: list[str]) -> None:
    one, two = make("one"), make("two")
    for _ in range(60):
        one.tick()
        two.tick()
        lab.clock.advance(1)
    assert done == ["one"] * 12


def test_who_stops_hands_over_at_once(lab: Lab, make: Make, done: list[str]) -> None:
    one, two = make("one"), make("two")
    one.tick()
    two.tick()
    one.stop()
    lab.clock.advance(RENEW_SECONDS)
    two.tick()
    assert done == ["one", "two"]


def test_who_dies_is_replaced_when_the_lease_ends(lab: Lab, make: Make, done: list[str]) -> None:
    one, two = make("one"), make("two")
    one.tick()
    for _ in range(int(LEASE_SECONDS) - 1):
        two.tick()
        lab.clock.advance(1)
    assert done == ["one"]
    for _ in range(int(RENEW_SECONDS) + 2):
        two.tick()
        lab.clock.advance(1)
    assert set(done[1:]) == {"two"}


def test_who_was_asleep_for_too_long_stops_until_it_is_its_turn(
    lab: Lab, make: Make, done: list[str]
) -> None:
    one, two = make("one"), make("two")
    one.tick()
    lab.clock.advance(LEASE_SECONDS + 1)
    two.tick()
    one.tick()
    assert done == ["one", "two"]
    two.stop()
    lab.clock.advance(RENEW_SECONDS)
    one.tick()
    assert done == ["one", "two", "one"]


def test_without_the_database_nothing_runs_longer_than_the_lease(
    lab: Lab, make: Make, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make("one")
    one.tick()
    with lab.database_down():
        for _ in range(60):
            lab.clock.advance(1)
            one.tick()
        one.stop()
    assert len(done) == 1 + (LEASE_SECONDS - 1) // 5
    lab.clock.advance(LEASE_SECONDS)
    before = len(done)
    one.tick()
    assert len(done) == before + 1


def test_a_duty_that_fails_is_counted_and_runs_again_and_others_go_on(
    lab: Lab, make: Make, done: list[str]
) -> None:
    def fail() -> None:
        raise Unavailable("gone")

    one = make("one", Duty("broken", 5.0, fail))
    for _ in range(11):
        one.tick()
        lab.clock.advance(1)
    value = one._metrics.registry.get_sample_value
    assert value("broker_duty_runs_total", {"duty": "broken", "outcome": "failed"}) == 3
    assert value("broker_duty_runs_total", {"duty": "sweep", "outcome": "done"}) == 3
    assert value("broker_leases_held", {"duty": "broken"}) == 1


def test_a_duty_of_its_own_is_done_by_every_process(lab: Lab, done: list[str]) -> None:
    database = lab.broker.world.database
    for name in ("one", "two"):
        duty = Duty("tidy", 5.0, lambda name=name: done.append(name), leased=False)
        Duties(database, lab.clock, Metrics(), name, (duty,)).tick()
    assert done == ["one", "two"] and lab.rows("lease") == 0


def test_a_duty_that_takes_long_does_not_cost_the_next_its_lease(
    lab: Lab, make: Make, done: list[str]
) -> None:
    slow = Duty("slow", 5.0, lambda: lab.clock.advance(RENEW_SECONDS))
    one = Duties(
        lab.broker.world.database,
        lab.clock,
        Metrics(),
        "one",
        (slow, Duty("next", 5.0, lambda: done.append("next"))),
    )
    one.tick()
    two = make("two", Duty("next", 5.0, lambda: done.append("stolen")))
    lab.clock.advance(LEASE_SECONDS - 1)
    two.tick()
    assert done == ["next", "two"], "renewed while the slow one ran"


def test_a_clock_that_goes_back_stops_nothing(lab: Lab, make: Make, done: list[str]) -> None:
    one = make("one")
    one.tick()
    lab.clock.advance(-3600)
    one.tick()
    assert done == ["one", "one"]
