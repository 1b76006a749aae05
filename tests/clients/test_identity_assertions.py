"""Enterprise-managed authorization with the official SDKs: one broker is the identity provider, another the server.

The person signs in once, at the identity provider; no page of the second broker is ever seen.
"""

import asyncio
import base64
import hashlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

from tests import live
from tests.clients import guarded, installed, programs
from tests.clients.conftest import ESTATE
from tests.clients.test_python_sdk import Memory, connected
from tests.lab import claims, header
from tests.live import LiveBroker, ScriptedBrowser, arrived
from tests.vouching import ID_JAG

HERE = Path(__file__).parent
AGENT, THERE, SECRET = "agent", "desk-agent", "only-for-the-tests-agent-0000000000001"
CALLBACK = "http://127.0.0.1:4000/callback"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
HOME = f"""
tenants: [{{id: staff}}]
users:
  - {{id: alice, name: Alice Example, password: "{live.PASSWORD}", tenants: [{{id: staff, roles: [member]}}]}}
clients:
  - {{client_id: {AGENT}, type: confidential, client_secret: {SECRET}, redirect_uris: ["{CALLBACK}"],
     token_endpoint_auth_method: client_secret_post, grant_types: [authorization_code, refresh_token, "{EXCHANGE}"]}}
"""
AWAY = f"""
clients:
  - client_id: {THERE}
    type: confidential
    client_secret: {SECRET}
    grant_types: ["urn:ietf:params:oauth:grant-type:jwt-bearer"]"""
TRUSTED = """
trusted_issuers:
  - {{id: home, issuer: "{issuer}", tenants: [acme], trusted_for: [id_jag], upstream_tenants: [staff], accounts: create,
     claims: {{id: sub, roles: [{{always: member}}]}}}}
"""
RECIPIENT = """
id: desk
issuer: "{issuer}"
tenants: [staff]
resources: [{{uri: "{resource}", scopes: ["tickets:read", "customers:read"]}}]
clients: [{{client_id: agent, as: desk-agent}}]
"""


@dataclass(frozen=True)
class Company:
    """The identity provider, the server that trusts it, and the MCP server behind that."""

    home: LiveBroker
    away: LiveBroker
    server: str

    def id_token(self) -> str:
        """Of Alice, who signs in at the identity provider."""
        verifier = "v" * 43
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = httpx2.URL(
            f"{self.home.issuer}/authorize",
            params={
                "response_type": "code",
                "client_id": AGENT,
                "redirect_uri": CALLBACK,
                "scope": "openid",
                "state": "s",
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            },
        )
        with ScriptedBrowser() as browser:
            code = arrived(browser.visit(str(asked)))["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        answer = self._ask(form | {"code_verifier": verifier})
        return str(answer["id_token"])

    def id_jag(self, id_token: str, audience: str, resource: str) -> str:
        """What the identity provider makes of it for a server."""
        answer = self._ask(
            {
                "grant_type": EXCHANGE,
                "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
                "subject_token": id_token,
                "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "audience": audience,
                "resource": resource,
            }
        )
        return str(answer["access_token"])

    def _ask(self, form: dict[str, str]) -> dict[str, object]:
        sent = {**form, "client_id": AGENT, "client_secret": SECRET}
        answer = httpx2.post(f"{self.home.issuer}/token", data=sent, trust_env=False, timeout=10)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found


@pytest.fixture(scope="module")
def company(
    tmp_path_factory: pytest.TempPathFactory, listener: socket.socket, resource: str
) -> Iterator[Company]:
    with live.serve(tmp_path_factory.mktemp("home"), HOME) as home:
        estate = ESTATE.read_text("utf-8").replace("http://127.0.0.1:9999/mcp", resource)
        before, _, after = estate.partition("\nusers:")  # nobody has an account there
        estate = before + AWAY + after.partition("\nclients:")[2]
        estate += TRUSTED.format(issuer=home.issuer)
        with live.serve(tmp_path_factory.mktemp("away"), estate) as away:
            door = away.door("acme")
            told = RECIPIENT.format(issuer=door, resource=resource)
            command = (*live.COMMAND, "recipient", "create", "--file", "-", "--data", str(home.data))
            subprocess.run(command, input=told, text=True, capture_output=True, check=True, timeout=60)
            guard = guarded.guard_of(away, resource)
            app = guarded.ticket_desk(guard).streamable_http_app(stateless_http=True, json_response=True)
            with guarded.running(app, guard, listener):
                yield Company(home, away, resource)


def test_the_python_sdk_reaches_a_tool_with_an_assertion_of_the_company(company: Company) -> None:
    id_token, memory, door = company.id_token(), Memory(), company.away.door("acme")

    async def assertion(audience: str, resource: str) -> str:
        assert (audience, resource) == (door, company.server)
        made = await asyncio.to_thread(company.id_jag, id_token, audience, resource)
        assert (header(made)["typ"], claims(made)["aud"]) == (ID_JAG, door)
        return made

    auth = IdentityAssertionOAuthProvider(
        company.server, memory, THERE, SECRET, door, assertion, "tickets:read", "client_secret_basic"
    )

    async def run() -> None:
        async with connected(company.server, auth, memory) as client:
            assert await client.call("search_tickets", text="invoice") == "alice found invoice"

    asyncio.run(run())
    said = memory.claims()
    expected = {
        "sub": "alice",
        "tenant": "acme",
        "client_id": THERE,
        "vouched_by": "home",
        "scope": "tickets:read",
    }
    assert {name: said[name] for name in expected} == expected
    assert memory.tokens is not None and memory.tokens.refresh_token is None


def test_the_typescript_sdk_reaches_a_tool_by_cross_app_access(company: Company) -> None:
    home = installed.packages(HERE / "node")
    program = [str(installed.node()), str(home / "cross_app.mjs")]
    command = [*program, company.server, company.home.issuer, AGENT, THERE, SECRET, company.away.door("acme")]
    with ScriptedBrowser() as browser, programs.running(command, browser) as client:
        told = client.do("connect", idToken=company.id_token())
        assert told.answer == ["search_tickets"]
        assert ("POST", "/t/acme/token", 200) in told.wire
        assert (told.claims["sub"], told.claims["vouched_by"], told.scope) == (
            "alice",
            "home",
            ["tickets:read"],
        )
        assert client.call("search_tickets", text="invoice").answer == "alice found invoice"
        assert browser.seen == []
