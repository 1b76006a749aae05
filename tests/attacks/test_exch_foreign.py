"""Subject tokens of other issuers under attack: cases EXCH-15, EXCH-30 and EXCH-31."""

from dataclasses import replace

import pytest

from broker.estate.model import Edge, EdgeConsent
from broker.identity.federation.trusted.model import Reading, TrustedIssuer, Use
from broker.protocol.names import JWT_TOKEN_TYPE
from tests.lab import ACCESS_TOKEN, CRM, FILES, ISSUER, NOTES, TICKETS, Lab, claims
from tests.vouching import IDP, Vouchers

ELSEWHERE = "https://elsewhere.example"


def trusting(lab: Lab, *entries: tuple[Vouchers, dict[str, object]]) -> None:
    """Each is trusted for subject tokens in acme, unless it says otherwise; acme's administrator opens the CRM."""

    def work(tx: object) -> None:
        for number, (vouchers, changes) in enumerate(entries):
            entry = TrustedIssuer(
                f"idp{number}" if number else "idp",
                vouchers.issuer,
                None,
                ("acme",),
                (Use.SUBJECT_TOKENS,),
                jwks=vouchers.jwks,
            )
            lab.broker.federation.trusted.issuers.put(tx, replace(entry, **changes))
        mapping = {"tickets:read": ("crm:read",), "tickets:write": ("crm:read", "crm:write")}
        lab.broker.changes.put_edge(tx, Edge("tickets", "crm", mapping, consent=EdgeConsent.ADMIN))

    lab.change(work)


def spoken(idp: Vouchers, typ: str | None = "at+jwt", /, **changes: object) -> str:
    """A good access token of theirs for the ticket desk."""
    good = {"aud": TICKETS, "client_id": "their-app", "scope": "tickets:read", "sub": "u-1"}
    return idp.says(typ, **{**good, **changes})


def said(idp: Vouchers, **changes: object) -> str:
    """The same as a JWT of no type, as ID tokens are; None leaves a claim out."""
    good = {"aud": TICKETS, "client_id": "their-app", "scope": "tickets:read", "sub": "u-1", **changes}
    return idp.says("JWT", **{name: value for name, value in good.items() if value is not None})


@pytest.fixture
def idp(lab: Lab) -> Vouchers:
    idp = Vouchers(lab)
    trusting(lab, (idp, {}))
    return idp


def test_a_person_of_a_trusted_issuer_is_served_under_a_name_below_it(lab: Lab, idp: Vouchers) -> None:
    answer = lab.exchange(spoken(idp))
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.json["scope"] == "crm:read" and "refresh_token" not in answer.json
    body = claims(answer.json["access_token"])
    assert (body["iss"], body["sub"], body["aud"]) == (ISSUER, f"{IDP}#u-1", CRM)
    assert (body["tenant"], body["client_id"], body["vouched_by"]) == ("acme", "tickets-server", "idp")
    assert body["act"] == {
        "iss": ISSUER,
        "sub": "tickets-server",
        "client_id": "tickets-server",
        "act": {"iss": IDP, "sub": f"{IDP}#their-app", "client_id": f"{IDP}#their-app"},
    }
    assert not {"acr", "amr", "auth_time"} & set(body)
    assert str(body["txn"]).startswith("txn_") and str(body["grant_id"]).startswith("for_")
    record = lab.last("exchange.granted")
    assert record["subject"] == f"{IDP}#u-1" and record["actors"] == ["tickets-server", f"{IDP}#their-app"]
    assert record["change"] == {"vouched_by": "idp"}
    assert lab.active(answer.json["access_token"], "crm-server")


