"""RFC 7009: attacks on revocation."""

import secrets
from collections.abc import Callable

import pytest

from broker.authorization import codes
from broker.runtime.database import Transaction
from broker.tokens import families
from tests.lab import NOTES, SECRETS, TICKETS, Lab, assert_refused, basic, claims

TABLES = ("denial", "audit_record", "refresh_token", "access_grant", "authorization_code")


def everything(lab: Lab) -> list[list[tuple[object, ...]]]:
    return [lab.table(name) for name in TABLES]


@pytest.mark.attack("REVOKE-02")
@pytest.mark.parametrize("client", ["desk-app", "web-app", "tickets-server"])
def test_revoking_an_unknown_token_succeeds_quietly(lab: Lab, client: str) -> None:
    given, code = lab.tokens(), lab.code()
    before = everything(lab)
    unknown = (secrets.token_urlsafe(32), "mcpb_rt_" + secrets.token_urlsafe(32), "\u00e9", "a.b.c")
    for token in (*unknown, code, given["refresh_token"][:-1], given["access_token"][:-1]):
        answer = lab.revoke(token, client)
        assert (answer.status_code, answer.json) == (200, {})
    assert everything(lab) == before
    assert lab.active(given["access_token"]) and lab.redeem(code).status_code == 200


@pytest.mark.attack("REVOKE-02")
def test_revoking_what_another_client_holds_changes_nothing(lab: Lab) -> None:
    given = lab.tokens()
    exchanged = lab.exchange(given["access_token"]).json["access_token"]
    before = lab.state()
    for token in (given["access_token"], given["refresh_token"], exchanged):
        for client in ("two-uris", "web-app", "notes-server"):
            assert lab.revoke(token, client).status_code == 200
    assert lab.revoke(given["access_token"], "tickets-server").status_code == 200
    assert lab.revoke(given["refresh_token"], door="/t/acme").status_code == 200
    assert lab.revoke(exchanged).status_code == 200
    assert lab.state() == before
    evidence = [fact for fact in lab.facts("token.refused") if fact["reason"] == "not_the_callers"]
    assert len(evidence) == 8 and {fact["tenant"] for fact in evidence} == {"acme"}
    assert lab.active(given["access_token"]) and lab.active(exchanged, "crm-server")


@pytest.mark.attack("REVOKE-02")
def test_nobody_waits_for_what_ends_nothing(lab: Lab) -> None:
    given, code = lab.tokens(), lab.code()
    exchanged = lab.exchange(given["access_token"]).json["access_token"]
    with lab.throws() as throws:
        for token in (secrets.token_urlsafe(32), "mcpb_rt_" + secrets.token_urlsafe(32), "a.b.c", code):
            assert lab.revoke(token).status_code == 200
        for token in (given["access_token"], given["refresh_token"], exchanged):
            assert lab.revoke(token, "two-uris").status_code == 200
        assert throws == []
        for token, client in ((exchanged, "tickets-server"), (given["refresh_token"], "desk-app")):
            assert lab.revoke(token, client).status_code == 200
        assert throws == [True, True], "the twin: what is theirs ends"
        for token, client in ((exchanged, "tickets-server"), (given["refresh_token"], "desk-app")):
            assert lab.revoke(token, client).status_code == 200
        assert lab.revoke(given["access_token"]).status_code == 200
        assert throws == [True, True], "it ended before"
    assert not lab.active(given["access_token"]) and not lab.active(exchanged, "crm-server")


@pytest.mark.attack("REVOKE-02")
def test_revocation_needs_a_known_client(lab: Lab) -> None:
    given = lab.tokens("web-app")
    for headers, form in (({}, {}), (basic("web-app", "wrong" * 9), {}), ({}, {"client_id": "web-app"})):
        assert_refused(
            lab.post("/revoke", {"token": given["access_token"], **form}, headers), 401, "invalid_client"
        )
    assert_refused(lab.revoke("", "web-app"), 400, "invalid_request")
    assert lab.active(given["access_token"])
    assert lab.revoke(given["access_token"], "web-app").status_code == 200
    assert not lab.active(given["access_token"])


