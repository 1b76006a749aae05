"""RFC 7662: attacks on introspection."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from broker.guard.verifier import TokenRefused, Verifier
from tests.lab import (
    ACCESS_TOKEN,
    ACME,
    CRM,
    FILES,
    GLOBEX,
    ISSUER,
    NOTES,
    SECRETS,
    TICKETS,
    Lab,
    assert_refused,
    basic,
    claims,
    header,
)

INACTIVE = b'{"active":false}'
SIGNED = "application/token-introspection+jwt"


def assert_inactive(lab: Lab, token: str, client: str = "tickets-server", door: str = "") -> None:
    answer = lab.introspect(token, client, door)
    assert (answer.status_code, answer.data) == (200, INACTIVE)
    assert answer.headers["Cache-Control"] == "no-store"


def resigned(lab: Lab, token: str, **changes: object) -> str:
    """The token with other claims, signed by the broker's own key: what no flow would issue."""
    said = {name: value for name, value in {**claims(token), **changes}.items() if value is not None}
    typ = str(said.pop("typ", "at+jwt"))
    return lab.broker.door_keys.statement(ISSUER, "ES256", typ, said)


def told(answer: TestResponse) -> object:
    """What an answer says of the token, in either form; the signed one says nothing of it anywhere else."""
    if answer.content_type != SIGNED:
        return answer.json
    outside = claims(answer.get_data(as_text=True))
    assert set(outside) == {"iss", "aud", "iat", "token_introspection"}
    return outside["token_introspection"]


@pytest.mark.attack("INTRO-01")
@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, {}),
        (basic("tickets-server", "wrong" * 10), {}),
        (basic("tickets-server", ""), {}),
        ({"Authorization": "Bearer x"}, {}),
        ({}, {"client_id": "tickets-server"}),
        ({}, {"client_id": "tickets-server", "client_secret": SECRETS["tickets-server"]}),
        ({}, {"client_id": "nobody"}),
    ],
)
def test_introspection_needs_a_known_caller(lab: Lab, headers: dict[str, str], form: dict[str, str]) -> None:
    token = lab.tokens()["access_token"]
    answer = lab.post("/introspect", {"token": token, **form}, headers)
    assert_refused(answer, 401, "invalid_client")
    assert ("WWW-Authenticate" in answer.headers) == bool(headers)
    assert "alice" not in answer.get_data(as_text=True)
    assert lab.last("token.refused")["outcome"] == "denied"
    assert lab.active(token)


@pytest.mark.attack("INTRO-01")
def test_the_bearer_of_a_token_cannot_introspect_with_it(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    answer = lab.post("/introspect", {"token": token}, {"Authorization": f"Bearer {token}"})
    assert_refused(answer, 401, "invalid_client")


@pytest.mark.attack("INTRO-02")
def test_a_public_client_learns_nothing(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    assert_refused(lab.introspect(token, "desk-app"), 401, "invalid_client")
    assert lab.last("token.refused")["reason"] == "client_grant_type"


@pytest.mark.attack("INTRO-02")
@pytest.mark.parametrize("client", ["web-app", "other-app", "nightly", "post-app"])
def test_a_client_that_is_no_resource_s_own_learns_nothing(lab: Lab, client: str) -> None:
    token = lab.tokens("web-app")["access_token"]
    assert_inactive(lab, token, client)
    record = lab.last("token.introspected")
    assert (record["reason"], record["client"]) == ("not_the_callers", client)
    assert lab.active(token)


@pytest.mark.attack("INTRO-03")
@pytest.mark.parametrize("client", ["notes-server", "files-server", "crm-server"])
def test_a_resource_server_learns_of_its_own_tokens_only(lab: Lab, client: str) -> None:
    token = lab.tokens()["access_token"]
    assert_inactive(lab, token, client)
    record = lab.last("token.introspected")
    assert (record["reason"], record["client"]) == ("not_the_callers", client)
    assert lab.active(token)


@pytest.mark.attack("INTRO-03")
def test_a_server_does_not_learn_of_a_token_that_was_exchanged_away_from_it(lab: Lab) -> None:
    exchanged = lab.exchange(lab.tokens()["access_token"]).json["access_token"]
    assert_inactive(lab, exchanged)
    assert lab.active(exchanged, "crm-server")


@pytest.mark.attack("INTRO-04")
def test_introspection_stops_at_the_tenant_s_wall(lab: Lab) -> None:
    of_globex = lab.tokens(user="vera", resource=FILES, scope="files:read")["access_token"]
    of_acme = lab.tokens(resource=FILES, scope="files:read")["access_token"]
    assert lab.active(of_globex, "files-server") and lab.active(of_acme, "files-server")
    files = lab.broker.estate().resources["files"]
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(files, tenants=("acme",))))
    assert_inactive(lab, of_globex, "files-server")
    assert lab.last("token.introspected")["reason"] == "tenant_not_served"
    assert lab.active(of_acme, "files-server")