def test_what_was_made_of_it_goes_on_along_edges_of_administrators_alone(lab: Lab, idp: Vouchers) -> None:
    notes = lab.exchange(spoken(idp), resource=NOTES).json["access_token"]
    further = lab.exchange(notes, "notes-server")
    assert further.status_code == 200
    before, after = claims(notes), claims(further.json["access_token"])
    for kept in ("iss", "sub", "tenant", "txn", "grant_id", "vouched_by"):
        assert before[kept] == after[kept]
    asking = Edge("notes", "crm", {"notes:read": ("crm:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, asking))
    lab.refused(lab.exchange(notes, "notes-server"), 400, "invalid_request", "subject_is_no_user")
    lab.change(
        lambda tx: lab.broker.changes.put_edge(tx, Edge("tickets", "crm", {"tickets:read": ("crm:read",)}))
    )
    lab.refused(lab.exchange(spoken(idp)), 400, "invalid_request", "subject_is_no_user")


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("issuer", "idp", "issuer_off"),
        ("user", f"{IDP}#u-1", "user_off"),
        ("client", f"{IDP}#their-app", "actor_off"),
        ("tenant", "acme", "tenant_off"),
    ],
)
def test_an_issuer_and_each_of_its_people_can_be_switched_off(
    lab: Lab, idp: Vouchers, kind: str, target: str, reason: str
) -> None:
    notes = lab.exchange(spoken(idp), resource=NOTES).json["access_token"]
    lab.switch(kind, target)
    error = "invalid_target" if kind == "tenant" else "invalid_request"
    lab.refused(lab.exchange(spoken(idp)), 400, error, reason)
    lab.refused(lab.exchange(notes, "notes-server"), 400, error, reason)
    assert not lab.active(notes, "notes-server")
    lab.lift(kind, target)
    assert lab.exchange(spoken(idp)).status_code == 200


@pytest.mark.attack("EXCH-30")
def test_a_foreign_token_comes_from_an_issuer_of_the_tenant_for_the_caller(lab: Lab) -> None:
    idp, theirs, other_use = Vouchers(lab), Vouchers(lab, ELSEWHERE), Vouchers(lab, "https://third.example")
    trusting(
        lab, (idp, {}), (theirs, {"tenants": ("globex",)}), (other_use, {"uses": (Use.ID_JAG, Use.WORKLOAD)})
    )
    stranger = Vouchers(lab)
    now = int(lab.clock.time)
    invalid, foreign = "subject_token_invalid", "subject_token_foreign"
    bad = [
        (spoken(idp, iss=f"{IDP}/"), invalid),
        (spoken(idp, iss=IDP[:-1]), invalid),
        (spoken(idp, iss=[IDP]), invalid),
        (spoken(idp, iss=f"{IDP}.evil.example"), invalid),
        (spoken(idp, iss=ISSUER), invalid),
        (spoken(stranger), invalid),
        (spoken(Vouchers(lab, "https://nobody.example")), invalid),
        (spoken(other_use), invalid),
        (spoken(theirs), foreign),
        (spoken(idp, aud=NOTES), foreign),
        (spoken(idp, aud=ISSUER), foreign),
        (spoken(idp, aud=[TICKETS, NOTES]), foreign),
        (spoken(idp, aud=[]), foreign),
        (spoken(idp, azp="another-app"), invalid),
        (spoken(idp, exp=now - 60, iat=now - 120), "subject_token_expired"),
        (spoken(idp, nbf=now + 600), invalid),
        (spoken(idp, sub=""), invalid),
        (spoken(idp, authorization_details=[{"type": "t"}]), invalid),
        (spoken(idp, cnf={"kid": "k"}), invalid),
        (spoken(idp, "JWT"), invalid),
        (spoken(idp, "oauth-id-jag+jwt"), invalid),
    ]
    before, answers = lab.state(), set()
    for token, reason in bad:
        response = lab.exchange(token)
        lab.refused(response, 400, "invalid_request", reason)
        answers.add(response.get_data())
    assert len(answers) == 1, "the caller is not told which check it was"
    assert lab.state() == before
    for good in (spoken(idp), spoken(idp, aud=[TICKETS]), spoken(idp, azp="their-app")):
        assert lab.exchange(good).status_code == 200
    assert lab.exchange(spoken(idp, "JWT"), subject_token_type=JWT_TOKEN_TYPE).status_code == 200


@pytest.mark.attack("EXCH-30")
def test_an_issuer_of_one_tenant_says_nothing_about_another(lab: Lab) -> None:
    """The server of the files serves every tenant: whose issuer it is decides, and two tenants are none."""
    idp, both = Vouchers(lab), Vouchers(lab, ELSEWHERE)
    trusting(lab, (idp, {}), (both, {"tenants": ("acme", "globex")}))
    admin = Edge("files", "crm", {"files:read": ("crm:read",)}, consent=EdgeConsent.ADMIN)
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, admin))
    for_files = {"aud": FILES, "scope": "files:read"}
    answer = lab.exchange(spoken(idp, **for_files), "files-server")
    assert claims(answer.json["access_token"])["tenant"] == "acme"
    ambiguous = lab.exchange(spoken(both, **for_files), "files-server")
    lab.refused(ambiguous, 400, "invalid_request", "subject_token_foreign")
    through = lab.exchange(spoken(both, **for_files), "files-server", door="/t/acme")
    assert through.status_code == 200 and claims(through.json["access_token"])["tenant"] == "acme"


