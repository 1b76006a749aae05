"""A guard that asks for decisions lets through what is decided, and what is known to go with it."""

import pytest

from broker.decisions.model import AROUND, CALLS, NOTIFICATIONS
from broker.guard.decision import KINDS
from broker.guard.jsonrpc import Message
from broker.guard.methods import unknown
from tests.guard.desk import Desk, call, denial


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


def request(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.mark.parametrize(
    "method", ["acme/delete_everything", "tools/call ", "Tools/Call", "tools/execute", "tasks/update", ""]
)
def test_a_method_that_nobody_knows_reaches_no_application(desk: Desk, method: str) -> None:
    answer = desk.send(request(method, name="refund"))
    assert answer.status_code == 200 and answer.json()["error"]["code"] == -32601
    nameless = request(method, name="refund")
    del nameless["id"]
    for body in (nameless, [request("ping"), request(method)]):
        assert desk.send(body).status_code == 400
    assert desk.broker.asked == [] and desk.app.bodies == []


@pytest.mark.parametrize("method", ["initialize", "ping", "prompts/list", "notifications/initialized"])
def test_what_goes_with_calls_passes_undecided(desk: Desk, method: str) -> None:
    desk.broker.answer = denial("stage")
    assert desk.send(request(method)).status_code == 200
    assert desk.send({"jsonrpc": "2.0", "id": 3, "result": {}}).status_code == 200, "an answer to the server"
    assert len(desk.app.bodies) == 2 and desk.broker.asked == []


def test_the_guard_and_the_broker_know_the_same_methods() -> None:
    assert {name: method.kind for name, method in CALLS.items()} == dict(KINDS)
    for method in (*AROUND, *CALLS, NOTIFICATIONS + "x"):
        assert unknown(Message(1, method, None)) is None


@pytest.mark.parametrize(
    ("asked", "passes"),
    [
        ({"notifications": {"toolsListChanged": True, "promptsListChanged": False}}, True),
        ({"notifications": {"toolsListChanged": True}, "_meta": {"x": 1}}, True),
        ({"notifications": {"resourceSubscriptions": ["file:///salaries"]}}, False),
        ({"notifications": {}, "resourceSubscriptions": ["file:///salaries"]}, False),
        ({"notifications": [{"uri": "file:///salaries"}]}, False),
        ({}, False),
    ],
)
def test_listening_is_to_lists_alone(desk: Desk, asked: dict[str, object], passes: bool) -> None:
    answer = desk.send(request("subscriptions/listen", **asked))
    assert ("result" in answer.json()) is passes and len(desk.app.bodies) == int(passes)
    if not passes:
        assert answer.json()["error"]["code"] == -32601
    assert desk.send(request("resources/subscribe", uri="file:///salaries")).status_code == 200
    assert [asked["resource"]["id"] for asked in desk.broker.asked] == ["file:///salaries"]


def test_without_decisions_other_methods_are_the_servers_own(issuer, clock) -> None:
    from broker.guard.asgi import GuardMiddleware
    from broker.guard.guard import Guard
    from tests.guard.conftest import ISSUER, RESOURCE

    desk = Desk(issuer, clock)
    guard = Guard(resource=RESOURCE, issuers={ISSUER: ["acme"]}, keys=issuer, clock=clock)
    desk.middleware = GuardMiddleware(desk.app, guard)
    assert desk.send(request("acme/status")).json()["result"] == desk.app.result
    assert desk.send(call("any")).json()["result"] == desk.app.result
