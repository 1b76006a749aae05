"""One line for each request: what was asked and what became of it, nothing that was sent."""

import json
from collections.abc import Callable

import pytest

from broker.runtime.log import begin, note, noted
from tests.lab import ISSUER, Lab, basic

Logged = Callable[[], str]
ALWAYS = {"event", "level", "timestamp", "room", "request_id", "method", "route", "status", "ms"}


def requests(logged: Logged) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in logged().splitlines()]
    return [line for line in lines if line["event"] == "request"]


def test_a_request_is_one_line(lab: Lab, logged: Logged) -> None:
    lab.client_credentials(door="/t/acme")
    [line] = requests(logged)
    assert set(line) == ALWAYS | {"client", "grant_type", "door"}
    assert (line["method"], line["route"], line["status"]) == ("POST", "/t/<tenant>/token", 200)
    assert (line["client"], line["grant_type"], line["door"]) == ("nightly", "client_credentials", "acme")
    assert line["level"] == "info" and isinstance(line["ms"], float)
    assert line["request_id"] == lab.last("token.issued")["request_id"]


def test_a_refusal_says_why_and_to_whom_when_that_is_known(lab: Lab, logged: Logged) -> None:
    lab.client_credentials(scope="nothing:known")
    lab.post("/token", {"grant_type": "client_credentials"}, basic("nightly", "wrong"))
    known, stranger = requests(logged)
    assert known["client"] == "nightly" and known["reason"] == "scope_widened"
    assert "client" not in stranger and stranger["reason"] == "client_authentication_failed"


def test_a_refusal_of_a_person_says_why(lab: Lab, logged: Logged) -> None:
    browser = lab.browser()
    browser.sign_in(browser.get(lab.authorize_url()), password="wrong")
    assert requests(logged)[-1]["reason"] == "password_wrong"


def test_nothing_of_one_request_is_told_of_the_next(lab: Lab, logged: Logged) -> None:
    lab.client_credentials(scope="nothing:known", door="/t/acme")
    lab.get("/jwks")
    assert set(requests(logged)[1]) == ALWAYS


@pytest.mark.parametrize("path", ["/canary-path?canary=query", "/t/canary-tenant/jwks", "/static/canary/x"])
def test_what_is_not_there_is_told_without_its_path(lab: Lab, logged: Logged, path: str) -> None:
    lab.http().get(path, base_url=ISSUER, headers={"User-Agent": "canary"})
    text = logged()
    assert json.loads(text.splitlines()[-1])["status"] == 404 and "canary" not in text


def test_a_probe_is_told_only_when_it_fails(
    lab: Lab, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.health._KEPT_SECONDS", -1.0)
    lab.get("/healthz")
    lab.get("/readyz")
    with lab.database_down():
        lab.get("/readyz")
    assert [(line["level"], line["status"]) for line in requests(logged)] == [
        ("debug", 200),
        ("debug", 200),
        ("info", 503),
    ]


def test_a_fault_is_told_by_route(lab: Lab, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.broker.pipeline, "issue", None)
    lab.client_credentials(door="/t/acme")
    fault, line = (json.loads(text) for text in logged().splitlines())
    assert fault["event"] == "fault" and fault["route"] == line["route"] == "/t/<tenant>/token"
    assert fault["request_id"] == line["request_id"] and line["status"] == 500


def test_what_is_noted_outside_of_a_request_goes_nowhere() -> None:
    import contextvars

    def outside() -> dict[str, object]:
        note(client="nobody")
        before = dict(noted())
        begin()
        note(client="somebody")
        assert dict(noted()) == {"client": "somebody"}
        begin()
        return before | dict(noted())

    assert contextvars.Context().run(outside) == {}