@pytest.mark.attack("REVOKE-04")
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("client", ["desk-app", "web-app"])
def test_revoking_by_the_grant_s_client_ends_the_grant(lab: Lab, which: str, client: str) -> None:
    given, other = lab.tokens(client), lab.tokens(client)
    second = lab.refresh(given["refresh_token"], client).json
    exchanged = lab.exchange(given["access_token"]).json["access_token"]
    replica = lab.replica()
    assert replica.active(given["access_token"])
    assert lab.revoke(second[which], client).status_code == 200
    for where in (lab, replica):
        assert not where.active(given["access_token"])
        assert not where.active(second["access_token"])
        assert not where.active(exchanged, "crm-server")
    for token in (given["refresh_token"], second["refresh_token"]):
        assert_refused(lab.refresh(token, client), 400, "invalid_grant")
    assert_refused(lab.exchange(second["access_token"]), 400, "invalid_request")
    record = lab.last("grant.revoked")
    assert record["grant_id"] == claims(given["access_token"])["grant_id"]
    assert (record["client"], record["subject"], record["tenant"]) == (client, "alice", "acme")
    assert (
        lab.active(other["access_token"]) and lab.refresh(other["refresh_token"], client).status_code == 200
    )
    replica.broker.close()


def chain_of(lab: Lab, user: str = "alice") -> tuple[dict[str, str], list[tuple[str, str]]]:
    """A sign-in, and each token of the chain made from it with the server that it is for."""
    given = lab.tokens(user=user)
    notes = lab.exchange(given["access_token"], resource=NOTES).json["access_token"]
    crm = lab.exchange(notes, "notes-server").json["access_token"]
    return given, [
        (given["access_token"], "tickets-server"),
        (notes, "notes-server"),
        (crm, "crm-server"),
    ]


@pytest.mark.attack("REVOKE-04", "REVOKE-09")
def test_a_grant_that_ends_takes_its_whole_chain_along_at_every_server(lab: Lab) -> None:
    replica = lab.replica()
    _, bystander = chain_of(lab, "bob")
    ends: list[Callable[[dict[str, str]], object]] = [
        lambda given: lab.revoke(given["access_token"]),
        lambda given: lab.revoke(given["refresh_token"]),
        lambda given: lab.broker.grants.revoke(str(claims(given["access_token"])["grant_id"]), "test"),
    ]
    for end in ends:
        given, chain = chain_of(lab)
        assert all(where.active(*token) for where in (lab, replica) for token in chain)
        end(given)
        for where in (lab, replica):
            assert not any(where.active(*token) for token in chain)
            assert_refused(where.exchange(chain[0][0], resource=NOTES), 400, "invalid_request")
            assert_refused(where.exchange(chain[1][0], "notes-server"), 400, "invalid_request")
            assert all(where.active(*token) for token in bystander)
        ended = {record["grant_id"] for record in lab.facts("grant.revoked")}
        assert claims(given["access_token"])["grant_id"] in ended
    replica.broker.close()


@pytest.mark.attack("REVOKE-04")
def test_a_token_in_the_middle_of_a_chain_ends_alone_and_leads_no_further(lab: Lab) -> None:
    given, (first, middle, last) = chain_of(lab)
    assert lab.revoke(middle[0], "tickets-server").status_code == 200
    assert not lab.active(*middle) and lab.active(*first) and lab.active(*last)
    assert_refused(lab.exchange(middle[0], "notes-server"), 400, "invalid_request")
    assert lab.revoke(last[0], "tickets-server").status_code == 200
    assert lab.active(*last), "an earlier actor does not hold it"
    assert lab.revoke(given["access_token"]).status_code == 200
    assert not lab.active(*last)


@pytest.mark.attack("REVOKE-04")
def test_an_exchanged_token_revoked_by_its_holder_ends_that_token_alone(lab: Lab) -> None:
    given = lab.tokens()
    one, two = (lab.exchange(given["access_token"]).json["access_token"] for _ in range(2))
    assert lab.revoke(one, "tickets-server").status_code == 200
    assert not lab.active(one, "crm-server")
    assert lab.active(two, "crm-server") and lab.active(given["access_token"])
    assert lab.refresh(given["refresh_token"]).status_code == 200
    record = lab.last("token.revoked")
    assert (record["client"], record["txn"]) == ("tickets-server", claims(one)["txn"])


