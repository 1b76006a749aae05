"""Dynamic registration under attack (RFC 7591): the DCR cases of the table that concern what is built."""

import base64
import contextlib
import hashlib
import json
import socket
from collections.abc import Callable, Iterator

import pytest
from werkzeug.test import TestResponse

from tests.lab import CALLBACK, ISSUER, TICKETS, Lab, assert_refused, claims


@pytest.mark.attack("DCR-03")
@pytest.mark.requirement("CIMD-AS-11")
def test_a_registering_client_chooses_no_identifier_secret_or_privilege(lab: Lab) -> None:
    wished = {
        "client_id": "https://evil.example/client",
        "client_id_issued_at": 1,
        "client_secret": "my-own-secret-" + "x" * 43,
        "client_secret_expires_at": 9_999_999_999,
        "registration_access_token": "mine",
        "tenant": "globex",
        "grants": ["*"],
        "trusted": True,
        "consent_granted": True,
        "is_admin": True,
        "registered": "admin",
        "scopes": ["refunds:write"],
        "resources": ["tickets"],
        "unused_until": None,
        "__proto__": {"is_admin": True},
    }
    answer = lab.register("/t/acme", token_endpoint_auth_method="client_secret_basic", **wished)
    assert answer.status_code == 201
    made = answer.json
    for name in ("client_id", "client_id_issued_at", "client_secret", "registration_access_token"):
        assert made[name] != wished[name]
    assert not made["client_id"].startswith(("https://", "http://"))
    assert made["client_id_issued_at"] == int(lab.clock.time)
    assert not set(made) & {
        "tenant",
        "grants",
        "trusted",
        "consent_granted",
        "is_admin",
    }
    client = lab.client(made["client_id"])
    assert (client.tenant, client.registered, client.scopes, client.resources) == (
        "acme",
        "dynamic",
        None,
        None,
    )
    assert client.unused_until == lab.clock.time + lab.broker.settings.registration_unused_lifetime
    assert lab.introspect("x", made["client_id"]).status_code == 401


@pytest.mark.attack("DCR-03")
def test_a_registered_client_is_known_at_its_tenants_door_alone(lab: Lab) -> None:
    client_id = lab.register("/t/acme").json["client_id"]
    assert lab.redeem("x", client_id, "/t/acme").json["error"] == "invalid_grant"
    assert_refused(lab.redeem("x", client_id, "/t/globex"), 401, "invalid_client")


@pytest.mark.attack("DCR-05")
@pytest.mark.parametrize(
    "metadata",
    [
        {"grant_types": ["password"]},
        {"grant_types": ["implicit"]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["authorization_code", "client_credentials"]},
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"]},
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]},
        {"grant_types": ["authorization_code", "urn:openid:params:grant-type:ciba"]},
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": "authorization_code"},
        {"grant_types": ["authorization_code", 7]},
        {"response_types": ["token"]},
        {"response_types": ["code", "token"]},
        {"response_types": ["code id_token"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": ["none"]},
    ],
)
def test_dangerous_grant_types_are_registered_by_nobody(lab: Lab, metadata: dict[str, object]) -> None:
    before = lab.state()
    lab.refused(
        lab.register(**metadata), 400, "invalid_client_metadata", "metadata_refused", "client.refused"
    )
    assert lab.state() == before
    allowed = lab.register(grant_types=["authorization_code", "refresh_token"], response_types=["code"])
    assert allowed.status_code == 201
    assert allowed.json["grant_types"] == ["authorization_code", "refresh_token"]


SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.mark.attack("DCR-08")
@pytest.mark.parametrize(
    "metadata",
    [
        {"tos_uri": "javascript:alert(1)"},
        {"policy_uri": "JavaScript:alert(1)"},
        {"logo_uri": "data:text/html,<script>alert(1)</script>"},
        {"client_uri": "vbscript:x"},
        {"client_uri": "https://["},
        {"client_uri": "https://"},
        {"client_uri": "//evil.example"},
        {"logo_uri": ["https://a.example"]},
        {"client_name": "x" * 10_240},
        {"client_name": "Bank\u202egro.live"},
        {"client_name": "line\nbreak"},
        {"client_name": ["a"]},
        {"client_name": {"a": 1}},
        {"scope": "x" * 10_240},
    ],
)
def test_script_in_metadata_is_refused(lab: Lab, metadata: dict[str, object]) -> None:
    before = lab.state()
    lab.refused(
        lab.register(**metadata), 400, "invalid_client_metadata", "metadata_refused", "client.refused"
    )
    assert lab.state() == before


@pytest.mark.attack("DCR-08")
def test_a_name_with_markup_is_shown_as_text(lab: Lab) -> None:
    made = lab.register(
        client_name=SCRIPT,
        contacts=[SCRIPT],
        tos_uri="https://client.example/tos",
        **{"client_name#de": SCRIPT},
    )
    assert made.status_code == 201
    page = lab.consent_page(client_id=made.json["client_id"], resource=TICKETS)
    shown = page.get_data(as_text=True)
    assert page.status_code == 200 and "&lt;script&gt;alert(1)" in shown
    assert "<script" not in shown and "<img src=x" not in shown
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.attack("DCR-18")
def test_a_registration_answers_cleanly(lab: Lab) -> None:
    public = lab.register()
    assert public.status_code == 201 and "client_secret" not in public.json
    assert "client_secret_expires_at" not in public.json
    answer = lab.register(token_endpoint_auth_method="client_secret_basic")
    assert answer.status_code == 201 and answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Pragma"] == "no-cache"
    assert "Set-Cookie" not in answer.headers
    assert (
        answer.json["client_secret"].startswith("mcpb_cs_") and answer.json["client_secret_expires_at"] == 0
    )
    assert answer.json["redirect_uris"] == [CALLBACK]
    assert answer.json["client_secret"].encode() not in lab.dump()
    again = lab.register(token_endpoint_auth_method="client_secret_basic")
    assert again.json["client_id"] != answer.json["client_id"]
    assert again.json["client_secret"] != answer.json["client_secret"]
    record = lab.facts("client.registered")[-1]
    assert record["client"] == again.json["client_id"] and "secret" not in str(record["change"])


# Contradictions

KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "kid": "1",
}
JWKS = {"keys": [KEY]}
KEYS_AT = "https://client.example/jwks.json"
SIGNS = {"token_endpoint_auth_method": "private_key_jwt"}


