"""The whole story: a real MCP client, a protected MCP server, a downstream API, and the broker between them.

Run `python docs/demo/run.py`; with `--once` it ends after the story, else everything stays up to play with.
Four processes on loopback: the broker, the MCP server, the downstream API, and this one, the client.
Whatever is printed is checked; the first sentence that is not true ends the demo with status 1.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import jwt
import yaml
from browser import Browser
from client import DemoClient, connected
from mcp_types import TextContent
from servers import BROKER, HERE, Places, Server, prepare
from story import Story, actors, assert_claims, decoded

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def start_all(story: Story, places: Places, secret: str) -> tuple[Server, Server]:
    """The three servers; returns the downstream API and the MCP server, whose logs are evidence."""
    story.step("The broker starts on its embedded defaults, with the demo's estate.")
    port, data, estate = places.root.rpartition(":")[2], str(places.data), str(places.estate)
    ready = f"{places.root}/.well-known/oauth-authorization-server/t/acme"
    story.start("broker", *BROKER, "dev", "--data", data, "--port", port, "--estate", estate, ready=ready)
    story.show(f"{places.door}   the door (issuer) of the tenant acme")

    story.step("A downstream API and an MCP server start; each has a guard that trusts one issuer.")
    known = {"ISSUER": places.door, "CRM_URL": places.crm}
    crm = story.start("crm", sys.executable, str(HERE / "downstream.py"), ready=places.crm, **known)
    known |= {"TICKETS_URL": places.tickets, "TICKETS_CLIENT_SECRET": secret}
    tickets = story.start(
        "tickets", sys.executable, str(HERE / "mcp_server.py"), ready=places.tickets, **known
    )
    story.show(f"{places.tickets}   MCP server “Ticket desk”", f"{places.crm}   downstream API “CRM”")
    return crm, tickets


def tell_discovery(story: Story, client: DemoClient, browser: Browser, places: Places) -> None:
    """What the SDK's client did between its first request and its first token."""
    story.step("The MCP client knows one address and calls it; the guard refuses and says where to read on.")
    challenge = client.heard("POST", "/mcp", 401).headers["www-authenticate"]
    assert 'scope="tickets:read"' in challenge, challenge
    story.show(f"POST {places.tickets} → 401", f"WWW-Authenticate: {challenge}")

    story.step("The MCP server's metadata names the authorization server (RFC 9728).")
    metadata = client.heard("GET", "/.well-known/oauth-protected-resource/mcp", 200)
    assert metadata.json()["resource"] == places.tickets, metadata.text
    assert metadata.json()["authorization_servers"] == [places.door], metadata.text
    published = f"{places.root}/.well-known/oauth-protected-resource/r/tickets"
    copy = httpx2.get(published, trust_env=False).json()
    assert copy.pop("signed_metadata"), copy
    assert_claims(metadata.json(), copy)
    story.show(f"GET {metadata.url} → 200", metadata.text)
    story.show(f"(the broker publishes what it knows of it, and signs that: {published})")

    story.step("The broker's metadata names its endpoints (RFC 8414).")
    metadata = client.heard("GET", "/.well-known/oauth-authorization-server/t/acme", 200)
    assert metadata.json()["issuer"] == places.door, metadata.text
    named = {name: value for name, value in metadata.json().items() if name.endswith("_endpoint")}
    story.show(f"GET {metadata.url} → 200", *(f"{name}: {value}" for name, value in named.items()))

    story.step("The client, which nobody here has heard of, registers itself (RFC 7591).")
    registered = client.heard("POST", "/t/acme/register", 201).json()
    assert registered["token_endpoint_auth_method"] == "none", registered
    assert "client_secret" not in registered, registered
    story.show(f"client_id: {registered['client_id']}   (public: PKCE instead of a secret)")

    story.step("In the browser, alice signs in and allows what she is shown.")
    assert len(browser.seen) == 2, browser.seen
    story.show(*browser.seen)

    story.step("The client redeems its code for a token: for this server, this tenant, these scopes alone.")
    client.heard("POST", "/t/acme/token", 200)
    claims = decoded(client.access_token)
    wanted = {"iss": places.door, "sub": "alice", "aud": places.tickets, "tenant": "acme"}
    assert_claims(claims, wanted | {"scope": "tickets:read", "client_id": registered["client_id"]})
    assert "act" not in claims, claims
    story.show_token(jwt.get_unverified_header(client.access_token), claims)


