"""Law 3: a refusal leaves evidence, and nobody can fill the disk with it."""

import secrets
from collections.abc import Callable

import pytest

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import PER_MINUTE, source_key
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction, Unavailable
from tests.lab import ISSUER, Lab, assert_refused, basic, race

HOME, ELSEWHERE = "203.0.113.7", "203.0.113.8"


def refuse(lab: Lab, times: int = 1, source: str = HOME, *, known: bool = False) -> None:
    for _ in range(times):
        lab.broker.refusals.record(
            Fact("token.refused", Outcome.DENIED, Reason.CODE_UNKNOWN),
            Origin("req_x", source, ISSUER),
            known=known,
        )


def recorded(lab: Lab, source: str = HOME) -> int:
    return sum(record["source"] == source for record in lab.facts("token.refused"))


def counted(lab: Lab) -> list[tuple[object, object]]:
    return [(record["source"], record["count"]) for record in lab.facts("refusals.counted")]


def test_of_a_stranger_s_refusals_the_first_ten_a_minute_are_recorded_then_one_number(lab: Lab) -> None:
    refuse(lab, 1000)
    assert recorded(lab) == PER_MINUTE and counted(lab) == []
    lab.clock.advance(60)
    refuse(lab)
    assert recorded(lab) == PER_MINUTE + 1 and counted(lab) == [(HOME, 990)]


def test_the_number_says_whom_it_counts_and_belongs_to_no_single_request(lab: Lab) -> None:
    refuse(lab, 15)
    lab.clock.advance(60)
    refuse(lab, source=ELSEWHERE)
    (record,) = lab.facts("refusals.counted")
    assert (record["outcome"], record["source"], record["count"]) == ("denied", HOME, 5)
    assert "request_id" not in record and "tenant" not in record


def test_a_duty_records_the_number_when_no_further_refusal_comes(lab: Lab) -> None:
    refuse(lab, 12)
    lab.broker.refusals.flush()
    assert counted(lab) == [], "the minute is not over"
    lab.clock.advance(60)
    lab.broker.tend()
    lab.broker.tend()
    assert counted(lab) == [(HOME, 2)]


def test_an_attack_that_never_pauses_is_counted_every_minute(lab: Lab) -> None:
    lab.clock.advance(50)
    for _ in range(300):
        refuse(lab, 2)
        lab.clock.advance(1)
    numbers = [count for _, count in counted(lab)]
    assert len(numbers) >= 4 and recorded(lab) <= 6 * PER_MINUTE
    lab.clock.advance(60)
    lab.broker.refusals.flush()
    assert recorded(lab) + sum(int(str(count)) for _, count in counted(lab)) == 600


def test_each_source_has_its_own_ten(lab: Lab) -> None:
    refuse(lab, 20)
    refuse(lab, 5, ELSEWHERE)
    assert (recorded(lab), recorded(lab, ELSEWHERE)) == (10, 5)


def test_an_ipv6_household_is_one_source(lab: Lab) -> None:
    for host in range(40):
        refuse(lab, 1, f"2001:db8:1:2::{host:x}")
    refuse(lab, 3, "2001:db8:1:3::1")
    assert len(lab.facts("token.refused")) == PER_MINUTE + 3
    lab.clock.advance(60)
    lab.broker.refusals.flush()
    assert counted(lab) == [("2001:db8:1:2::/64", 30)]


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_a_limit_counts_against_an_address_or_a_64(source: str, key: str) -> None:
    assert source_key(source) == key


def test_refusals_of_those_we_know_are_recorded_one_by_one(lab: Lab) -> None:
    refuse(lab, 50, known=True)
    assert recorded(lab) == 50
    lab.clock.advance(60)
    lab.broker.refusals.flush()
    assert counted(lab) == []


def test_every_refusal_of_an_authenticated_client_is_recorded(lab: Lab) -> None:
    for _ in range(15):
        assert_refused(lab.redeem(secrets.token_urlsafe(32), "web-app"), 400, "invalid_grant")
    assert len(lab.facts("token.refused", client="web-app")) == 15


