"""Token exchange under attack (RFC 8693): the EXCH cases of the table."""

from dataclasses import replace

import pytest

from broker.estate.model import Edge, EdgeConsent
from tests.lab import (
    ACCESS_TOKEN,
    ACME,
    CRM,
    EXCHANGE,
    FILES,
    ISSUER,
    LEDGER,
    NOTES,
    TICKETS,
    Lab,
    assert_refused,
    basic,
    claims,
)
from tests.proofs import Holder

REFRESH_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"
ID_TYPE = "urn:ietf:params:oauth:token-type:id_token"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


def access(lab: Lab, scope: str = "tickets:read", **changes: str | None) -> str:
    return lab.tokens(scope=scope, **changes)["access_token"]


def own(lab: Lab, token: str, **changes: object) -> str:
    """The claims of a real token, changed and signed again by the door's true key."""
    kept = {**claims(token), **changes}
    return lab.signed({name: value for name, value in kept.items() if value is not None})


@pytest.mark.requirement("RFC8693-02")
@pytest.mark.requirement("RFC8693-03")
@pytest.mark.attack("EXCH-01")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject_token": None}, "parameter_missing"),
        ({"subject_token": ""}, "parameter_missing"),
        ({"subject_token_type": None}, "parameter_missing"),
        ({"actor_token": "a.b.c"}, "actor_token_type"),
        ({"actor_token": "a.b.c", "actor_token_type": ""}, "actor_token_type"),
        ({"actor_token_type": ACCESS_TOKEN}, "actor_token_type"),
    ],
)
def test_an_exchange_needs_its_token_and_each_token_its_type(
    lab: Lab, changes: dict[str, str | None], reason: str
) -> None:
    subject = access(lab)
    before = lab.state()
    response = lab.exchange(**{"subject": subject, **changes})
    record = lab.refused(response, 400, "invalid_request", reason)
    assert record["client"] == "tickets-server"
    assert lab.state() == before
    assert lab.exchange(subject).status_code == 200


@pytest.mark.requirement("RFC8693-05")
@pytest.mark.attack("EXCH-03")
@pytest.mark.parametrize(
    "kind", ["refresh token", "code", "introspection answer", "metadata", "id_token", "logout+jwt"]
)
def test_what_is_no_access_token_is_not_exchanged_as_one(lab: Lab, kind: str) -> None:
    answer = lab.tokens()
    token = answer["access_token"]
    shown = {
        "refresh token": lambda: answer["refresh_token"],
        "code": lambda: lab.code(),
        "introspection answer": lambda: lab.introspect(token).get_data(as_text=True),
        "metadata": lambda: lab.get("/.well-known/oauth-protected-resource/r/tickets").json[
            "signed_metadata"
        ],
        "id_token": lambda: lab.signed(dict(claims(token)), typ="JWT"),
        "logout+jwt": lambda: lab.signed(dict(claims(token)), typ="logout+jwt"),
    }[kind]()
    before = lab.state()
    lab.refused(lab.exchange(shown), 400, "invalid_request", "subject_token_invalid")
    lab.refused(
        lab.exchange(shown, subject_token_type=JWT_TYPE), 400, "invalid_request", "subject_token_invalid"
    )
    assert lab.state() == before
    assert lab.exchange(token, subject_token_type=JWT_TYPE).status_code == 200


@pytest.mark.requirement("RFC8693-06")
@pytest.mark.attack("EXCH-03")
@pytest.mark.parametrize(
    "kind", [ID_TYPE, REFRESH_TYPE, "urn:ietf:params:oauth:token-type:saml2", "access_token"]
)
def test_an_access_token_is_not_exchanged_under_another_name(lab: Lab, kind: str) -> None:
    subject = access(lab)
    lab.refused(lab.exchange(subject, subject_token_type=kind), 400, "invalid_request", "subject_token_type")
    lab.refused(
        lab.exchange(subject, requested_token_type=kind), 400, "invalid_request", "requested_token_type"
    )
    assert lab.exchange(subject, requested_token_type=ACCESS_TOKEN).status_code == 200


