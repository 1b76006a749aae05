"""RFC 6749 section 4.1.3, OAuth 2.1 section 4.1.3: attacks on the redemption of authorization codes."""

import base64
import json
import math
import re
from collections import Counter
from dataclasses import replace

import pytest

from broker.authorization import codes
from broker.runtime.entropy import SystemEntropy
from broker.tokens import families
from tests.lab import (
    CALLBACK,
    CHALLENGE,
    CRM,
    FILES,
    INITECH,
    ISSUER,
    NOTES,
    TICKETS,
    VERIFIER,
    Lab,
    Page,
    assert_refused,
    basic,
    claims,
    header,
    landed,
)

SECOND_CALLBACK = "https://client.example/cb2"


def assert_nothing_minted(lab: Lab, before: dict[str, int]) -> None:
    assert {table: lab.rows(table) for table in before} == before
    assert lab.facts("token.issued") == []


def counts(lab: Lab) -> dict[str, int]:
    return {table: lab.rows(table) for table in ("refresh_token", "denial", "access_grant")}


@pytest.mark.attack("CODE-01")
@pytest.mark.parametrize("wait", [1, 30, 200])
def test_a_code_that_comes_back_ends_everything_it_gave(lab: Lab, wait: int) -> None:
    code = lab.code()
    given = lab.redeem(code).json
    down = lab.exchange(given["access_token"]).json["access_token"]
    lab.clock.advance(wait)
    assert lab.active(given["access_token"]) and (wait > 100 or lab.active(down, "crm-server"))
    assert_refused(lab.redeem(code), 400, "invalid_grant")
    assert not lab.active(given["access_token"])
    assert not lab.active(down, "crm-server")
    assert_refused(lab.refresh(given["refresh_token"]), 400, "invalid_grant")
    replayed = lab.last("code.replayed")
    assert (replayed["outcome"], replayed["reason"]) == ("denied", "code_replayed")
    assert replayed["grant_id"] == claims(given["access_token"])["grant_id"]
    assert (replayed["client"], replayed["tenant"]) == ("desk-app", "acme")
    assert len(lab.facts("grant.revoked")) == 1 and len(lab.facts("token.issued")) == 1


@pytest.mark.attack("CODE-01")
def test_a_second_replay_has_no_second_effect_but_is_recorded_again(lab: Lab) -> None:
    code = lab.code()
    assert lab.redeem(code).status_code == 200
    for _ in range(2):
        assert_refused(lab.redeem(code), 400, "invalid_grant")
    assert len(lab.facts("code.replayed")) == 2
    assert len(lab.facts("grant.revoked")) == 1 and lab.rows("denial") == 1


@pytest.mark.attack("CODE-02")
@pytest.mark.parametrize(
    ("client", "changes", "error", "reason"),
    [
        ("desk-app", {"code_verifier": "w" * 43}, "invalid_grant", "pkce_mismatch"),
        ("desk-app", {"redirect_uri": SECOND_CALLBACK}, "invalid_grant", "redirect_uri_mismatch"),
        ("desk-app", {"resource": NOTES}, "invalid_target", "resource_mismatch"),
        ("other-app", {}, "invalid_grant", "code_foreign"),
        ("two-uris", {}, "invalid_grant", "code_foreign"),
    ],
)
def test_a_replay_that_proves_nothing_revokes_nothing(
    lab: Lab, client: str, changes: dict[str, str], error: str, reason: str
) -> None:
    code = lab.code()
    given = lab.redeem(code).json
    assert_refused(lab.redeem(code, client, **changes), 400, error)
    record = lab.last("token.refused")
    assert (record["reason"], record["client"]) == (reason, client)
    assert lab.active(given["access_token"])
    assert lab.refresh(given["refresh_token"]).status_code == 200
    assert lab.rows("denial") == 0 and lab.facts("code.replayed") == []


