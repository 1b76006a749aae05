"""What became of calls is told, whatever is in it and however long the broker is away."""

import json

import pytest

from broker.decisions import question as questions
from broker.decisions import reported
from broker.decisions.model import Malformed
from broker.guard import outcome
from broker.guard.catalogue import Catalogue, Tool
from broker.guard.fetch import Answer, RequestFailed
from broker.guard.outcome import Outcomes, Report
from tests.guard.desk import TOOLS, Desk, call


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


class Door:
    """Reads reports as the broker does; `down` answers nothing, `chokes` with 500 on what has this in it."""

    def __init__(self) -> None:
        self.down, self.chokes = False, b"\0"
        self.taken: list[str] = []
        self.posts = 0

    def __call__(self, url: str, body: bytes, headers: object) -> Answer:
        self.posts += 1
        if self.down:
            raise RequestFailed("down")
        if self.chokes in body:
            return Answer(500, {}, b"")
        try:
            members = questions.body(body)
            if "calls" in members:
                self.taken += [str(one.id) for one in reported.calls(members["calls"])]
            else:
                self.taken.append(reported.outcome(members).decision_id)
        except Malformed:
            return Answer(400, {}, b"")
        return Answer(200, {}, b"{}")


def decided(identifier: str, **members: object) -> Report:
    return Report("https://as.example", {"decision_id": identifier, "status": "ok", **members})


def read(identifier: str, **members: object) -> Report:
    said = {"id": identifier, "jti": "j", "tool": "search", "status": "ok", **members}
    return Report("https://as.example", said, decided=False)


def waiting(door: Door, clock, *reports: Report) -> Outcomes:
    outcomes = Outcomes(door, {}, 3600.0, clock)
    for report in reports:
        outcomes._tell(report)
    return outcomes


@pytest.mark.parametrize("intent", ["a\0b", "\ud800ab", "ab\udfff" * 400])
@pytest.mark.parametrize("after", [True, False])
def test_a_reason_with_signs_that_nobody_can_read_is_told_without_them(
    desk: Desk, intent: str, after: bool
) -> None:
    tools = {**TOOLS, "search": Tool("search", (), "read", by_catalogue=True)}
    desk.catalogue = Catalogue(tools, record_after=after)
    assert desk.send(call("search", _meta={"intent": intent})).json()["result"] == desk.app.result
    [told] = desk.reports()
    if after:
        [found] = reported.calls(told["calls"])
        said = found.intent
    else:
        said = desk.broker.asked[0]["context"]["intent"]
    questions.body(json.dumps(told).encode())
    assert said is not None and said.startswith("ab") and len(said) <= 500
    assert not {"\0", "\ud800", "\udfff"} & set(said)


def test_a_key_with_such_signs_still_is_one_and_the_same(desk: Desk) -> None:
    for key in ("a\ud800", "a\ud800", "a\udfff", "a\0"):
        desk.send(call("close", _meta={"idempotency-key": key}))
    first, same, *others = [str(asked["context"]["idempotency_key"]) for asked in desk.broker.asked]
    assert first == same and len({first, *others}) == 3 and all(key.isascii() for key in (first, *others))


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1, 10**400])
def test_what_a_tool_says_of_its_call_never_costs_the_report(desk: Desk, cost: float) -> None:
    desk.app.meanwhile = lambda: desk.guard.outcome(
        downstream_request_id="r" * 300, cost=cost, undo="\ud800u\0" * 600
    )
    desk.call("close")
    [told] = desk.reports()
    found = reported.outcome(told)
    assert found.downstream_request_id == "r" * 200 and found.undo == "u" * 500 and found.cost is None


def test_one_bad_entry_loses_no_other(clock) -> None:
    door = Door()
    outcomes = waiting(door, clock, read("a"), read("b", undo="x", tool="t" * 300), read("c"))
    assert outcomes.flush() and door.taken == ["a", "c"]


def test_an_answer_that_cannot_be_read_is_left_out_of_its_report(clock) -> None:
    door = Door()
    outcomes = waiting(door, clock, decided("d", result={"content": ["\ud800"]}), decided("e", result={}))
    assert outcomes.flush() and door.taken == ["d", "e"]


def test_what_a_door_chokes_on_holds_up_nothing_else(clock) -> None:
    door = Door()
    door.chokes = b"poison"
    outcomes = waiting(door, clock, decided("poison"), decided("a"), decided("b"))
    assert not outcomes.flush() and not outcomes.flush() and door.taken == ["a", "b"]


def test_an_outage_loses_nothing_before_an_hour_has_passed_for_it(clock) -> None:
    door = Door()
    door.down = True
    outcomes = waiting(door, clock, decided("old"))
    clock.now += 1800
    outcomes._tell(decided("young"))
    for _ in range(50):
        assert not outcomes.flush()
    clock.now += 1801
    door.down = False
    assert outcomes.flush() and door.taken == ["young"]


def test_pauses_are_kept_through_an_outage(clock, monkeypatch) -> None:
    """No batch after another is tried, or given up, without a pause between."""
    pauses: list[float] = []

    class Enough(Exception):
        pass

    class Event:
        def wait(self, seconds: float | None = None) -> None:
            if seconds is not None:
                pauses.append(seconds)
            if len(pauses) > 30:
                raise Enough

        set = clear = lambda self: None

    door = Door()
    door.down = True
    outcomes = waiting(door, clock, *(decided(str(n)) for n in range(500)))
    monkeypatch.setattr(outcome.threading, "Event", Event)
    outcomes._wake = Event()
    with pytest.raises(Enough):
        outcomes._work()
    assert pauses[1:9] == [1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0] and set(pauses[9:]) == {60.0}
    assert door.posts == 30 and len(outcomes._waiting) == 500
