"""RFC 8693 along edges: who acted stays visible, and nothing ever grows but the chain."""

import re
from dataclasses import replace

import pytest

from broker.estate.model import Edge, EdgeConsent, Impact, Scope, Stage, Tool
from tests.lab import (
    ACME,
    CRM,
    EXCHANGE,
    ISSUER,
    LEDGER,
    NOTES,
    START,
    TICKETS,
    Browser,
    Lab,
    Page,
    claims,
    header,
)


def chain(token: str) -> list[str]:
    found, link = [], claims(token).get("act")
    while link is not None:
        found.append(link["client_id"])
        link = link.get("act")
    return found


def test_a_chain_of_three_keeps_every_actor_in_order(lab: Lab) -> None:
    first = lab.tokens()["access_token"]
    second = lab.exchange(first, resource=NOTES).json["access_token"]
    third = lab.exchange(second, "notes-server").json["access_token"]
    assert [chain(token) for token in (first, second, third)] == [
        [],
        ["tickets-server", "desk-app"],
        ["notes-server", "tickets-server", "desk-app"],
    ]
    assert [claims(token)["aud"] for token in (first, second, third)] == [TICKETS, NOTES, CRM]
    assert [claims(token)["client_id"] for token in (first, second, third)] == [
        "desk-app",
        "tickets-server",
        "notes-server",
    ]
    for kept in ("sub", "tenant", "iss", "txn", "grant_id", "auth_time", "acr", "amr"):
        assert len({str(claims(token)[kept]) for token in (first, second, third)}) == 1, kept
    records = lab.facts("exchange.granted")
    assert [record["actors"] for record in records] == [chain(second), chain(third)]
    assert records[1]["parent_jti_hash"] == records[0]["jti_hash"]
    assert records[0]["parent_jti_hash"] == lab.facts("token.issued")[-1]["jti_hash"]


def test_each_resource_gets_the_algorithm_that_is_its_own(lab: Lab) -> None:
    first = lab.tokens()["access_token"]
    assert header(lab.exchange(first, resource=NOTES).json["access_token"])["alg"] == "EdDSA"
    assert header(lab.exchange(first).json["access_token"])["alg"] == "ES256"


@pytest.mark.requirement("RFC8693-17")
def test_an_exchanged_token_never_outlives_its_parent(lab: Lab) -> None:
    first = lab.tokens()["access_token"]
    assert claims(first)["exp"] - lab.clock.time == 300
    fresh = lab.exchange(first).json
    assert fresh["expires_in"] == 120
    lab.clock.advance(250)
    late = lab.exchange(first).json
    assert late["expires_in"] == 50
    assert claims(late["access_token"])["exp"] == claims(first)["exp"]
    lab.clock.advance(50)
    lab.refused(lab.exchange(first), 400, "invalid_request", "subject_token_expired")


def test_a_resources_own_lifetime_holds_below_the_edges(lab: Lab) -> None:
    crm = lab.broker.estate().resources["crm"]
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(crm, lifetime=60)))
    assert lab.exchange(lab.tokens()["access_token"]).json["expires_in"] == 60


def test_the_depth_of_an_edge_counts_the_exchanges(lab: Lab) -> None:
    def edge(depth: int) -> None:
        rule = Edge("notes", "crm", {"notes:read": ("crm:read",)}, consent=EdgeConsent.ADMIN, depth=depth)
        lab.change(lambda tx: lab.broker.changes.put_edge(tx, rule))

    direct = lab.tokens(resource=NOTES, scope="notes:read")["access_token"]
    through = lab.exchange(lab.tokens()["access_token"], resource=NOTES).json["access_token"]
    edge(1)
    assert lab.exchange(direct, "notes-server").status_code == 200
    lab.refused(lab.exchange(through, "notes-server"), 400, "invalid_request", "chain_too_deep")
    edge(2)
    assert lab.exchange(through, "notes-server").status_code == 200


def test_a_clients_own_token_does_not_go_where_users_have_to_agree(lab: Lab) -> None:
    own = lab.client_credentials().json["access_token"]
    lab.refused(lab.exchange(own), 400, "invalid_request", "subject_is_no_user")
    answer = lab.exchange(own, resource=NOTES)
    assert answer.status_code == 200
    body = claims(answer.json["access_token"])
    assert (body["sub"], body["client_id"]) == ("nightly", "tickets-server")
    assert chain(answer.json["access_token"]) == ["tickets-server", "nightly"]
    assert "auth_time" not in body


