"""RFC 6749 section 6, OAuth 2.1 section 4.3, RFC 9700 section 4.14: attacks on refresh tokens."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.identity.clients.model import Client
from tests.lab import EXCHANGE, ISSUER, NOTES, SECRETS, TICKETS, Lab, assert_refused, basic, claims
from tests.proofs import Holder

READ_WRITE = "tickets:read tickets:write"


def changed(lab: Lab, client_id: str, **members: object) -> Client:
    return replace(lab.client(client_id), **members)


@pytest.mark.attack("REFRESH-01")
@pytest.mark.parametrize("client", ["desk-app", "web-app"])
@pytest.mark.parametrize("wait", [10, 11, 3600])
@pytest.mark.requirement("MCP-AS-21")
def test_reuse_after_the_grace_ends_the_family(lab: Lab, client: str, wait: int) -> None:
    first = lab.tokens(client)
    second = lab.refresh(first["refresh_token"], client).json
    lab.clock.advance(wait)
    third = lab.refresh(second["refresh_token"], client).json
    assert lab.active(third["access_token"])
    assert_refused(lab.refresh(first["refresh_token"], client), 400, "invalid_grant")
    for given in (first, second, third):
        assert not lab.active(given["access_token"])
        assert_refused(lab.refresh(given["refresh_token"], client), 400, "invalid_grant")
    reused = lab.facts("refresh.reused")[0]
    assert (reused["outcome"], reused["reason"], reused["client"]) == ("denied", "refresh_replayed", client)
    assert reused["grant_id"] == claims(first["access_token"])["grant_id"] and reused["tenant"] == "acme"
    assert len(lab.facts("grant.revoked")) == 1 and len(lab.facts("token.issued")) == 3


@pytest.mark.attack("REFRESH-01")
def test_only_the_first_replay_has_everybody_wait(lab: Lab) -> None:
    first = lab.tokens()
    second = lab.refresh(first["refresh_token"]).json
    lab.clock.advance(11)
    with lab.throws() as throws:
        for _ in range(3):
            assert_refused(lab.refresh(first["refresh_token"]), 400, "invalid_grant")
        assert throws == [True]
    assert len(lab.facts("refresh.reused")) == 3, "each leaves its record"
    assert len(lab.facts("grant.revoked")) == 1 and not lab.active(second["access_token"])


@pytest.mark.attack("REFRESH-01")
def test_a_replay_while_the_grant_is_switched_off_ends_it_for_good(lab: Lab) -> None:
    first = lab.tokens()
    second = lab.refresh(first["refresh_token"]).json
    lab.clock.advance(11)
    grant = str(claims(first["access_token"])["grant_id"])
    lab.switch("grant", grant)
    assert_refused(lab.refresh(first["refresh_token"]), 400, "invalid_grant")
    lab.lift("grant", grant)
    assert not lab.active(second["access_token"])
    assert_refused(lab.refresh(second["refresh_token"]), 400, "invalid_grant")


@pytest.mark.attack("REFRESH-01")
def test_the_reuse_of_one_family_leaves_the_user_s_other_families_alone(lab: Lab) -> None:
    first, other = lab.tokens(), lab.tokens()
    assert lab.refresh(first["refresh_token"]).status_code == 200
    lab.clock.advance(11)
    assert_refused(lab.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert lab.active(other["access_token"])
    assert lab.refresh(other["refresh_token"]).status_code == 200


@pytest.mark.attack("REFRESH-02")
@pytest.mark.parametrize("wait", [0, 1, 9.9])
def test_a_repeat_within_the_grace_makes_no_second_branch(lab: Lab, wait: float) -> None:
    first = lab.tokens()
    one = lab.refresh(first["refresh_token"]).json
    rows = lab.table("refresh_token")
    lab.clock.advance(wait)
    two = lab.refresh(first["refresh_token"]).json
    assert one["refresh_token"] == two["refresh_token"]
    assert claims(one["access_token"])["jti"] != claims(two["access_token"])["jti"]
    assert lab.table("refresh_token") == rows
    assert len(lab.facts("refresh.rotated")) == len(lab.facts("refresh.repeated")) == 1
    recorded = {record["jti_hash"] for record in lab.facts("token.issued")}
    for given in (one, two):
        assert hashlib.sha256(str(claims(given["access_token"])["jti"]).encode()).hexdigest() in recorded
        assert lab.active(given["access_token"])


@pytest.mark.attack("REFRESH-02")
def test_once_the_successor_was_used_a_repeat_is_refused_and_the_family_lives(lab: Lab) -> None:
    first = lab.tokens()
    second = lab.refresh(first["refresh_token"]).json
    third = lab.refresh(second["refresh_token"]).json
    rows = lab.table("refresh_token")
    assert_refused(lab.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "refresh_superseded"
    assert lab.table("refresh_token") == rows and lab.rows("denial") == 0
    assert lab.active(third["access_token"])
    assert lab.refresh(third["refresh_token"]).status_code == 200


@pytest.mark.attack("REFRESH-03")
@pytest.mark.parametrize("thief", ["two-uris", "other-app", "post-app"])
def test_a_refresh_token_belongs_to_one_client(lab: Lab, thief: str) -> None:
    held = lab.tokens()["refresh_token"]
    rows = lab.table("refresh_token")
    assert_refused(lab.refresh(held, thief), 400, "invalid_grant")
    record = lab.last("token.refused")
    assert (record["reason"], record["client"]) == ("refresh_foreign", thief)
    assert lab.table("refresh_token") == rows and lab.rows("denial") == 0
    assert lab.refresh(held).status_code == 200


@pytest.mark.attack("REFRESH-03")
def test_a_thief_who_replays_an_old_token_of_another_client_ends_nothing(lab: Lab) -> None:
    first = lab.tokens()
    second = lab.refresh(first["refresh_token"]).json
    lab.clock.advance(60)
    assert_refused(lab.refresh(first["refresh_token"], "two-uris"), 400, "invalid_grant")
    assert_refused(lab.refresh(first["refresh_token"], door="/t/globex"), 400, "invalid_grant")
    assert lab.rows("denial") == 0
    assert lab.refresh(second["refresh_token"]).status_code == 200


@pytest.mark.attack("REFRESH-04")
@pytest.mark.parametrize(
    "extra", ["tickets:write", "refunds:write", "admin", "tickets:write openid", "notes:read"]
)
def test_refreshing_cannot_widen_the_scope(lab: Lab, extra: str) -> None:
    held = lab.tokens()["refresh_token"]
    rows, issued = lab.table("refresh_token"), len(lab.facts("token.issued"))
    assert_refused(lab.refresh(held, scope=f"tickets:read {extra}"), 400, "invalid_scope")
    assert lab.last("token.refused")["reason"] == "scope_widened"
    assert lab.table("refresh_token") == rows and len(lab.facts("token.issued")) == issued
    assert claims(lab.refresh(held, scope="tickets:read").json["access_token"])["scope"] == "tickets:read"


KEY, OTHER = Holder(), Holder()


def proof(lab: Lab, holder: Holder = KEY) -> str:
    return holder.proof(f"{ISSUER}/token", lab.clock.now())


def bound(lab: Lab, client: str = "desk-app") -> dict[str, str]:
    answer = lab.redeem(lab.code(client), client, dpop=proof(lab))
    assert answer.json["token_type"] == "DPoP"
    return answer.json


@pytest.mark.attack("REFRESH-07")
def test_a_public_client_s_refresh_token_works_with_its_key_alone(lab: Lab) -> None:
    held = bound(lab)["refresh_token"]
    for _ in range(3):
        rows = lab.table("refresh_token")
        lab.refused(lab.refresh(held), 400, "invalid_dpop_proof", "constraint_lost")
        lab.refused(lab.refresh(held, dpop=proof(lab, OTHER)), 400, "invalid_dpop_proof", "dpop_key_mismatch")
        assert lab.table("refresh_token") == rows, "nothing was spent"
        answer = lab.refresh(held, dpop=proof(lab))
        assert claims(answer.json["access_token"])["cnf"] == {"jkt": KEY.jkt}
        assert answer.json["token_type"] == "DPoP"
        held = answer.json["refresh_token"]
    assert lab.facts("grant.revoked") == []


@pytest.mark.attack("REFRESH-07")
@pytest.mark.parametrize("wait", [0, 11])
def test_a_spent_refresh_token_in_the_hands_of_another_key_does_nothing(lab: Lab, wait: int) -> None:
    """Neither a second answer within the grace, nor the end of the family after it."""
    first = bound(lab)["refresh_token"]
    second = lab.refresh(first, dpop=proof(lab)).json
    lab.clock.advance(wait)
    lab.refused(lab.refresh(first), 400, "invalid_dpop_proof", "constraint_lost")
    lab.refused(lab.refresh(first, dpop=proof(lab, OTHER)), 400, "invalid_dpop_proof", "dpop_key_mismatch")
    assert lab.active(second["access_token"]) and lab.facts("grant.revoked") == []
    if wait:
        assert_refused(lab.refresh(first, dpop=proof(lab)), 400, "invalid_grant")
        assert len(lab.facts("grant.revoked")) == 1, "its own holder's replay ends it, as ever"
    else:
        assert lab.refresh(first, dpop=proof(lab)).json["refresh_token"] == second["refresh_token"]


@pytest.mark.attack("REFRESH-07")
@pytest.mark.parametrize("rotates", [True, False])
def test_a_confidential_client_may_change_its_key_but_not_drop_it(
    make_lab: Callable[..., Lab], rotates: bool
) -> None:
    lab = make_lab(refresh_rotation_confidential=rotates)
    held = bound(lab, "web-app")["refresh_token"]
    lab.refused(lab.refresh(held, "web-app"), 400, "invalid_dpop_proof", "constraint_lost")
    for holder in (OTHER, KEY, OTHER):
        answer = lab.refresh(held, "web-app", dpop=proof(lab, holder))
        assert claims(answer.json["access_token"])["cnf"] == {"jkt": holder.jkt}
        held = answer.json.get("refresh_token", held)
    lab.refused(lab.refresh(held, "web-app"), 400, "invalid_dpop_proof", "constraint_lost")


def test_a_refresh_token_that_is_bound_to_nothing_is_bound_by_the_first_proof(lab: Lab) -> None:
    first = lab.tokens()["refresh_token"]
    bare = lab.refresh(first).json
    assert bare["token_type"] == "Bearer"
    proven = lab.refresh(bare["refresh_token"], dpop=proof(lab)).json
    assert claims(proven["access_token"])["cnf"] == {"jkt": KEY.jkt}
    lab.refused(lab.refresh(proven["refresh_token"]), 400, "invalid_dpop_proof", "constraint_lost")
    lab.refused(lab.refresh(bare["refresh_token"]), 400, "invalid_dpop_proof", "constraint_lost")
    again = lab.refresh(bare["refresh_token"], dpop=proof(lab)).json
    assert again["refresh_token"] == proven["refresh_token"]
    assert lab.refresh(proven["refresh_token"], dpop=proof(lab)).status_code == 200


def test_one_proof_refreshes_once(lab: Lab) -> None:
    first, text = bound(lab)["refresh_token"], proof(lab)
    second = lab.refresh(first, dpop=text).json["refresh_token"]
    for token in (first, second):
        lab.refused(lab.refresh(token, dpop=text), 400, "invalid_dpop_proof", "dpop_replayed")
    assert lab.refresh(second, dpop=proof(lab)).status_code == 200


@pytest.mark.attack("REFRESH-05")
def test_a_narrower_refresh_narrows_only_that_token(lab: Lab) -> None:
    first = lab.tokens(scope="tickets:read customers:read")
    grant = lab.table("access_grant")
    narrow = lab.refresh(first["refresh_token"], scope="tickets:read").json
    assert (narrow["scope"], claims(narrow["access_token"])["scope"]) == ("tickets:read", "tickets:read")
    whole = lab.refresh(narrow["refresh_token"]).json
    assert claims(whole["access_token"])["scope"] == "tickets:read customers:read"
    assert lab.table("access_grant") == grant


@pytest.mark.attack("REFRESH-09")
def test_a_user_switched_off_cannot_refresh(lab: Lab) -> None:
    given = lab.tokens()
    lab.switch("user", "alice")
    assert_refused(lab.refresh(given["refresh_token"]), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "user_off"
    lab.lift("user", "alice")
    assert lab.refresh(given["refresh_token"]).status_code == 200, "nothing was spent by the refusal"


@pytest.mark.attack("REFRESH-09")
def test_a_withdrawn_consent_ends_refreshing(lab: Lab) -> None:
    given, other = lab.tokens(), lab.tokens("two-uris")
    assert lab.broker.grants.revoke(str(claims(given["access_token"])["grant_id"]), "withdrawn")
    assert_refused(lab.refresh(given["refresh_token"]), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "grant_off"
    assert not lab.active(given["access_token"])
    assert lab.refresh(other["refresh_token"], "two-uris").status_code == 200


@pytest.mark.attack("REFRESH-09")
def test_a_reset_password_ends_refreshing(lab: Lab) -> None:
    alice, bob = lab.tokens(), lab.tokens(user="bob")
    lab.set_password("alice", "another long and good password")
    assert_refused(lab.refresh(alice["refresh_token"]), 400, "invalid_grant")
    assert lab.refresh(bob["refresh_token"]).status_code == 200


@pytest.mark.attack("REFRESH-09")
def test_the_end_of_a_session_ends_no_offline_access(lab: Lab) -> None:
    """Refresh tokens are given for offline access only: none is tied to the session that it began in."""
    given = lab.tokens()
    for session, _ in lab.broker.sessions.open():
        assert lab.broker.sessions.end_by_id(session.id)
    assert lab.refresh(given["refresh_token"]).status_code == 200


@pytest.mark.attack("REFRESH-10")
def test_a_refresh_gives_only_what_the_registration_still_allows(lab: Lab) -> None:
    given = lab.tokens(scope=READ_WRITE)
    lab.put_client(changed(lab, "desk-app", scopes=("tickets:read",)))
    second = lab.refresh(given["refresh_token"]).json
    assert claims(second["access_token"])["scope"] == "tickets:read"
    assert_refused(lab.refresh(second["refresh_token"], scope=READ_WRITE), 400, "invalid_scope")
    lab.put_client(changed(lab, "desk-app", scopes=("notes:read",)))
    assert_refused(lab.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "scope_empty"
    lab.put_client(changed(lab, "desk-app", scopes=None))
    again = lab.refresh(second["refresh_token"]).json
    assert claims(again["access_token"])["scope"] == READ_WRITE


@pytest.mark.attack("REFRESH-10")
def test_a_refresh_gives_only_what_the_resource_still_has(lab: Lab) -> None:
    given = lab.tokens(scope=READ_WRITE)
    tickets = lab.broker.estate().resources["tickets"]
    kept = replace(tickets, scopes=tuple(s for s in tickets.scopes if s.name == "tickets:read"), tools=())
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, kept))
    assert claims(lab.refresh(given["refresh_token"]).json["access_token"])["scope"] == "tickets:read"


@pytest.mark.attack("REFRESH-10")
def test_a_member_who_left_gets_nothing_any_more(lab: Lab) -> None:
    given, rows = lab.tokens(), lab.table("refresh_token")
    user = lab.broker.people.get("alice")
    assert user is not None
    lab.change(lambda tx: lab.broker.people.put(tx, replace(user, memberships=())))
    assert_refused(lab.refresh(given["refresh_token"]), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "not_a_member"
    assert len(lab.table("refresh_token")) == len(rows)
    lab.change(lambda tx: lab.broker.people.put(tx, user))
    assert lab.refresh(given["refresh_token"]).status_code == 200


@pytest.mark.attack("REFRESH-13")
def test_refresh_tokens_are_given_only_where_allowed(lab: Lab) -> None:
    unticked = lab.redeem(lab.code(boxes={"scope": ["tickets:read"]})).json
    without_grant = lab.tokens("no-refresh")
    own_work = lab.client_credentials().json
    own_work_of_a_refresher = lab.client_credentials("web-app", resource=TICKETS).json
    exchanged = lab.exchange(lab.tokens()["access_token"]).json
    for answer in (unticked, without_grant, own_work, own_work_of_a_refresher, exchanged):
        assert "access_token" in answer and "refresh_token" not in answer
    assert lab.rows("refresh_token") == 1, "the sign-in that began the exchange"


@pytest.mark.attack("REFRESH-13")
def test_a_narrower_refresh_of_a_client_that_asked_offline_access_goes_on(lab: Lab) -> None:
    given = lab.tokens(scope="tickets:read offline_access")
    assert "refresh_token" in lab.refresh(given["refresh_token"], scope="tickets:read offline_access").json


@pytest.mark.attack("REFRESH-14")
def test_reuse_is_seen_across_a_restart(lab: Lab) -> None:
    first = lab.tokens()
    second = lab.refresh(first["refresh_token"]).json
    lab.clock.advance(60)
    lab = lab.restarted()
    assert_refused(lab.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert lab.last("refresh.reused")["reason"] == "refresh_replayed"
    assert not lab.active(second["access_token"])
    lab = lab.restarted()
    assert_refused(lab.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert not lab.active(second["access_token"])
    lab.broker.close()


@pytest.mark.attack("REFRESH-14")
def test_the_grace_and_its_successor_outlast_a_restart(lab: Lab) -> None:
    first = lab.tokens()
    second = lab.refresh(first["refresh_token"]).json
    lab = lab.restarted()
    assert lab.refresh(first["refresh_token"]).json["refresh_token"] == second["refresh_token"]
    assert lab.refresh(second["refresh_token"]).status_code == 200
    lab.broker.close()


@pytest.mark.attack("REFRESH-16")
def test_a_failed_refresh_spends_nothing(lab: Lab) -> None:
    held = lab.tokens("web-app")["refresh_token"]
    rows = lab.table("refresh_token")
    form = {"grant_type": "refresh_token", "refresh_token": held}
    assert_refused(lab.post("/token", form, basic("web-app", "wrong" * 10)), 401, "invalid_client")
    assert lab.last("token.refused")["reason"] == "client_authentication_failed"
    assert_refused(lab.refresh(held, "web-app", scope="refunds:write"), 400, "invalid_scope")
    assert_refused(lab.refresh(held, "web-app", scope='bad"scope'), 400, "invalid_scope")
    assert_refused(lab.refresh(held, "web-app", resource=NOTES), 400, "invalid_target")
    assert_refused(lab.refresh(held, "web-app", door="/t/acme"), 400, "invalid_grant")
    assert_refused(lab.refresh(held, "web-app", dpop="a.b.c"), 400, "invalid_dpop_proof")
    with lab.without_table("audit_record"):
        assert_refused(lab.refresh(held, "web-app"), 503, "temporarily_unavailable")
    assert lab.table("refresh_token") == rows and len(lab.facts("token.issued")) == 1
    assert lab.refresh(held, "web-app").status_code == 200


@pytest.mark.attack("REFRESH-17")
def test_only_the_whole_refresh_token_counts(lab: Lab) -> None:
    held = lab.tokens()["refresh_token"]
    rows = lab.table("refresh_token")
    row = rows[0]
    stored = [str(value) for value in row if isinstance(value, str)]
    changed_last = held[:-1] + ("A" if held[-1] != "A" else "B")
    for text in (held[:-1], held + "A", changed_last, held.removeprefix("mcpb_rt_"), "mcpb_rt_", *stored):
        assert_refused(lab.refresh(text), 400, "invalid_grant")
        assert lab.last("token.refused")["reason"] == "refresh_unknown"
    assert_refused(lab.refresh(""), 400, "invalid_request")
    assert lab.table("refresh_token") == rows
    assert lab.refresh(held).status_code == 200


@pytest.mark.attack("REFRESH-18")
def test_no_refresh_token_is_stored_or_logged_in_the_clear(
    lab: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    code = lab.code()
    first = lab.redeem(code).json
    second = lab.refresh(first["refresh_token"]).json
    own = lab.tokens("web-app")
    lab.clock.advance(60)
    assert_refused(lab.refresh(first["refresh_token"]), 400, "invalid_grant")
    disk, out = lab.dump(), "".join(capfd.readouterr())
    secrets = [code, *SECRETS.values()]
    for given in (first, second, own):
        secrets += [given["refresh_token"], given["access_token"], given["access_token"].rpartition(".")[2]]
    for secret in secrets:
        assert secret.encode() not in disk and secret not in out
        assert secret.removeprefix("mcpb_rt_").encode() not in disk
    assert hashlib.sha256(b"refresh:" + second["refresh_token"].encode()).hexdigest().encode() in disk


@pytest.mark.attack("REFRESH-19")
def test_a_client_that_lost_the_refresh_grant_cannot_refresh(lab: Lab) -> None:
    held = lab.tokens()["refresh_token"]
    rows = lab.table("refresh_token")
    lab.put_client(changed(lab, "desk-app", grant_types=("authorization_code",)))
    assert_refused(lab.refresh(held), 400, "unauthorized_client")
    assert lab.last("token.refused")["reason"] == "client_grant_type"
    assert lab.table("refresh_token") == rows
    lab.put_client(changed(lab, "desk-app", grant_types=("authorization_code", "refresh_token")))
    assert lab.refresh(held).status_code == 200


@pytest.mark.attack("REFRESH-20")
@pytest.mark.parametrize("how", ["code replayed", "access token revoked", "grant switched off"])
def test_a_refresh_token_falls_with_its_parent(lab: Lab, how: str) -> None:
    code, other = lab.code(), lab.tokens()
    given = lab.redeem(code).json
    second = lab.refresh(given["refresh_token"]).json
    if how == "code replayed":
        assert_refused(lab.redeem(code), 400, "invalid_grant")
    elif how == "access token revoked":
        assert lab.revoke(second["access_token"]).status_code == 200
    else:
        lab.switch("grant", str(claims(given["access_token"])["grant_id"]))
    for token in (given["refresh_token"], second["refresh_token"]):
        assert_refused(lab.refresh(token), 400, "invalid_grant")
        assert lab.last("token.refused")["reason"] == "grant_off"
    assert not lab.active(second["access_token"])
    assert lab.refresh(other["refresh_token"]).status_code == 200


def test_an_exchanging_server_has_no_use_for_a_refresh_token(lab: Lab) -> None:
    held = lab.tokens()["refresh_token"]
    assert_refused(lab.refresh(held, "tickets-server"), 400, "unauthorized_client")
    assert_refused(lab.exchange(held), 400, "invalid_request")
    assert lab.client("tickets-server").grant_types == (EXCHANGE,)
