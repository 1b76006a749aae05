"""Actor tokens and `may_act` under attack (RFC 8693 sections 2.1 and 4.4): cases EXCH-14 and EXCH-18."""

import json
from dataclasses import replace

import pytest

from broker.identity.clients.keys import ClientKeys, KeysUnavailable
from broker.identity.federation.trusted.model import TrustedIssuer, Use, Workload
from tests.assertions import Signer
from tests.lab import ACCESS_TOKEN, EXCHANGE, ISSUER, NOTES, TICKETS, Lab, claims, race
from tests.proofs import ABSENT, Holder
from tests.vouching import PLATFORM, Vouchers

JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
SERVER = "tickets-server"


def subject_of(lab: Lab, **may_act: object) -> str:
    """A token for the ticket desk, with `may_act` if some is given: this server writes none by itself."""
    token = lab.tokens()["access_token"]
    return lab.signed({**claims(token), **may_act}) if may_act else token


def working_for_itself(lab: Lab, name: str = SERVER) -> None:
    """Let a server's own client get tokens for its own work too."""
    lab.put_client(replace(lab.client(name), grant_types=(EXCHANGE, "client_credentials")))


def own_token(lab: Lab, name: str = SERVER, resource: str = TICKETS, **changes: str | None) -> str:
    answer = lab.client_credentials(name, resource=resource, **changes)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.json["access_token"]


def with_key(lab: Lab, name: str = SERVER) -> Signer:
    """A key of the server's client, which goes on authenticating with its secret."""
    signer = Signer(lab, name)
    lab.put_client(replace(lab.client(name), jwks=json.dumps({"keys": [signer.jwk()]})))
    return signer


def acting(actor: str, kind: str = ACCESS_TOKEN) -> dict[str, str]:
    return {"actor_token": actor, "actor_token_type": kind}


@pytest.mark.requirement("RFC8693-09")
def test_a_caller_may_prove_once_more_who_it_is_and_the_record_says_so(lab: Lab) -> None:
    working_for_itself(lab)
    signer, subject = with_key(lab), subject_of(lab)
    proofs = [acting(own_token(lab)), acting(own_token(lab), JWT_TYPE), acting(signer.assertion(), JWT_TYPE)]
    plain = claims(lab.exchange(subject).json["access_token"])
    for proof in proofs:
        answer = lab.exchange(subject, **proof)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        assert {**claims(answer.json["access_token"]), "jti": None} == {**plain, "jti": None}
        assert len(str(lab.last("exchange.granted")["change"]["actor_jti_hash"])) == 64


@pytest.mark.attack("EXCH-18")
@pytest.mark.requirement("RFC8693-09")
def test_an_actor_token_is_used_once_whatever_its_kind_and_a_refusal_uses_nothing_up(lab: Lab) -> None:
    working_for_itself(lab)
    signer, subject = with_key(lab), subject_of(lab)
    for proof in (acting(own_token(lab)), acting(signer.assertion(), JWT_TYPE)):
        refused = lab.exchange(subject, scope="crm:write", **proof)
        lab.refused(refused, 400, "invalid_scope", "scope_widened")
        before = lab.facts("exchange.granted")
        answers = race(4, lambda _, proof=proof: lab.exchange(subject, **proof).status_code)
        assert sorted(answers) == [200, 400, 400, 400]
        assert len(lab.facts("exchange.granted")) == len(before) + 1
        lab.refused(lab.exchange(subject, **proof), 400, "invalid_request", "actor_token_replayed")
        lab.refused(
            lab.exchange(subject, resource=NOTES, **proof), 400, "invalid_request", "actor_token_replayed"
        )
    assert lab.exchange(subject).status_code == 200


@pytest.mark.attack("EXCH-18")
def test_what_a_client_signed_counts_once_as_proof_or_as_actor(lab: Lab) -> None:
    signer = Signer(lab, SERVER)
    keyed = replace(lab.client(SERVER), method="private_key_jwt", jwks=json.dumps({"keys": [signer.jwk()]}))
    lab.put_client(keyed)
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject_of(lab),
        "subject_token_type": ACCESS_TOKEN,
        "resource": NOTES,
    }
    one = signer.assertion()
    both = lab.post("/token", {**form, **signer.form(one), **form, **acting(one, JWT_TYPE)})
    lab.refused(both, 400, "invalid_request", "actor_token_replayed")
    two = lab.post("/token", {**signer.form(), **form, **acting(signer.assertion(), JWT_TYPE)})
    assert two.status_code == 200, two.get_data(as_text=True)