@pytest.mark.requirement("RFC8693-04")
@pytest.mark.requirement("RFC8693-12")
@pytest.mark.attack("EXCH-04")
def test_a_subject_token_that_is_not_valid_gives_nothing_and_does_not_say_why(lab: Lab) -> None:
    good = access(lab)
    revoked = access(lab)
    assert lab.revoke(revoked).status_code == 200
    now = lab.clock.time
    head, payload, signature = good.split(".")
    bad = {
        "subject_token_expired": [own(lab, good, exp=now - 1), own(lab, good, exp=now)],
        "grant_off": [revoked],
        "subject_token_invalid": [
            f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
            f"{head}.{payload}.",
            own(lab, good, nbf=now + 60),
            own(lab, good, iss="https://elsewhere.example"),
            own(lab, good, exp=None),
            own(lab, good, tenant="globex-corp"),
            "not a token",
        ],
    }
    before, answers = lab.state(), set()
    for reason, tokens in bad.items():
        for token in tokens:
            response = lab.exchange(token)
            lab.refused(response, 400, "invalid_request", reason)
            answers.add(response.get_data())
    assert len(answers) == 1
    assert lab.state() == before
    assert lab.exchange(good).status_code == 200


@pytest.mark.attack("EXCH-05")
@pytest.mark.parametrize("size", [0, 4001, 20_000, 1_000_000])
def test_an_unusable_subject_token_never_turns_into_client_credentials(lab: Lab, size: int) -> None:
    lab.put_client(replace(lab.client("tickets-server"), grant_types=(EXCHANGE, "client_credentials")))
    before = lab.state()
    response = lab.exchange("x" * size, resource=TICKETS, scope="tickets:read")
    assert_refused(response, 413 if size > 65536 else 400, "invalid_request")
    assert lab.state() == before
    assert not lab.facts("token.issued")
    assert lab.client_credentials("tickets-server", resource=TICKETS).status_code == 200


@pytest.mark.attack("EXCH-06")
def test_a_server_exchanges_only_tokens_that_were_made_for_it(lab: Lab) -> None:
    stolen = access(lab)
    before = lab.state()
    for thief in ("notes-server", "files-server", "crm-server"):
        target = LEDGER if thief == "crm-server" else CRM
        response = lab.exchange(stolen, thief, resource=target)
        record = lab.refused(response, 400, "invalid_request", "subject_token_foreign")
        assert record["client"] == thief
    assert lab.state() == before
    assert lab.exchange(stolen).status_code == 200


@pytest.mark.attack("EXCH-06")
def test_a_server_that_no_longer_serves_the_tenant_exchanges_nothing_of_it(lab: Lab) -> None:
    subject = access(lab)
    tickets = lab.broker.estate().resources["tickets"]
    assert lab.exchange(subject).status_code == 200
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(tickets, tenants=("globex",))))
    lab.refused(lab.exchange(subject), 400, "invalid_request", "subject_token_foreign")


@pytest.mark.requirement("RFC8693-07")
@pytest.mark.attack("EXCH-08")
@pytest.mark.parametrize(
    "targets",
    [
        [("resource", CRM), ("resource", NOTES)],
        [("resource", CRM), ("resource", CRM)],
        [("resource", CRM), ("audience", "crm")],
        [("audience", "crm"), ("audience", "notes")],
        [("resource", CRM), ("resource", "https://unknown.example")],
    ],
)
def test_an_exchange_has_one_target(lab: Lab, targets: list[tuple[str, str]]) -> None:
    subject = access(lab)
    form = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)]
    response = lab.post("/token", form + targets, basic("tickets-server"))
    lab.refused(response, 400, "invalid_target", "resource_repeated")
    for one in (("resource", CRM), ("audience", CRM), ("audience", "crm")):
        assert lab.post("/token", [*form, one], basic("tickets-server")).status_code == 200


@pytest.mark.attack("EXCH-09")
@pytest.mark.parametrize("resource", [None, ""])
def test_an_exchange_without_a_target_is_refused(lab: Lab, resource: str | None) -> None:
    subject = access(lab)
    lab.refused(lab.exchange(subject, resource=resource), 400, "invalid_target", "resource_missing")
    assert claims(lab.exchange(subject).json["access_token"])["aud"] == CRM


