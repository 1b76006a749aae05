"""RFC 9126 and 9396 with clients as they ship: openid-client and Authlib push details, and call with the token."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from tests.clients import guarded, installed, programs
from tests.lab import claims
from tests.live import LiveBroker, ScriptedBrowser

HERE = Path(__file__).parent
CALLBACK = "https://app.example/callback"
VERIFIER = "v" * 64


def details(resource: str, *tools: object) -> list[dict[str, object]]:
    return [{"type": "mcp_tool_call", "locations": [resource], "tools": list(tools)}]


ONE_TICKET = {"name": "close_ticket", "arguments": {"number": {"const": "T-1"}}}


@pytest.fixture(scope="module")
def server(live_broker: LiveBroker, listener: socket.socket, resource: str) -> Iterator[str]:
    guard = guarded.guard_of(live_broker, resource)
    app = guarded.ticket_desk(guard).streamable_http_app(stateless_http=True, json_response=True)
    with guarded.running(app, guard, listener):
        yield resource


def test_openid_client_pushes_details_and_is_held_to_them(
    live_broker: LiveBroker, server: str, browser: ScriptedBrowser
) -> None:
    home = installed.packages(HERE / "node")
    command = [str(installed.node()), str(home / "openid_client_calls.mjs"), server]
    asked = details(server, "search_tickets", ONE_TICKET)
    with programs.running(command, browser) as program:
        told = program.do("connect", issuer=live_broker.door("acme"), details=asked)
        assert told.answer == ["mcp_tool_call"]
        assert ("POST", "/t/acme/par", 201) in told.wire
        assert told.scope == ["tickets:read", "tickets:write"]
        granted = details(server, {"name": "search_tickets"}, ONE_TICKET)
        assert told.tokens["authorization_details"] == told.claims["authorization_details"] == granted
        assert program.call("close_ticket", number="T-1").answer == "alice closed T-1"
        assert program.call("search_tickets", text="invoice").answer == "alice found invoice"
        refused = {"status": 403, "error": "insufficient_scope"}
        assert program.call("close_ticket", number="T-2").answer == refused
        assert program.call("read_customer", customer="C-17").answer == refused
        assert program.do("refresh", details=details(server, "close_ticket")).answer == (
            "invalid_authorization_details"
        )
        fewer = program.do("refresh", details=details(server, "search_tickets"))
        assert fewer.answer is None
        assert fewer.claims["authorization_details"] == details(server, {"name": "search_tickets"})
        assert program.call("close_ticket", number="T-1").answer == refused
        assert program.do("refresh").claims["authorization_details"] == granted


def test_authlib_pushes_details_and_is_held_to_them(
    live_broker: LiveBroker, server: str, browser: ScriptedBrowser
) -> None:
    door = live_broker.door("acme")
    with OAuth2Session(
        "calls-app",
        "only-for-the-tests-calls-app-00000000001",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint=f"{door}/token",
        token_endpoint_auth_method="client_secret_basic",
        default_timeout=10,
    ) as session:
        session.trust_env = False
        url, state = session.create_authorization_url(
            f"{door}/authorize",
            code_verifier=VERIFIER,
            resource=server,
            authorization_details=json.dumps(details(server, ONE_TICKET)),
        )
        pushed = session.post(f"{door}/par", data=url.partition("?")[2], headers=_form(), withhold_token=True)
        assert pushed.status_code == 401, "nobody pushes in a confidential client's name"
        pushed = session.post(
            f"{door}/par",
            data=url.partition("?")[2],
            headers=_form(),
            withhold_token=True,
            auth=("calls-app", "only-for-the-tests-calls-app-00000000001"),
        )
        assert pushed.status_code == 201, pushed.text
        reference = pushed.json()["request_uri"]
        landed = browser.visit(f"{door}/authorize?client_id=calls-app&request_uri={reference}")
        assert landed.startswith(f"{CALLBACK}?"), landed
        session.fetch_token(
            authorization_response=landed, state=state, code_verifier=VERIFIER, resource=server
        )
        assert session.token["authorization_details"] == details(server, ONE_TICKET)
        for number, status in (("T-1", 200), ("T-2", 403)):
            message = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "close_ticket", "arguments": {"number": number}},
            }
            accept = {"Accept": "application/json, text/event-stream"}
            assert session.post(server, json=message, headers=accept).status_code == status
        with pytest.raises(OAuthError) as refused:
            session.refresh_token(
                refresh_token=session.token["refresh_token"],
                authorization_details=json.dumps(details(server, "close_ticket")),
            )
        assert refused.value.error == "invalid_authorization_details"
        session.refresh_token(refresh_token=session.token["refresh_token"])
        assert claims(session.token["access_token"])["authorization_details"] == details(server, ONE_TICKET)


def _form() -> dict[str, str]:
    return {"Content-Type": "application/x-www-form-urlencoded"}