@pytest.mark.attack("EXCH-18")
def test_an_actor_token_is_checked_like_a_subject_token(lab: Lab) -> None:
    working_for_itself(lab)
    good, subject = own_token(lab), subject_of(lab)
    now = lab.clock.time
    head, payload, signature = good.split(".")

    def forged(**changes: object) -> str:
        return lab.signed({**claims(good), **changes})

    bad = {
        "actor_token_expired": [forged(exp=now)],
        "actor_token_invalid": [
            f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
            f"{head}.{payload}.",
            forged(nbf=now + 60),
            forged(iss="https://elsewhere.example"),
            lab.signed(dict(claims(good)), typ="JWT"),
            "not a token",
            "x" * 5000,
        ],
        "actor_token_foreign": [
            forged(tenant="globex"),
            forged(sub="notes-server"),
            forged(client_id="notes-server"),
            forged(aud=NOTES),
            forged(act={"iss": ISSUER, "sub": "a", "client_id": "a"}),
            subject,
        ],
    }
    before, answers = lab.state(), set()
    for reason, tokens in bad.items():
        for token in tokens:
            response = lab.exchange(subject, **acting(token))
            lab.refused(response, 400, "invalid_request", reason)
            answers.add(response.get_data())
    assert len(answers) == 1, "the caller is not told which check it was"
    assert lab.state() == before
    assert lab.exchange(subject, **acting(good)).status_code == 200


@pytest.mark.attack("EXCH-18")
def test_an_assertion_is_an_actor_token_only_as_the_callers_own_and_for_this_issuer(lab: Lab) -> None:
    signer, subject = with_key(lab), subject_of(lab)
    now = int(lab.clock.time)
    stranger = Signer(lab, SERVER)
    bad = [
        (signer.assertion(exp=now - 60, iat=now - 120), "actor_token_expired"),
        (signer.assertion(exp=now + 3600), "actor_token_invalid"),
        (signer.assertion(jti=""), "actor_token_invalid"),
        (stranger.assertion(), "actor_token_invalid"),
        (signer.assertion(iss="notes-server", sub="notes-server"), "actor_token_foreign"),
        (signer.assertion(sub="notes-server"), "actor_token_foreign"),
        (signer.assertion(aud=TICKETS), "actor_token_foreign"),
        (signer.assertion(aud=[ISSUER]), "actor_token_foreign"),
        (signer.assertion(aud=f"{ISSUER}/t/acme"), "actor_token_foreign"),
    ]
    for token, reason in bad:
        lab.refused(lab.exchange(subject, **acting(token, JWT_TYPE)), 400, "invalid_request", reason)
    lab.refused(
        lab.exchange(subject, **acting(signer.assertion())), 400, "invalid_request", "actor_token_invalid"
    )
    assert lab.exchange(subject, **acting(signer.assertion(), JWT_TYPE)).status_code == 200


@pytest.mark.attack("EXCH-18")
def test_an_actor_that_was_switched_off_acts_with_no_token_of_its_own(lab: Lab) -> None:
    working_for_itself(lab)
    actor, subject = own_token(lab), subject_of(lab)
    lab.switch("token", str(claims(actor)["jti"]))
    lab.refused(lab.exchange(subject, **acting(actor)), 400, "invalid_request", "actor_token_off")
    other = own_token(lab)
    lab.switch("grant", str(claims(other)["grant_id"]))
    lab.refused(lab.exchange(subject, **acting(other)), 400, "invalid_request", "actor_token_off")
    lab.lift("grant", str(claims(other)["grant_id"]))
    assert lab.exchange(subject, **acting(other)).status_code == 200
    lab.switch("client", SERVER)
    lab.refused(lab.exchange(subject, **acting(actor)), 401, "invalid_client", "client_off")


@pytest.mark.attack("EXCH-18")
def test_an_actor_token_that_is_bound_to_a_key_takes_a_proof_by_that_key(lab: Lab) -> None:
    working_for_itself(lab)
    holder, subject = Holder(), subject_of(lab)

    def proof(by: Holder) -> str:
        return by.proof(f"{ISSUER}/token", lab.clock.now())

    actor = own_token(lab, dpop=proof(holder))
    assert claims(actor)["cnf"] == {"jkt": holder.jkt}
    for more in ({}, {"dpop": proof(Holder())}):
        refused = lab.exchange(subject, **acting(actor), **more)
        lab.refused(refused, 400, "invalid_request", "actor_token_foreign")
    assert lab.exchange(subject, **acting(actor), dpop=proof(holder)).json["token_type"] == "DPoP"