@pytest.mark.attack("INTRO-04")
def test_a_door_answers_for_its_own_tokens_only(lab: Lab) -> None:
    asked = {"resource": FILES, "scope": "files:read"}
    tokens = {
        "": lab.tokens(user="vera", **asked)["access_token"],
        "/t/globex": lab.tokens(user="vera", door="/t/globex", **asked)["access_token"],
        "/t/acme": lab.tokens(door="/t/acme", **asked)["access_token"],
    }
    for made, token in tokens.items():
        for door in ("", "/t/globex", "/t/acme"):
            if door == made:
                assert lab.active(token, "files-server", door)
            else:
                assert_inactive(lab, token, "files-server", door)
    assert {claims(token)["iss"] for token in tokens.values()} == {ISSUER, ACME, GLOBEX}


@pytest.mark.attack("INTRO-04")
def test_a_tenant_s_client_is_unknown_at_another_tenant_s_door(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    assert_refused(lab.introspect(token, "tickets-server", "/t/globex"), 401, "invalid_client")


@pytest.mark.attack("INTRO-05")
@pytest.mark.parametrize("accept", [None, SIGNED])
def test_an_inactive_answer_says_nothing_more(lab: Lab, accept: str | None) -> None:
    revoked, good = lab.tokens(), lab.tokens()
    assert lab.revoke(revoked["access_token"]).status_code == 200
    token = good["access_token"]
    head, payload, signature = token.split(".")
    foreign = lab.tokens(resource=NOTES, scope="notes:read")["access_token"].split(".")
    dead = {
        "revoked": revoked["access_token"],
        "unknown": secrets.token_urlsafe(32),
        "garbage": "\u00e9 not a token",
        "unsigned": f"{head}.{payload}.",
        "wrongly signed": f"{head}.{payload}.{foreign[2]}",
        "wrong header": f"{foreign[0]}.{payload}.{signature}",
        "cut short": token[:-1],
        "id token": resigned(lab, token, typ="JWT"),
        "other issuer": resigned(lab, token, iss="https://evil.example"),
        "two audiences": resigned(lab, token, aud=[TICKETS, NOTES]),
        "no tenant": resigned(lab, token, tenant=None),
        "foreign tenant": resigned(lab, token, tenant="initech"),
        "not yet": resigned(lab, token, nbf=int(lab.clock.now()) + 60),
        "ended": resigned(lab, token, exp=int(lab.clock.now())),
    }
    headers = {**basic("tickets-server"), **({"Accept": accept} if accept else {})}
    for kind, text in dead.items():
        answer = lab.post("/introspect", {"token": text}, headers)
        assert (answer.status_code, told(answer)) == (200, {"active": False}), kind
        assert answer.content_type == (accept or "application/json")
    assert lab.active(token)
    lab.clock.advance(300)
    answer = lab.post("/introspect", {"token": token}, headers)
    assert (answer.status_code, told(answer)) == (200, {"active": False})


@pytest.mark.attack("INTRO-06")
def test_only_access_tokens_are_active_to_a_resource_server(lab: Lab) -> None:
    code, given = lab.code(), lab.tokens()
    rows = lab.table("refresh_token"), lab.table("authorization_code")
    for hint in (None, "refresh_token", "access_token"):
        for secret in (given["refresh_token"], code, SECRETS["tickets-server"]):
            answer = lab.introspect(secret, token_type_hint=hint)
            assert (answer.status_code, answer.data) == (200, INACTIVE)
    assert (lab.table("refresh_token"), lab.table("authorization_code")) == rows
    assert lab.active(given["access_token"])
    assert lab.redeem(code).status_code == 200 and lab.refresh(given["refresh_token"]).status_code == 200


@pytest.mark.attack("INTRO-07")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "urn:x:unknown", ""])
def test_the_type_hint_is_no_more_than_a_hint(lab: Lab, hint: str) -> None:
    token = lab.tokens()["access_token"]
    assert lab.introspect(token, token_type_hint=hint).json["active"] is True


