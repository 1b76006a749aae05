"""RFC 7591: what a client may say of itself, what it becomes, and when it is forgotten."""

import base64
import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from broker import app as composition
from broker.identity.clients import store
from broker.identity.clients.model import Client
from broker.identity.clients.registration import Registration
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from tests.lab import CALLBACK, ISSUER, KEK, NOTES, Lab, assert_refused, claims, landed

CURSOR = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
]


MEMBERS = {
    "client_id",
    "client_id_issued_at",
    "registration_client_uri",
    "registration_access_token",
    "client_name",
    "redirect_uris",
    "grant_types",
    "response_types",
    "token_endpoint_auth_method",
    "application_type",
}


def test_a_client_is_public_unless_it_says_otherwise(lab: Lab) -> None:
    made = lab.register().json
    assert (made["token_endpoint_auth_method"], made["grant_types"]) == ("none", ["authorization_code"])
    assert "client_secret" not in made
    for method in ("client_secret_basic", "client_secret_post"):
        confidential = lab.register(token_endpoint_auth_method=method).json
        assert confidential["token_endpoint_auth_method"] == method and confidential["client_secret"]


@pytest.mark.requirement("MCP-AS-14")
def test_a_registered_client_goes_all_the_way(lab: Lab) -> None:
    made = lab.register(grant_types=["authorization_code", "refresh_token"]).json
    tokens = lab.tokens(made["client_id"])
    assert lab.active(tokens["access_token"])
    assert lab.refresh(tokens["refresh_token"], made["client_id"]).status_code == 200


def test_members_that_are_not_known_are_ignored(lab: Lab) -> None:
    made = lab.register(
        software_id="x",
        software_version="1",
        code_challenge_method="S256",
        frontchannel_logout_uri="x",
        logo_uri="https://client.example/logo.png?size=2",
        jwks_uri="https://client.example/jwks",
        nested={"a": [1, {"b": None}]},
        id_token_encrypted_response_alg="RSA-OAEP",
    )
    assert made.status_code == 201
    assert set(made.json) == MEMBERS


def test_members_that_are_null_or_empty_are_as_if_left_out(lab: Lab) -> None:
    made = lab.register(client_uri=None, logo_uri="", scope=None, grant_types=None, application_type="")
    assert made.status_code == 201 and made.json["grant_types"] == ["authorization_code"]
    for name in (None, "", "   "):
        assert lab.register(client_name=name).json["client_name"] == "Unnamed client"


@pytest.mark.parametrize(
    ("uris", "kind"),
    [
        (["https://app.example/cb"], "web"),
        (["http://127.0.0.1:1234/cb"], "native"),
        (["http://localhost/cb"], "native"),
        (["http://[::1]/cb"], "native"),
        (["com.example.app:/cb"], "native"),
        (["https://app.example/cb", "http://localhost/cb"], "native"),
        (CURSOR, "native"),
    ],
)
def test_the_application_type_follows_from_the_redirect_uris(lab: Lab, uris: list[str], kind: str) -> None:
    made = lab.register(redirect_uris=uris)
    assert made.status_code == 201 and made.json["application_type"] == kind
    assert made.json["redirect_uris"] == uris
    assert lab.register(redirect_uris=uris, application_type=kind).json["application_type"] == kind


def test_an_editor_with_three_kinds_of_redirect_uri_is_registered_whole(lab: Lab) -> None:
    made = lab.register(redirect_uris=CURSOR, application_type="native", client_name="Cursor").json
    for uri in CURSOR:
        browser = lab.browser()
        page = lab.consent_page(browser=browser, client_id=made["client_id"], redirect_uri=uri)
        answer = page if page.status_code == 303 else browser.allow(page)  # allowed before, not asked again
        assert answer.headers["Location"].startswith(uri) and "code" in landed(answer)
    refused = lab.register(redirect_uris=CURSOR, application_type="web")
    lab.refused(refused, 400, "invalid_client_metadata", "metadata_refused", "client.refused")