@pytest.mark.attack("EXCH-30")
def test_an_issuer_that_a_tenant_trusts_by_itself_is_believed_at_its_own_door_alone(lab: Lab) -> None:
    idp = Vouchers(lab)
    trusting(lab, (idp, {"tenant": "acme"}))
    lab.refused(lab.exchange(spoken(idp)), 400, "invalid_request", "subject_token_invalid")
    assert lab.exchange(spoken(idp), door="/t/acme").status_code == 200


@pytest.mark.attack("EXCH-31")
@pytest.mark.parametrize("taken", ["alice", "tickets-server", "desk-app", "nightly"])
def test_a_foreign_subject_is_nobody_here_whatever_it_is_called(lab: Lab, idp: Vouchers, taken: str) -> None:
    mail = {"email": "alice@example.com", "email_verified": True, "preferred_username": "alice"}
    answer = lab.exchange(spoken(idp, sub=taken, client_id=taken, **mail))
    body = claims(answer.json["access_token"])
    assert body["sub"] == f"{IDP}#{taken}" and not set(mail) & set(body)
    lab.switch("user" if taken == "alice" else "client", taken)
    if taken != "tickets-server":
        assert lab.exchange(spoken(idp, sub=taken, client_id=taken)).status_code == 200
    assert lab.active(answer.json["access_token"], "crm-server") is (taken != "tickets-server")


@pytest.mark.attack("EXCH-31")
def test_two_issuers_have_two_people_of_one_name(lab: Lab) -> None:
    one, other = Vouchers(lab), Vouchers(lab, ELSEWHERE)
    trusting(lab, (one, {}), (other, {}))
    bodies = [claims(lab.exchange(spoken(idp)).json["access_token"]) for idp in (one, other)]
    assert bodies[0]["sub"] != bodies[1]["sub"] and bodies[0]["grant_id"] != bodies[1]["grant_id"]
    lab.switch("user", f"{IDP}#u-1")
    lab.refused(lab.exchange(spoken(one)), 400, "invalid_request", "user_off")
    assert lab.exchange(spoken(other)).status_code == 200


@pytest.mark.attack("EXCH-15")
def test_a_chain_that_another_issuer_tells_of_is_nested_below_it(lab: Lab, idp: Vouchers) -> None:
    forged = {
        "iss": ISSUER,
        "sub": "desk-app",
        "client_id": "desk-app",
        "act": {"sub": "agent", "admin": True},
    }
    edge = Edge("tickets", "crm", {"tickets:read": ("crm:read",)}, consent=EdgeConsent.ADMIN, depth=3)
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, edge))
    body = claims(lab.exchange(spoken(idp, act=forged)).json["access_token"])
    holder = body["act"]["act"]
    assert {name: value for name, value in holder.items() if name != "act"} == {
        "iss": IDP,
        "sub": f"{IDP}#their-app",
        "client_id": f"{IDP}#their-app",
    }
    assert holder["act"] == {
        "iss": IDP,
        "sub": f"{IDP}#{ISSUER}%23desk-app",
        "client_id": f"{IDP}#desk-app",
        "act": {"iss": IDP, "sub": f"{IDP}#agent", "client_id": f"{IDP}#agent"},
    }
    lab.switch("client", "desk-app")
    assert lab.exchange(spoken(idp, act=forged)).status_code == 200, "they spoke of a desk-app of their own"
    deeper = {"sub": "a", "act": forged}
    lab.refused(lab.exchange(spoken(idp, act=deeper)), 400, "invalid_request", "chain_too_deep")
    endless: dict[str, object] = {"sub": "a"}
    for _ in range(40):
        endless = {"sub": "a", "act": endless}
    lab.refused(lab.exchange(spoken(idp, act=endless)), 400, "invalid_request", "subject_token_invalid")


