"""What a proxy reads in the headers of a message is what its body says."""

import pytest

from tests.guard.desk import Desk, call


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


@pytest.mark.parametrize(
    "headers",
    [
        [("Mcp-Method", "tools/list")],
        [("Mcp-Name", "search")],
        [("Mcp-Method", "tools/call"), ("Mcp-Name", "search")],
        [("Mcp-Method", "tools/call"), ("Mcp-Method", "tools/call")],
        [("Mcp-Name", "=?base64?c2VhcmNo?=")],
        [("Mcp-Name", "=?base64?!?=")],
    ],
)
@pytest.mark.requirement("MCP-RS-02")
def test_headers_that_say_something_else_than_the_body_are_refused(
    desk: Desk, headers: list[tuple[str, str]]
) -> None:
    answer = desk.send(call("close"), headers)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == -32020
    assert desk.app.bodies == [] and desk.broker.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Mcp-Method", "tools/call")],
        [("Mcp-Method", "tools/call"), ("Mcp-Name", "close")],
        [("Mcp-Name", "=?base64?Y2xvc2U=?=")],
    ],
)
def test_headers_that_agree_pass(desk: Desk, headers: list[tuple[str, str]]) -> None:
    assert desk.send(call("close"), headers).status_code == 200


def test_a_batch_has_no_one_method(desk: Desk) -> None:
    batch = [call("close"), {"jsonrpc": "2.0", "method": "notifications/x"}]
    assert desk.send(batch, [("Mcp-Method", "tools/call")]).status_code == 400
    assert desk.send(batch).status_code == 200