@pytest.mark.attack("CODE-03")
@pytest.mark.parametrize("thief", ["other-app", "post-app", "two-uris"])
def test_a_code_belongs_to_one_client_and_survives_the_attempt_of_another(lab: Lab, thief: str) -> None:
    code, before = lab.code(), counts(lab)
    row = lab.table("authorization_code")
    assert_refused(lab.redeem(code, thief), 400, "invalid_grant")
    record = lab.last("token.refused")
    assert (record["reason"], record["client"]) == ("code_foreign", thief)
    assert_nothing_minted(lab, before)
    assert lab.table("authorization_code") == row
    assert claims(lab.redeem(code).json["access_token"])["client_id"] == "desk-app"


@pytest.mark.attack("CODE-04")
def test_the_client_in_the_body_must_be_the_one_who_authenticated(lab: Lab) -> None:
    code, before = lab.code(), counts(lab)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    answer = lab.post("/token", {**form, "client_id": "desk-app"}, basic("other-app"))
    assert_refused(answer, 400, "invalid_request")
    assert lab.last("token.refused")["reason"] == "client_authentication_repeated"
    assert_nothing_minted(lab, before)
    assert lab.redeem(code).status_code == 200


@pytest.mark.attack("CODE-04")
def test_a_client_may_name_itself_in_the_body_beside_its_credentials(lab: Lab) -> None:
    form = {"grant_type": "authorization_code", "code": lab.code("other-app"), "code_verifier": VERIFIER}
    assert lab.post("/token", {**form, "client_id": "other-app"}, basic("other-app")).status_code == 200


@pytest.mark.attack("CODE-05")
def test_the_stored_code_decides_and_not_its_text(lab: Lab) -> None:
    mine, other = lab.code(), lab.code("two-uris", scope="tickets:write", redirect_uri=SECOND_CALLBACK)
    assert mine.startswith(codes.PREFIX) and len(mine) == len(other)
    rows = lab.table("authorization_code")
    middle = len(mine) // 2
    start = len(codes.PREFIX)
    spliced = {
        mine[:middle] + other[middle:],
        other[:middle] + mine[middle:],
        mine[start:],
        other[: start + 8] + mine[start + 8 :],
        mine + "." + other,
        mine.replace(mine[start : start + 6], other[start : start + 6]),
    }
    for text in spliced:
        for client, uri in (("desk-app", CALLBACK), ("two-uris", SECOND_CALLBACK)):
            assert_refused(lab.redeem(text, client, redirect_uri=uri), 400, "invalid_grant")
            assert lab.last("token.refused")["reason"] == "code_unknown"
    assert lab.table("authorization_code") == rows and lab.facts("token.issued") == []
    one = claims(lab.redeem(mine).json["access_token"])
    two = claims(lab.redeem(other, "two-uris", redirect_uri=SECOND_CALLBACK).json["access_token"])
    assert (one["client_id"], one["scope"]) == ("desk-app", "tickets:read")
    assert (two["client_id"], two["scope"]) == ("two-uris", "tickets:read tickets:write")


@pytest.mark.attack("CODE-06")
@pytest.mark.parametrize("verifier", [None, ""])
def test_a_challenged_code_needs_its_verifier(lab: Lab, verifier: str | None) -> None:
    code, before = lab.code(), counts(lab)
    assert_refused(lab.redeem(code, code_verifier=verifier), 400, "invalid_request")
    assert lab.last("token.refused")["reason"] == "parameter_missing"
    assert_nothing_minted(lab, before)
    assert lab.redeem(code).status_code == 200


@pytest.mark.attack("CODE-06")
@pytest.mark.parametrize("verifier", ["v" * 42, "v" * 44, "w" * 43, "v" * 129, CHALLENGE, "v" * 42 + "!"])
def test_another_verifier_is_refused_and_leaves_the_code_unspent(lab: Lab, verifier: str) -> None:
    code, before = lab.code(), counts(lab)
    assert_refused(lab.redeem(code, code_verifier=verifier), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] in ("pkce_mismatch", "malformed")
    assert_nothing_minted(lab, before)
    assert lab.redeem(code).status_code == 200