async def tell_calls(story: Story, client: DemoClient, browser: Browser, crm: Server, places: Places) -> str:
    """Tools, step-up, exchange; returns the `txn` that the exchange belongs to."""
    story.step("The client lists the tools and calls one; the guard verifies the token offline.")
    tools = [tool.name for tool in (await client.mcp.list_tools()).tools]
    assert tools == ["search_tickets"], tools  # what the token may call; a model sees no other
    found = await call(client, "search_tickets", text="invoice")
    assert "T-2" in found and "C-17" in found, found
    story.show(f"tools/list → {', '.join(tools)}", f"tools/call search_tickets → {found}")

    story.step("Another tool needs more scope: the guard says which, and alice is asked for that (step-up).")
    client.wire.clear()
    browser.seen.clear()
    customer = await call(client, "read_customer", customer="C-17")
    challenge = client.heard("POST", "/mcp", 403).headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge and "customers:read" in challenge, challenge
    client.heard("POST", "/t/acme/token", 200)
    client.heard("POST", "/mcp", 200)
    assert len(browser.seen) == 1 and "CRM" in browser.seen[0], browser.seen
    held = decoded(client.access_token)
    assert_claims(held, {"sub": "alice", "aud": places.tickets, "scope": "tickets:read customers:read"})
    story.show("tools/call read_customer → 403", f"WWW-Authenticate: {challenge}", *browser.seen)
    story.show("tools/call read_customer again, with the new token → 200")

    story.step("To answer, the MCP server exchanged alice's token for one of its own for the CRM (RFC 8693).")
    assert "Globex" in customer and "[redacted]" in customer, customer
    record = json.loads([line for line in crm.log.read_text().splitlines() if line.startswith("{")][-1])
    claims = record["claims"]
    wanted = {"iss": places.door, "sub": "alice", "aud": places.crm, "tenant": "acme", "scope": "crm:read"}
    assert_claims(claims, wanted | {"client_id": "tickets-server", "txn": held["txn"]})
    assert actors(claims) == ["tickets-server", held["client_id"]], claims
    assert claims["exp"] <= held["exp"], claims
    story.show(f"tools/call read_customer → {customer}", "the token, as the CRM saw it:")
    story.show_token(record["header"], claims)
    story.show(f"so it knows: alice, through {' ← '.join(actors(claims))}")
    return str(held["txn"])


async def tell_approval(
    story: Story, client: DemoClient, browser: Browser, approver: Browser, tickets: Server
) -> str:
    """One exact act is allowed by another person, and happens once; returns the `txn` that it belongs to."""
    story.step("A refund cannot be taken back: another person has to allow exactly this one.")
    browser.seen.clear()
    act = {"number": "T-2", "amount": 40}
    same = {"idempotency-key": "refund-for-T-2"}
    answer = await call(client, "refund", same, **act)
    txn = str(decoded(client.access_token)["txn"])
    story.show("tools/call refund T-2, 40 → 403, more scope", *browser.seen)
    story.show("tools/call refund T-2, 40 → asks for input: open a page", *approver.seen)
    story.show(f"tools/call refund T-2, 40, again → {answer}")
    assert [seen for seen in approver.seen if seen.endswith("→ approve")], approver.seen

    story.step("The same call again is a duplicate: it gets the same answer, and nothing is paid twice.")
    pages = len(approver.seen)
    assert await again(client, "refund", same, **act) == answer
    paid = [line for line in tickets.log.read_text().splitlines() if line.startswith("paid ")]
    assert paid == ["paid 40 for T-2, asked by alice"] and len(approver.seen) == pages, paid
    story.show(f"tools/call refund T-2, 40, with the same idempotency key → {answer}", *paid)

    story.step("The approval was for that act alone. One byte changed is another act, and asks anew.")
    result = await client.mcp.session.call_tool("refund", act | {"amount": 41}, allow_input_required=True)
    asked = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert asked["resultType"] == "input_required", asked
    paid = [line for line in tickets.log.read_text().splitlines() if line.startswith("paid ")]
    assert len(paid) == 1, paid
    story.show("tools/call refund T-2, 41 → asks for input: open a page", *paid)
    return txn


async def tell_refresh(story: Story, client: DemoClient) -> None:
    story.step(
        "When the access token has ended, the client refreshes it without alice; both tokens are replaced."
    )
    before, tokens = decoded(client.access_token), client.memory.tokens
    client.provider.context.token_expiry_time = 1.0  # so it believes; nobody has to wait
    client.wire.clear()
    await call(client, "search_tickets", text="printer")
    client.heard("POST", "/t/acme/token", 200)
    client.heard("POST", "/mcp", 200)
    after = decoded(client.access_token)
    same = ("sub", "aud", "tenant", "scope", "client_id", "grant_id")
    assert_claims(after, {name: before[name] for name in same})
    assert after["jti"] != before["jti"], after
    assert tokens and client.memory.tokens and tokens.refresh_token != client.memory.tokens.refresh_token
    story.show(f"jti {before['jti']} → {after['jti']}", f"scope {after['scope']}")


