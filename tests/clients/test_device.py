"""RFC 8628 with clients as they ship: openid-client in a process of its own, Authlib with requests."""

from collections.abc import Iterator

import pytest
from authlib.integrations.base_client import OAuthError

from tests.clients import programs
from tests.clients.programs import Program
from tests.clients.test_authlib import Place
from tests.clients.test_programs import on_node
from tests.lab import claims
from tests.live import LiveBroker, ScriptedBrowser

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DOORS = (None, "acme")


def door_of(broker: LiveBroker, tenant: str | None) -> str:
    return broker.door(tenant) if tenant else broker.issuer


@pytest.fixture(scope="module", params=["", "dpop"], ids=["bearer", "dpop"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=DOORS, ids=["at the root door", "at a tenant's door"])
def device(
    request: pytest.FixtureRequest, live_broker: LiveBroker, resource: str, mode: str
) -> Iterator[Program]:
    door = door_of(live_broker, request.param)
    command = on_node("device.mjs", door, *([mode] if mode else []))(resource)
    with ScriptedBrowser() as browser, programs.running(command, browser) as program:
        yield program


@pytest.mark.parametrize("page", ["verification_uri", "verification_uri_complete"])
def test_openid_client_connects_a_device(device: Program, page: str, mode: str, resource: str) -> None:
    begun = device.do("begin", scope="tickets:read tickets:write").answer
    assert isinstance(begun, dict)
    device.browser.user_code = str(begun["user_code"]).lower()
    device.do("visit", page=page)
    code_page = ["Connect a device to"] if page == "verification_uri" else []
    ways = [heading[: len("Connect a device to")] for heading in device.browser.seen]
    assert ways[: len(code_page)] == code_page and device.browser.seen[-1] == "The device is connected"
    told = device.do("poll")
    assert str(told.answer).lower() == ("dpop" if mode else "bearer")
    assert told.claims["sub"] == "alice" and told.claims["aud"] == resource
    assert told.scope == ["tickets:read", "tickets:write"]
    assert [step[0] for step in told.wire] == ["POST"] and told.wire[0][2] == 200
    again = device.do("refresh")
    assert again.claims["grant_id"] == told.claims["grant_id"] and again.claims["jti"] != told.claims["jti"]


@pytest.mark.parametrize("tenant", DOORS, ids=["at the root door", "at a tenant's door"])
def test_authlib_waits_for_a_person_and_then_has_tokens(
    live_broker: LiveBroker, resource: str, browser: ScriptedBrowser, tenant: str | None
) -> None:
    place = Place(door_of(live_broker, tenant), resource)
    with place.session("box") as session:
        auth = session.client_auth(session.token_endpoint_auth_method)
        form = {"scope": "tickets:read", "resource": resource}
        answer = session.post(f"{place.door}/device_authorization", form, auth=auth, withhold_token=True)
        assert answer.status_code == 200, answer.text
        begun = answer.json()
        poll = {"grant_type": GRANT, "device_code": begun["device_code"]}
        with pytest.raises(OAuthError) as waiting:
            session.fetch_token(**poll)
        assert waiting.value.error == "authorization_pending"
        browser.visit(begun["verification_uri_complete"])
        token = session.fetch_token(**poll)
        assert claims(token["access_token"])["sub"] == "alice" and token["token_type"] == "Bearer"
        with pytest.raises(OAuthError) as replayed:
            session.fetch_token(**poll)
        assert replayed.value.error == "invalid_grant"


def test_authlib_is_told_that_a_person_refused(
    live_broker: LiveBroker, resource: str, browser: ScriptedBrowser
) -> None:
    place = Place(live_broker.door("acme"), resource)
    browser.decision = "deny"
    with place.session("box") as session:
        auth = session.client_auth(session.token_endpoint_auth_method)
        form = {"scope": "tickets:read", "resource": resource}
        begun = session.post(
            f"{place.door}/device_authorization", form, auth=auth, withhold_token=True
        ).json()
        browser.visit(begun["verification_uri_complete"])
        with pytest.raises(OAuthError) as refused:
            session.fetch_token(grant_type=GRANT, device_code=begun["device_code"])
        assert refused.value.error == "access_denied"
