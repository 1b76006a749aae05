"""The catalogue as a guard gets it: verified, asked for again, kept for a time."""

import json
import threading

import httpx2
import jwt
import pytest

from broker.guard.asgi import GuardMiddleware
from broker.guard.catalogue import CatalogueUnavailable
from broker.guard.fetch import Http, RequestFailed, basic
from broker.guard.guard import Guard
from broker.guard.published import Publisher
from broker.guard.verifier import TokenRefused
from tests.guard.conftest import ISSUER, NOW, RESOURCE
from tests.guard.desk import PERMIT, App, Desk, call

CLAIMS = {
    "iss": ISSUER,
    "aud": "tickets-server",
    "iat": NOW,
    "exp": NOW + 3600,
    "resource": RESOURCE,
    "resource_id": "tickets",
    "name": "Ticket desk",
    "issuers": {ISSUER + "/t/acme": ["acme"], ISSUER: ["acme", "globex"]},
    "authorization_servers": [ISSUER],
    "stage": "full",
    "record": "after",
    "default_scopes": ["tickets:read"],
    "scopes": [
        {"name": "tickets:read", "description": "x", "implies": [], "offered": True},
        {
            "name": "tickets:write",
            "description": "x",
            "implies": ["tickets:read"],
            "max_age": 60,
            "offered": False,
        },
    ],
    "tools": [
        {
            "name": "close",
            "scopes": ["tickets:write"],
            "impact": "reversible_write",
            "schema_digest": "d",
            "changed": False,
            "open": True,
            "keyed": True,
            "obligations": [{"id": "redact", "type": "redact", "properties": {"paths": ["$.ssn"]}}],
        }
    ],
    "limits": {},
    "isolation": {"egress": ["crm.example"], "timeout": 30, "concurrent": 4},
}


class Door:
    """Signs the catalogue with the issuer's key; `over` changes what it says, `status` whether it says it."""

    def __init__(self, issuer) -> None:
        self.issuer, self.over, self.typ, self.status = issuer, {}, "catalogue+jwt", 200
        self.seen: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        claims = {**CLAIMS, **self.over}
        etag = f'W/"{hash(json.dumps(claims, sort_keys=True))}"'
        if self.status == 200 and request.headers.get("if-none-match") == etag:
            return httpx2.Response(304)
        headers = {"kid": self.issuer.kid, "typ": self.typ}
        token = jwt.PyJWS().encode(
            json.dumps(claims).encode(), self.issuer._key, algorithm="ES256", headers=headers
        )
        return httpx2.Response(self.status, text=token, headers={"ETag": etag})


@pytest.fixture
def door(issuer) -> Door:
    return Door(issuer)


@pytest.fixture
def publisher(door, issuer, clock) -> Publisher:
    return published_by(door, issuer, clock, lambda work: work())


def published_by(door: Door, issuer, clock, background) -> Publisher:
    http = Http(clock, httpx2.Client(transport=httpx2.MockTransport(door)))
    own = basic("tickets-server", "secret")
    return Publisher(http.get, issuer, clock, ISSUER, "tickets", "tickets-server", own, background)


def test_it_says_all_that_a_guard_must_know(publisher: Publisher, door: Door) -> None:
    known = publisher.now()
    assert (known.resource, known.name) == (RESOURCE, "Ticket desk")
    assert known.scopes == known.default_scopes == ("tickets:read",)
    catalogue = known.catalogue
    assert catalogue.tools is not None and catalogue.record_after
    tool = catalogue.tools["close"]
    assert (tool.scopes, tool.impact, tool.digest, tool.keyed) == (
        ("tickets:write",),
        "reversible_write",
        "d",
        True,
    )
    assert len(tool.obligations.redact) == 1
    assert catalogue.implies["tickets:write"] == ("tickets:read",)
    assert catalogue.sign_ins["tickets:write"].max_age == 60 and "tickets:read" not in catalogue.sign_ins
    assert (catalogue.isolation.egress, catalogue.isolation.timeout) == (("crm.example",), 30)
    [request] = door.seen
    assert str(request.url) == f"{ISSUER}/access/v1/catalogue/tickets"
    assert request.headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "over",
    [
        {"iss": "https://other.example"},
        {"aud": "other-server"},
        {"exp": NOW - 10},
        {"tools": "none"},
        {"tools": [{"name": "close"}]},
        {"scopes": [{}]},
        {"isolation": []},
    ],
)
def test_what_is_not_for_this_guard_is_not_followed(
    publisher: Publisher, door: Door, over: dict[str, object]
) -> None:
    door.over = over
    with pytest.raises(CatalogueUnavailable):
        publisher.now()
    door.over = {}
    with pytest.raises(CatalogueUnavailable):
        publisher.now()
    assert len(door.seen) == 1, "not asked for again at once"


def test_neither_another_type_nor_another_key_is_followed(publisher, door, issuer, clock) -> None:
    door.typ = "deny-feed+jwt"
    with pytest.raises(CatalogueUnavailable):
        publisher.now()
    door.typ, clock.now = "catalogue+jwt", NOW + 2
    door.issuer = type(issuer)()
    with pytest.raises(CatalogueUnavailable):
        publisher.now()
    door.issuer, clock.now = issuer, NOW + 4
    assert publisher.now().resource == RESOURCE