@pytest.mark.attack("EXCH-15")
@pytest.mark.parametrize("act", [{"sub": "svc"}, {"sub": "svc", "act": {"client_id": "their-app"}}])
def test_a_holder_is_in_the_chain_whatever_its_issuer_tells_of_others(
    lab: Lab, idp: Vouchers, act: dict[str, object]
) -> None:
    notes = lab.exchange(spoken(idp, act=act), resource=NOTES).json["access_token"]
    assert lab.last("exchange.granted")["actors"].count(f"{IDP}#their-app") == 1
    assert lab.active(notes, "notes-server")
    lab.switch("client", f"{IDP}#their-app")
    assert not lab.active(notes, "notes-server")
    lab.refused(lab.exchange(notes, "notes-server"), 400, "invalid_request", "actor_off")
    lab.refused(lab.exchange(spoken(idp, act=act)), 400, "invalid_request", "actor_off")


@pytest.mark.attack("EXCH-30")
def test_a_token_of_another_client_or_one_that_says_who_signed_in_is_no_subject(lab: Lab) -> None:
    """`azp` alone is what an ID token says of its client; an entry may say that its access tokens do so too."""
    plain, some, theirs = Vouchers(lab), Vouchers(lab, ELSEWHERE), Vouchers(lab, "https://third.example")
    trusting(
        lab,
        (plain, {}),
        (some, {"reading": Reading(clients=("their-app",))}),
        (theirs, {"reading": Reading(client="azp", clients=("their-app",))}),
    )
    invalid, foreign = "subject_token_invalid", "subject_token_foreign"
    alone = {"client_id": None, "azp": "their-app"}
    for token, reason in (
        (said(plain, **alone), invalid),
        (said(plain, nonce="n-1"), invalid),
        (said(plain, at_hash="h-1"), invalid),
        (said(some, client_id="another-app"), foreign),
        (said(some, client_id=None), foreign),
        (said(some, **alone), invalid),
        (said(theirs, client_id=None, azp="another-app"), foreign),
        (said(theirs, client_id=None), foreign),
        (said(theirs, client_id="another-app", azp="their-app"), invalid),
    ):
        refused = lab.exchange(token, subject_token_type=JWT_TOKEN_TYPE)
        lab.refused(refused, 400, "invalid_request", reason)
    for token in (said(plain), said(some), said(theirs, **alone)):
        assert lab.exchange(token, subject_token_type=JWT_TOKEN_TYPE).status_code == 200


def test_the_scopes_of_another_issuer_are_what_its_entry_makes_of_them(lab: Lab) -> None:
    mapped, listed = Vouchers(lab), Vouchers(lab, ELSEWHERE)
    scopes = {"Desk.Read": ("tickets:read",), "Desk.Write": ("tickets:write",)}
    trusting(
        lab,
        (mapped, {"reading": Reading(scope="realm.scp", scopes=scopes)}),
        (listed, {"reading": Reading(scope="scp")}),
    )
    two = {"realm": {"scp": ["Desk.Read", "Desk.Admin"]}}
    assert lab.exchange(spoken(mapped, scope="tickets:write", **two)).json["scope"] == "crm:read"
    one = {"realm": {"scp": "Desk.Write"}}
    assert lab.exchange(spoken(mapped, **one)).json["scope"] == "crm:read crm:write"
    unmapped = {"realm": {"scp": ["tickets:read"]}}
    lab.refused(lab.exchange(spoken(mapped, **unmapped)), 400, "invalid_scope", "scope_empty")
    lab.refused(lab.exchange(spoken(mapped)), 400, "invalid_scope", "scope_empty")
    assert (
        lab.exchange(spoken(listed, scope="tickets:write", scp=["tickets:read"])).json["scope"] == "crm:read"
    )
    for wrong in (7, ["a b"], [7], {"a": "b"}):
        bad = spoken(listed, scp=wrong)
        lab.refused(lab.exchange(bad), 400, "invalid_request", "subject_token_invalid")


def test_a_bound_foreign_token_is_bound_to_the_callers_key_and_never_freed(lab: Lab, idp: Vouchers) -> None:
    bound = spoken(idp, cnf={"jkt": "k" * 43})
    lab.refused(lab.exchange(bound), 400, "invalid_request", "constraint_lost")


def test_a_may_act_of_another_issuer_forbids_here_too(lab: Lab, idp: Vouchers) -> None:
    named = spoken(idp, may_act={"client_id": "tickets-server"})
    assert lab.exchange(named, subject_token_type=ACCESS_TOKEN).status_code == 200
    lab.refused(
        lab.exchange(spoken(idp, may_act={"sub": "tickets-server", "iss": IDP})),
        400,
        "invalid_request",
        "may_act_other",
    )
