"""What a server reaches, and that nobody's credentials go with it."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from broker.guard.isolation import EgressRefused, Reach
from tests.guard.desk import Desk, call, words

SECRET = "of-another-service"


class Upstream(ThreadingHTTPServer):
    """A system behind the server: remembers the headers of what reaches it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[dict[str, str]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})  # type: ignore[attr-defined]
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


@pytest.mark.attack("RS-08")
@pytest.mark.requirement("MCP-RS-06")
def test_a_tool_that_hands_everything_on_hands_on_no_credentials_of_its_caller(
    desk: Desk, upstream: Upstream
) -> None:
    desk.isolated(egress=[upstream.host])

    async def forwards() -> None:
        handed = [
            (name.decode(), value.decode())
            for name, value in desk.app.headers[-1]
            if name not in (b"host", b"content-length")
        ]
        async with desk.guard.http() as http:
            await http.get(f"http://{upstream.host}/", headers=handed)
            await http.get(f"http://{upstream.host}/", headers={"Authorization": "Bearer of-the-broker"})

    desk.app.meanwhile = forwards
    inbound = [("Cookie", SECRET), ("X-Api-Key", SECRET), ("Proxy-Authorization", SECRET), ("X-Own", "kept")]
    assert desk.send(call("search"), inbound).status_code == 200
    forwarded, exchanged = upstream.seen
    token = dict(desk.app.headers[-1])[b"authorization"].decode().split()[1]
    assert SECRET not in str(forwarded) and token not in str(forwarded) and "authorization" not in forwarded
    assert forwarded["x-own"] == "kept"
    assert exchanged["authorization"] == "Bearer of-the-broker", "what was exchanged for the call is sent"


@pytest.mark.attack("RS-08")
def test_a_second_authorization_reaches_no_tool(desk: Desk) -> None:
    assert desk.send(call("search"), [("Authorization", "Bearer x")]).status_code == 400
    assert desk.app.headers == []


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://{host}/", True),
        ("http://{host}/away", True),
        ("http://localhost:{port}/", False),
        ("http://127.0.0.1:1/", False),
        ("https://evil.example/", False),
        ("https://crm.example.evil.example/", False),
        ("http://crm.example/", False),
    ],
)
def test_only_named_hosts_are_reached(upstream: Upstream, url: str, reached: bool) -> None:
    reach = Reach(lambda: [upstream.host, "crm.example"], lambda: None)
    address = url.format(host=upstream.host, port=upstream.server_address[1])
    with reach.client_sync() as http:
        if reached:
            assert http.get(address).status_code in (200, 302)
        else:
            with pytest.raises(EgressRefused):
                http.get(address)
    assert len(upstream.seen) == int(reached), "and a redirect is not followed"


def test_where_nothing_is_named_nothing_is_reached(desk: Desk, upstream: Upstream) -> None:
    with desk.guard.http_sync() as http, pytest.raises(EgressRefused):
        http.get(f"http://{upstream.host}/")
    assert upstream.seen == []


def test_an_https_host_has_its_usual_port() -> None:
    reach = Reach(lambda: ["CRM.example"], lambda: None)
    reach.check(httpx2.Request("GET", "https://crm.example:443/x"))
    with pytest.raises(EgressRefused):
        reach.check(httpx2.Request("GET", "https://crm.example:8443/x"))


@pytest.mark.parametrize("address", ["/x?t={}", "/{}", "/x#{}"])
def test_no_address_has_the_token_of_the_call_in_it(upstream: Upstream, address: str) -> None:
    token = "eyJh.TOKEN.sig"
    reach = Reach(lambda: [upstream.host], lambda: token)
    for said in (token, token.replace(".", "%2E")):
        with reach.client_sync() as http, pytest.raises(EgressRefused, match="token of the call"):
            http.get(f"http://{upstream.host}{address.format(said)}")
    with reach.client_sync() as http:
        assert http.get(f"http://{upstream.host}{address.format('another')}").status_code == 200
    assert len(upstream.seen) == 1


def test_the_host_that_is_named_is_that_of_the_address(upstream: Upstream) -> None:
    reach = Reach(lambda: [upstream.host], lambda: None)
    with reach.client_sync() as http:
        http.get(f"http://{upstream.host}/", headers={"Host": "other.example"})

    async def asynchronously() -> None:
        async with reach.client() as http:
            await http.get(f"http://{upstream.host}/", headers={"Host": "other.example"})

    asyncio.run(asynchronously())
    assert [seen["host"] for seen in upstream.seen] == [upstream.host] * 2


def test_a_guard_whose_tools_are_given_by_hand_has_bounds_too(issuer, clock) -> None:
    from broker.guard.asgi import GuardMiddleware
    from broker.guard.guard import Guard
    from broker.guard.isolation import Isolation
    from tests.guard.conftest import ISSUER, RESOURCE

    desk = Desk(issuer, clock)
    guard = Guard(
        resource=RESOURCE,
        issuers={ISSUER: ["acme"]},
        tools={"search": ["tickets:read"]},
        keys=issuer,
        clock=clock,
        isolation=Isolation(timeout=0.05),
    )

    async def forever() -> None:
        await asyncio.Event().wait()

    desk.middleware, desk.app.meanwhile = GuardMiddleware(desk.app, guard), forever
    assert "took too long" in words(desk.call("search")) and desk.broker.seen == []