def test_naming_a_public_client_makes_nobody_known(lab: Lab) -> None:
    for _ in range(15):
        assert_refused(lab.redeem(secrets.token_urlsafe(32)), 400, "invalid_grant")
        assert_refused(lab.refresh(secrets.token_urlsafe(32)), 400, "invalid_grant")
        assert_refused(lab.client_credentials("desk-app"), 400, "unauthorized_client")
    assert len(lab.facts("token.refused")) == PER_MINUTE
    lab.clock.advance(60)
    lab.broker.refusals.flush()
    assert counted(lab) == [(HOME, 35)]


def test_what_concerns_an_artefact_of_ours_is_recorded_one_by_one(lab: Lab) -> None:
    code, refresh = lab.code(), lab.tokens()["refresh_token"]
    for _ in range(15):
        assert_refused(lab.redeem(code, code_verifier="w" * 43), 400, "invalid_grant")
        assert_refused(lab.refresh(refresh, "two-uris"), 400, "invalid_grant")
    reasons = [record["reason"] for record in lab.facts("token.refused")]
    assert (reasons.count("pkce_mismatch"), reasons.count("refresh_foreign")) == (15, 15)


def test_failed_authentication_is_a_stranger_s(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(failures_per_minute=1000)
    form = {"grant_type": "client_credentials"}
    for _ in range(25):
        assert_refused(lab.post("/token", form, basic("nightly", "wrong" * 9)), 401, "invalid_client")
    reasons = {record["reason"] for record in lab.facts("token.refused")}
    assert len(lab.facts("token.refused")) == PER_MINUTE and reasons == {"client_authentication_failed"}


def test_a_form_that_nobody_can_be_recognized_in_leaves_evidence_too(lab: Lab) -> None:
    for path in ("/token", "/introspect", "/revoke"):
        assert_refused(lab.post(path, "client_id=a&client_id=b"), 400, "invalid_request")
        assert lab.last("token.refused")["reason"] == "repeated_parameter"
    for _ in range(25):
        assert_refused(lab.post("/token", "x=%ff"), 400, "invalid_request")
    assert len(lab.facts("token.refused")) == PER_MINUTE


def test_a_consequence_and_its_evidence_commit_together(lab: Lab) -> None:
    fact, origin = Fact("code.replayed", Outcome.DENIED, Reason.CODE_REPLAYED), Origin("req_x", HOME, ISSUER)

    def fail(tx: Transaction) -> None:
        lab.broker.recorder.record(tx, Fact("grant.revoked"), origin)
        raise LookupError

    refuse(lab, 20)
    with pytest.raises(LookupError):
        lab.broker.refusals.record(fact, origin, known=False, consequence=fail)
    assert lab.facts("code.replayed") == lab.facts("grant.revoked") == []
    lab.broker.refusals.record(
        fact,
        origin,
        known=False,
        consequence=lambda tx: lab.broker.recorder.record(tx, Fact("grant.revoked"), origin) and None,
    )
    assert len(lab.facts("code.replayed")) == len(lab.facts("grant.revoked")) == 1, "whatever the limit says"


def test_a_number_is_not_lost_while_the_database_is_away(lab: Lab) -> None:
    refuse(lab, 17)
    lab.clock.advance(60)
    with lab.database_down(), pytest.raises(Unavailable):
        refuse(lab)
    with lab.without_table("audit_record"), pytest.raises(Unavailable):
        lab.broker.refusals.flush()
    lab.broker.refusals.flush()
    assert counted(lab) == [(HOME, 7)]


def test_many_at_once_are_counted_exactly(lab: Lab) -> None:
    race(16, lambda _: refuse(lab, 10))
    assert recorded(lab) == PER_MINUTE
    lab.clock.advance(60)
    race(16, lambda _: lab.broker.refusals.flush())
    assert counted(lab) == [(HOME, 150)]
