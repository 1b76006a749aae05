"""RFC 9728 section 3.3: an address is a tenant's once it says so itself, or a root admin gives their word."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.estate.claims import rules
from broker.estate.claims.claims import Claims, Refused
from broker.estate.claims.model import Claim, State
from broker.guard.guard import Guard
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.egress import Answer, EgressFailed, EgressRefused
from tests.documents import answered, reaching, site
from tests.lab import ACME, ISSUER, Lab, race

URI = "https://mine.example/mcp?v=1"
PROOF = "https://mine.example/.well-known/oauth-protected-resource/mcp?v=1"
ORIGIN = Origin("req_test", "cli", ISSUER)
DAY = 86400.0


def document(uri: str = URI, *doors: object) -> dict[str, object]:
    return {"resource": uri, "authorization_servers": list(doors or (ACME,))}


@dataclass
class Outside:
    """The web as the server finds it: an answer, or what comes instead."""

    answer: Answer | Exception
    asked: list[str] = field(default_factory=list)

    def get(self, url: str, **_: object) -> Answer:
        self.asked.append(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def outside() -> Outside:
    return Outside(answered(document()))


@pytest.fixture
def claims(lab: Lab, outside: Outside) -> Claims:
    broker = lab.broker
    return Claims(broker.world, broker.recorder, outside, lambda: broker.estate().doors)


@pytest.fixture
def claim(claims: Claims) -> Claim:
    return claims.make("acme", URI, ORIGIN)


def refusal(work: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as caught:
        work()
    return caught.value.reason


@pytest.mark.requirement("PRMREAD-01")
def test_a_claim_says_nothing_until_the_address_does(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    now = lab.clock.now()
    assert claim.state is State.PENDING and not rules.stands(claim, now)
    proved = claims.prove(claim.id, ORIGIN)
    assert proved is not None and proved.state is State.PROVED and rules.stands(proved, now)
    assert outside.asked == [PROOF], "at the resource's own origin, and nowhere else"
    assert [fact["fact"] for fact in lab.facts() if str(fact["fact"]).startswith("resource.")] == [
        "resource.claimed",
        "resource.proved",
    ]
    assert lab.last("resource.proved")["change"] == {"claim": claim.id, "uri": URI}
    assert lab.last("resource.proved")["tenant"] == "acme"


WRONG: dict[str, tuple[Answer, Reason]] = {
    "nothing there": (answered(b"", 404), Reason.PROOF_MISSING),
    "forbidden": (answered(document(), 403), Reason.PROOF_MISSING),
    "a page": (answered(document(), kind="text/html"), Reason.PROOF_MISSING),
    "no JSON": (answered(b"{"), Reason.PROOF_MISSING),
    "JSON twice over": (answered(b'{"resource": "a", "resource": "b"}'), Reason.PROOF_MISSING),
    "deep": (answered(b"[" * 60_000), Reason.PROOF_MISSING),
    "a list": (answered([document()]), Reason.PROOF_OF_ANOTHER),
    "another resource": (answered(document("https://mine.example/mcp")), Reason.PROOF_OF_ANOTHER),
    "another host": (answered(document("https://theirs.example/mcp?v=1")), Reason.PROOF_OF_ANOTHER),
    "the root door": (answered(document(URI, ISSUER)), Reason.PROOF_WITHOUT_DOOR),
    "another tenant's door": (answered(document(URI, f"{ISSUER}/t/globex")), Reason.PROOF_WITHOUT_DOOR),
    "a door that begins alike": (answered(document(URI, f"{ACME}2", f"{ACME}/")), Reason.PROOF_WITHOUT_DOOR),
    "no list": (answered({"resource": URI, "authorization_servers": ACME}), Reason.PROOF_WITHOUT_DOOR),
    "no doors": (answered({"resource": URI}), Reason.PROOF_WITHOUT_DOOR),
    "something else in the list": (answered(document(URI, None, 1, {})), Reason.PROOF_WITHOUT_DOOR),
}


@pytest.mark.requirement("PRMREAD-02")
@pytest.mark.requirement("PRMREAD-03")
@pytest.mark.parametrize("name", WRONG)
def test_what_the_address_says_otherwise_is_no_proof(name: str) -> None:
    answer, reason = WRONG[name]
    assert rules.heard(URI, ACME, answer.status, answer.headers, answer.body) is reason
    good = answered(document(URI, ISSUER, ACME))
    assert rules.heard(URI, ACME, good.status, good.headers, good.body) is None


def test_what_a_guard_publishes_of_itself_is_proof_for_the_doors_that_it_trusts() -> None:
    for doors, reason in ((ACME, None), (ISSUER, Reason.PROOF_WITHOUT_DOOR)):
        published = Guard(resource=URI, issuers={doors: ["acme"]}, tools={"read": ["r"]}).metadata
        assert published.url == PROOF == rules.proof_url(URI)
        assert rules.heard(URI, ACME, 200, {"content-type": "application/json"}, published.body) is reason


def test_a_refusal_is_recorded_and_the_claim_may_be_proved_later(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    outside.answer = answered(document(URI, ISSUER))
    assert refusal(lambda: claims.prove(claim.id, ORIGIN)) is Reason.PROOF_WITHOUT_DOOR
    record = lab.last("resource.unproved")
    assert (record["outcome"], record["reason"], record["tenant"]) == ("denied", "proof_without_door", "acme")
    assert claims.get(claim.id) == claim
    outside.answer = answered(document())
    proved = claims.prove(claim.id, ORIGIN)
    assert proved is not None and proved.state is State.PROVED


@pytest.mark.parametrize(
    "silence",
    [
        EgressFailed("too slow"),
        EgressRefused("mine.example is not on the public internet"),
        answered(b"", 503),
    ],
)
def test_an_address_that_does_not_answer_says_nothing_either_way(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside, silence: Answer | Exception
) -> None:
    outside.answer = silence
    assert refusal(lambda: claims.prove(claim.id, ORIGIN)) is Reason.PROOF_UNREACHABLE
    outside.answer = answered(document())
    proved = claims.prove(claim.id, ORIGIN)
    outside.answer = silence
    assert refusal(lambda: claims.prove(claim.id, ORIGIN)) is Reason.PROOF_UNREACHABLE
    assert claims.get(claim.id) == proved
    assert lab.last("resource.unproved")["reason"] == "proof_unreachable"


def test_a_proof_is_good_for_a_day_and_is_looked_at_again(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    claims.prove(claim.id, ORIGIN)
    lab.clock.advance(DAY - 1)
    claims.look_again()
    assert len(outside.asked) == 1 and rules.stands(claims.get(claim.id), lab.clock.now())
    lab.clock.advance(1)
    assert not rules.stands(claims.get(claim.id), lab.clock.now())
    claims.look_again()
    assert len(outside.asked) == 2 and rules.stands(claims.get(claim.id), lab.clock.now())


def test_addresses_that_never_answer_keep_no_other_from_being_asked(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    silent = [claims.make("acme", f"https://mine.example/{number}", ORIGIN) for number in range(2)]
    for one in silent:
        outside.answer = answered(document(one.uri))
        claims.prove(one.id, ORIGIN)
        lab.clock.advance(1)
    outside.answer = answered(document())
    claims.prove(claim.id, ORIGIN)
    lab.clock.advance(DAY)
    outside.answer = EgressFailed("too slow")
    claims.look_again(2)
    lab.clock.advance(60)
    outside.answer = answered(document())
    claims.look_again(2)
    assert rules.stands(claims.get(claim.id), lab.clock.now())


def test_a_proof_lapses_when_the_address_says_otherwise_and_can_be_given_again(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    claims.prove(claim.id, ORIGIN)
    outside.answer = answered(document(URI, "https://other.example"))
    lab.clock.advance(DAY)
    claims.look_again()
    lapsed = claims.get(claim.id)
    assert lapsed is not None and lapsed.state is State.LAPSED and not rules.stands(lapsed, lab.clock.now())
    assert lab.last("resource.lapsed")["reason"] == "proof_without_door"
    claims.look_again()
    assert len(lab.facts("resource.lapsed")) == 1 and len(outside.asked) == 2
    outside.answer = answered(document())
    again = claims.prove(claim.id, ORIGIN)
    assert again is not None and again.state is State.PROVED


def test_a_root_admins_word_stands_whatever_the_address_says(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    vouched = claims.vouch(claim.id, "met in person", ORIGIN)
    assert vouched is not None and vouched.state is State.VOUCHED
    assert lab.last("resource.vouched")["change"] == {
        "claim": claim.id,
        "uri": URI,
        "why": "met in person",
    }
    outside.answer = answered(b"", 404)
    assert refusal(lambda: claims.prove(claim.id, ORIGIN)) is Reason.PROOF_MISSING
    lab.clock.advance(400 * DAY)
    claims.look_again()
    assert rules.stands(claims.get(claim.id), lab.clock.now())


def test_two_tenants_may_claim_one_address_and_it_decides(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    theirs = claims.make("globex", URI, ORIGIN)
    assert theirs.id != claim.id and claims.make("acme", URI, ORIGIN) == claim
    assert refusal(lambda: claims.prove(theirs.id, ORIGIN)) is Reason.PROOF_WITHOUT_DOOR
    assert claims.prove(claim.id, ORIGIN) is not None
    assert len(lab.facts("resource.claimed")) == 2


def test_another_tenants_claim_is_answered_like_one_that_never_was(claims: Claims, claim: Claim) -> None:
    for wall in ("globex", "initech"):
        for identifier in (claim.id, "clm_none"):
            assert claims.get(identifier, wall) is None
            assert claims.prove(identifier, ORIGIN, wall) is None
            assert claims.withdraw(identifier, ORIGIN, wall) is False
        assert claims.every(wall) == []
    assert claims.get(claim.id, "acme") == claim
    assert claims.vouch("clm_none", "why", ORIGIN) is None


def test_a_suspended_tenant_claims_and_proves_nothing(
    lab: Lab, claims: Claims, claim: Claim, outside: Outside
) -> None:
    lab.switch("tenant", "acme")
    assert refusal(lambda: claims.make("acme", "https://more.example/mcp", ORIGIN)) is Reason.TENANT_OFF
    assert refusal(lambda: claims.prove(claim.id, ORIGIN)) is Reason.TENANT_OFF
    assert outside.asked == []
    lab.lift("tenant", "acme")
    assert claims.prove(claim.id, ORIGIN) is not None


@pytest.mark.parametrize(
    "uri",
    ["", "mine.example/mcp", "ftp://mine.example/", "https://mine.example/#x", "https://a@mine.example/"],
)
def test_what_is_no_address_of_a_resource_cannot_be_claimed(lab: Lab, claims: Claims, uri: str) -> None:
    assert refusal(lambda: claims.make("acme", uri, ORIGIN)) is Reason.MALFORMED
    assert refusal(lambda: claims.make("nowhere", URI, ORIGIN)) is Reason.TENANT_UNKNOWN
    assert lab.rows("resource_claim") == 0


def test_a_tenant_does_not_have_addresses_asked_without_end(
    claims: Claims, claim: Claim, outside: Outside
) -> None:
    outside.answer = answered(b"", 404)
    said = [refusal(lambda: claims.prove(claim.id, ORIGIN)) for _ in range(12)]
    assert said == [Reason.PROOF_MISSING] * 10 + [Reason.RATE_LIMITED] * 2
    assert len(outside.asked) == 10


def test_a_claim_that_is_withdrawn_is_gone(lab: Lab, claims: Claims, claim: Claim) -> None:
    assert claims.withdraw(claim.id, ORIGIN) is True
    assert claims.get(claim.id) is None and claims.withdraw(claim.id, ORIGIN) is False
    assert len(lab.facts("resource.withdrawn")) == 1


def test_of_many_proofs_at_once_one_settles_it(lab: Lab, claims: Claims, claim: Claim) -> None:
    done = race(8, lambda _: claims.prove(claim.id, ORIGIN))
    assert all(found is None or found.state is State.PROVED for found in done)
    assert len(lab.facts("resource.proved")) == sum(found is not None for found in done) >= 1


def test_the_address_itself_is_asked_and_no_redirect_followed(lab: Lab, tmp_path: Path) -> None:
    with site(tmp_path) as (there, authority):
        broker = lab.broker
        way_out = reaching(authority, lab.clock)
        claims = Claims(broker.world, broker.recorder, way_out, lambda: broker.estate().doors)
        claim = claims.make("acme", there.url("/mcp"), ORIGIN)
        path = "/.well-known/oauth-protected-resource/mcp"
        there.answer(path, b"", 302, location=there.url("/elsewhere"))
        there.answer("/elsewhere", document(claim.uri))
        assert refusal(lambda: claims.prove(claim.id, ORIGIN)) is Reason.PROOF_UNREACHABLE
        there.answer(path, document(claim.uri))
        proved = claims.prove(claim.id, ORIGIN)
        assert proved is not None and proved.state is State.PROVED
        assert there.seen == [path, path]
        way_out.close()
