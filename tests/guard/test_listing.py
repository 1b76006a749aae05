"""A client sees the tools that its token may call."""

import json

import pytest

from broker.guard.catalogue import Catalogue, Tool
from broker.protocol.definition import schema_digest
from tests.guard.desk import ALL, TOOLS, Desk, call, modern

SCHEMA = {"type": "object"}
SERVED = [{"name": name, "description": "x", "inputSchema": SCHEMA} for name in (*TOOLS, "hidden")]
LIST = {"jsonrpc": "2.0", "id": 3, "method": "tools/list"}


@pytest.fixture
def desk(issuer, clock) -> Desk:
    desk = Desk(issuer, clock)
    desk.app.result = {"tools": SERVED}
    return desk


def names(desk: Desk, **over: object) -> list[str]:
    return [tool["name"] for tool in desk.send(LIST, **over).json()["result"]["tools"]]


def test_the_list_has_the_tools_of_the_scopes_and_no_other(desk: Desk) -> None:
    assert names(desk) == ["search", "close", "refund"]
    assert names(desk, scope="tickets:read") == ["search"]
    assert names(desk, scope="") == []
    assert desk.broker.asked == []


def test_a_tool_that_is_not_listed_can_still_be_asked_for_by_a_step_up(desk: Desk) -> None:
    assert names(desk, scope="tickets:read") == ["search"]
    assert desk.call("refund", scope="tickets:read").status_code == 403


def test_an_implied_scope_shows_what_it_covers(desk: Desk) -> None:
    desk.catalogue = Catalogue(dict(TOOLS), {"tickets:write": ["tickets:read"]})
    assert names(desk, scope="tickets:write") == ["search", "close"]


def test_what_changed_or_is_above_the_stage_is_not_listed(desk: Desk) -> None:
    digest = schema_digest("search", "x", SCHEMA)
    looked_at = Tool("search", (), "read", digest=digest)
    desk.catalogue = Catalogue({"search": looked_at})
    assert names(desk) == ["search"]
    for other in (
        Tool("search", (), "read", digest="0" * 64),
        Tool("search", (), "read", changed=True),
        Tool("search", (), "read", open=False),
    ):
        desk.catalogue = Catalogue({"search": other})
        assert names(desk) == []


def test_the_digest_of_what_is_served_goes_with_the_question(desk: Desk) -> None:
    names(desk)
    desk.app.result = {"content": []}
    desk.call("close")
    asked = desk.broker.asked[0]["resource"]["properties"]
    assert asked["schema_digest"] == schema_digest("close", "x", SCHEMA)


def test_a_token_for_some_calls_sees_their_tools(desk: Desk) -> None:
    detail = {
        "type": "mcp_tool_call",
        "locations": ["https://mcp.example/mcp"],
        "tools": [{"name": "close", "arguments": {"number": {"const": 7}}}],
    }
    assert names(desk, authorization_details=[detail]) == ["close"]


@pytest.mark.requirement("MCP-RS-04")
def test_the_list_is_kept_by_nobody_else(desk: Desk) -> None:
    said = desk.send({**LIST, "params": {"_meta": modern()}}).json()["result"]
    assert (said["cacheScope"], said["ttlMs"]) == ("private", 0)
    desk.app.result = {"tools": SERVED, "cacheScope": "public", "ttlMs": 5000}
    said = desk.send(LIST).json()["result"]
    assert (said["cacheScope"], said["ttlMs"]) == ("private", 5000)


def test_a_list_in_a_stream_is_filtered_too(desk: Desk) -> None:
    desk.app.answers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    desk.app.stream = [{"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "working"}}]
    told = desk.send(LIST, scope="tickets:read").text
    events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
    assert events[0] == desk.app.stream[0]
    assert [tool["name"] for tool in events[1]["result"]["tools"]] == ["search"]


def test_tools_can_stay_listed_that_only_lack_scope(desk: Desk) -> None:
    desk.guard.control._hide = False
    assert names(desk, scope="tickets:read") == ["search", "close", "refund"]
    assert desk.send(call("hidden"), scope=ALL).json()["error"]["message"] == "Unknown tool"