@pytest.mark.attack("REVOKE-04")
def test_a_client_s_own_token_revoked_ends_what_was_exchanged_from_it(lab: Lab) -> None:
    one, two = (lab.client_credentials().json["access_token"] for _ in range(2))
    down = lab.exchange(one, resource="https://mcp2.example/mcp").json["access_token"]
    assert lab.active(down, "notes-server")
    assert lab.revoke(one, "nightly").status_code == 200
    assert not lab.active(one) and not lab.active(down, "notes-server")
    assert lab.active(two) and lab.client_credentials().status_code == 200


@pytest.mark.attack("REVOKE-04")
def test_what_is_revoked_stays_revoked_when_everything_comes_back(lab: Lab) -> None:
    given = lab.tokens()
    lab.switch("everything", "*")
    assert lab.revoke(given["refresh_token"]).status_code == 200
    lab.lift("everything", "*")
    assert not lab.active(given["access_token"])


@pytest.mark.attack("REVOKE-05")
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("broken", ["denial", "audit_record", "write"])
def test_a_failing_database_is_not_a_success(lab: Lab, which: str, broken: str) -> None:
    given = lab.tokens()
    with lab.database_down("write") if broken == "write" else lab.without_table(broken):
        answer = lab.revoke(given[which])
        assert_refused(answer, 503, "temporarily_unavailable")
        assert "revoked" not in answer.get_data(as_text=True)
    assert lab.rows("denial") == 0 and lab.facts("grant.revoked") == []
    assert lab.active(given["access_token"])
    assert lab.revoke(given[which]).status_code == 200
    assert not lab.active(given["access_token"])


@pytest.mark.attack("REVOKE-06")
@pytest.mark.parametrize("what", ["code", "refresh_token"])
def test_a_row_that_disappears_while_it_is_redeemed_gives_nothing(
    lab: Lab, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = lab.code()
    refresh = lab.tokens()["refresh_token"]
    issued = len(lab.facts("token.issued"))
    table, hashed = (
        ("authorization_code", codes.hashed(code))
        if what == "code"
        else ("refresh_token", families.hashed(refresh))
    )
    write = lab.broker.world.database.write

    def late(work: object, tenant: str | None = None, **kind: bool) -> object:
        def unit(tx: Transaction) -> object:
            tx.connection.exec_driver_sql(f"DELETE FROM {table} WHERE hash = '{hashed}'")
            return work(tx)

        return write(unit, tenant, **kind)

    with monkeypatch.context() as patched:
        patched.setattr(lab.broker.world.database, "write", late)
        answer = lab.redeem(code) if what == "code" else lab.refresh(refresh)
    assert_refused(answer, 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] in ("code_unknown", "refresh_unknown")
    assert len(lab.facts("token.issued")) == issued


@pytest.mark.attack("REVOKE-06")
def test_a_row_that_disappears_while_it_is_revoked_is_not_recorded_as_revoked(lab: Lab) -> None:
    given = lab.tokens()
    assert lab.sql("DELETE FROM refresh_token") == 1
    assert lab.revoke(given["refresh_token"]).status_code == 200
    assert lab.facts("grant.revoked") == [] and lab.rows("denial") == 0
    assert lab.active(given["access_token"]), "the answer claims no more than that this token is no good"


@pytest.mark.attack("REVOKE-06")
def test_a_switch_is_lifted_once(lab: Lab) -> None:
    lab.switch("user", "alice")
    lab.lift("user", "alice")
    with pytest.raises(AssertionError):
        lab.lift("user", "alice")
    assert len(lab.facts("switch.lifted")) == 1


@pytest.mark.attack("REVOKE-08")
def test_revocation_takes_post_and_no_callbacks(lab: Lab) -> None:
    given = lab.tokens()
    answer = lab.get(f"/revoke?token={given['access_token']}&client_id=desk-app&callback=run")
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]
    assert b"run" not in answer.data and given["access_token"].encode() not in answer.data
    answer = lab.post(f"/revoke?token={given['access_token']}", {"client_id": "desk-app"})
    assert_refused(answer, 400, "invalid_request")
    assert lab.active(given["access_token"])
    answer = lab.revoke(given["access_token"], callback="run", token_type_hint="refresh_token")
    assert (answer.status_code, answer.data, answer.content_type) == (200, b"{}", "application/json")
    assert not lab.active(given["access_token"])


