"""Any id of an act leads to the whole chain that it belongs to, and to nobody else's."""

import hashlib

import pytest

from broker.audit import trace
from tests.lab import LEDGER, NOTES, Lab, assert_refused, claims

SIGN_IN = ["consent.granted", "code.issued", "code.consumed", "token.issued"]


def told(lab: Lab, any_id: object) -> list[object]:
    """The facts of the story that `any_id` leads to; how it began before the consent is another room's."""
    story = [record["fact"] for record in lab.trace(str(any_id))]
    return [fact for fact in story if fact not in ("session.started", "client.registered")]


def hashed(jti: object) -> str:
    return hashlib.sha256(str(jti).encode()).hexdigest()


@pytest.fixture
def story(lab: Lab) -> dict[str, dict[str, object]]:
    """A sign-in, an exchange, a refresh, and beside it somebody else's sign-in."""
    given = lab.tokens()
    down = lab.exchange(given["access_token"]).json
    lab.clock.advance(1)
    second = lab.refresh(given["refresh_token"]).json
    lab.tokens(user="bob")
    return {
        "first": claims(given["access_token"]),
        "down": claims(down["access_token"]),
        "second": claims(second["access_token"]),
    }


def test_a_transaction_tells_its_own_story_from_the_consent_on(
    lab: Lab, story: dict[str, dict[str, object]]
) -> None:
    assert told(lab, story["first"]["txn"]) == [*SIGN_IN, "exchange.granted"]
    refreshed = told(lab, story["second"]["txn"])
    assert refreshed == ["consent.granted", "code.issued", "refresh.rotated", "token.issued"]


@pytest.mark.parametrize("how", ["jti", "hash"])
@pytest.mark.parametrize("which", ["first", "down"])
def test_a_token_leads_to_its_story_by_jti_or_its_hash(
    lab: Lab, story: dict[str, dict[str, object]], which: str, how: str
) -> None:
    jti = story[which]["jti"]
    assert told(lab, jti if how == "jti" else hashed(jti)) == [*SIGN_IN, "exchange.granted"]


def test_a_grant_tells_everything_that_was_made_from_it(
    lab: Lab, story: dict[str, dict[str, object]]
) -> None:
    grant = story["first"]["grant_id"]
    assert told(lab, grant) == [*SIGN_IN, "exchange.granted", "refresh.rotated", "token.issued"]
    assert lab.broker.grants.revoke(str(grant), "test")
    assert told(lab, grant)[-1] == "grant.revoked"
    assert told(lab, story["first"]["txn"])[-1] == "grant.revoked"


def three_hops(lab: Lab, skew: float = 0.0) -> list[dict[str, object]]:
    """The claims of a user's token and of those made from it along two edges; `skew`: the last clock's lag."""
    first = lab.tokens()["access_token"]
    second = lab.exchange(first, resource=NOTES).json["access_token"]
    lab.clock.advance(-skew)
    third = lab.exchange(second, "notes-server").json["access_token"]
    return [claims(token) for token in (first, second, third)]


def test_a_chain_of_servers_is_told_hop_by_hop(lab: Lab) -> None:
    chain = three_hops(lab)
    for token in chain:
        assert told(lab, token["jti"]) == [*SIGN_IN, "exchange.granted", "exchange.granted"]
    hops = lab.trace(str(chain[2]["jti"]))[-3:]
    assert [hop["jti_hash"] for hop in hops] == [hashed(token["jti"]) for token in chain]
    assert [hop.get("parent_jti_hash") for hop in hops] == [
        None,
        *(hashed(token["jti"]) for token in chain[:2]),
    ]
    assert [hop.get("actors") for hop in hops] == [
        None,
        ["tickets-server", "desk-app"],
        ["notes-server", "tickets-server", "desk-app"],
    ]
    assert [(hop["resource"], hop.get("downstream")) for hop in hops] == [
        ("tickets", None),
        ("tickets", "notes"),
        ("notes", "crm"),
    ]


def test_the_clocks_of_two_processes_do_not_turn_a_story_round(lab: Lab) -> None:
    lab.clock.advance(0.9)
    chain = three_hops(lab, skew=0.6)
    hops = lab.trace(str(chain[0]["jti"]))
    assert hops[-1]["time"] < hops[-2]["time"]
    assert [hop["jti_hash"] for hop in hops[-3:]] == [hashed(token["jti"]) for token in chain]


def test_what_was_refused_on_the_way_is_part_of_the_story(lab: Lab) -> None:
    """By an edge that is not there, by one that is off, by the wrong server: whose token it was, is told."""
    chain = three_hops(lab)
    first = lab.tokens()["access_token"]
    jti, txn = claims(first)["jti"], claims(first)["txn"]
    assert_refused(lab.exchange(first, resource=LEDGER), 400, "invalid_target")
    assert_refused(lab.exchange(first, "notes-server"), 400, "invalid_request")
    lab.switch("edge", "tickets->crm")
    assert_refused(lab.exchange(first), 400, "invalid_target")
    assert not lab.introspect(first, "notes-server").json["active"]
    assert told(lab, txn) == [*SIGN_IN, *["token.refused"] * 3, "token.introspected"]
    refused = lab.trace(str(jti))[-4:-1]
    assert [record["reason"] for record in refused] == ["no_edge", "subject_token_foreign", "edge_off"]
    for record in refused:
        assert (record["parent_jti_hash"], record["subject"], record["tenant"]) == (
            hashed(jti),
            "alice",
            "acme",
        )
    assert [record["client"] for record in refused] == ["tickets-server", "notes-server", "tickets-server"]
    assert "token.refused" not in told(lab, chain[0]["txn"])