@pytest.mark.parametrize(
    "uris",
    [
        [],
        None,
        "https://app.example/cb",
        [7],
        ["http://evil.example/cb"],
        ["https://app.example/cb#x"],
        ["javascript:alert(1)"],
        ["https://["],
        ["http://[::1/cb"],
        ["//app.example/cb"],
        ["https://user@app.example/cb"],
        ["https://app.example/cb", "data:text/html,x"],
        ["https://app.example/" + "x" * 2048],
        [f"https://app.example/{i}" for i in range(21)],
        [""],
    ],
)
@pytest.mark.requirement("MCP-AS-23")
def test_a_redirect_uri_that_cannot_be_trusted_is_refused(lab: Lab, uris: object) -> None:
    before = lab.state()
    response = lab.register(redirect_uris=uris)
    assert response.status_code == 400
    assert response.json["error"] in ("invalid_redirect_uri", "invalid_client_metadata")
    assert lab.facts("client.refused")[-1]["reason"] in ("redirect_uri_refused", "metadata_refused")
    assert lab.state() == before


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"7", b'"x"', b'{"a": "\\ud800"}', b"\xff\xfe", b"{}{}",
     b'{"redirect_uris": ["https://a.example/cb"], "redirect_uris": ["https://client.example/cb"]}',
     b'{"redirect_uris": ["https://client.example/cb"], "jwks": {"keys": [], "keys": []}}']
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused_and_recorded(lab: Lab, body: bytes) -> None:
    response = lab.http().post("/register", base_url=ISSUER, data=body, content_type="application/json")
    lab.refused(response, 400, "invalid_client_metadata", "malformed", "client.refused")


def test_a_client_that_is_never_used_is_forgotten(lab: Lab) -> None:
    idle = lab.register().json["client_id"]
    lifetime = lab.broker.settings.registration_unused_lifetime
    lab.clock.advance(lifetime - 1)
    assert lab.browser().get(lab.authorize_url(idle)).status_code == 200
    lab.clock.advance(1)
    page = lab.browser().get(lab.authorize_url(idle))
    assert page.status_code == 400 and "Location" not in page.headers
    assert not lab.facts("client.expired")
    lab.broker.tend()
    assert [record["client"] for record in lab.facts("client.expired")] == [idle]
    lab.broker.tend()
    assert len(lab.facts("client.expired")) == 1


def test_a_client_that_was_used_stays(lab: Lab) -> None:
    used = lab.register(grant_types=["authorization_code", "refresh_token"]).json["client_id"]
    refresh = lab.tokens(used)["refresh_token"]
    lab.clock.advance(lab.broker.settings.registration_unused_lifetime + 1)
    lab.broker.tend()
    assert lab.refresh(refresh, used).status_code == 200
    assert not lab.facts("client.expired")


def test_a_client_is_forgotten_when_it_was_used_long_ago(lab: Lab) -> None:
    settings = lab.broker.settings
    idle = settings.registration_idle_lifetime
    assert idle >= settings.grant_lifetime
    used = lab.register(grant_types=["authorization_code", "refresh_token"]).json["client_id"]
    refresh = lab.tokens(used)["refresh_token"]
    assert lab.client(used).unused_until == lab.clock.time + idle
    lab.clock.advance(86_400)  # within a day nothing is written again
    refresh = lab.refresh(refresh, used).json["refresh_token"]
    assert lab.client(used).unused_until == lab.clock.time - 86_400 + idle
    lab.clock.advance(1)
    assert lab.refresh(refresh, used).status_code == 200
    assert lab.client(used).unused_until == lab.clock.time + idle
    lab.clock.advance(idle - 1)
    lab.broker.tend()
    assert lab.client(used) and not lab.facts("client.expired")
    lab.clock.advance(1)
    lab.broker.tend()
    assert [record["client"] for record in lab.facts("client.expired")] == [used]


