"""RFC 6749, 7009, 7636, 7662 and 8707 with Authlib's OAuth 2 client: a confidential client, known beforehand."""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from requests import Response

from broker.guard.asgi import App, Event, Receive, Scope, Send
from broker.guard.guard import Guard
from tests.clients import guarded
from tests.live import LiveBroker, ScriptedBrowser

CALLBACK = "https://app.example/callback"
VERIFIER = "v" * 64
SECRETS = {
    "web-app": "only-for-the-tests-web-app-000000000001",
    "box": "only-for-the-tests-box-000000000000001",
    "nightly": "only-for-the-tests-nightly-000000000001",
    "tickets-server": "only-for-the-tests-tickets-server-0001",
}


def echo(guard: Guard) -> App:
    """Answers a JSON-RPC call with the user for whom it is made."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await _lifespan(receive, send)
        await receive()
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": guard.current().subject}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        return await send({"type": "http.response.body", "body": body})

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    event: Event = {"type": ""}
    while event["type"] != "lifespan.shutdown":
        event = await receive()
        await send({"type": event["type"] + ".complete"})


@dataclass
class Place:
    """The door that a client of these tests uses, and the resource that it calls."""

    door: str
    resource: str

    def session(self, client_id: str, scope: str | None = None) -> OAuth2Session:
        session = OAuth2Session(
            client_id,
            SECRETS[client_id],
            scope=scope,
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
            token_endpoint=f"{self.door}/token",
            token_endpoint_auth_method="client_secret_basic",
            revocation_endpoint_auth_method="client_secret_basic",
            default_timeout=10,
        )
        session.trust_env = False  # no proxy between loopback and loopback
        return session

    def authorize(self, session: OAuth2Session, browser: ScriptedBrowser, scope: str) -> None:
        """Send the user to the broker and redeem what comes back (Authlib checks the state)."""
        url, state = session.create_authorization_url(
            f"{self.door}/authorize", code_verifier=VERIFIER, scope=scope, resource=self.resource
        )
        landed = browser.visit(url)
        assert landed.startswith(f"{CALLBACK}?")
        session.fetch_token(
            authorization_response=landed, state=state, code_verifier=VERIFIER, resource=self.resource
        )

    def call(self, session: OAuth2Session, tool: str) -> Response:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        return session.post(self.resource, json=message)

    def introspection(self, token: str) -> dict[str, object]:
        """What the resource server is told of a token."""
        with self.session("tickets-server") as own:
            answer = own.introspect_token(f"{self.door}/introspect", token=token)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def server(live_broker: LiveBroker, listener: socket.socket, resource: str) -> Iterator[str]:
    guard = guarded.guard_of(live_broker, resource)
    with guarded.running(echo(guard), guard, listener):
        yield resource


@pytest.fixture(params=[None, "acme"], ids=["at the root door", "at a tenant's door"])
def place(request: pytest.FixtureRequest, live_broker: LiveBroker, server: str) -> Place:
    return Place(live_broker.door(request.param) if request.param else live_broker.issuer, server)


@pytest.fixture
def session(place: Place) -> Iterator[OAuth2Session]:
    with place.session("web-app") as found:
        yield found


def test_a_confidential_client_signs_its_user_in_and_calls(
    place: Place, session: OAuth2Session, browser: ScriptedBrowser
) -> None:
    place.authorize(session, browser, "tickets:read")
    assert session.token["token_type"] == "Bearer" and session.token["expires_in"] == 300
    answer = place.call(session, "search_tickets")
    assert (answer.status_code, answer.json()["result"]) == (200, "alice")
    said = place.introspection(session.token["access_token"])
    assert said["active"] is True
    assert (said["iss"], said["aud"], said["scope"]) == (place.door, place.resource, "tickets:read")
    assert (said["sub"], said["client_id"], said["tenant"]) == ("alice", "web-app", "acme")


def test_a_call_that_needs_more_scope_names_it_and_a_second_authorization_gives_it(
    place: Place, session: OAuth2Session, browser: ScriptedBrowser
) -> None:
    place.authorize(session, browser, "tickets:read")
    refused = place.call(session, "close_ticket")
    challenge = refused.headers["WWW-Authenticate"]
    assert refused.status_code == 403 and 'error="insufficient_scope"' in challenge
    named = re.search(r'scope="([^"]+)"', challenge)
    assert named is not None and "tickets:write" in named[1].split()
    place.authorize(session, browser, named[1])
    assert len([page for page in browser.seen if page.startswith("Sign in")]) == 1
    assert place.call(session, "close_ticket").status_code == 200
    assert place.call(session, "search_tickets").status_code == 200
    assert place.call(session, "read_customer").status_code == 403


def test_a_token_that_has_ended_is_refreshed_on_the_way_and_both_are_replaced(
    place: Place, session: OAuth2Session, browser: ScriptedBrowser
) -> None:
    place.authorize(session, browser, "tickets:read")
    before = dict(session.token)
    session.token["expires_at"] = 1  # nobody has to wait
    assert place.call(session, "search_tickets").json()["result"] == "alice"
    assert session.token["access_token"] != before["access_token"]
    assert session.token["refresh_token"] != before["refresh_token"]
    first, second = (place.introspection(t["access_token"]) for t in (before, session.token))
    assert first["grant_id"] == second["grant_id"] and first["scope"] == second["scope"]


def test_a_client_with_its_own_credentials_gets_what_it_is_registered_for_and_no_more(place: Place) -> None:
    with place.session("nightly") as session:
        session.fetch_token(grant_type="client_credentials", resource=place.resource, scope="tickets:read")
        assert "refresh_token" not in session.token
        assert place.call(session, "search_tickets").json()["result"] == "nightly"
        with pytest.raises(OAuthError) as refused:
            session.fetch_token(
                grant_type="client_credentials", resource=place.resource, scope="tickets:write"
            )
        assert refused.value.error == "invalid_scope"


def test_what_a_client_revokes_is_not_active_and_not_refreshed(
    place: Place, session: OAuth2Session, browser: ScriptedBrowser
) -> None:
    place.authorize(session, browser, "tickets:read")
    access, refresh = session.token["access_token"], session.token["refresh_token"]
    assert place.introspection(access)["active"] is True
    answer = session.revoke_token(f"{place.door}/revoke", token=refresh, token_type_hint="refresh_token")
    assert answer.status_code == 200
    assert place.introspection(access) == {"active": False}
    with pytest.raises(OAuthError) as refused:
        session.refresh_token(refresh_token=refresh)
    assert refused.value.error == "invalid_grant"