@pytest.mark.requirement("RFC8693-10")
@pytest.mark.attack("EXCH-10")
def test_the_scope_cannot_exceed_the_subjects(lab: Lab) -> None:
    reading, writing = access(lab), access(lab, "tickets:write")
    lab.refused(lab.exchange(reading, scope="crm:write"), 400, "invalid_scope", "scope_widened")
    lab.refused(lab.exchange(reading, scope="crm:read crm:write"), 400, "invalid_scope", "scope_widened")
    lab.refused(lab.exchange(reading, scope="crm:read\t"), 400, "invalid_scope", "scope_unknown")
    assert lab.exchange(reading).json["scope"] == "crm:read"
    assert claims(lab.exchange(reading).json["access_token"])["scope"] == "crm:read"
    assert lab.exchange(writing).json["scope"] == "crm:read crm:write"
    assert lab.exchange(writing, scope="crm:write").json["scope"] == "crm:write"


@pytest.mark.attack("EXCH-10")
def test_a_subject_whose_scopes_give_nothing_there_gets_nothing(lab: Lab) -> None:
    subject = access(lab, "customers:read")
    assert lab.introspect(subject).json["scope"] == "customers:read"
    response = lab.exchange(subject)
    lab.refused(response, 400, "invalid_scope", "scope_empty")


@pytest.mark.attack("EXCH-11")
def test_the_scope_cannot_exceed_the_edge(lab: Lab) -> None:
    writing = access(lab, "tickets:write")
    assert lab.exchange(writing, scope="crm:write").status_code == 200
    narrow = Edge("tickets", "crm", {"tickets:read": ("crm:read",), "tickets:write": ("crm:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, narrow))
    lab.refused(lab.exchange(writing, scope="crm:write"), 400, "invalid_scope", "scope_widened")
    assert lab.exchange(writing).json["scope"] == "crm:read"


@pytest.mark.attack("EXCH-12")
def test_no_exchange_leaves_the_tenant(lab: Lab) -> None:
    subject = access(lab)
    edge = Edge("tickets", "globex-only", {"tickets:read": ("g:read",)}, consent=EdgeConsent.ADMIN)
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, edge))
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "resource": "https://globex.example/mcp",
        "tenant": "globex",
    }
    headers = {**basic("tickets-server"), "X-Tenant": "globex", "X-Tenant-ID": "globex"}
    before = lab.state()
    lab.refused(lab.post("/token", form, headers), 400, "invalid_target", "tenant_not_served")
    assert lab.state() == before
    allowed = lab.post("/token", {**form, "resource": CRM}, headers)
    assert allowed.status_code == 200
    assert claims(allowed.json["access_token"])["tenant"] == "acme"
    assert lab.facts("exchange.granted")[-1]["tenant"] == "acme"


@pytest.mark.requirement("RFC8693-13")
@pytest.mark.attack("EXCH-15")
def test_the_chain_of_actors_grows_and_keeps_everyone(lab: Lab) -> None:
    first = lab.exchange(access(lab), resource=NOTES).json["access_token"]
    second = lab.exchange(first, "notes-server").json["access_token"]
    chain, link = [], claims(second)["act"]
    while link is not None:
        chain.append((link["iss"], link["client_id"]))
        assert set(link) <= {"iss", "sub", "client_id", "act"}
        link = link.get("act")
    assert chain == [(ISSUER, "notes-server"), (ISSUER, "tickets-server"), (ISSUER, "desk-app")]
    assert lab.facts("exchange.granted")[-1]["actors"] == ["notes-server", "tickets-server", "desk-app"]


@pytest.mark.attack("EXCH-15")
def test_a_chain_cannot_be_brought_along(lab: Lab) -> None:
    subject = access(lab)
    forged = {"iss": ISSUER, "sub": "admin", "client_id": "admin"}
    foreign = lab.signed({**claims(subject), "act": forged}, typ="JWT")
    lab.refused(lab.exchange(foreign), 400, "invalid_request", "subject_token_invalid")
    stranger = own(lab, subject, iss="https://idp.example", act=forged)
    lab.refused(lab.exchange(stranger), 400, "invalid_request", "subject_token_invalid")
    answer = lab.exchange(subject, act="admin", actor="admin").json
    assert claims(answer["access_token"])["act"]["client_id"] == "tickets-server"