def test_a_client_that_went_away_meanwhile_gets_no_token(lab: Lab) -> None:
    """Whoever removes it and whoever mints for it may be at it in the same moment."""
    gone = lab.register().json["client_id"]
    code = lab.code(gone)
    within = lab.broker.clients.within

    def removed(tx: Transaction, client_id: str) -> Client | None:
        client = within(tx, client_id)
        store.drop(tx, client_id)
        return client

    lab.broker.clients.within = removed
    try:
        assert_refused(lab.redeem(code, gone), 401, "invalid_client")
    finally:
        del lab.broker.clients.within
    assert not lab.facts("token.issued")
    assert lab.redeem(code, gone).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"dpop_bound": True},
        {"certificate_bound": True},
        {"jwks_uri": "https://keys.example/set"},
        {"method": "none"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_was_proven_before_a_change_is_worth_nothing_after_it(
    lab: Lab, change: dict[str, object]
) -> None:
    within = lab.broker.clients.within

    def changed(tx: Transaction, client_id: str) -> Client | None:
        client = within(tx, client_id)
        assert client is not None
        return dataclasses.replace(client, **change)

    lab.broker.clients.within = changed
    try:
        assert_refused(lab.client_credentials(), 401, "invalid_client")
    finally:
        del lab.broker.clients.within
    assert lab.client_credentials().status_code == 200


def test_a_registration_sweeps_what_expired(lab: Lab) -> None:
    idle = lab.register().json["client_id"]
    lab.clock.advance(lab.broker.settings.registration_unused_lifetime)
    assert lab.register().status_code == 201
    assert [record["client"] for record in lab.facts("client.expired")] == [idle]


def test_a_source_registers_so_many_an_hour_and_no_more(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(registration_per_hour=3)
    for _ in range(3):
        assert lab.register(source="2001:db8:1:2::1").status_code == 201
    before = lab.state()
    for source in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"):
        refused = lab.register(source=source)
        lab.refused(refused, 429, "temporarily_unavailable", "rate_limited", "client.refused")
    assert lab.state() == before
    assert lab.register(source="2001:db8:1:3::1").status_code == 201
    lab.clock.advance(int(refused.headers["Retry-After"]))
    assert lab.register(source="2001:db8:1:2::1").status_code == 201


def test_a_closed_registration_is_not_offered_and_answers_so(make_lab: Callable[..., Lab]) -> None:
    closed, opened = make_lab(registration_open=False), make_lab()
    for door in ("", "/t/acme"):
        metadata = f"/.well-known/oauth-authorization-server{door}"
        assert "registration_endpoint" not in closed.get(metadata).json
        assert opened.get(metadata).json["registration_endpoint"] == f"{ISSUER}{door}/register"
        before = closed.state()
        assert_refused(closed.register(door), 403, "access_denied")
        assert closed.state() == before
        assert opened.register(door).status_code == 201
    assert closed.facts("client.refused")[-1]["outcome"] == "denied"


def test_closing_the_registration_closes_its_management(make_lab: Callable[..., Lab]) -> None:
    opened = make_lab()
    made = opened.register().json
    settings = opened.broker.settings.model_copy(update={"registration_open": False})
    closed = Lab(
        composition.compose(settings, clock=opened.clock, kek=KEK), opened.clock, opened.folder, opened.engine
    )
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    before = closed.state()
    for method in ("GET", "PUT", "DELETE"):
        refused = closed.manage(method, uri, token, client_id=made["client_id"])
        lab_refused = closed.refused(refused, 403, "access_denied", "metadata_refused", "client.refused")
        assert "client" not in lab_refused
    assert closed.state() == before
    closed.broker.close()
    assert opened.manage("GET", uri, token).status_code == 200


def test_any_web_page_may_register_and_read_the_answer(lab: Lab) -> None:
    preflight = lab.http().options("/register", base_url=ISSUER, headers={"Origin": "https://app.example"})
    assert preflight.status_code == 204 and preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert lab.register().headers["Access-Control-Allow-Origin"] == "*"
    made = lab.register().json
    path = made["registration_client_uri"].removeprefix(ISSUER)
    preflight = lab.http().options(path, base_url=ISSUER, headers={"Origin": "https://app.example"})
    assert preflight.status_code == 204 and preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, PUT, DELETE"
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]
    for token in (made["registration_access_token"], "wrong"):
        assert lab.manage("GET", path, token).headers["Access-Control-Allow-Origin"] == "*"
    assert lab.register(redirect_uris=[CALLBACK, CALLBACK]).json["redirect_uris"] == [CALLBACK]


# What a client proves itself with


def public_keys(*kids: str) -> dict[str, object]:
    """Public keys of P-256."""
    keys = []
    for kid in kids:
        numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
        x, y = (
            base64.urlsafe_b64encode(part.to_bytes(32)).rstrip(b"=").decode()
            for part in (numbers.x, numbers.y)
        )
        keys.append({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid})
    return {"keys": keys}


def test_a_client_registers_its_keys_or_where_they_are(lab: Lab) -> None:
    jwks = public_keys("a", "b")
    made = lab.register(
        token_endpoint_auth_method="private_key_jwt", jwks=jwks, token_endpoint_auth_signing_alg="ES256"
    )
    assert made.status_code == 201 and "client_secret" not in made.json
    assert made.json["jwks"] == jwks and made.json["token_endpoint_auth_signing_alg"] == "ES256"
    client = lab.client(made.json["client_id"])
    assert (client.method, client.assertion_alg, client.jwks_uri) == ("private_key_jwt", "ES256", None)
    where = "https://client.example/keys/jwks.json"
    made = lab.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=where)
    assert made.status_code == 201 and made.json["jwks_uri"] == where and "jwks" not in made.json
    client = lab.client(made.json["client_id"])
    assert (client.jwks, client.jwks_uri, client.assertion_alg) == (None, where, None)


