"""RFC 8693 along edges: who acted stays visible, and nothing ever grows but the chain."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.estate import rules as estate_rules
from broker.estate.estate import Estate
from broker.estate.model import Edge, EdgeConsent, Impact, Resource, ResourceKind, Scope, Stage, Tool
from broker.guard.verifier import Actor as Link
from broker.guard.verifier import VerifiedToken
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Tenant
from broker.protocol.errors import OAuthError
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.tokens.grants import token_exchange
from broker.tokens.model import TokenRequest
from tests.lab import CRM, ISSUER, LEDGER, NOTES, TICKETS, Browser, Lab, Page, claims, header


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


def test_an_edge_added_later_asks_the_user_once_and_then_works(lab: Lab) -> None:
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


# The same rules as properties, over the pure functions.

NAMES = st.sampled_from([f"s{i}" for i in range(6)])
SETS = st.sets(NAMES, max_size=6)
MAPS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4).map(tuple), max_size=6)


def resource(
    name: str, scopes: Mapping[str, tuple[str, ...]], stage: Stage, tools: Mapping[str, Impact]
) -> Resource:
    return Resource(
        name,
        ResourceKind.MCP,
        f"https://{name}.example",
        name,
        ("acme",),
        client_id=name,
        stage=stage,
        scopes=tuple(Scope(scope, scope, implies=implied) for scope, implied in scopes.items()),
        tools=tuple(Tool(scope, (scope,), impact) for scope, impact in tools.items()),
    )


def request(edge: Edge, target: Resource, asked: str | None) -> TokenRequest:
    source = resource("source", {}, Stage.FULL, {})
    doors = Doors.of(ISSUER, [Tenant("acme", "Acme")])
    values = {} if asked is None else {"scope": (asked,)}
    client = Client("source", "source", "acme", "client_secret_basic", Registered.RESOURCE)
    estate = Estate.of(doors, [source, target], [edge])
    return TokenRequest(doors.root, client, Parameters(values), estate, Origin("req", "", ISSUER), 1000.0)


def subject(scopes: set[str], actors: tuple[str, ...]) -> VerifiedToken:
    return VerifiedToken(
        "hash",
        MappingProxyType({}),
        ISSUER,
        "alice",
        "https://source.example",
        "first",
        "acme",
        frozenset(scopes),
        tuple(Link(ISSUER, name, name) for name in actors),
        1300.0,
        "tok",
        "txn",
        "gra",
        "kid",
    )


@given(
    SETS,
    MAPS,
    MAPS,
    st.one_of(st.none(), SETS),
    st.sampled_from(list(Stage)),
    st.dictionaries(NAMES, st.sampled_from(list(Impact)), max_size=6),
)
def test_scope_never_grows_along_any_edge(
    held: set[str],
    mapping: dict[str, tuple[str, ...]],
    offered: dict[str, tuple[str, ...]],
    asked: set[str] | None,
    stage: Stage,
    tools: dict[str, Impact],
) -> None:
    target = resource("target", offered, stage, tools)
    edge = Edge("source", "target", mapping)
    wanted = None if asked is None else " ".join(sorted(asked))
    ceiling = {name for own in held for name in mapping.get(own, ())}
    within = set(estate_rules.expanded(target, [n for n in estate_rules.offered(target) if n in ceiling]))
    try:
        given_ = token_exchange._scopes(request(edge, target, wanted), edge, target, subject(held, ()))
    except OAuthError as error:
        assert error.error == "invalid_scope"
        assert not within or (asked or set()) - within
        return
    assert given_ and set(given_) <= within
    assert not asked or set(given_) == asked
    assert set(estate_rules.expanded(target, given_)) <= within
    assert not set(estate_rules.expanded(target, given_)) & estate_rules.withheld(target)


@given(st.lists(NAMES, max_size=8), st.integers(min_value=1, max_value=6))
def test_the_chain_grows_by_one_and_forgets_nobody(actors: list[str], depth: int) -> None:
    edge = Edge("source", "target", {}, depth=depth)
    asked = request(edge, resource("target", {}, Stage.FULL, {}), None)
    token = subject(set(), tuple(actors))
    try:
        grown = token_exchange._grown(token, asked, edge)
    except OAuthError as error:
        assert (error.error, len(actors) > depth) == ("invalid_request", True)
        return
    assert max(len(actors), 1) <= depth
    assert [actor.client_id for actor in grown.chain()] == ["source", *(actors or ["first"])]


@pytest.mark.parametrize("named", [{"resource": ("a", "b")}, {"resource": ("a",), "audience": ("a",)}, {}])
def test_a_target_is_exactly_one(named: dict[str, tuple[str, ...]]) -> None:
    edge = Edge("source", "target", {})
    target = resource("target", {}, Stage.FULL, {})
    asked = request(edge, target, None)
    with pytest.raises(OAuthError) as refused:
        token_exchange._target(replace(asked, parameters=Parameters(named)))
    assert refused.value.error == "invalid_target"
    found = token_exchange._target(replace(asked, parameters=Parameters({"audience": ("target",)})))
    assert found == target