@pytest.mark.attack("EXCH-16")
def test_a_chain_at_the_allowed_depth_is_not_exchanged_once_more(lab: Lab) -> None:
    short = lab.exchange(access(lab)).json["access_token"]
    assert lab.exchange(short, "crm-server", resource=LEDGER).status_code == 200
    notes = lab.exchange(access(lab), resource=NOTES).json["access_token"]
    long = lab.exchange(notes, "notes-server").json["access_token"]
    record = lab.refused(
        lab.exchange(long, "crm-server", resource=LEDGER), 400, "invalid_request", "chain_too_deep"
    )
    assert record["client"] == "crm-server"


@pytest.mark.attack("EXCH-16")
@pytest.mark.parametrize("links", [33, 60, 200])
def test_an_endless_chain_is_refused_at_once(lab: Lab, links: int) -> None:
    subject = access(lab)
    act: dict[str, object] = {"iss": ISSUER, "sub": "s", "client_id": "c"}
    for _ in range(links):
        act = {"iss": ISSUER, "sub": "s", "client_id": "c", "act": act}
    endless = own(lab, subject, act=act)
    reason = "too_large" if len(endless) > 16384 else "subject_token_invalid"
    lab.refused(lab.exchange(endless), 400, "invalid_request", reason)
    assert not lab.facts("exchange.granted")
    assert lab.exchange(subject).status_code == 200


@pytest.mark.requirement("RFC8693-15")
@pytest.mark.attack("EXCH-17")
def test_an_exchange_names_the_actor_by_itself(lab: Lab) -> None:
    before = claims(access(lab))
    subject = access(lab)
    after = claims(lab.exchange(subject).json["access_token"])
    assert (after["sub"], after["client_id"], after["tenant"]) == ("alice", "tickets-server", "acme")
    assert after["act"]["client_id"] == "tickets-server" and after["act"]["act"]["client_id"] == "desk-app"
    assert (after["auth_time"], after["acr"], after["amr"]) == (
        before["auth_time"],
        before["acr"],
        before["amr"],
    )
    record = lab.facts("exchange.granted")[-1]
    assert (record["subject"], record["client"]) == ("alice", "tickets-server")
    assert (record["resource"], record["downstream"]) == ("tickets", "crm")
    assert record["actors"] == ["tickets-server", "desk-app"]
    assert "act" not in claims(subject)


@pytest.mark.requirement("RFC8693-16")
@pytest.mark.attack("EXCH-19")
def test_strangers_and_public_clients_cannot_exchange(lab: Lab) -> None:
    subject = access(lab)
    before = lab.state()
    lab.refused(lab.exchange(subject, "desk-app"), 400, "unauthorized_client", "client_grant_type")
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "resource": CRM,
    }
    lab.refused(lab.post("/token", form), 401, "invalid_client", "client_unknown")
    lab.refused(lab.exchange(subject, "nobody"), 401, "invalid_client", "client_unknown")
    lab.refused(
        lab.post("/token", {**form, "client_id": "tickets-server"}),
        401,
        "invalid_client",
        "client_method_mismatch",
    )
    assert lab.state() == before
    assert lab.exchange(subject).status_code == 200


@pytest.mark.attack("EXCH-19")
def test_a_public_client_registered_for_exchange_cannot_exchange_either(lab: Lab) -> None:
    subject = access(lab)
    public = replace(lab.client("desk-app"), grant_types=(EXCHANGE,))
    lab.put_client(public)
    lab.refused(lab.exchange(subject, "desk-app"), 400, "unauthorized_client", "client_grant_type")
    assert lab.exchange(subject).status_code == 200


@pytest.mark.attack("EXCH-20")
def test_exchange_is_for_resources_own_clients(lab: Lab) -> None:
    subject = access(lab)
    for name in ("nightly", "web-app"):
        lab.refused(lab.exchange(subject, name), 400, "unauthorized_client", "client_grant_type")
    lab.put_client(replace(lab.client("nightly"), grant_types=(EXCHANGE,)))
    lab.refused(lab.exchange(subject, "nightly"), 400, "unauthorized_client", "client_grant_type")
    assert lab.exchange(subject).status_code == 200