def test_keys_are_of_no_use_to_a_client_that_does_not_sign(lab: Lab) -> None:
    made = lab.register(jwks=public_keys("a"), token_endpoint_auth_signing_alg="ES256")
    assert made.status_code == 201 and set(made.json) == MEMBERS
    assert lab.client(made.json["client_id"]).jwks is None


def test_a_client_that_asks_for_bound_tokens_gets_no_others(lab: Lab) -> None:
    made = lab.register(dpop_bound_access_tokens=True).json
    assert made["dpop_bound_access_tokens"] is True
    refused = lab.redeem(lab.code(made["client_id"]), made["client_id"])
    assert_refused(refused, 400, "invalid_dpop_proof")
    free = lab.register(dpop_bound_access_tokens=False).json
    assert "dpop_bound_access_tokens" not in free
    assert lab.redeem(lab.code(free["client_id"]), free["client_id"]).status_code == 200


def test_the_scope_of_a_registration_is_no_cap(lab: Lab) -> None:
    """Every SDK registers with the scope that it wants first, and asks for more later."""
    made = lab.register(scope="tickets:read").json
    assert made["scope"] == "tickets:read"
    for scope in ("tickets:read", "tickets:read tickets:write"):
        assert claims(lab.tokens(made["client_id"], scope=scope)["access_token"])["scope"] == scope
    other = lab.tokens(made["client_id"], resource=NOTES, scope=None)
    assert claims(other["access_token"])["aud"] == NOTES


# Limits


