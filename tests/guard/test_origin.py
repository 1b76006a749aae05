"""DNS rebinding and requests of foreign pages: who a request is for and where it comes from, before anything else."""

import pytest

from broker.guard.origin import Origins
from broker.guard.request import Request
from tests.guard.desk import Desk, call

GOOD = ("https://mcp.example", "HTTPS://MCP.example:443", None)


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


def refused(origins: Origins, **headers: str) -> bool:
    given = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return origins.stranger(Request("POST", "/mcp", "https://mcp.example/mcp", given)) is not None


@pytest.mark.attack("RS-10")
@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("mcp.example", True),
        ("MCP.example:443", True),
        ("mcp.example:8443", False),
        ("attacker.example", False),
        ("mcp.example.attacker.example", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
def test_a_request_for_another_host_is_refused(host: str, known: bool) -> None:
    assert refused(Origins("https://mcp.example/mcp"), host=host) is not known


@pytest.mark.attack("RS-10")
@pytest.mark.parametrize(
    ("origin", "known"),
    [
        ("https://mcp.example", True),
        ("https://mcp.example:443", True),
        ("http://mcp.example", False),
        ("https://evil.example", False),
        ("https://mcp.example.evil.example", False),
        ("null", False),
        ("", False),
    ],
)
@pytest.mark.requirement("MCP-RS-01")
def test_a_request_of_a_foreign_page_is_refused(origin: str, known: bool) -> None:
    assert refused(Origins("https://mcp.example/mcp"), host="mcp.example", origin=origin) is not known


def test_other_hosts_and_pages_can_be_named_or_all_be_let_through() -> None:
    named = Origins("https://mcp.example/mcp", ["internal:8080"], ["http://localhost:6274"])
    assert not refused(named, host="internal:8080", origin="http://localhost:6274")
    assert refused(named, host="mcp.example") and refused(named, host="internal:8080", origin=GOOD[0] or "")
    anybody = Origins("https://mcp.example/mcp", ["*"], ["*"])
    assert not refused(anybody, host="x", origin="null")


def test_on_a_port_of_loopback_the_port_counts() -> None:
    origins = Origins("http://127.0.0.1:9999/mcp")
    assert not refused(origins, host="127.0.0.1:9999", origin="http://127.0.0.1:9999")
    assert refused(origins, host="127.0.0.1") and refused(origins, host="localhost:9999")


@pytest.mark.attack("RS-10")
@pytest.mark.parametrize("header", [("Origin", "https://evil.example"), ("Host", "rebound.example")])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
def test_nothing_is_done_for_a_stranger_not_even_with_a_good_token(
    desk: Desk, header: tuple[str, str], method: str
) -> None:
    asks = [("Access-Control-Request-Method", "POST")] if header[0] == "Origin" else []
    answer = desk.send(call("search"), [header, *asks], method)
    assert answer.status_code == 403 and "www-authenticate" not in answer.headers
    assert desk.app.bodies == [] and desk.broker.seen == []
    assert desk.send(call("search"), [("Origin", "https://mcp.example")]).status_code == 200


def test_the_metadata_is_for_every_page(desk: Desk) -> None:
    path = "/.well-known/oauth-protected-resource"
    answer = desk.send(None, [("Origin", "https://evil.example")], "GET", path=path)
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "*"