@pytest.mark.attack("EXCH-21")
@pytest.mark.parametrize(
    ("kind", "target", "error", "reason"),
    [
        ("user", "alice", "invalid_request", "user_off"),
        ("client", "desk-app", "invalid_request", "actor_off"),
        ("tenant", "acme", "invalid_target", "tenant_off"),
        ("resource", "crm", "invalid_target", "resource_off"),
        ("resource", "tickets", "invalid_target", "resource_off"),
        ("edge", "tickets->crm", "invalid_target", "edge_off"),
        ("everything", "*", "invalid_target", "everything_off"),
    ],
)
def test_what_was_switched_off_cannot_be_exchanged(
    lab: Lab, kind: str, target: str, error: str, reason: str
) -> None:
    subject = access(lab)
    assert lab.exchange(subject).status_code == 200
    lab.switch(kind, target)
    before = lab.state()
    lab.refused(lab.exchange(subject), 400, error, reason)
    assert lab.state() == before
    lab.lift(kind, target)
    assert lab.exchange(subject).status_code == 200


@pytest.mark.attack("EXCH-21")
def test_a_subject_whose_grant_ended_cannot_be_exchanged(lab: Lab) -> None:
    subject, other = access(lab), access(lab, client_id="web-app")
    assert lab.broker.grants.revoke(str(claims(subject)["grant_id"]), "test")
    lab.refused(lab.exchange(subject), 400, "invalid_request", "grant_off")
    assert lab.exchange(other).status_code == 200


@pytest.mark.attack("EXCH-21")
def test_a_caller_that_is_switched_off_is_a_client_that_is_switched_off(lab: Lab) -> None:
    subject = access(lab)
    lab.switch("client", "tickets-server")
    lab.refused(lab.exchange(subject), 401, "invalid_client", "client_off")


@pytest.mark.attack("EXCH-21")
def test_a_middle_server_that_is_switched_off_ends_what_went_through_it(lab: Lab) -> None:
    notes = lab.exchange(access(lab), resource=NOTES).json["access_token"]
    crm = lab.exchange(notes, "notes-server").json["access_token"]
    assert lab.active(crm, "crm-server")
    lab.switch("client", "tickets-server")
    lab.refused(lab.exchange(notes, "notes-server"), 400, "invalid_request", "actor_off")
    assert not lab.active(crm, "crm-server")


@pytest.mark.attack("EXCH-22")
def test_a_way_to_a_system_that_the_user_was_not_shown_needs_consent(lab: Lab) -> None:
    subject = access(lab)
    granted = str(claims(subject)["grant_id"])
    later = Edge("tickets", "ledger", {"tickets:read": ("ledger:read",)})
    # The ledger is within reach already, through the CRM: that is another way.
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, later))
    before = lab.state()
    response = lab.exchange(subject, resource=LEDGER)
    lab.refused(response, 400, "interaction_required", "edge_not_consented")
    assert response.json["interaction_uri"] == f"{ISSUER}/consent?grant={granted}"
    assert lab.state() == before
    lab.change(
        lambda tx: lab.broker.changes.put_edge(
            tx, Edge("tickets", "ledger", {"tickets:read": ("ledger:read",)}, consent=EdgeConsent.ADMIN)
        )
    )
    assert lab.exchange(subject, resource=LEDGER).status_code == 200


@pytest.mark.attack("EXCH-23")
def test_what_comes_out_is_never_what_went_in(lab: Lab) -> None:
    subject = access(lab)
    lab.clock.advance(1)
    answer = lab.exchange(subject).json
    went_in, came_out = claims(subject), claims(answer["access_token"])
    for name in ("jti", "aud", "iat"):
        assert went_in[name] != came_out[name]
    assert answer["access_token"] != subject
    assert lab.exchange(subject).json["access_token"] != answer["access_token"]
    record = lab.facts("exchange.granted")[-1]
    assert record["jti_hash"] != record["parent_jti_hash"]
    assert not lab.active(answer["access_token"]) and not lab.active(subject, "crm-server")


