"""Control of single calls with the clients that people have: lists, step-up, redaction, and approval in a browser."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, ElicitResult

from broker.guard.guard import Guard
from tests import live
from tests.clients import guarded, programs
from tests.clients.programs import Program
from tests.clients.test_programs import Kind, fastmcp, on_node
from tests.clients.test_python_sdk import Memory, signing_in
from tests.live import LiveBroker, ScriptedBrowser

SERVER = ("tickets-server", "only-for-the-tests-tickets-server-0001")
SSN = "078-05-1120"


@dataclass
class Desk:
    """A server behind a guard that knows nothing but its door, its name and its credentials; and what it did."""

    url: str
    guard: Guard
    done: list[str] = field(default_factory=list)

    def server(self) -> MCPServer:
        server = MCPServer("Ticket desk")

        @server.tool()
        async def search_tickets(text: str) -> str:
            return f"found {text}"

        @server.tool()
        async def read_customer(customer: str) -> dict[str, str]:
            return {"id": customer, "ssn": SSN}

        @server.tool()
        async def close_ticket(number: str) -> str:
            self.done.append(f"closed {number}")
            return f"closed {number}"

        @server.tool()
        async def refund(amount: int) -> str:
            self.done.append(f"refunded {amount}")
            self.guard.outcome(downstream_request_id=f"pay-{amount}", cost=5)
            return f"refunded {amount}"

        return server


@pytest.fixture(scope="module")
def live_broker(tmp_path_factory: pytest.TempPathFactory, resource: str) -> Iterator[LiveBroker]:
    estate = (Path(__file__).parent / "controlled.yaml").read_text("utf-8")
    folder = tmp_path_factory.mktemp("controlled")
    with live.serve(folder, estate.replace("http://127.0.0.1:9999/mcp", resource)) as broker:
        yield broker


@pytest.fixture(scope="module")
def desk(live_broker: LiveBroker, listener: socket.socket, resource: str) -> Iterator[Desk]:
    guard = Guard.from_broker(
        live_broker.door("acme"), "tickets", client_id=SERVER[0], client_secret=SERVER[1]
    )
    found = Desk(resource, guard)
    with guarded.running(found.server().streamable_http_app(), guard, listener):
        yield found


def approve(url: str, user: str, decision: str = "approve") -> None:
    with ScriptedBrowser(username=user, decision=decision) as browser:
        browser.visit(url)


@dataclass
class Person:
    """The user of the official SDK's client; whoever may allow it does when a page is to be opened."""

    approver: str
    answer: str = "accept"
    shown: list[str] = field(default_factory=list)

    async def __call__(self, _: object, asked: object) -> ElicitResult:
        self.shown.append(asked.url)
        if self.answer == "accept":
            await asyncio.to_thread(approve, asked.url, self.approver)
        return ElicitResult(action=self.answer)


async def called(client: Client, tool: str, arguments: dict[str, object], person: Person) -> CallToolResult:
    """Up to the revision 2025-11-25 the client is told by an error, and its user has it called again."""
    try:
        return await client.call_tool(tool, arguments)
    except MCPError as error:
        assert error.code == -32042, error
        [asked] = error.data["elicitations"]
        person.shown.append(asked["url"])
        await asyncio.to_thread(approve, asked["url"], person.approver)
        return await client.call_tool(tool, arguments)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("tool", "arguments", "approver", "did"),
    [
        ("close_ticket", {"number": "T-1"}, "alice", "closed T-1"),
        ("refund", {"amount": 7}, "bob", "refunded 7"),
    ],
)
def test_the_official_sdk_has_a_call_allowed_in_a_browser_and_it_runs_once(
    desk: Desk,
    browser: ScriptedBrowser,
    live_broker: LiveBroker,
    mode: str,
    tool: str,
    arguments: dict[str, object],
    approver: str,
    did: str,
) -> None:
    person = Person(approver)
    desk.done.clear()

    async def run() -> CallToolResult:
        auth = signing_in(desk.url, browser, Memory())
        async with (
            httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
            Client(
                streamable_http_client(desk.url, http_client=http), mode=mode, elicitation_callback=person
            ) as client,
        ):
            assert [one.name for one in (await client.list_tools()).tools] == ["search_tickets"]
            return await called(client, tool, arguments, person)

    result = asyncio.run(run())
    assert not result.is_error, result
    assert desk.done == [did] and len(person.shown) == 1
    assert person.shown[0].startswith(f"{live_broker.door('acme')}/approvals/")