OTHER_WAY = pytest.mark.parametrize(
    "beside", [False, True], ids=["the only way there", "beside another that was allowed"]
)


@OTHER_WAY
def test_an_edge_added_later_asks_the_user_once_and_then_works(lab: Lab, beside: bool) -> None:
    if not beside:
        lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "crm", "ledger"))
    browser: Browser = lab.browser()
    subject = lab.redeem(lab.code(browser=browser)).json["access_token"]
    later = Edge("tickets", "ledger", {"tickets:read": ("ledger:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, later))
    refused = lab.exchange(subject, resource=LEDGER)
    lab.refused(refused, 400, "interaction_required", "edge_not_consented")
    assert refused.json["interaction_uri"].startswith(f"{ISSUER}/consent?grant=gra_")
    assert lab.exchange(subject).status_code == 200
    page = browser.get(refused.json["interaction_uri"].removeprefix(ISSUER))
    assert page.status_code == 200 and Page.of(page).action is not None
    assert browser.allow(page).status_code == 200
    assert lab.exchange(subject, resource=LEDGER).status_code == 200


@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_whoever_comes_from_the_servers_page_signs_in_first_and_may_still_say_no(lab: Lab, door: str) -> None:
    """The walk of a person without JavaScript and without a session: page, sign-in, question, answer."""
    lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "crm", "ledger"))
    subject = lab.tokens(door=door)["access_token"]
    later = Edge("tickets", "ledger", {"tickets:read": ("ledger:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, later))

    def exchanged() -> object:
        return lab.exchange(subject, resource=LEDGER, door=door)

    for answer in ("deny", "allow"):
        refused = exchanged()
        lab.refused(refused, 400, "interaction_required", "edge_not_consented")
        assert refused.json["interaction_uri"].startswith(f"{ISSUER}{door}/consent?grant=gra_")
        browser = lab.browser()
        page = browser.sign_in(browser.get(refused.json["interaction_uri"].removeprefix(ISSUER)))
        assert "Ledger" in page.get_data(as_text=True)
        assert browser.submit(Page.of(page), decision=answer).status_code == 200
    granted = exchanged()
    assert granted.status_code == 200 and granted.json["scope"] == "ledger:read"
    assert claims(granted.json["access_token"])["iss"] == (ACME if door else ISSUER)
    assert [one["outcome"] for one in lab.facts("consent.granted")] == ["allowed"] * 2


@OTHER_WAY
def test_a_later_edge_further_down_the_chain_asks_the_same_user_once(lab: Lab, beside: bool) -> None:
    if not beside:
        lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "crm", "ledger"))
    browser = lab.browser()
    subject = lab.redeem(lab.code(browser=browser)).json["access_token"]
    later = Edge("notes", "ledger", {"notes:read": ("ledger:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, later))
    notes = lab.exchange(subject, resource=NOTES).json["access_token"]
    refused = lab.exchange(notes, "notes-server", resource=LEDGER)
    lab.refused(refused, 400, "interaction_required", "edge_not_consented")
    page = browser.get(refused.json["interaction_uri"].removeprefix(ISSUER))
    assert "reached by <bdi>Notes</bdi>" in page.get_data(as_text=True)
    browser.allow(page)
    assert lab.exchange(notes, "notes-server", resource=LEDGER).status_code == 200


def test_an_edge_works_until_the_moment_at_which_it_ends_and_no_token_outlives_it(lab: Lab) -> None:
    ending = Edge(
        "tickets", "crm", {"tickets:read": ("crm:read",)}, purpose="Look up", expires_at=START + 100
    )
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, ending))
    subject = lab.tokens()["access_token"]
    lab.clock.advance(40)
    answer = lab.exchange(subject).json
    assert answer["expires_in"] == 60
    assert claims(answer["access_token"])["exp"] == START + 100
    assert lab.last("exchange.granted")["change"] == {"purpose": "Look up"}
    lab.clock.advance(60)
    lab.refused(lab.exchange(subject), 400, "invalid_target", "edge_ended")
    assert lab.exchange(subject, resource=NOTES).status_code == 200


def test_an_edge_that_has_ended_is_not_part_of_what_a_person_is_asked(lab: Lab) -> None:
    ended = Edge("tickets", "crm", {"tickets:read": ("crm:read",)}, expires_at=START)
    lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "notes", "crm"))
    assert "Read the CRM" in lab.consent_page().get_data(as_text=True)
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, ended))
    assert "Read the CRM" not in lab.consent_page().get_data(as_text=True)