def test_what_ends_a_part_of_a_story_is_told_with_it(lab: Lab) -> None:
    chain = three_hops(lab)
    beginning = told(lab, chain[0]["txn"])
    lab.switch("transaction", str(chain[0]["txn"]))
    lab.lift("transaction", str(chain[0]["txn"]))
    lab.switch("token", str(chain[2]["jti"]))
    assert told(lab, chain[0]["txn"]) == [*beginning, "switch.thrown", "switch.lifted"]
    assert "switch.thrown" in told(lab, chain[2]["jti"])


def test_a_request_leads_to_what_it_did(lab: Lab, story: dict[str, dict[str, object]]) -> None:
    exchange = lab.last("exchange.granted")
    assert told(lab, exchange["request_id"]) == [*SIGN_IN, "exchange.granted"]
    assert told(lab, exchange["id"]) == [*SIGN_IN, "exchange.granted"]


def test_a_refused_request_leads_to_its_refusal(lab: Lab) -> None:
    code = lab.code()
    assert_refused(lab.redeem(code, code_verifier="w" * 43), 400, "invalid_grant")
    refused = lab.last("token.refused")
    (record,) = lab.trace(str(refused["request_id"]))
    assert (record["fact"], record["reason"], record["id"]) == (
        "token.refused",
        "pkce_mismatch",
        refused["id"],
    )


def test_a_replay_is_part_of_the_story_of_what_it_ended(lab: Lab) -> None:
    code = lab.code()
    token = claims(lab.redeem(code).json["access_token"])
    lab.clock.advance(1)
    assert_refused(lab.redeem(code), 400, "invalid_grant")
    assert told(lab, token["txn"]) == [*SIGN_IN, "grant.revoked", "code.replayed"]


def test_a_story_begins_with_the_registration_and_the_sign_in_that_it_needed(lab: Lab) -> None:
    client = lab.register(grant_types=["authorization_code"]).json["client_id"]
    lab.tokens(user="bob")
    token = claims(lab.tokens(client)["access_token"])
    story = lab.trace(str(token["txn"]))
    assert [record["fact"] for record in story] == ["client.registered", "session.started", *SIGN_IN]
    assert (story[0]["client"], story[1]["subject"]) == (client, "alice")


def test_a_story_under_a_remembered_consent_begins_with_that_consent(lab: Lab) -> None:
    browser = lab.browser()
    first = claims(lab.redeem(lab.code(browser=browser)).json["access_token"])
    second = claims(lab.redeem(lab.code(browser=browser)).json["access_token"])
    assert first["grant_id"] != second["grant_id"]
    story = lab.trace(str(second["txn"]))
    assert [record["fact"] for record in story] == ["session.started", *SIGN_IN]
    assert [record["grant_id"] for record in story[1:]] == [first["grant_id"], *[second["grant_id"]] * 3]


def test_no_story_contains_another_s(lab: Lab, story: dict[str, dict[str, object]]) -> None:
    for any_id in (story["first"]["txn"], story["first"]["grant_id"], story["down"]["jti"]):
        for record in lab.trace(str(any_id)):
            assert record.get("subject") in (None, "alice")
            assert record.get("grant_id") in (None, story["first"]["grant_id"])


@pytest.mark.parametrize("any_id", ["", "nothing", "%", "txn_", "acme", "alice", "desk-app", "' OR 1=1 --"])
def test_what_is_no_id_leads_nowhere(lab: Lab, any_id: str) -> None:
    lab.tokens()
    assert lab.trace(any_id) == []


def test_a_trace_behind_a_tenant_s_wall_sees_that_tenant_alone(
    lab: Lab, story: dict[str, dict[str, object]]
) -> None:
    txn, database = str(story["first"]["txn"]), lab.broker.world.database
    assert trace.trace(database, txn, "globex") == [] and trace.query(database, "globex") == []
    seen = [record.members["tenant"] for record in trace.trace(database, txn, "acme")]
    assert seen and set(seen) == {"acme"}


def test_a_query_filters_by_what_records_say_newest_first(
    lab: Lab, story: dict[str, dict[str, object]]
) -> None:
    database = lab.broker.world.database
    issued = trace.query(database, fact="token.issued", subject="alice")
    assert [record.members["txn"] for record in issued] == [story["second"]["txn"], story["first"]["txn"]]
    assert len(trace.query(database, client="tickets-server")) == 1
    assert trace.query(database, outcome="denied") == []
    since = lab.clock.now()
    assert {record.members["fact"] for record in trace.query(database, since=since, subject="alice")} == {
        "refresh.rotated",
        "token.issued",
    }
    assert len(trace.query(database, most=3)) == 3
