"""The audit record: canonical, committed to, without secrets, and with personal values beside it that can go."""

import hashlib
import json

import pytest

from broker.audit.model import FACTS, Fact, Outcome
from broker.audit.record import commitment
from broker.protocol import jcs
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction, Unavailable
from tests.lab import ISSUER, PASSWORD, SECRETS, Lab, assert_refused, claims

ORIGIN = Origin("req_1", "203.0.113.7", ISSUER)


def stored(lab: Lab) -> list[tuple[str, str, str, str | None]]:
    """(id, body, leaf hash, personal values) of every record."""

    def read(tx: Transaction) -> list[tuple[str, str, str, str | None]]:
        rows = tx.connection.exec_driver_sql(
            'SELECT id, body, leaf_hash, "values" FROM audit_record LEFT JOIN audit_personal ON record_id = id'
        )
        return [tuple(row) for row in rows]

    return lab.broker.world.database.read(read)


def record(lab: Lab, fact: Fact, origin: Origin | None = ORIGIN, tenant: str | None = None) -> str:
    return lab.broker.world.database.write(lambda tx: lab.broker.recorder.record(tx, fact, origin), tenant)


def leaf(body: str) -> str:
    return hashlib.sha256(b"\0" + body.encode()).hexdigest()


def eventful(lab: Lab) -> list[str]:
    """A day in the life of the broker; every secret that passed by."""
    code = lab.code()
    given = lab.redeem(code).json
    second = lab.refresh(given["refresh_token"]).json
    down = lab.exchange(second["access_token"]).json
    assert_refused(lab.redeem(code, code_verifier="w" * 43), 400, "invalid_grant")
    assert lab.client_credentials().status_code == 200
    lab.browser().sign_in(lab.browser().get(lab.authorize_url()), "alice", "not the passphrase at all")
    browser = lab.browser()
    browser.sign_in(browser.get(lab.authorize_url()), "alice", "not the passphrase at all")
    lab.register()
    lab.introspect(given["access_token"], "notes-server")
    lab.switch("user", "alice")
    assert_refused(lab.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert_refused(lab.exchange(given["access_token"]), 400, "invalid_request")
    lab.lift("user", "alice")
    lab.revoke(given["access_token"])
    assert_refused(lab.redeem(code), 400, "invalid_grant")
    tokens = [answer["access_token"] for answer in (given, second, down)]
    refresh = [answer["refresh_token"] for answer in (given, second)]
    jtis = [str(claims(token)["jti"]) for token in tokens]
    return [code, PASSWORD, "not the passphrase at all", *SECRETS.values(), *tokens, *refresh, *jtis]


def test_every_body_is_canonical_and_its_leaf_hash_fits(lab: Lab) -> None:
    eventful(lab)
    rows = stored(lab)
    assert len(rows) > 20
    for _, body, leaf_hash, _ in rows:
        assert body.encode() == jcs.canonical(json.loads(body))
        assert leaf_hash == leaf(body)


def test_no_body_names_a_person_or_where_they_came_from(lab: Lab) -> None:
    eventful(lab)
    for _, body, _, _ in stored(lab):
        for personal in ("alice", "Alice", "203.0.113.7", "@example.com"):
            assert personal not in body, body


def test_no_record_holds_a_secret(lab: Lab) -> None:
    secrets = eventful(lab)
    for _, body, _, personal in stored(lab):
        for secret in secrets:
            assert secret not in body and secret not in (personal or "")


def test_personal_values_match_their_commitments_and_come_back_to_readers(lab: Lab) -> None:
    record(lab, Fact("session.started", subject="alice"))
    ((_, body, _, personal),) = [row for row in stored(lab) if "session.started" in row[1]]
    members, values = json.loads(body), json.loads(personal or "")
    assert set(values) == {"subject", "source"}
    for name, (salt, value) in values.items():
        assert members[name] == commitment(salt, value) and members[name].startswith("sha256:")
        assert len(salt) >= 43
    read = lab.last("session.started")
    assert (read["subject"], read["source"]) == ("alice", "203.0.113.7")


def test_the_same_person_is_committed_to_differently_each_time(lab: Lab) -> None:
    for _ in range(2):
        record(lab, Fact("session.started", subject="alice"))
    bodies = [json.loads(body) for _, body, _, _ in stored(lab) if "session.started" in body]
    assert len({body["subject"] for body in bodies}) == len({body["source"] for body in bodies}) == 2


def test_erasing_personal_values_leaves_the_evidence_whole(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    before = stored(lab)
    assert lab.sql("DELETE FROM audit_personal WHERE subject = ?", "alice") > 0
    for (name, body, leaf_hash, _), (same, kept, kept_leaf, personal) in zip(
        before, stored(lab), strict=True
    ):
        assert (name, body, leaf_hash) == (same, kept, kept_leaf) and leaf_hash == leaf(body)
        assert personal is None or "alice" not in personal
    chain = lab.trace(str(claims(token)["txn"]))
    assert "token.issued" in [members["fact"] for members in chain]
    for members in chain:
        assert str(members.get("subject", "sha256:")).startswith("sha256:")
    lab.broker.close()
    assert b'"alice"]' not in lab.dump(), "nothing is left of it in the file"


def test_members_that_do_not_apply_are_left_out(lab: Lab) -> None:
    record(lab, Fact("key.created", change={"kid": "k"}), None)
    body = next(json.loads(row[1]) for row in stored(lab) if '"kid":"k"' in row[1])
    assert set(body) == {"id", "time", "fact", "outcome", "change"}
    assert body["outcome"] == "allowed"


def test_a_record_says_everything_about_a_token_but_the_token(lab: Lab) -> None:
    given = lab.tokens(scope="tickets:read tickets:write")
    down = lab.exchange(given["access_token"]).json["access_token"]
    said, parent = claims(down), claims(given["access_token"])
    told = lab.last("exchange.granted")
    assert told["jti_hash"] == hashlib.sha256(str(said["jti"]).encode()).hexdigest()
    assert told["parent_jti_hash"] == hashlib.sha256(str(parent["jti"]).encode()).hexdigest()
    assert (told["tenant"], told["subject"], told["client"]) == ("acme", "alice", "tickets-server")
    assert (told["resource"], told["downstream"]) == ("tickets", "crm")
    assert (told["scope"], told["issuer"]) == ("crm:read crm:write", ISSUER)
    assert told["actors"] == ["tickets-server", "desk-app"]
    assert (told["txn"], told["grant_id"]) == (said["txn"], said["grant_id"])
    assert str(told["request_id"]).startswith("req_") and told["time"] == "2027-01-15T08:00:00.000Z"
    assert told["seq"] is None


def test_only_facts_of_the_closed_list_can_be_recorded(lab: Lab) -> None:
    before = lab.table("audit_record")
    with pytest.raises(KeyError):
        record(lab, Fact("something.happened"))
    assert lab.table("audit_record") == before
    record(lab, Fact("token.refused", Outcome.DENIED, Reason.CODE_UNKNOWN))
    assert all(fact.partition(".")[0] and fact.partition(".")[2] for fact in FACTS)


def test_a_record_goes_with_its_transaction(lab: Lab) -> None:
    def unit(tx: Transaction) -> None:
        lab.broker.recorder.record(tx, Fact("session.started", subject="alice"), ORIGIN)
        raise LookupError

    before = lab.table("audit_record"), lab.table("audit_personal")
    with pytest.raises(LookupError):
        lab.broker.world.database.write(unit)
    assert (lab.table("audit_record"), lab.table("audit_personal")) == before
    with lab.without_table("audit_personal"), pytest.raises(Unavailable):
        record(lab, Fact("session.started", subject="alice"))
    assert (lab.table("audit_record"), lab.table("audit_personal")) == before


def test_a_transaction_of_one_tenant_cannot_record_for_another(lab: Lab) -> None:
    before = lab.table("audit_record")
    with pytest.raises(PermissionError):
        record(lab, Fact("session.started", tenant="globex"), tenant="acme")
    assert lab.table("audit_record") == before
    record(lab, Fact("session.started", tenant="acme"), tenant="acme")


def test_records_stand_in_the_order_in_which_they_were_made(lab: Lab) -> None:
    made = [record(lab, Fact("session.started")) for _ in range(50)]
    assert made == sorted(made) and len(set(made)) == 50
    assert [members["id"] for members in lab.facts("session.started")] == made