@pytest.mark.requirement("RFC8693-01")
def test_exchange_is_advertised_at_every_door(lab: Lab) -> None:
    for path in ("", "/t/acme"):
        document = lab.get(f"/.well-known/oauth-authorization-server{path}").json
        assert EXCHANGE in document["grant_types_supported"]


def test_what_a_server_gets_for_another_is_told_and_may_be_another_mcp_server(lab: Lab) -> None:
    subject = lab.tokens()["access_token"]
    for target in (NOTES, CRM):
        answer = lab.exchange(subject, resource=target).json
        assert answer["scope"] == claims(answer["access_token"])["scope"]
        assert claims(answer["access_token"])["aud"] == target


def sign_out(lab: Lab, user: str) -> None:
    for seen in lab.broker.sessions.of(user):
        assert lab.broker.sessions.end_by_id(seen.session.id)


@pytest.mark.attack("EXCH-21")
def test_a_token_of_a_sign_in_that_ended_goes_no_further(lab: Lab) -> None:
    subject = lab.tokens("no-refresh")["access_token"]
    through = lab.exchange(subject, resource=NOTES).json["access_token"]
    sign_out(lab, "alice")
    before = lab.state()
    lab.refused(lab.exchange(subject), 400, "invalid_request", "session_over")
    lab.refused(lab.exchange(through, "notes-server"), 400, "invalid_request", "session_over")
    assert lab.state() == before
    assert lab.exchange(lab.tokens("no-refresh")["access_token"]).status_code == 200


@pytest.mark.attack("EXCH-21")
def test_a_client_that_may_stay_connected_is_connected_when_its_user_signed_out(lab: Lab) -> None:
    """As its refresh token goes on working: docs/openid.md."""
    tokens = lab.tokens("desk-app")
    sign_out(lab, "alice")
    assert lab.refresh(tokens["refresh_token"]).status_code == 200
    assert lab.exchange(tokens["access_token"]).status_code == 200


@pytest.mark.attack("EXCH-21")
def test_a_token_of_a_person_whose_consent_nobody_knows_is_no_clients_own(lab: Lab) -> None:
    """Also where the administrator decided for people: it is a person's token, and nobody says whose consent it is."""
    good = lab.tokens()["access_token"]
    orphan = lab.signed({**claims(good), "grant_id": "gra_unknown"})
    lab.refused(lab.exchange(orphan, resource=NOTES), 400, "invalid_request", "grant_expired")
    assert lab.exchange(good, resource=NOTES).status_code == 200


@pytest.mark.attack("EXCH-21")
def test_a_member_who_left_is_not_acted_for(lab: Lab) -> None:
    subject = lab.tokens(user="both")["access_token"]
    assert lab.exchange(subject).status_code == 200
    both = lab.broker.people.get("both")
    assert both is not None
    left = replace(both, memberships=tuple(one for one in both.memberships if one.tenant != "acme"))
    lab.change(lambda tx: lab.broker.people.put(tx, left))
    lab.refused(lab.exchange(subject), 400, "invalid_request", "not_a_member")


def test_an_edge_that_gives_more_than_the_user_was_shown_gives_only_what_was_shown(lab: Lab) -> None:
    def edge(*scopes: str) -> None:
        rule = Edge("tickets", "crm", {"tickets:read": scopes})
        lab.change(lambda tx: lab.broker.changes.put_edge(tx, rule))

    edge("crm:read")
    subject = lab.tokens()["access_token"]
    edge("crm:read", "crm:write")
    assert lab.exchange(subject).json["scope"] == "crm:read"
    lab.refused(lab.exchange(subject, scope="crm:write"), 400, "interaction_required", "edge_not_consented")
    edge("crm:write")
    lab.refused(lab.exchange(subject), 400, "interaction_required", "edge_not_consented")
    assert lab.exchange(lab.tokens(client_id="web-app")["access_token"]).json["scope"] == "crm:write"