@pytest.mark.attack("DCR-06")
@pytest.mark.parametrize(
    "metadata",
    [
        {**SIGNS, "jwks": JWKS, "jwks_uri": KEYS_AT},
        {"jwks": JWKS, "jwks_uri": KEYS_AT},
        {"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]},
        {"token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "client_credentials"]},
        SIGNS,
        {**SIGNS, "jwks": {}},
        {**SIGNS, "jwks": {"keys": []}},
        {**SIGNS, "jwks": [KEY]},
        {**SIGNS, "jwks": "https://client.example/jwks.json"},
        {**SIGNS, "jwks": {"keys": [{**KEY, "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}]}},
        {**SIGNS, "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}]}},
        {**SIGNS, "jwks": {"keys": [{**KEY, "use": "enc"}]}},
        {**SIGNS, "jwks": {"keys": [{**KEY, "x": KEY["y"]}]}},
        {**SIGNS, "jwks": JWKS, "token_endpoint_auth_signing_alg": "none"},
        {**SIGNS, "jwks": JWKS, "token_endpoint_auth_signing_alg": "HS256"},
        {**SIGNS, "jwks": JWKS, "token_endpoint_auth_signing_alg": "RS256"},
        {**SIGNS, "jwks_uri": [KEYS_AT]},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"id_token_signed_response_alg": "none"},
        {"dpop_bound_access_tokens": "true"},
        {"dpop_bound_access_tokens": 1},
        {"tls_client_certificate_bound_access_tokens": "true"},
        {"tls_client_certificate_bound_access_tokens": True},  # no certificate is seen here
        {"application_type": "web", "redirect_uris": ["http://127.0.0.1/cb"]},
        {"application_type": "web", "redirect_uris": ["http://localhost:8080/cb"]},
        {"application_type": "web", "redirect_uris": [CALLBACK, "http://[::1]/cb"]},
        {"application_type": "web", "redirect_uris": ["https://localhost/cb"]},
        {"application_type": "web", "redirect_uris": ["com.example.app:/cb"]},
    ],
)
def test_metadata_that_contradicts_itself_is_refused(lab: Lab, metadata: dict[str, object]) -> None:
    before = lab.state()
    lab.refused(
        lab.register(**metadata), 400, "invalid_client_metadata", "metadata_refused", "client.refused"
    )
    assert lab.state() == before


@pytest.mark.attack("DCR-06")
@pytest.mark.parametrize(
    "metadata",
    [
        {**SIGNS, "jwks": JWKS, "token_endpoint_auth_signing_alg": "ES256"},
        {**SIGNS, "jwks_uri": KEYS_AT},
        {"token_endpoint_auth_method": "none", "id_token_signed_response_alg": "ES256"},
        {"application_type": "native", "redirect_uris": ["http://127.0.0.1/cb", "com.example.app:/cb"]},
        {"application_type": "web", "redirect_uris": [CALLBACK]},
        {"dpop_bound_access_tokens": True},
        {"tls_client_certificate_bound_access_tokens": False},
    ],
)
def test_metadata_that_fits_together_is_registered(lab: Lab, metadata: dict[str, object]) -> None:
    made = lab.register(**metadata)
    assert made.status_code == 201
    assert {name: made.json[name] for name in metadata if name in made.json} == {
        name: value for name, value in metadata.items() if name in made.json
    }


# Addresses

MEMBERS = (
    "jwks_uri",
    "logo_uri",
    "sector_identifier_uri",
    "backchannel_logout_uri",
    "backchannel_client_notification_endpoint",
    "initiate_login_uri",
)
INTERNAL = (
    *(
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
    ),
    *("169.254.169.254", "100.64.0.1", "0.0.0.0", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("[::1]", "[::]", "[fc00::1]", "[fe80::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"),
    *("[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001::1]", "[2001:db8::1]", "[::127.0.0.1]"),
    *("localhost", "app.localhost", "intranet", "printer.local", "db.internal", "router.home.arpa"),
)


class Canary:
    """A listener on this machine, and the resolver: whatever asks either of them is written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        resolved = socket.getaddrinfo

        def ask(host: str, *rest: object, **more: object) -> object:
            self.asked.append(str(host))
            return resolved(host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", ask)

    def connections(self) -> int:
        found = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                found += 1
        return found

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    made = Canary(monkeypatch)
    yield made
    made.close()


def _with(member: str, url: str) -> dict[str, object]:
    return {member: url} | (SIGNS if member == "jwks_uri" else {})


@pytest.mark.attack("DCR-07")
@pytest.mark.parametrize("member", MEMBERS)
def test_no_url_in_metadata_reaches_into_the_network(
    make_lab: Callable[..., Lab], canary: Canary, member: str
) -> None:
    lab = make_lab(registration_per_hour=1000)
    before = lab.state()
    urls = [f"https://{host}:{canary.port}/x" for host in INTERNAL]
    urls += [f"https://{host}/x" for host in INTERNAL]
    urls += [
        "http://client.example/x",
        "ftp://client.example/x",
        "file:///etc/passwd",
        "gopher://c.example/x",
    ]
    urls += [
        "https://user@client.example/x",
        "https://client.example/x#y",
        "//client.example/x",
        "https:///x",
    ]
    urls += ["https://client.example:x/", "https://client.example\\@10.0.0.1/x", "https://münchen.example/x"]
    for url in urls:
        refused = lab.register(**_with(member, url))
        assert_refused(refused, 400, "invalid_client_metadata")
        assert member in refused.json["error_description"], url
    assert lab.register(**_with(member, [KEYS_AT])).status_code == 400
    assert lab.state() == before
    made = lab.register(**_with(member, f"https://client.example:{canary.port}/x"))
    assert made.status_code == 201
    assert canary.connections() == 0 and canary.asked == []


@pytest.mark.attack("DCR-07")
def test_the_canary_hears_who_comes(canary: Canary) -> None:
    """Otherwise its silence would prove nothing."""
    socket.create_connection(("127.0.0.1", canary.port), 2).close()
    assert canary.connections() == 1 and canary.asked == ["127.0.0.1"]


@pytest.mark.attack("DCR-07")
@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:4700::1111]", "keys.client.example", "a-b.example"])
def test_a_public_address_in_metadata_is_no_fault(lab: Lab, host: str) -> None:
    assert lab.register(logo_uri=f"https://{host}/logo.png?size=2").status_code == 201


# Software statements


def _statement(header: dict[str, object], claims: dict[str, object]) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + ".c2ln"


@pytest.mark.attack("DCR-10")
@pytest.mark.parametrize(
    "statement",
    [
        _statement({"alg": "none"}, {"client_name": "Bank"})[:-4],
        _statement({"alg": "ES256", "kid": "1"}, {"iss": "https://unknown.example", "client_name": "Bank"}),
        _statement({"alg": "ES256"}, {"iss": "https://unknown.example", "exp": 1}),
        _statement({"alg": "ES256"}, {"iss": ISSUER, "grant_types": ["client_credentials"]}),
        "not a statement",
        {"client_name": "Bank"},
        ["a.b.c"],
        7,
    ],
)
def test_a_software_statement_of_nobody_we_trust_is_refused(lab: Lab, statement: object) -> None:
    """No issuer of statements is trusted, so none can be verified, and none is required."""
    before = lab.state()
    refused = lab.register(software_statement=statement)
    lab.refused(refused, 400, "invalid_software_statement", "software_statement_refused", "client.refused")
    assert lab.state() == before
    for absent in (None, ""):
        assert lab.register(software_statement=absent).status_code == 201


@pytest.mark.attack("DCR-10")
def test_not_even_a_statement_signed_by_us_overrides_policy(lab: Lab) -> None:
    signed = lab.signed({"iss": ISSUER, "grant_types": ["client_credentials"]}, typ="JWT")
    assert_refused(lab.register(software_statement=signed), 400, "invalid_software_statement")
    made = lab.register().json
    refused = lab.manage(
        "PUT",
        made["registration_client_uri"],
        made["registration_access_token"],
        client_id=made["client_id"],
        software_statement=signed,
    )
    assert_refused(refused, 400, "invalid_software_statement")


# Management

METHODS = ("GET", "PUT", "DELETE")


def _answer(response: TestResponse) -> tuple[object, ...]:
    headers = {name: text for name, text in response.headers.items() if name not in ("Date", "X-Request-Id")}
    return response.status_code, headers, response.get_data()


@pytest.mark.attack("DCR-11")
@pytest.mark.parametrize("door", ["", "/t/acme"])
@pytest.mark.parametrize("method", METHODS)
def test_a_registration_access_token_manages_its_own_client_only(
    make_lab: Callable[..., Lab], method: str, door: str
) -> None:
    lab = make_lab(failures_per_minute=1000)
    mine, other, deleted = (lab.register(door).json for _ in range(3))
    elsewhere = lab.register("/t/globex").json
    of_us = {"token_endpoint_auth_method": "client_secret_post", "grant_types": ["authorization_code"]}
    secretive = lab.register(door, **of_us).json
    token, uri = mine["registration_access_token"], other["registration_client_uri"]
    at = uri.rpartition("/")[0]
    ended = lab.manage("DELETE", deleted["registration_client_uri"], deleted["registration_access_token"])
    assert ended.status_code == 204
    expired = lab.register(door, client_name="Idle").json
    switched = lab.register(door, client_name="Off").json
    lab.sql("UPDATE client SET unused_until = 1 WHERE client_id = ?", expired["client_id"])
    lab.switch("client", switched["client_id"])
    tries = [
        (uri, token),
        (uri, None),
        (uri, ""),
        (uri, token + "x"),
        (uri, token[:-1]),
        (uri, elsewhere["registration_access_token"]),
        (f"{uri}?access_token={other['registration_access_token']}", None),
        (f"{uri}?registration_access_token={other['registration_access_token']}", None),
        (uri, hashlib.sha256(other["registration_access_token"].encode()).hexdigest()),
        (secretive["registration_client_uri"], secretive["client_secret"]),
        (f"{at}/dyn_nobody", token),
        (f"{at}/desk-app", token),
        (f"{at}/desk-app", ""),
        (f"{at}/web-app", token),
        (f"{at}/{elsewhere['client_id']}", elsewhere["registration_access_token"]),
        (deleted["registration_client_uri"], deleted["registration_access_token"]),
        (expired["registration_client_uri"], expired["registration_access_token"]),
        (switched["registration_client_uri"], switched["registration_access_token"]),
    ]
    before, answers = lab.state(), set()
    for where, held in tries:
        answer = lab.manage(method, where, held, client_id=where.partition("?")[0].rpartition("/")[2])
        lab.refused(answer, 401, "invalid_token", "registration_token_wrong", "client.refused")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        answers.add(str(_answer(answer)))
        lab.clock.advance(30)  # so that each refusal has a record of its own
    assert len(answers) == 1
    assert lab.state() == before
    known = lab.manage(method, mine["registration_client_uri"], token, client_id=mine["client_id"])
    assert known.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.attack("DCR-11")
def test_only_the_bearer_header_carries_the_token(lab: Lab) -> None:
    made = lab.register().json
    token, path = made["registration_access_token"], made["registration_client_uri"].removeprefix(ISSUER)
    for header in (token, f"Basic {token}", f"DPoP {token}", f"Bearer{token}", f"Bearer {token} x", "Bearer"):
        answer = lab.http().get(path, base_url=ISSUER, headers={"Authorization": header})
        assert_refused(answer, 401, "invalid_token")
    body = lab.http().put(
        path,
        base_url=ISSUER,
        json={
            "redirect_uris": [CALLBACK],
            "client_id": made["client_id"],
            "registration_access_token": token,
        },
    )
    assert_refused(body, 401, "invalid_token")
    for scheme in ("Bearer", "bearer"):
        answer = lab.http().get(path, base_url=ISSUER, headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200


@pytest.mark.attack("DCR-11")
def test_the_token_is_kept_as_a_digest_only(lab: Lab) -> None:
    made = lab.register().json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    assert lab.manage("PUT", uri, token, client_id=made["client_id"]).status_code == 200
    assert token.removeprefix("mcpb_ra_").encode() not in lab.dump()
    assert hashlib.sha256(token.encode()).hexdigest().encode() in lab.dump()
    assert lab.register().json["registration_access_token"] != token


@pytest.mark.attack("DCR-11")
def test_guesses_of_a_registration_access_token_are_limited(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(failures_per_minute=3)
    made = lab.register().json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    for _ in range(3):
        assert_refused(lab.manage("GET", uri, "wrong"), 401, "invalid_token")
    limited = lab.manage("GET", uri, "wrong")
    lab.refused(limited, 429, "temporarily_unavailable", "rate_limited", "client.refused")
    assert lab.manage("GET", uri, token, source="198.51.100.1").status_code == 200
    lab.clock.advance(int(limited.headers["Retry-After"]))
    assert lab.manage("GET", uri, token).status_code == 200


@pytest.mark.attack("DCR-12")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "dyn_other"},
        {"client_id": None},
        {"client_id": ["x"]},
        {"registration_access_token": "mcpb_ra_mine"},
        {"registration_client_uri": "https://evil.example/register/x"},
        {"client_secret_expires_at": 0},
        {"client_secret_expires_at": 9_999_999_999},
        {"client_id_issued_at": 1},
        {"client_secret": "my-own-secret-" + "x" * 43},
        {"client_secret": ""},
        {"client_secret": ["x"]},
    ],
)
def test_an_update_cannot_change_what_the_server_owns(lab: Lab, changes: dict[str, object]) -> None:
    method = {"token_endpoint_auth_method": "client_secret_basic"}
    made = lab.register(**method).json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    before = lab.state()
    refused = lab.manage("PUT", uri, token, **{"client_id": made["client_id"], **method, **changes})
    record = lab.refused(refused, 400, "invalid_client_metadata", "metadata_refused", "client.refused")
    assert record["client"] == made["client_id"]
    assert lab.state() == before
    sent = {"client_id": made["client_id"], "client_secret": made["client_secret"], **method}
    assert lab.manage("PUT", uri, token, **sent).status_code == 200


@pytest.mark.attack("DCR-12")
def test_an_update_changes_no_privilege_either(lab: Lab) -> None:
    made = lab.register("/t/acme").json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    before = lab.client(made["client_id"])
    wished = {"tenant": "globex", "registered": "admin", "scopes": ["x"], "resources": ["y"]}
    wished |= {"unused_until": None, "created_at": 1, "fingerprint": None, "other_methods": ["none"]}
    assert lab.manage("PUT", uri, token, client_id=made["client_id"], **wished).status_code == 200
    assert lab.client(made["client_id"]) == before


@pytest.mark.attack("DCR-13")
@pytest.mark.parametrize(
    "changes",
    [
        {**SIGNS, "jwks": JWKS},
        {**SIGNS, "jwks_uri": KEYS_AT},
        SIGNS,
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"grant_types": ["authorization_code", "client_credentials"]},
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"]},
        {"grant_types": ["authorization_code", "refresh_token"]},
        {"response_types": ["code", "token"]},
        {"application_type": "native"},
        {"redirect_uris": ["http://127.0.0.1/cb"]},
        {"redirect_uris": ["com.example.app:/cb"]},
        {"dpop_bound_access_tokens": False},
        {"dpop_bound_access_tokens": None},
        {"id_token_signed_response_alg": "none"},
        {"logo_uri": "https://169.254.169.254/latest"},
        {"tos_uri": "javascript:alert(1)"},
        {"scope": "x" * 10_240},
        {"client_name": "Bank\u202egro.live"},
    ],
)
def test_an_update_passes_the_policy_of_a_creation(lab: Lab, changes: dict[str, object]) -> None:
    bound = {"dpop_bound_access_tokens": True, "grant_types": ["authorization_code"]}
    made = lab.register(**bound).json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    before = lab.state()
    refused = lab.manage("PUT", uri, token, **{"client_id": made["client_id"], **bound, **changes})
    lab.refused(refused, 400, "invalid_client_metadata", "metadata_refused", "client.refused")
    assert lab.state() == before
    assert lab.manage("PUT", uri, token, client_id=made["client_id"], **bound).status_code == 200


@pytest.mark.attack("DCR-13")
@pytest.mark.parametrize(
    "uris", [["javascript:alert(1)"], ["http://evil.example/cb"], [CALLBACK, "https://evil.example/cb#x"], []]
)
def test_an_update_registers_no_redirect_uri_that_a_creation_could_not(lab: Lab, uris: list[str]) -> None:
    made = lab.register().json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    before = lab.state()
    refused = lab.manage("PUT", uri, token, client_id=made["client_id"], redirect_uris=uris)
    assert_refused(refused, 400, "invalid_redirect_uri")
    assert lab.state() == before


@pytest.mark.attack("DCR-13")
def test_an_update_that_names_more_scope_widens_nothing(lab: Lab) -> None:
    """A registration's scope is never kept, so there is nothing to widen: what is allowed, a person allows."""
    made = lab.register(scope="tickets:read").json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    before = lab.client(made["client_id"])
    access = lab.tokens(made["client_id"])["access_token"]
    wider = lab.manage("PUT", uri, token, client_id=made["client_id"], scope="tickets:read tickets:write")
    assert wider.status_code == 200
    assert lab.client(made["client_id"]).scopes == before.scopes is None
    again = lab.tokens(made["client_id"])["access_token"]
    assert claims(access)["scope"] == claims(again)["scope"] == "tickets:read"


@pytest.mark.attack("DCR-13")
def test_a_client_with_keys_stays_one_with_keys(lab: Lab) -> None:
    made = lab.register(**SIGNS, jwks=JWKS).json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    before = lab.state()
    for changes in ({}, {"token_endpoint_auth_method": "none", "jwks": JWKS}, {**SIGNS}):
        refused = lab.manage("PUT", uri, token, client_id=made["client_id"], **changes)
        assert_refused(refused, 400, "invalid_client_metadata")
    assert lab.state() == before


# Bounds


@pytest.mark.attack("DCR-16")
def test_a_thousand_registrations_in_a_minute_are_too_many(lab: Lab) -> None:
    began, limit = lab.rows("client"), lab.broker.settings.registration_per_hour
    assert limit < 1000
    answers = []
    for _ in range(1000):
        answers.append(lab.register())
        lab.clock.advance(0.06)
    assert [answer.status_code for answer in answers] == [201] * limit + [429] * (1000 - limit)
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers[limit:])
    assert lab.rows("client") - began == limit
    assert (
        len(lab.facts("client.refused")) == 10
    )  # of a stranger, the first ten a minute; then they are counted
    assert lab.register(source="198.51.100.1").status_code == 201
    lab.clock.advance(lab.broker.settings.registration_unused_lifetime)
    lab.broker.tend()
    assert lab.rows("client") == began
    assert len(lab.facts("client.expired")) == limit + 1


@pytest.mark.attack("DCR-16")
def test_what_is_too_large_or_too_deep_is_not_read(lab: Lab) -> None:
    made = lab.register().json
    token, path = made["registration_access_token"], made["registration_client_uri"].removeprefix(ISSUER)
    before = lab.state()
    deep = {opening: opening * 500 + closing * 500 for opening, closing in (("[", "]"), ('{"a":', "}"))}
    bodies = {
        b'{"a":"' + b"x" * 1024 * 1024 + b'"}': (413, "invalid_request", "too_large"),
        f'{{"redirect_uris":["{CALLBACK}"],"a":{deep["["]}}}'.encode(): (
            400,
            "invalid_client_metadata",
            "malformed",
        ),
        f'{{"redirect_uris":["{CALLBACK}"],"a":{"[" * 30_000}}}'.encode(): (
            400,
            "invalid_client_metadata",
            "malformed",
        ),
        deep['{"a":'].replace(":}", ":1}").encode(): (400, "invalid_client_metadata", "malformed"),
    }
    for body, (status, error, reason) in bodies.items():
        for method, where in (("POST", "/register"), ("PUT", path)):
            answer = lab.http().open(
                where,
                method=method,
                base_url=ISSUER,
                data=body,
                content_type="application/json",
                headers={"Authorization": f"Bearer {token}"},
            )
            lab.refused(answer, status, error, reason, "client.refused")
            lab.clock.advance(30)
    assert lab.state() == before
    assert lab.register(nested={"a": [1, {"b": [{"c": None}]}]}).status_code == 201


@pytest.mark.attack("DCR-16")
def test_what_a_source_may_not_register_it_may_not_change_to(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(registration_per_hour=1)
    made = lab.register().json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    assert lab.register().status_code == 429
    assert lab.manage("PUT", uri, token, client_id=made["client_id"]).status_code == 429
    assert lab.manage("DELETE", uri, token).status_code == 204