def tell_refusals(story: Story, client: DemoClient, secret: str, places: Places) -> None:
    story.step("A token opens the one place it was made for.")
    form = {"grant_type": EXCHANGE, "subject_token": client.access_token, "subject_token_type": ACCESS_TOKEN}
    answer = httpx2.post(
        f"{places.door}/token",
        data=form | {"resource": places.crm},
        auth=("tickets-server", secret),
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    exchanged = answer.json()["access_token"]
    customer = f"{places.crm}/customers/C-17"
    for whose, token, method, url, wanted in (
        ("the exchanged token", exchanged, "GET", customer, 200),
        ("the client's token", client.access_token, "GET", customer, 401),
        ("the exchanged token", exchanged, "POST", places.tickets, 401),
    ):
        headers = {"Authorization": f"Bearer {token}"}
        status = httpx2.request(method, url, headers=headers, trust_env=False).status_code
        assert status == wanted, f"{whose} at {url}: {status}"
        story.show(f"{method} {url} with {whose} → {status}")


def tell_trace(story: Story, txn: str, facts: tuple[str, ...], places: Places) -> None:
    story.step(f"The evidence: one id leads through all of it, from {facts[0]} to {facts[-1]}.")
    command = (*BROKER, "audit", "trace", txn, "--data", str(places.data))
    story.show("$ broker audit trace " + txn)
    found = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    assert found.returncode == 0, found.stderr
    story.show(*found.stdout.splitlines())
    for fact in facts:
        assert fact in found.stdout, f"the trace lacks {fact}"


async def call(
    client: DemoClient, tool: str, meta: dict[str, object] | None = None, **arguments: object
) -> str:
    result = await client.mcp.call_tool(tool, arguments, meta=meta)
    text = " ".join(part.text for part in result.content if isinstance(part, TextContent))
    assert not result.is_error, text
    return text


async def again(client: DemoClient, tool: str, meta: dict[str, object], **arguments: object) -> str:
    """The same call once more, as soon as the server has reported what became of the first."""
    for _ in range(50):
        result = await client.mcp.call_tool(tool, arguments, meta=meta)
        if not result.is_error:
            break
        await asyncio.sleep(0.1)
    return await call(client, tool, meta, **arguments)


async def tell(
    story: Story, places: Places, servers: tuple[Server, Server], passwords: tuple[str, str], secret: str
) -> None:
    crm, tickets = servers
    browser, approver = Browser("alice", passwords[0]), Browser("bob", passwords[1])
    story.sentence = "The MCP client finds its way from the server's address to a token."
    async with connected(places.tickets, browser, approver) as client:
        tell_discovery(story, client, browser, places)
        txn = await tell_calls(story, client, browser, crm, places)
        await tell_refresh(story, client)
        paid = await tell_approval(story, client, browser, approver, tickets)
        tell_refusals(story, client, secret, places)
        tell_trace(
            story, txn, ("consent.granted", "code.consumed", "token.issued", "exchange.granted"), places
        )
        tell_trace(story, paid, ("decision.made", "approval.granted", "outcome.reported"), places)


def main() -> None:
    parser = argparse.ArgumentParser(description="The demo of the MCP token broker.")
    once = os.environ.get("DEMO") == "once"
    parser.add_argument(
        "--once", action="store_true", default=once, help="end after the story (also: DEMO=once)"
    )
    parser.add_argument("--port", type=int, default=8400, help="the broker's port, if it is free (0: any)")
    options = parser.parse_args()
    estate = yaml.safe_load((HERE / "estate.yaml").read_text(encoding="utf-8"))
    passwords = estate["users"][0]["password"], estate["users"][1]["password"]
    secret = estate["resources"][0]["client"]["client_secret"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="broker-demo-") as folder, Story(Path(folder)) as story:
        places = prepare(Path(folder), options.port)
        servers = start_all(story, places, secret)
        asyncio.run(tell(story, places, servers, passwords, secret))
        print("\nAll of it is true.", flush=True)
        if not options.once:
            print(f"\nStill serving, until Ctrl-C:\n  {places.door}   sign in as alice with “{passwords[0]}”")
            print(f"  {places.door}/approvals   bob, who allows refunds, has “{passwords[1]}”")
            print(f"  {places.tickets}   to connect your own MCP client to\n  {places.crm}", flush=True)
            story.serve()


if __name__ == "__main__":
    main()