@pytest.mark.attack("INTRO-07")
def test_a_repeated_or_missing_token_is_refused(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    twice = [("token", token), ("token", token)]
    assert_refused(lab.post("/introspect", twice, basic("tickets-server")), 400, "invalid_request")
    assert lab.last("token.refused")["reason"] == "repeated_parameter"
    assert_refused(lab.introspect(""), 400, "invalid_request")
    assert_refused(lab.post("/introspect", {}, basic("tickets-server")), 400, "invalid_request")
    assert lab.active(token)


SWITCHES = [
    ("user", "alice"),
    ("client", "desk-app"),
    ("tenant", "acme"),
    ("resource", "tickets"),
    ("grant", "grant_id"),
    ("transaction", "txn"),
    ("token", "jti"),
    ("everything", "*"),
]


@pytest.mark.attack("INTRO-08")
@pytest.mark.parametrize(("kind", "target"), SWITCHES)
def test_a_token_is_inactive_as_soon_as_anything_behind_it_is_stopped(
    lab: Lab, kind: str, target: str
) -> None:
    token, replica = lab.tokens()["access_token"], lab.replica()
    assert lab.active(token) and replica.active(token)
    target = str(claims(token).get(target, target))
    lab.switch(kind, target)
    assert_inactive(lab, token)
    assert_inactive(replica, token)
    lab.lift(kind, target)
    assert lab.active(token) and replica.active(token), "a lifted stop leaves no trace in any cache"
    replica.broker.close()


@pytest.mark.attack("INTRO-08")
@pytest.mark.parametrize("actor", ["tickets-server", "desk-app"])
def test_a_stopped_actor_stops_what_was_exchanged_through_it(lab: Lab, actor: str) -> None:
    exchanged = lab.exchange(lab.tokens()["access_token"]).json["access_token"]
    other = lab.exchange(lab.tokens("web-app")["access_token"]).json["access_token"]
    assert lab.active(exchanged, "crm-server")
    lab.switch("client", actor)
    assert_inactive(lab, exchanged, "crm-server")
    assert lab.active(other, "crm-server") == (actor == "desk-app")


@pytest.mark.attack("INTRO-08")
@pytest.mark.parametrize("gone", ["user", "client"])
def test_a_token_of_somebody_who_was_deleted_is_inactive(lab: Lab, gone: str) -> None:
    token, other = lab.tokens()["access_token"], lab.tokens("two-uris", "bob")["access_token"]
    people, clients = lab.broker.people, lab.broker.clients
    lab.change(lambda tx: people.remove(tx, "alice") if gone == "user" else clients.remove(tx, "desk-app"))
    assert_inactive(lab, token)
    assert lab.active(other)


def signed_out(lab: Lab, user: str) -> None:
    for seen in lab.broker.sessions.of(user):
        assert lab.broker.sessions.end_by_id(seen.session.id)


def taken_out(lab: Lab, user: str) -> None:
    lab.apply(f"users: [{{id: {user}, tenants: []}}]")


@pytest.mark.attack("INTRO-08")
@pytest.mark.parametrize("stop", [signed_out, taken_out])
def test_a_token_is_inactive_as_soon_as_the_sign_in_or_membership_behind_it_ended(
    lab: Lab, stop: Callable[[Lab, str], None]
) -> None:
    token, replica = lab.tokens("no-refresh")["access_token"], lab.replica()
    through = lab.exchange(token).json["access_token"]
    others = lab.tokens("no-refresh", "bob")["access_token"]
    assert replica.active(token) and replica.active(through, "crm-server")
    stop(lab, "alice")
    for one in (lab, replica):
        assert_inactive(one, token)
        assert_inactive(one, through, "crm-server")
        assert one.active(others)
    replica.broker.close()


@pytest.mark.attack("INTRO-08")
def test_what_may_stay_connected_is_active_after_its_user_signed_out(lab: Lab) -> None:
    """As its refresh token goes on working, and as exchange decides: docs/decisions/0013."""
    token = lab.tokens()["access_token"]
    through = lab.exchange(token).json["access_token"]
    signed_out(lab, "alice")
    assert lab.active(token) and lab.active(through, "crm-server")


@pytest.mark.attack("INTRO-08")
def test_a_client_s_own_work_needs_nobody_s_sign_in(lab: Lab) -> None:
    assert lab.active(lab.client_credentials(resource=TICKETS).json["access_token"])


@pytest.mark.attack("INTRO-08")
def test_a_caller_that_was_stopped_learns_nothing(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    lab.switch("client", "tickets-server")
    assert_refused(lab.introspect(token), 401, "invalid_client")
    assert lab.last("token.refused")["reason"] == "client_off"
    lab.lift("client", "tickets-server")
    assert lab.active(token)


@pytest.mark.attack("INTRO-08")
def test_a_key_that_left_the_set_makes_its_tokens_inactive_on_every_replica(lab: Lab) -> None:
    token, replica = lab.tokens()["access_token"], lab.replica()
    of_notes = lab.tokens(resource=NOTES, scope="notes:read")["access_token"]
    assert lab.active(token) and replica.active(token)
    lab.sql("UPDATE signing_key SET state = 'retired' WHERE door = ? AND alg = 'ES256'", ISSUER)
    lab.sql("UPDATE version_stamp SET number = number + 1 WHERE name = 'keys'")
    lab.clock.advance(1)
    assert_inactive(lab, token)
    assert_inactive(replica, token)
    assert replica.active(of_notes, "notes-server"), "another ring's key"
    replica.broker.close()


@pytest.mark.attack("INTRO-09")
def test_a_remembered_verdict_serves_its_own_token_only(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    assert lab.active(token)
    assert_inactive(lab, resigned(lab, token, aud=NOTES), "tickets-server")
    assert_inactive(lab, resigned(lab, token, tenant="initech"))
    digest = hashlib.sha256(token.encode()).hexdigest()
    tail = (f"{token[:-8]}{number:08d}" for number in range(10**8))
    twin = next(text for text in tail if hashlib.sha256(text.encode()).hexdigest()[:4] == digest[:4])
    assert_inactive(lab, twin)
    assert lab.active(token)


@pytest.mark.attack("INTRO-09")
def test_a_bad_verdict_never_turns_good(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    assert lab.active(token)
    assert lab.revoke(token).status_code == 200
    other = lab.tokens()["access_token"]
    for _ in range(3):
        assert_inactive(lab, token)
        assert lab.active(other)
        lab.clock.advance(1)
    lab = lab.restarted()
    assert_inactive(lab, token)
    assert lab.active(other)
    lab.broker.close()


@pytest.mark.attack("INTRO-10")
def test_a_signed_answer_is_no_token_anywhere(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    asked = {"Accept": SIGNED} | basic("tickets-server")
    answer = lab.post("/introspect", {"token": token}, asked).get_data(as_text=True)
    outside = claims(answer)
    assert (header(answer)["typ"], outside["aud"]) == ("token-introspection+jwt", "tickets-server")
    assert not {"sub", "exp", "scope", "client_id", "tenant", "jti"} & set(outside)
    assert_inactive(lab, answer)
    for kind in (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"):
        assert_refused(lab.exchange(answer, subject_token_type=kind), 400, "invalid_request")
    assert lab.get("/userinfo", Authorization=f"Bearer {answer}").status_code == 401
    assert lab.revoke(answer).status_code == 200 and lab.rows("denial") == 0
    guard = Verifier({ISSUER: ["acme"]}, TICKETS, ["ES256"], lab.broker.door_keys, lab.clock.now)
    with pytest.raises(TokenRefused):
        guard.verify(answer)
    disguised = resigned(lab, answer, typ="token-introspection+jwt", sub="alice", aud=TICKETS)
    with pytest.raises(TokenRefused):
        guard.verify(disguised)
    assert guard.verify(token).subject == "alice" and lab.active(token)


@pytest.mark.attack("INTRO-11")
@pytest.mark.parametrize("path", ["/introspect", "/t/acme/introspect"])
def test_introspection_is_asked_by_post(lab: Lab, path: str, capfd: pytest.CaptureFixture[str]) -> None:
    token = lab.tokens()["access_token"]
    answer = lab.get(f"{path}?token={token}", **basic("tickets-server"))
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]
    assert token not in answer.get_data(as_text=True)
    assert lab.get(f"{path}?token={token}", Accept="text/html", **basic("tickets-server")).status_code == 405
    assert token not in "".join(capfd.readouterr()) and token.encode() not in lab.dump()
    answer = lab.post(f"/introspect?token={token}", {}, basic("tickets-server"))
    assert_refused(answer, 400, "invalid_request")


@pytest.mark.attack("INTRO-13")
def test_each_resource_server_sees_only_what_concerns_it(lab: Lab) -> None:
    """The answer is the token's own claims: one audience, its scope, and the chain that led to it."""
    token = lab.tokens(scope="tickets:read tickets:write")["access_token"]
    exchanged = lab.exchange(token).json["access_token"]
    at_tickets, at_crm = lab.introspect(token).json, lab.introspect(exchanged, "crm-server").json
    assert (at_tickets["aud"], at_tickets["scope"]) == (TICKETS, "tickets:read tickets:write")
    assert (at_crm["aud"], at_crm["scope"]) == (CRM, "crm:read crm:write")
    assert at_tickets == {"active": True, "token_type": "Bearer", **claims(token)}
    assert at_crm == {"active": True, "token_type": "Bearer", **claims(exchanged)}
    assert "act" not in at_tickets and at_crm["act"]["client_id"] == "tickets-server"
    assert at_crm["act"]["act"]["client_id"] == "desk-app"


@pytest.mark.attack("INTRO-12")
def test_scanning_for_tokens_is_slowed(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(inactive_introspections_per_minute=20)
    token = lab.tokens()["access_token"]
    for _ in range(20):
        assert_inactive(lab, secrets.token_urlsafe(32))
    assert_refused(lab.introspect(secrets.token_urlsafe(32)), 429, "temporarily_unavailable")
    assert lab.last("token.refused")["reason"] == "rate_limited"
    assert_refused(lab.introspect(token), 429, "temporarily_unavailable")
    assert not lab.active(token, "notes-server"), "another server is not slowed"
    lab.clock.advance(61)
    assert lab.active(token)


@pytest.mark.attack("INTRO-12")
def test_of_a_thousand_random_values_most_are_refused_counted_and_recorded(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(inactive_introspections_per_minute=100)
    statuses = [lab.introspect(secrets.token_urlsafe(32)).status_code for _ in range(1000)]
    assert statuses == [200] * 100 + [429] * 900
    sample = lab.broker.metrics.registry.get_sample_value
    refused = {"endpoint": "/introspect", "reason": "rate_limited"}
    assert sample("broker_refusals_total", refused) == 900
    recorded = [fact for fact in lab.facts("token.refused") if fact["reason"] == "rate_limited"]
    assert recorded and all(fact["client"] == "tickets-server" for fact in recorded)
    lab.clock.advance(61)
    lab.broker.refusals.flush()
    counted = sum(int(str(fact["count"])) for fact in lab.facts("refusals.counted"))
    one_by_one = len(lab.facts("token.refused")) + len(lab.facts("token.introspected"))
    assert one_by_one + counted == 1000, "each is recorded, by itself or in a number"


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_database_that_is_away_says_nothing_about_a_token(lab: Lab, verb: str) -> None:
    token = lab.tokens()["access_token"]
    asked = token if verb == "read" else lab.tokens(resource=NOTES, scope="notes:read")["access_token"]
    with lab.database_down(verb):
        assert_refused(lab.introspect(asked), 503, "temporarily_unavailable")
    assert lab.active(token)


def test_denials_that_cannot_be_read_make_no_token_active(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    with lab.without_table("denial"):
        assert_refused(lab.introspect(token), 503, "temporarily_unavailable")
    assert lab.active(token)