def test_a_door_registers_so_many_an_hour_from_all_sources(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(registration_door_per_hour=3)
    for number in range(3):
        assert lab.register("/t/acme", source=f"198.51.100.{number}").status_code == 201
    before = lab.state()
    refused = lab.register("/t/acme", source="198.51.100.9")
    lab.refused(refused, 429, "temporarily_unavailable", "rate_limited", "client.refused")
    assert lab.state() == before
    for door in ("", "/t/globex"):
        assert lab.register(door, source="198.51.100.9").status_code == 201
    lab.clock.advance(int(refused.headers["Retry-After"]))
    assert lab.register("/t/acme", source="198.51.100.9").status_code == 201


def test_one_source_cannot_use_up_what_the_door_has_for_all(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(registration_per_hour=3, registration_door_per_hour=4)
    for _ in range(2):
        assert lab.register(grant_types=["password"]).status_code == 400
    assert lab.register().status_code == 201
    assert [lab.register().status_code for _ in range(20)] == [429] * 20
    assert [lab.register(source=f"198.51.100.{number}").status_code for number in range(4)] == [
        *[201] * 3,
        429,
    ]


def test_the_quota_of_a_door_holds_when_all_come_at_once(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(registration_door_per_hour=5)
    began, barrier = lab.rows("client"), threading.Barrier(32)

    def register(number: int) -> int:
        barrier.wait(10)
        return lab.register(source=f"198.51.100.{number}").status_code

    with ThreadPoolExecutor(32) as pool:
        assert sorted(pool.map(register, range(32))) == [201] * 5 + [429] * 27
    assert lab.rows("client") - began == 5


# Deduplication


def _alive(lab: Lab) -> int:
    return lab.rows("client")


def test_one_client_on_ever_new_ports_fills_no_table(lab: Lab) -> None:
    """It registers before each sign-in, from a new port, and never comes back."""
    began, settled = _alive(lab), 2 * lab.broker.settings.interaction_lifetime
    for port in range(49_152, 49_202):
        uris = [f"http://127.0.0.1:{port}/callback", f"http://localhost:{port}/callback"]
        assert lab.register(redirect_uris=uris, client_name="Editor").status_code == 201
        lab.clock.advance(settled / 2)
        assert _alive(lab) - began <= 3
    expired = lab.facts("client.expired")
    assert len(expired) == 50 - (_alive(lab) - began)
    by = [record["change"]["by"] for record in expired]
    assert set(by) <= {record["client"] for record in lab.facts("client.registered")}


def test_a_registration_under_way_is_not_replaced(lab: Lab) -> None:
    """Somebody else in the same house may start the same client while the first one signs in."""
    mine = lab.register(redirect_uris=["http://127.0.0.1:5000/cb"]).json["client_id"]
    lab.clock.advance(lab.broker.settings.interaction_lifetime)
    other = lab.register(redirect_uris=["http://127.0.0.1:6000/cb"]).json["client_id"]
    for client_id in (mine, other):
        assert lab.tokens(client_id, redirect_uri="http://127.0.0.1:7000/cb")


def test_a_registration_that_was_used_is_never_replaced(lab: Lab) -> None:
    editor = {"redirect_uris": ["http://127.0.0.1:1/cb"]}
    used = lab.register(**editor).json["client_id"]
    lab.tokens(used, redirect_uri="http://127.0.0.1:1/cb")
    idle = lab.register(**editor).json["client_id"]
    lab.clock.advance(2 * lab.broker.settings.interaction_lifetime)
    lab.register(**editor)
    assert lab.tokens(used, redirect_uri="http://127.0.0.1:1/cb")
    assert [record["client"] for record in lab.facts("client.expired")] == [idle]


def test_what_registers_on_the_web_for_many_people_is_never_replaced(lab: Lab) -> None:
    first = lab.register().json["client_id"]
    lab.clock.advance(2 * lab.broker.settings.interaction_lifetime)
    lab.register()
    assert lab.tokens(first)


@pytest.mark.parametrize(
    ("changes", "source", "door"),
    [
        ({}, "203.0.113.8", ""),
        ({}, "203.0.113.7", "/t/acme"),
        ({"client_name": "Other"}, "203.0.113.7", ""),
        ({"redirect_uris": ["http://127.0.0.1:1/other"]}, "203.0.113.7", ""),
        ({"redirect_uris": ["http://localhost:1/cb"]}, "203.0.113.7", ""),
        ({"grant_types": ["authorization_code", "refresh_token"]}, "203.0.113.7", ""),
        ({"token_endpoint_auth_method": "client_secret_post"}, "203.0.113.7", ""),
        ({"dpop_bound_access_tokens": True}, "203.0.113.7", ""),
    ],
)
def test_another_registration_replaces_nothing(
    lab: Lab, changes: dict[str, object], source: str, door: str
) -> None:
    same = {"redirect_uris": ["http://127.0.0.1:1/cb"], "client_name": "Editor"}
    mine = lab.register(**same).json["client_id"]
    lab.clock.advance(2 * lab.broker.settings.interaction_lifetime)
    assert lab.register(door, source, **{**same, **changes}).status_code == 201
    assert lab.client(mine)
    assert lab.register(**same).status_code == 201
    assert [record["client"] for record in lab.facts("client.expired")] == [mine]


def test_a_fingerprint_does_not_tell_the_source(lab: Lab) -> None:
    """It is keyed: who has the database cannot try all addresses."""
    broker = lab.broker
    made = [lab.client(lab.register().json["client_id"]).fingerprint for _ in range(2)]
    assert made[0] is not None and made[0] == made[1]
    rooms = (broker.world, broker.recorder, broker.refusals, broker.clients)
    other = Registration(*rooms, replace(broker.registration._policy, key=b"o" * 32))
    door, origin = broker.estate().doors.root, Origin("", "203.0.113.7", ISSUER)
    told = other.register(door, {"redirect_uris": [CALLBACK], "client_name": "Registered app"}, origin)
    assert lab.client(str(told["client_id"])).fingerprint not in (None, made[0])


def test_a_host_longer_than_names_can_be_is_refused(lab: Lab) -> None:
    long = lab.register(redirect_uris=["https://" + "a." * 300 + "example/cb"])
    assert_refused(long, 400, "invalid_redirect_uri")
    assert lab.register(redirect_uris=["https://" + "a." * 100 + "example/cb"]).status_code == 201