@pytest.mark.attack("EXCH-18")
def test_keys_of_an_actor_that_cannot_be_had_now_are_no_fault_of_its_token(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer, subject, passing = with_key(lab), subject_of(lab), True

    def none(*_: object) -> object:
        raise KeysUnavailable("away", passing)

    with monkeypatch.context() as patched:
        patched.setattr(ClientKeys, "of", none)
        away = lab.exchange(subject, **acting(signer.assertion(), JWT_TYPE))
        lab.refused(away, 503, "temporarily_unavailable", "client_keys_unavailable")
        assert away.headers["Retry-After"]
        passing = False
        gone = lab.exchange(subject, **acting(signer.assertion(), JWT_TYPE))
        lab.refused(gone, 400, "invalid_request", "actor_token_invalid")
    assert lab.exchange(subject, **acting(signer.assertion(), JWT_TYPE)).status_code == 200


@pytest.mark.attack("EXCH-18")
def test_a_platforms_token_is_an_actor_token_of_the_client_whose_workload_it_is(lab: Lab) -> None:
    platform, subject = Vouchers(lab, PLATFORM), subject_of(lab, may_act={"iss": PLATFORM, "sub": "pod-1"})
    issuers = lab.broker.federation.trusted.issuers

    def work(tx: object) -> None:
        entry = TrustedIssuer("td1", PLATFORM, None, ("acme",), (Use.WORKLOAD,), jwks=platform.jwks)
        issuers.put(tx, replace(entry, reusable=True))
        for name, client in (("one", SERVER), ("two", "notes-server")):
            issuers.put(tx, Workload(name, "acme", "td1", client, {"sub": (f"pod-{1 + (name == 'two')}",)}))

    lab.change(work)

    def says(**changes: object) -> dict[str, str]:
        return acting(platform.says("JWT", **{"sub": "pod-1", **changes}), JWT_TYPE)

    now = int(lab.clock.time)
    bad = [
        (says(sub="pod-2"), "actor_token_foreign"),
        (says(sub="pod-3"), "actor_token_foreign"),
        (says(aud=TICKETS), "actor_token_foreign"),
        (says(exp=now - 60, iat=now - 120), "actor_token_expired"),
        (says(jti=ABSENT), "actor_token_invalid"),
        (acting(Vouchers(lab, PLATFORM).says("JWT", sub="pod-1"), JWT_TYPE), "actor_token_invalid"),
    ]
    for proof, reason in bad:
        lab.refused(lab.exchange(subject, **proof), 400, "invalid_request", reason)
    lab.refused(lab.exchange(subject), 400, "invalid_request", "may_act_other")
    good = says()
    answer = lab.exchange(subject, **good)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    actor = claims(answer.json["access_token"])["act"]
    assert (actor["iss"], actor["sub"], actor["client_id"]) == (ISSUER, SERVER, SERVER)
    lab.refused(lab.exchange(subject, **good), 400, "invalid_request", "actor_token_replayed")
    lab.switch("issuer", "td1")
    lab.refused(lab.exchange(subject, **says()), 400, "invalid_request", "actor_token_off")


@pytest.mark.attack("EXCH-14")
@pytest.mark.requirement("RFC8693-14")
@pytest.mark.parametrize(
    "may_act",
    [
        {"sub": "notes-server"},
        {"sub": SERVER, "client_id": "notes-server"},
        {"sub": SERVER, "iss": "https://elsewhere.example"},
        {"sub": SERVER, "email": "agent@example.com"},
        {},
        SERVER,
    ],
)
def test_who_is_not_named_may_not_act_even_along_an_edge(lab: Lab, may_act: object) -> None:
    subject = subject_of(lab, may_act=may_act)
    record = lab.refused(lab.exchange(subject), 400, "invalid_request", "may_act_other")
    assert record["client"] == SERVER
    named = subject_of(lab, may_act={"sub": SERVER, "client_id": SERVER, "iss": ISSUER})
    answer = lab.exchange(named)
    assert answer.status_code == 200 and "may_act" not in claims(answer.json["access_token"])


@pytest.mark.attack("EXCH-14")
@pytest.mark.requirement("RFC8693-14")
def test_who_is_named_may_not_act_without_an_edge(lab: Lab) -> None:
    subject = subject_of(lab, may_act={"sub": SERVER})
    lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "tickets", "crm"))
    lab.refused(lab.exchange(subject), 400, "invalid_target", "no_edge")
    assert lab.exchange(subject, resource=NOTES).status_code == 200


@pytest.mark.attack("EXCH-14")
def test_another_agents_token_does_not_make_the_caller_that_agent(lab: Lab) -> None:
    working_for_itself(lab)
    working_for_itself(lab, "notes-server")
    subject = subject_of(lab, may_act={"sub": "notes-server", "client_id": "notes-server"})
    theirs = own_token(lab, "notes-server", NOTES)
    lab.refused(lab.exchange(subject, **acting(theirs)), 400, "invalid_request", "actor_token_foreign")
    mine = own_token(lab)
    lab.refused(lab.exchange(subject, **acting(mine)), 400, "invalid_request", "may_act_other")
    by_another = lab.exchange(subject, "notes-server", **acting(theirs))
    lab.refused(by_another, 400, "invalid_request", "subject_token_foreign")
    assert lab.exchange(subject_of(lab, may_act={"sub": SERVER}), **acting(mine)).status_code == 200