def test_a_user_who_does_not_allow_it_has_nothing_done(desk: Desk, browser: ScriptedBrowser) -> None:
    person = Person("alice", "decline")
    desk.done.clear()

    async def run() -> CallToolResult:
        auth = signing_in(desk.url, browser, Memory())
        async with (
            httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
            Client(streamable_http_client(desk.url, http_client=http), elicitation_callback=person) as client,
        ):
            return await client.call_tool("close_ticket", {"number": "T-2"})

    result = asyncio.run(run())
    assert result.is_error and "did not allow" in result.content[0].text and desk.done == []


def test_a_client_without_pages_is_told_where_to_go_and_what_is_secret_is_not_told(
    desk: Desk, browser: ScriptedBrowser
) -> None:
    async def run() -> tuple[CallToolResult, CallToolResult]:
        auth = signing_in(desk.url, browser, Memory())
        async with (
            httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
            Client(streamable_http_client(desk.url, http_client=http)) as client,
        ):
            waits = await client.call_tool("close_ticket", {"number": "T-3"})
            return waits, await client.call_tool("read_customer", {"customer": "C-17"})

    waits, read = asyncio.run(run())
    assert waits.is_error and "/approvals/" in waits.content[0].text
    assert read.structured_content == {"id": "C-17", "ssn": "[redacted]"}
    assert SSN not in json.dumps(read.model_dump(mode="json"))


def records(broker: LiveBroker, fact: str) -> list[dict[str, object]]:
    """What the broker's command line tells of it."""
    command = (*live.COMMAND, "audit", "query", "--fact", fact, "--data", str(broker.data), "-o", "json")
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def test_what_became_of_each_call_is_in_the_evidence(
    desk: Desk, browser: ScriptedBrowser, live_broker: LiveBroker
) -> None:
    person = Person("bob")

    async def run() -> None:
        auth = signing_in(desk.url, browser, Memory())
        async with (
            httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
            Client(streamable_http_client(desk.url, http_client=http), elicitation_callback=person) as client,
        ):
            await client.call_tool("search_tickets", {"text": "invoice"})
            result = await client.call_tool("refund", {"amount": 11}, meta={"intent": "it was broken"})
            assert not result.is_error, result

    asyncio.run(run())
    assert desk.guard.control.flush()
    outcome = records(live_broker, "outcome.reported")[-1]
    assert (outcome["tool"], outcome["downstream_request_id"]) == ("refund", "pay-11")
    decision = next(
        one for one in records(live_broker, "decision.made") if one["decision"] == outcome["decision"]
    )
    assert decision["outcome"] == "allowed" and decision["approval"] and decision["intent"] == "it was broken"
    assert decision["txn"] == outcome["txn"] and decision["arguments_digest"] == outcome["arguments_digest"]
    read = records(live_broker, "call.reported")[-1]
    assert (read["tool"], read["subject"], read["outcome"]) == ("search_tickets", "alice", "allowed")


PROGRAMS = {
    "TypeScript SDK v2": Kind(on_node("sdk.mjs", "v2"), "TypeScript v2"),
    "TypeScript SDK v2, 2026-07-28": Kind(on_node("sdk.mjs", "v2", "modern"), "TypeScript v2"),
    "FastMCP": Kind(fastmcp, "FastMCP Client", tries=True),
}


@dataclass
class Approving(ScriptedBrowser):
    """Signs in and consents as the user; what has to be allowed is allowed by who may."""

    approver: str = ""
    allowed: list[str] = field(default_factory=list)

    def visit(self, url: str) -> str:
        if "/approvals/" not in url:
            return super().visit(url)
        self.allowed.append(url)
        approve(url, self.approver)
        return url


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, desk: Desk) -> Iterator[Program]:
    command = PROGRAMS[request.param].command(desk.url)
    with Approving() as browser, programs.running(command, browser) as found:
        yield found


def test_a_client_that_people_have_sees_its_tools_steps_up_has_a_call_allowed_and_makes_it_once(
    desk: Desk, program: Program
) -> None:
    desk.done.clear()
    assert program.do("connect").answer == ["search_tickets"]
    assert isinstance(program.browser, Approving)
    program.browser.approver = "alice"
    assert program.call("close_ticket", number="T-9").answer == "closed T-9"
    assert desk.done == ["closed T-9"] and len(program.browser.allowed) == 1
    program.browser.approver = "bob"
    assert program.call("refund", amount=9).answer == "refunded 9"
    assert desk.done == ["closed T-9", "refunded 9"] and len(program.browser.allowed) == 2
    read = program.call("read_customer", customer="C-17").answer
    assert json.loads(str(read)) == {"id": "C-17", "ssn": "[redacted]"}