@pytest.mark.attack("CODE-10")
@pytest.mark.parametrize("client", ["desk-app", "web-app", "post-app"])
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": ""},
        {"code_challenge_method": "plain", "code_challenge": VERIFIER},
        {"code_challenge_method": None},
    ],
)
def test_no_client_gets_a_code_without_a_challenge(
    lab: Lab, client: str, changes: dict[str, str | None]
) -> None:
    answer = landed(lab.browser().get(lab.authorize_url(client, **changes)))
    assert answer["error"] == "invalid_request" and "code" not in answer
    assert lab.last("authorization.refused")["reason"] in ("pkce_missing", "pkce_method")
    assert lab.rows("authorization_code") == 0
    assert lab.redeem(lab.code(client), client).status_code == 200


@pytest.mark.attack("CODE-12")
def test_a_different_redirect_uri_at_redemption_is_refused(lab: Lab) -> None:
    code, before = lab.code("two-uris"), counts(lab)
    assert_refused(lab.redeem(code, "two-uris", redirect_uri=SECOND_CALLBACK), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "redirect_uri_mismatch"
    assert_nothing_minted(lab, before)
    assert lab.redeem(code, "two-uris").status_code == 200


@pytest.mark.attack("CODE-12")
def test_a_client_in_the_manner_of_oauth_2_1_leaves_the_redirect_uri_out(lab: Lab) -> None:
    assert lab.redeem(lab.code("two-uris"), "two-uris", redirect_uri=None).status_code == 200


@pytest.mark.attack("CODE-13")
@pytest.mark.parametrize(
    ("made", "presented"), [("/t/acme", "/t/globex"), ("/t/acme", ""), ("", "/t/acme"), ("", "/t/globex")]
)
def test_a_code_works_at_the_door_it_came_through_only(lab: Lab, made: str, presented: str) -> None:
    code, before = lab.code(door=made), counts(lab)
    assert_refused(lab.redeem(code, door=presented), 400, "invalid_grant")
    record = lab.last("token.refused")
    assert (record["reason"], record["issuer"]) == ("code_unknown", ISSUER + presented)
    assert_nothing_minted(lab, before)
    assert claims(lab.redeem(code, door=made).json["access_token"])["iss"] == ISSUER + made


@pytest.mark.attack("CODE-13")
def test_a_tenant_with_a_door_of_its_own_cannot_be_reached_from_the_root(lab: Lab) -> None:
    code = lab.code(user="ivan", door="/t/initech", resource=FILES, scope="files:read")
    assert_refused(lab.redeem(code, resource=FILES), 400, "invalid_grant")
    answer = lab.redeem(code, door="/t/initech", resource=FILES)
    assert claims(answer.json["access_token"])["iss"] == INITECH


@pytest.mark.attack("CODE-14")
def test_a_user_switched_off_before_redemption_gets_no_token(lab: Lab) -> None:
    code, before = lab.code(), counts(lab)
    lab.switch("user", "alice")
    assert_refused(lab.redeem(code), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "user_off"
    assert_nothing_minted(lab, {**before, "denial": 1})
    lab.lift("user", "alice")
    assert lab.redeem(code).status_code == 200


@pytest.mark.attack("CODE-14")
def test_a_user_who_left_the_tenant_or_is_gone_gets_no_token(lab: Lab) -> None:
    one, two = lab.code(), lab.code(user="bob")
    user = lab.broker.people.get("alice")
    assert user is not None
    lab.change(lambda tx: lab.broker.people.put(tx, replace(user, memberships=())))
    assert_refused(lab.redeem(one), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "not_a_member"
    lab.change(lambda tx: lab.broker.people.remove(tx, "bob"))
    assert_refused(lab.redeem(two), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "user_unknown"


@pytest.mark.attack("CODE-16")
def test_redemption_stays_with_the_resource_that_was_authorized(lab: Lab) -> None:
    code, before = lab.code(), counts(lab)
    for other, reason in (
        (NOTES, "resource_mismatch"),
        (CRM, "resource_mismatch"),
        ("https://x.example", "resource_unknown"),
    ):
        assert_refused(lab.redeem(code, resource=other), 400, "invalid_target")
        assert lab.last("token.refused")["reason"] == reason
    twice = [
        ("grant_type", "authorization_code"),
        ("client_id", "desk-app"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("resource", TICKETS),
        ("resource", TICKETS),
    ]
    assert_refused(lab.post("/token", twice), 400, "invalid_target")
    assert lab.last("token.refused")["reason"] == "resource_repeated"
    assert_nothing_minted(lab, before)
    assert claims(lab.redeem(code, resource=None).json["access_token"])["aud"] == TICKETS


@pytest.mark.attack("CODE-17")
def test_a_scope_sent_with_the_code_widens_nothing(lab: Lab) -> None:
    answer = lab.redeem(lab.code(), scope="tickets:read tickets:write refunds:write")
    assert answer.status_code == 200 and answer.json["scope"] == "tickets:read"
    assert claims(answer.json["access_token"])["scope"] == "tickets:read"
    assert claims(lab.refresh(answer.json["refresh_token"]).json["access_token"])["scope"] == "tickets:read"


@pytest.mark.attack("CODE-18")
def test_only_the_whole_unchanged_code_counts(lab: Lab) -> None:
    code, before = lab.code(), counts(lab)
    row = lab.table("authorization_code")
    changed = code[:-1] + ("A" if code[-1] != "A" else "B")
    wrong = (
        code[:-1],
        code + "A",
        code + " ",
        changed,
        code[: len(code) // 2],
        "x" * 43,
        code.upper(),
        "%",
        "'",
    )
    for text in wrong:
        assert_refused(lab.redeem(text), 400, "invalid_grant")
    assert lab.facts("token.refused")[0]["reason"] == "code_unknown"
    assert_refused(lab.redeem(""), 400, "invalid_request")
    assert_refused(lab.redeem("x" * 9000), 400, "invalid_request")
    assert_refused(lab.redeem("x" * 100_000), 413, "invalid_request")
    assert_nothing_minted(lab, before)
    assert lab.table("authorization_code") == row
    assert lab.redeem(code).status_code == 200


@pytest.mark.attack("CODE-19")
def test_no_other_secret_passes_for_a_code(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser)
    fields = [value for name, value in Page.of(page).fields if name not in ("scope", "decision") and value]
    cookie = browser.http.get_cookie("__Host-broker", "as.example")
    assert cookie is not None and fields
    given = lab.tokens(user="bob")
    registered = lab.register(token_endpoint_auth_method="client_secret_basic").json
    asked = page.request.query_string.decode().split("=")[-1]
    others = [
        given["refresh_token"],
        given["access_token"],
        cookie.value,
        registered["client_secret"],
        asked,
        *fields,
    ]
    issued, unspent = len(lab.facts("token.issued")), lab.table("refresh_token")
    for secret in others:
        assert_refused(lab.redeem(secret), 400, "invalid_grant")
    assert len(lab.facts("token.issued")) == issued and lab.table("refresh_token") == unspent
    assert "code" in landed(browser.allow(page)), "the sign-in that was under way goes on"
    assert lab.active(given["access_token"])


@pytest.mark.attack("CODE-19")
def test_a_stored_hash_of_another_kind_is_never_found_as_a_code(lab: Lab) -> None:
    given, code = lab.tokens(), lab.code()
    assert codes.hashed(given["refresh_token"]) != families.hashed(given["refresh_token"])
    assert_refused(lab.refresh(code), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "refresh_unknown"
    assert lab.redeem(code).status_code == 200


@pytest.mark.attack("CODE-21")
@pytest.mark.parametrize(
    "name", ["grant_type", "code", "client_id", "redirect_uri", "code_verifier", "scope"]
)
def test_a_repeated_parameter_is_refused(lab: Lab, name: str) -> None:
    code, before = lab.code(), counts(lab)
    form = [
        ("grant_type", "authorization_code"),
        ("client_id", "desk-app"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("scope", "tickets:read"),
    ]
    assert_refused(lab.post("/token", [*form, (name, dict(form)[name])]), 400, "invalid_request")
    assert_refused(lab.post("/token", [*form, (name, "")]), 400, "invalid_request")
    assert lab.last("token.refused")["reason"] == "repeated_parameter"
    assert_nothing_minted(lab, before)
    assert lab.post("/token", form).status_code == 200


@pytest.mark.attack("CODE-21")
def test_an_empty_parameter_counts_as_left_out(lab: Lab) -> None:
    answer = lab.redeem(lab.code(), scope="", resource="", redirect_uri="")
    assert answer.status_code == 200 and answer.json["scope"] == "tickets:read"


@pytest.mark.attack("CODE-23")
@pytest.mark.parametrize(
    "value", ["%00", "a%00b", "%ff", "%c0%80", "%c0%af", "%ed%a0%80", "%f4%90%80%80", "%e2%82"]
)
@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
def test_bytes_that_are_not_text_are_a_client_error(lab: Lab, path: str, value: str) -> None:
    code, before = lab.code(), counts(lab)
    names = ("grant_type", "client_id", "code", "code_verifier", "redirect_uri", "resource", "token", "x")
    for name in names:
        raw = (
            f"grant_type=authorization_code&client_id=desk-app&code_verifier={VERIFIER}&{name}{name}={value}"
        )
        assert_refused(lab.post(path, raw), 400, "invalid_request")
        assert_refused(lab.post(path, f"{name}={code}{value}"), 400, "invalid_request")
        assert_refused(lab.post(path, f"{value}={name}"), 400, "invalid_request")
    assert_nothing_minted(lab, before)
    assert lab.redeem(code).status_code == 200


@pytest.mark.attack("CODE-23")
@pytest.mark.parametrize("name", ["client_name", "redirect_uris", "x"])
def test_lone_surrogates_in_json_are_a_client_error(lab: Lab, name: str) -> None:
    body = json.dumps({"redirect_uris": [CALLBACK], name: "\ud800"})
    assert r"\ud800" in body
    answer = lab.http().post("/register", base_url=ISSUER, data=body, content_type="application/json")
    assert answer.status_code == 400 and answer.json["error"] == "invalid_client_metadata"
    assert lab.register().status_code == 201


@pytest.mark.attack("CODE-23")
@pytest.mark.parametrize(
    "pair", [b"desk\0app:x", b"\xff:x", b"web-app:\xff", b"web-app%00:x", b"web-app%ff:x", b":"]
)
def test_bytes_that_are_not_text_do_not_authenticate_a_client(lab: Lab, pair: bytes) -> None:
    code = lab.code("web-app")
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    credentials = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
    assert_refused(lab.post("/token", form, credentials), 401, "invalid_client")
    assert lab.post("/token", form, basic("web-app")).status_code == 200


@pytest.mark.attack("CODE-24")
def test_a_token_answer_is_well_formed_and_not_cached(lab: Lab) -> None:
    code = lab.code(scope="tickets:read customers:read", boxes={"scope": ["tickets:read", "offline_access"]})
    answer = lab.redeem(code)
    assert answer.status_code == 200 and answer.content_type == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert "Set-Cookie" not in answer.headers
    assert set(answer.json) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 300)
    assert answer.json["scope"] == "tickets:read", "told, because it is not what was asked"


@pytest.mark.attack("CODE-25")
@pytest.mark.parametrize(
    ("resource", "scope", "algorithm"),
    [(TICKETS, "tickets:read", "ES256"), (NOTES, "notes:read", "EdDSA")],
)
def test_an_access_token_has_the_agreed_shape(lab: Lab, resource: str, scope: str, algorithm: str) -> None:
    token = lab.tokens(resource=resource, scope=scope)["access_token"]
    assert set(header(token)) == {"typ", "alg", "kid"}
    assert (header(token)["typ"], header(token)["alg"]) == ("at+jwt", algorithm)
    said = claims(token)
    assert set(said) == {
        "iss", "sub", "aud", "client_id", "tenant", "scope", "iat", "nbf", "exp", "jti", "txn", "grant_id",
        "auth_time", "acr", "amr",
    }  # fmt: skip
    assert (said["iss"], said["sub"], said["client_id"], said["tenant"]) == (
        ISSUER,
        "alice",
        "desk-app",
        "acme",
    )
    assert said["aud"] == resource
    assert said["exp"] - said["iat"] == 300 and said["iat"] == said["nbf"] == int(lab.clock.now())
    decoded = repr(said) + repr(header(token))
    assert "Alice" not in decoded and "@" not in decoded


@pytest.mark.attack("CODE-25")
def test_no_token_outlives_ten_minutes_or_its_grant(lab: Lab) -> None:
    tickets = lab.broker.estate().resources["tickets"]
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(tickets, lifetime=600)))
    given = lab.tokens()
    said = claims(given["access_token"])
    assert said["exp"] - said["iat"] == 600
    lab.sql("UPDATE access_grant SET expires_at = ?", lab.clock.now() + 20)
    said = claims(lab.refresh(given["refresh_token"]).json["access_token"])
    assert said["exp"] - said["iat"] == 20


@pytest.mark.attack("CODE-27")
@pytest.mark.parametrize("prefix", [codes.PREFIX, families.PREFIX])
def test_codes_and_refresh_tokens_cannot_be_guessed(prefix: str) -> None:
    """Drawn from the source that the rooms draw from: 256 random bits, no UUID."""
    entropy = SystemEntropy()
    drawn = [entropy.secret(prefix) for _ in range(10_000)]
    assert len(set(drawn)) == len(drawn)
    assert all(re.fullmatch(prefix + r"[A-Za-z0-9_-]{43}", text) for text in drawn)
    seen = Counter(b"".join(base64.urlsafe_b64decode(text.removeprefix(prefix) + "=") for text in drawn))
    expected = sum(seen.values()) / 256
    chi = sum((seen[byte] - expected) ** 2 / expected for byte in range(256))
    assert abs(chi - 255) < 6 * math.sqrt(2 * 255)


@pytest.mark.attack("CODE-27")
def test_what_clients_receive_is_drawn_like_that(lab: Lab) -> None:
    code = lab.code()
    first = lab.redeem(code).json["refresh_token"]
    second = lab.refresh(first).json["refresh_token"]
    for text, prefix in ((code, codes.PREFIX), (first, families.PREFIX), (second, families.PREFIX)):
        assert re.fullmatch(prefix + r"[A-Za-z0-9_-]{43}", text)
    assert len({code, first, second}) == 3


@pytest.mark.attack("CODE-30")
def test_a_code_injected_into_another_session_is_useless(lab: Lab) -> None:
    """The attacker's client session has a verifier of its own; the victim's code was challenged by another."""
    stolen, before = lab.code(user="bob"), counts(lab)
    assert_refused(
        lab.redeem(stolen, code_verifier="attackers-own-verifier-" + "a" * 30), 400, "invalid_grant"
    )
    assert lab.last("token.refused")["reason"] == "pkce_mismatch"
    assert_nothing_minted(lab, before)
    assert claims(lab.redeem(stolen).json["access_token"])["sub"] == "bob"


@pytest.mark.parametrize("table", ["audit_record", "audit_personal", "refresh_token", "denial"])
def test_what_cannot_be_recorded_is_not_given(lab: Lab, table: str) -> None:
    code, before = lab.code(), lab.table("authorization_code")
    with lab.without_table(table):
        assert_refused(lab.redeem(code), 503, "temporarily_unavailable")
    assert lab.table("authorization_code") == before and lab.facts("token.issued") == []
    assert lab.facts("code.consumed") == [] and lab.rows("refresh_token") == 0
    assert lab.redeem(code).status_code == 200


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_database_that_is_away_costs_no_code(lab: Lab, verb: str) -> None:
    code = lab.code()
    with lab.database_down(verb):
        assert_refused(lab.redeem(code), 503, "temporarily_unavailable")
    assert lab.facts("token.issued") == []
    assert lab.redeem(code).status_code == 200


def test_a_refusal_that_cannot_be_recorded_is_told_as_an_outage(lab: Lab) -> None:
    code = lab.code()
    given = lab.redeem(code).json
    with lab.without_table("audit_record"):
        assert_refused(lab.redeem(code), 503, "temporarily_unavailable")
    assert lab.active(given["access_token"]), "consequence and evidence come together or not at all"
    assert_refused(lab.redeem(code), 400, "invalid_grant")
    assert not lab.active(given["access_token"])