def test_it_is_asked_for_again_in_time_and_the_last_good_one_is_kept_until_its_end(
    publisher, door, clock
) -> None:
    publisher.now()
    clock.now = NOW + 9
    publisher.now()
    assert len(door.seen) == 1
    clock.now = NOW + 11
    door.over = {"name": "Desk"}
    publisher.now()
    assert publisher.now().name == "Desk" and len(door.seen) == 2
    clock.now = NOW + 22
    publisher.now()
    assert publisher.now().name == "Desk" and "if-none-match" in door.seen[2].headers
    door.status = 503
    for later in (100, 1000, 3599):
        clock.now = NOW + later
        assert publisher.now().name == "Desk"
    clock.now = NOW + 3601
    with pytest.raises(CatalogueUnavailable):
        publisher.now()
    assert publisher.last.name == "Desk"
    door.status, door.over, clock.now = 200, {"iat": NOW + 3600, "exp": NOW + 7200}, NOW + 3603
    assert publisher.now().name == "Ticket desk", "and waited for when it is over"


def test_the_first_to_come_after_a_while_waits_for_a_new_one(door, issuer, clock) -> None:
    behind: list[object] = []
    publisher = published_by(door, issuer, clock, behind.append)
    publisher.now()
    door.over, clock.now = {"name": "Desk"}, NOW + 29
    assert publisher.at_hand and publisher.now().name == "Ticket desk" and len(behind) == 1
    clock.now = NOW + 31
    assert not publisher.at_hand and publisher.kept() is not None
    assert publisher.now().name == "Desk" and len(door.seen) == 2
    door.status, clock.now = 503, NOW + 3000
    assert publisher.now().name == "Desk" and len(door.seen) == 3, "the old one, where no new one can be had"
    clock.now += 2
    assert publisher.at_hand and publisher.now().name == "Desk" and len(door.seen) == 3


def test_who_waited_for_a_failure_does_not_repeat_it_at_once(door, issuer, clock) -> None:
    fetched: list[float] = []

    def slow(url: str, headers: object, largest: int) -> object:
        fetched.append(clock.now)
        clock.now += 5
        raise RequestFailed("slow")

    publisher = Publisher(slow, issuer, clock, ISSUER, "tickets", "tickets-server", {})
    for _ in range(4):
        with pytest.raises(CatalogueUnavailable):
            publisher.now()
    assert len(fetched) == 1
    clock.now += 2
    with pytest.raises(CatalogueUnavailable):
        publisher.now()
    assert len(fetched) == 2


def test_it_is_never_fetched_in_the_event_loop(door, issuer, clock) -> None:
    threads: list[str] = []

    def seen(request: httpx2.Request) -> httpx2.Response:
        threads.append(threading.current_thread().name)
        if request.url.path.endswith(("/evaluation", "/outcomes")):
            return httpx2.Response(200, json=PERMIT)
        return door(request)

    app, http = App(), httpx2.Client(transport=httpx2.MockTransport(seen))
    own = {"client_id": "tickets-server", "client_secret": "s"}
    guard = Guard.from_broker(ISSUER, "tickets", **own, http=http, keys=issuer, clock=clock)
    desk = Desk(issuer, clock, app=app)
    desk.middleware = GuardMiddleware(app, guard)
    del threads[:]
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for later, status in ((40, 200), (4000, 200), (9000, 503)):
        clock.now = NOW + later
        door.over = {"exp": clock.now + 3600, "iat": clock.now}
        door.status = status
        token = {"iat": clock.now, "nbf": clock.now, "exp": clock.now + 300}
        token["auth_time"] = clock.now
        app.result = {"tools": [{"name": "close", "inputSchema": {}}]}
        assert desk.send(listed, **token).status_code == status
        assert desk.send(call("close"), **token).status_code == status
    assert len(app.bodies) == 4 and len(threads) >= 5 and "MainThread" not in threads


def test_a_large_one_is_read_too(publisher, door) -> None:
    tool = CLAIMS["tools"][0]
    door.over = {"tools": [{**tool, "name": f"tool_{n}", "schema": {"x": "y" * 1000}} for n in range(400)]}
    assert len(publisher.now().catalogue.tools or ()) == 400


def test_a_guard_is_made_of_it(door, issuer, clock) -> None:
    http = httpx2.Client(transport=httpx2.MockTransport(door))
    guard = Guard.from_broker(
        ISSUER, "tickets", client_id="tickets-server", client_secret="s", http=http, keys=issuer, clock=clock
    )
    assert guard.resource == RESOURCE
    said = json.loads(guard.metadata.body)
    assert said["authorization_servers"] == [ISSUER]
    assert (said["resource_name"], said["scopes_supported"]) == ("Ticket desk", ["tickets:read"])
    assert guard.verify(issuer.token(tenant="globex")).tenant == "globex"
    door.over = {"issuers": {ISSUER: ["acme"]}}
    clock.now = NOW + 11
    assert guard.control.catalogue is not None
    for thread in threading.enumerate():
        if thread.name == "catalogue":
            thread.join()
    with pytest.raises(TokenRefused):
        guard.verify(issuer.token(tenant="globex", exp=NOW + 300))