@pytest.mark.attack("EXCH-26")
def test_the_next_hop_needs_its_own_edge(lab: Lab) -> None:
    first = lab.exchange(access(lab, "tickets:write")).json["access_token"]
    for target, reason in ((NOTES, "no_edge"), (FILES, "no_edge"), (TICKETS, "no_edge"), (CRM, "no_edge")):
        lab.refused(lab.exchange(first, "crm-server", resource=target), 400, "invalid_target", reason)
    third = lab.exchange(first, "crm-server", resource=LEDGER)
    assert third.status_code == 200 and third.json["scope"] == "ledger:read"
    body = claims(third.json["access_token"])
    assert [body["act"]["client_id"], body["act"]["act"]["client_id"]] == ["crm-server", "tickets-server"]
    assert body["exp"] <= claims(first)["exp"]


@pytest.mark.attack("EXCH-26")
def test_an_edge_does_not_work_backwards(lab: Lab) -> None:
    subject = access(lab, resource=NOTES, scope="notes:read")
    lab.refused(lab.exchange(subject, "notes-server", resource=TICKETS), 400, "invalid_target", "no_edge")
    assert lab.exchange(subject, "notes-server").status_code == 200


@pytest.mark.requirement("RFC8693-08")
@pytest.mark.requirement("RFC8693-11")
@pytest.mark.attack("EXCH-27")
def test_the_answer_says_what_was_issued(lab: Lab) -> None:
    answer = lab.exchange(access(lab))
    assert set(answer.json) == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert answer.json["issued_token_type"] == ACCESS_TOKEN
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 120
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"


@pytest.mark.attack("EXCH-28")
def test_form_fields_cannot_write_claims(lab: Lab) -> None:
    subject = access(lab)
    extra = {
        "sub": "bob",
        "aud": TICKETS,
        "tenant": "globex",
        "act": '{"sub":"admin"}',
        "claims": '{"sub":"bob"}',
        "exp": "9999999999",
        "expires_in": "86400",
        "lifetime": "86400",
        "txn": "txn_mine",
        "grant_id": "gra_mine",
        "may_act": "{}",
        "cnf": '{"jkt":"x"}',
        "refresh_token": "mcpb_rt_x",
    }
    plain = claims(lab.exchange(subject).json["access_token"])
    written = claims(lab.exchange(subject, **extra).json["access_token"])
    assert {**plain, "jti": None} == {**written, "jti": None}


@pytest.mark.attack("EXCH-29")
@pytest.mark.parametrize(
    "spelled",
    [
        "https://crm.internal.example/.",
        "https://crm.internal.example/a/..",
        "https://crm.internal.example:443",
        "https://CRM.internal.example",
        "HTTPS://crm.internal.example",
        "https://crm.internal.example/",
        "https://crm.internal.ex%61mple",
        "https://crm.internal.example?",
        "https://crm.internal.example?x=1",
        "https://user@crm.internal.example",
        "https://crm.internal.example#",
        "https://crm.internal.example.",
        " https://crm.internal.example",
        "crm",
        "CRM",
    ],
)
def test_a_target_is_matched_as_registered(lab: Lab, spelled: str) -> None:
    subject = access(lab)
    lab.refused(lab.exchange(subject, resource=spelled), 400, "invalid_target", "resource_unknown")
    if spelled != "crm":
        response = lab.exchange(subject, resource=None, audience=spelled)
        lab.refused(response, 400, "invalid_target", "resource_unknown")
    assert lab.exchange(subject, resource=CRM).status_code == 200


@pytest.mark.attack("EXCH-32")
@pytest.mark.parametrize("kind", [REFRESH_TYPE, ACCESS_TOKEN])
def test_a_refresh_token_of_someone_else_is_no_subject(lab: Lab, kind: str) -> None:
    theirs = lab.tokens()["refresh_token"]
    before = lab.state()
    response = lab.exchange(theirs, subject_token_type=kind)
    assert_refused(response, 400, "invalid_request")
    assert lab.state() == before
    assert lab.refresh(theirs).status_code == 200