def test_what_one_way_gives_another_does_not_give_when_it_grows_later(lab: Lab) -> None:
    """The user was shown that the notes may change the CRM, not that the ticket desk may."""

    def edge(source: str, scope: str, *scopes: str) -> None:
        lab.change(lambda tx: lab.broker.changes.put_edge(tx, Edge(source, "crm", {scope: scopes})))

    edge("tickets", "tickets:read", "crm:read")
    edge("notes", "notes:read", "crm:read", "crm:write")
    subject = lab.tokens()["access_token"]
    notes = lab.exchange(subject, resource=NOTES).json["access_token"]
    edge("tickets", "tickets:read", "crm:read", "crm:write")
    assert lab.exchange(notes, "notes-server").json["scope"] == "crm:read crm:write"
    assert lab.exchange(subject).json["scope"] == "crm:read"
    lab.refused(lab.exchange(subject, scope="crm:write"), 400, "interaction_required", "edge_not_consented")


def test_an_earlier_consent_does_not_answer_for_an_edge_that_came_later(lab: Lab) -> None:
    """Also where what it leads to was within reach; the pages tell which servers reach it."""
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    assert "code=" in browser.get(lab.authorize_url("web-app")).headers["Location"]
    later = Edge("notes", "ledger", {"notes:read": ("ledger:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, later))
    page = browser.get(lab.authorize_url("web-app"))
    both = "reached by <bdi>CRM</bdi>, <bdi>Notes</bdi>"
    assert page.status_code == 200 and both in page.get_data(as_text=True)
    browser.allow(page)
    listed = browser.get("/account/apps").get_data(as_text=True)
    [app] = re.findall(r'href="https://as\.example(/account/apps/[^"]+)"', listed)
    assert both in browser.get(app).get_data(as_text=True)


def test_a_scope_that_implies_another_asks_once_and_then_gives_both(lab: Lab) -> None:
    ledger = replace(
        lab.broker.estate().resources["ledger"],
        scopes=(Scope("ledger:read", ""), Scope("ledger:write", "", implies=("ledger:read",))),
    )
    lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "crm", "ledger"))
    browser = lab.browser()
    subject = lab.redeem(lab.code(browser=browser)).json["access_token"]
    later = Edge("tickets", "ledger", {"tickets:read": ("ledger:write",)})
    lab.change(
        lambda tx: (lab.broker.changes.put_resource(tx, ledger), lab.broker.changes.put_edge(tx, later))
    )
    both = "ledger:read ledger:write"
    asked = lab.exchange(subject, resource=LEDGER, scope=both)
    lab.refused(asked, 400, "interaction_required", "edge_not_consented")
    page = browser.get(asked.json["interaction_uri"].removeprefix(ISSUER))
    assert browser.allow(page).status_code == 200
    for scope in (both, "ledger:read", "ledger:write", None):
        answer = lab.exchange(subject, resource=LEDGER, scope=scope)
        assert answer.status_code == 200, (scope, answer.json)
    assert answer.json["scope"] == both


def test_a_stranger_cannot_answer_for_the_user(lab: Lab) -> None:
    lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "crm", "ledger"))
    subject = lab.tokens()["access_token"]
    later = Edge("tickets", "ledger", {"tickets:read": ("ledger:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, later))
    uri = lab.exchange(subject, resource=LEDGER).json["interaction_uri"].removeprefix(ISSUER)
    bob = lab.browser()
    assert lab.consent_page("bob", bob).status_code == 200
    answer = bob.get(uri)
    assert answer.status_code >= 400 or Page.of(answer).values("decision") == []
    lab.refused(lab.exchange(subject, resource=LEDGER), 400, "interaction_required", "edge_not_consented")


def test_an_edge_that_is_switched_off_is_off_until_it_is_lifted(lab: Lab) -> None:
    subject = lab.tokens()["access_token"]
    lab.switch("edge", "tickets->crm")
    lab.refused(lab.exchange(subject), 400, "invalid_target", "edge_off")
    assert lab.exchange(subject, resource=NOTES).status_code == 200
    lab.lift("edge", "tickets->crm")
    assert lab.exchange(subject).status_code == 200


@pytest.mark.attack("KILL-03")
def test_an_edge_that_is_switched_off_ends_what_came_along_it_however_far(lab: Lab) -> None:
    subject = lab.tokens()["access_token"]
    notes = lab.exchange(subject, resource=NOTES).json["access_token"]
    crm = lab.exchange(notes, "notes-server").json["access_token"]
    beside = lab.exchange(subject).json["access_token"]
    lab.switch("edge", "tickets->notes")
    assert lab.active(subject) and lab.active(beside, "crm-server")
    assert not lab.active(notes, "notes-server") and not lab.active(crm, "crm-server")
    lab.refused(lab.exchange(notes, "notes-server"), 400, "invalid_request", "edge_behind_off")
    assert lab.exchange(beside, "crm-server", resource=LEDGER).status_code == 200
    lab.lift("edge", "tickets->notes")
    assert lab.active(crm, "crm-server")


def went_through(lab: Lab) -> tuple[str, str]:
    """What `notes` and `crm` hold of one call: it went from the client to `tickets`, `notes` and `crm`."""
    onward = Edge("crm", "ledger", {"crm:read": ("ledger:read",)}, consent=EdgeConsent.ADMIN)
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, onward))
    notes = lab.exchange(lab.tokens()["access_token"], resource=NOTES).json["access_token"]
    return notes, lab.exchange(notes, "notes-server").json["access_token"]


@pytest.mark.attack("KILL-03")
@pytest.mark.parametrize("middle", ["tickets", "notes"])
def test_a_server_that_is_switched_off_ends_what_went_through_it_however_far(lab: Lab, middle: str) -> None:
    _, crm = went_through(lab)
    beside = lab.exchange(lab.tokens()["access_token"]).json["access_token"]
    assert lab.active(crm, "crm-server")
    lab.switch("resource", middle)
    assert not lab.active(crm, "crm-server")
    refused = lab.exchange(crm, "crm-server", resource=LEDGER)
    record = lab.refused(refused, 400, "invalid_request", "resource_behind_off")
    assert record["detail"] == f"resource {middle}"
    assert lab.active(beside, "crm-server") is (middle == "notes")
    lab.lift("resource", middle)
    assert lab.active(crm, "crm-server")
    assert lab.exchange(crm, "crm-server", resource=LEDGER).status_code == 200


@pytest.mark.parametrize("how", ["removed", "ended"])
def test_an_edge_that_is_there_no_more_ends_what_came_along_it_however_far(lab: Lab, how: str) -> None:
    edge = lab.broker.estate().edges["tickets", "notes"]
    if how == "ended":
        ending = replace(edge, expires_at=lab.clock.now() + 100)
        lab.change(lambda tx: lab.broker.changes.put_edge(tx, ending))
    notes, crm = went_through(lab)
    beside = lab.exchange(lab.tokens()["access_token"]).json["access_token"]
    assert lab.active(notes, "notes-server") and lab.active(crm, "crm-server")
    if how == "ended":  # sooner than was known when they were made
        ended = replace(edge, expires_at=lab.clock.now() + 1)
        lab.change(lambda tx: lab.broker.changes.put_edge(tx, ended))
        lab.clock.advance(1)
    else:
        lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "tickets", "notes"))
    assert not lab.active(notes, "notes-server") and not lab.active(crm, "crm-server")
    for token, server, target in ((notes, "notes-server", CRM), (crm, "crm-server", LEDGER)):
        refused = lab.exchange(token, server, resource=target)
        record = lab.refused(refused, 400, "invalid_request", "edge_behind_off")
        assert record["detail"] == "edge tickets->notes"
    assert lab.active(beside, "crm-server")
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, edge))
    assert lab.active(notes, "notes-server")