@pytest.mark.attack("REVOKE-09")
@pytest.mark.parametrize(
    ("kind", "target", "error", "reason"),
    [("user", "alice", "invalid_grant", "user_off"), ("client", "desk-app", "invalid_client", "client_off")],
)
def test_one_act_stops_all_families_of_a_user_or_client(
    lab: Lab, kind: str, target: str, error: str, reason: str
) -> None:
    families_ = [lab.tokens() for _ in range(4)]
    bystander = lab.tokens("two-uris", "bob")
    replica = lab.replica()
    lab.switch(kind, target)
    for where in (lab, replica):
        for given in families_:
            assert not where.active(given["access_token"])
            status = 401 if error == "invalid_client" else 400
            assert_refused(where.refresh(given["refresh_token"]), status, error)
            assert where.last("token.refused")["reason"] == reason
        assert where.active(bystander["access_token"])
    (record,) = lab.facts("switch.thrown")
    assert record["change"]["kind"] == kind and target in (record["change"].get("id"), record.get("subject"))
    assert len(lab.facts("token.issued")) == 5
    replica.broker.close()


@pytest.mark.attack("REVOKE-09")
def test_one_act_stops_a_grant_with_all_that_came_from_it(lab: Lab) -> None:
    given, other = lab.tokens(), lab.tokens()
    second = lab.refresh(given["refresh_token"]).json
    down = lab.exchange(second["access_token"]).json["access_token"]
    replica = lab.replica()
    lab.switch("grant", str(claims(given["access_token"])["grant_id"]))
    for where in (lab, replica):
        assert not where.active(given["access_token"]) and not where.active(second["access_token"])
        assert not where.active(down, "crm-server") and where.active(other["access_token"])
        assert_refused(where.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert len(lab.facts("switch.thrown")) == 1
    replica.broker.close()


@pytest.mark.attack("REVOKE-09")
def test_the_handle_of_a_client_s_own_work_stops_it(lab: Lab) -> None:
    token = lab.client_credentials().json["access_token"]
    lab.switch("grant", str(claims(token)["grant_id"]))
    assert not lab.active(token)
    assert_refused(lab.client_credentials(), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "grant_off"
    lab.lift("grant", str(claims(token)["grant_id"]))
    assert lab.client_credentials().status_code == 200


@pytest.mark.attack("REVOKE-10")
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_twice_has_one_effect(lab: Lab, which: str) -> None:
    given = lab.tokens()
    assert lab.revoke(given[which]).status_code == 200
    after = everything(lab)
    for token in (given[which], given["access_token"], given["refresh_token"]):
        answer = lab.revoke(token)
        assert (answer.status_code, answer.json) == (200, {})
    assert everything(lab) == after
    assert len(lab.facts("grant.revoked")) == 1 and lab.rows("denial") == 1


@pytest.mark.attack("REVOKE-10")
def test_revoking_an_exchanged_or_own_token_twice_has_one_effect(lab: Lab) -> None:
    exchanged = lab.exchange(lab.tokens()["access_token"]).json["access_token"]
    own = lab.client_credentials("web-app", resource=TICKETS).json["access_token"]
    for token, client in ((exchanged, "tickets-server"), (own, "web-app")):
        for _ in range(2):
            assert lab.revoke(token, client).status_code == 200
    assert len(lab.facts("token.revoked")) == 2 and lab.rows("denial") == 2
    assert SECRETS["web-app"].encode() not in lab.dump()


def test_what_self_made_clients_are_refused_is_counted_not_recorded_one_by_one(lab: Lab) -> None:
    made = lab.register(token_endpoint_auth_method="client_secret_post").json
    form = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    for endpoint in ("/revoke", "/introspect"):
        before = len(lab.facts())
        for _ in range(40):
            assert_refused(lab.post(endpoint, form), 400, "invalid_request")
        assert len(lab.facts()) - before <= 10, endpoint