@pytest.mark.attack("EXCH-36")
def test_exchanged_tokens_fall_with_the_grant_they_came_from(lab: Lab) -> None:
    subject, other = access(lab), access(lab, client_id="web-app")
    notes = lab.exchange(subject, resource=NOTES).json["access_token"]
    crm = lab.exchange(notes, "notes-server").json["access_token"]
    kept = lab.exchange(other).json["access_token"]
    assert lab.active(notes, "notes-server") and lab.active(crm, "crm-server")
    assert lab.revoke(subject).status_code == 200
    assert not lab.active(notes, "notes-server") and not lab.active(crm, "crm-server")
    lab.refused(lab.exchange(notes, "notes-server"), 400, "invalid_request", "grant_off")
    assert lab.active(kept, "crm-server")
    assert lab.facts("grant.revoked")[-1]["grant_id"] == claims(subject)["grant_id"]


@pytest.mark.attack("EXCH-36")
def test_a_token_exchanged_at_one_door_is_nothing_at_another(lab: Lab) -> None:
    subject = access(lab)
    lab.refused(lab.exchange(subject, door="/t/acme"), 400, "invalid_request", "subject_token_invalid")
    through = lab.tokens(door="/t/acme")["access_token"]
    down = lab.exchange(through, door="/t/acme")
    assert down.status_code == 200 and claims(down.json["access_token"])["iss"] == ACME


@pytest.mark.attack("EXCH-25")
def test_an_exchange_does_not_shed_the_binding_of_its_subject(lab: Lab) -> None:
    def proof(holder: Holder) -> str:
        return holder.proof(f"{ISSUER}/token", lab.clock.now())

    user, server, next_server = Holder(), Holder(), Holder()
    subject = lab.redeem(lab.code(), dpop=proof(user)).json["access_token"]
    assert claims(subject)["cnf"] == {"jkt": user.jkt}
    for bare in ({}, {"token_type": "Bearer"}, {"requested_token_type": ACCESS_TOKEN}):
        lab.refused(lab.exchange(subject, **bare), 400, "invalid_request", "constraint_lost")
    assert_refused(lab.exchange(subject, dpop="a.b.c"), 400, "invalid_dpop_proof")
    down = lab.exchange(subject, resource=NOTES, dpop=proof(server))
    assert down.status_code == 200 and down.json["token_type"] == "DPoP"
    assert down.json["issued_token_type"] == ACCESS_TOKEN
    notes = down.json["access_token"]
    assert claims(notes)["cnf"] == {"jkt": server.jkt}, (
        "the caller's own key: it is the one that uses the token"
    )
    lab.refused(lab.exchange(notes, "notes-server"), 400, "invalid_request", "constraint_lost")
    further = lab.exchange(notes, "notes-server", dpop=proof(next_server))
    assert claims(further.json["access_token"])["cnf"] == {"jkt": next_server.jkt}


@pytest.mark.attack("EXCH-25")
def test_an_exchange_of_a_token_that_is_bound_to_nothing_may_bind(lab: Lab) -> None:
    subject, server = access(lab), Holder()
    assert "cnf" not in claims(lab.exchange(subject).json["access_token"])
    answer = lab.exchange(subject, dpop=server.proof(f"{ISSUER}/token", lab.clock.now()))
    assert answer.json["token_type"] == "DPoP"
    assert claims(answer.json["access_token"])["cnf"] == {"jkt": server.jkt}


@pytest.mark.attack("EXCH-25")
@pytest.mark.parametrize(
    "cnf", [{}, {"kid": "k"}, {"jkt": ""}, {"jkt": 7}, "k", None, {"jkt": "k", "jwk": {}}]
)
def test_a_binding_that_is_not_understood_is_fulfilled_by_nobody(lab: Lab, cnf: object) -> None:
    """Signed by the door's true key, but never by this server."""
    good = access(lab)
    strange = lab.signed({**claims(good), "cnf": cnf})
    proof = Holder().proof(f"{ISSUER}/token", lab.clock.now())
    for given in ({}, {"dpop": proof}):
        lab.refused(lab.exchange(strange, **given), 400, "invalid_request", "subject_token_invalid")
    assert not lab.active(strange)
    assert lab.exchange(good).status_code == 200