def test_a_servers_own_work_came_along_no_edge(lab: Lab) -> None:
    """The first in a chain got its token for itself, even where it is a server: no edge has to be there for it."""

    def work(tx: object) -> None:
        client = lab.broker.clients.within(tx, "tickets-server")
        lab.broker.clients.put(tx, replace(client, grant_types=(EXCHANGE, "client_credentials")))
        lab.broker.changes.remove_edge(tx, "tickets", "notes")

    lab.change(work)
    own = lab.client_credentials("tickets-server", resource=NOTES).json["access_token"]
    answer = lab.exchange(own, "notes-server")
    assert answer.status_code == 200 and lab.active(answer.json["access_token"], "crm-server")


def test_an_edge_that_is_removed_is_gone(lab: Lab) -> None:
    subject = lab.tokens()["access_token"]
    lab.change(lambda tx: lab.broker.changes.remove_edge(tx, "tickets", "crm"))
    lab.refused(lab.exchange(subject), 400, "invalid_target", "no_edge")
    assert lab.exchange(subject, resource=NOTES).status_code == 200


def test_a_scope_may_be_narrowed_to_what_another_implies(lab: Lab) -> None:
    crm = lab.broker.estate().resources["crm"]
    implying = (crm.scopes[0], replace(crm.scopes[1], implies=("crm:read",)))
    narrow = Edge("tickets", "crm", {"tickets:write": ("crm:write",)})

    def work(tx: object) -> None:
        lab.broker.changes.put_resource(tx, replace(crm, scopes=implying))
        lab.broker.changes.put_edge(tx, narrow)

    lab.change(work)
    subject = lab.tokens(scope="tickets:write")["access_token"]
    assert lab.exchange(subject).json["scope"] == "crm:read crm:write"
    assert lab.exchange(subject, scope="crm:read").json["scope"] == "crm:read"


def test_a_stage_withholds_scopes_at_the_target(lab: Lab) -> None:
    crm = lab.broker.estate().resources["crm"]
    tools = (Tool("look", ("crm:read",), Impact.READ), Tool("change", ("crm:write",), Impact.EXTERNAL_WRITE))
    subject = lab.tokens(scope="tickets:write")["access_token"]
    lab.change(
        lambda tx: lab.broker.changes.put_resource(tx, replace(crm, tools=tools, stage=Stage.READ_ONLY))
    )
    assert lab.exchange(subject).json["scope"] == "crm:read"
    lab.refused(lab.exchange(subject, scope="crm:write"), 400, "invalid_scope", "scope_widened")


def leaves(lab: Lab, user: str) -> None:
    known = lab.broker.people.get(user)
    assert known is not None
    lab.change(lambda tx: lab.broker.people.put(tx, replace(known, memberships=())))


ENDINGS = {
    "user_off": lambda lab, _: lab.switch("user", "alice"),
    "not_a_member": lambda lab, _: leaves(lab, "alice"),
    "grant_off": lambda lab, token: lab.broker.grants.revoke(str(claims(token)["grant_id"]), "test"),
    "session_over": lambda lab, _: sign_out(lab, "alice"),
    "token_off": lambda lab, token: lab.switch("token", str(claims(token)["jti"])),
    "actor_off": lambda lab, _: lab.switch("client", "no-refresh"),
    "client_off": lambda lab, _: lab.switch("client", "tickets-server"),
    "tenant_off": lambda lab, _: lab.switch("tenant", "acme"),
    "edge_off": lambda lab, _: lab.switch("edge", "tickets->crm"),
    "resource_off": lambda lab, _: lab.switch("resource", "crm"),
    "everything_off": lambda lab, _: lab.switch("everything", "*"),
}


@pytest.mark.attack("EXCH-21")
@pytest.mark.parametrize("reason", ENDINGS)
def test_what_ends_while_an_exchange_is_under_way_is_seen_where_it_would_mint(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    subject = lab.tokens("no-refresh")["access_token"]
    assert lab.exchange(subject).status_code == 200
    grant_type = lab.broker.pipeline.grant_types[EXCHANGE]
    verify = grant_type.verify

    def meanwhile(request: object) -> object:
        verified = verify(request)
        ENDINGS[reason](lab, subject)
        return verified

    monkeypatch.setattr(grant_type, "verify", meanwhile)
    answer = lab.exchange(subject)
    assert answer.status_code in (400, 401) and "access_token" not in answer.json
    assert lab.last("token.refused")["reason"] == reason
    assert len(lab.facts("exchange.granted")) == 1
