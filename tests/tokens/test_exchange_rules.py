"""The rules of an exchange by themselves: two questions, and the chain, as pure functions."""

import ast
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import vault
from broker.authorization.model import Grant
from broker.denials.model import Kind, Target
from broker.estate import rules as estate_rules
from broker.estate.estate import Estate
from broker.estate.model import Edge, EdgeConsent, Impact, Resource, ResourceKind, Scope, Stage, Tool
from broker.guard.verifier import Actor as Link
from broker.guard.verifier import VerifiedToken
from broker.identity.clients.model import Client, Registered
from broker.identity.federation.trusted.model import Reading, TrustedIssuer, Use
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Tenant
from broker.protocol.confirmation import Confirmation
from broker.protocol.errors import STATUS, OAuthError, Reason
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.once import Spend
from broker.tokens import exchange
from broker.tokens.exchange import acted_for, caller, chain, foreign, target
from broker.tokens.exchange.model import ActorToken, Subject, bad_actor
from broker.tokens.exchange.refusals import REFUSALS
from broker.tokens.grants import token_exchange
from broker.tokens.model import TokenRequest
from broker.tokens.standing import Standing, own_work
from tests.lab import ISSUER, START

NAMES = st.sampled_from([f"s{i}" for i in range(6)])
SETS = st.sets(NAMES, max_size=6)
MAPS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4).map(tuple), max_size=6)
IDP = "https://idp.example"


def resource(
    name: str,
    scopes: Mapping[str, tuple[str, ...]] = {},
    stage: Stage = Stage.FULL,
    tools: Mapping[str, Impact] = {},
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


SOURCE, TARGET = resource("source"), resource("target", {"s1": (), "s2": ()})
EDGE = Edge("source", "target", {"s0": ("s1", "s2")})


def request(edge: Edge = EDGE, to: Resource = TARGET, **values: tuple[str, ...]) -> TokenRequest:
    doors = Doors.of(ISSUER, [Tenant("acme", "Acme")])
    client = Client("source", "source", "acme", "client_secret_basic", Registered.RESOURCE)
    estate = Estate.of(doors, [SOURCE, to], [edge])
    return TokenRequest(doors.root, client, Parameters(values), estate, Origin("req", "", ISSUER), START)


def subject(
    scopes: set[str] = frozenset({"s0"}),  # type: ignore[assignment]  # any set will do
    actors: tuple[str, ...] = (),
    confirmation: Confirmation | None = None,
    **more: object,
) -> Subject:
    token = VerifiedToken(
        "hash",
        MappingProxyType(dict(more)),
        ISSUER,
        "alice",
        SOURCE.uri,
        "first",
        "acme",
        frozenset(scopes),
        tuple(Link(ISSUER, name, name) for name in actors),
        START + 300,
        "tok",
        "txn",
        "gra",
        "kid",
        confirmation,
    )
    return Subject(token)


def refused(reason: Reason, work: object, *given: object, **more: object) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        work(*given, **more)  # type: ignore[operator]  # a rule
    assert caught.value.reason is reason, caught.value.reason
    assert REFUSALS[reason][1] == caught.value.error
    return caught.value


# May this subject be acted for?


GRANT = Grant(
    "gra", "gra", "acme", "alice", "first", ISSUER, "source", ("s0",), False, {"source->target": ("s1",)},
    START, "1", (), START, START + 999,
)  # fmt: skip


def test_a_subject_stands_with_a_consent_that_stands() -> None:
    acted_for.require_standing(subject(), Standing(grant=GRANT))
    acted_for.require_standing(subject(), Standing(grant=replace(GRANT, offline=True), signed_out=True))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Kind.EVERYTHING, Reason.EVERYTHING_OFF),
        (Kind.TENANT, Reason.TENANT_OFF),
        (Kind.USER, Reason.USER_OFF),
        (Kind.GRANT, Reason.GRANT_OFF),
        (Kind.CLIENT, Reason.ACTOR_OFF),
        (Kind.TRANSACTION, Reason.TOKEN_OFF),
        (Kind.TOKEN, Reason.TOKEN_OFF),
        (Kind.ISSUER, Reason.ISSUER_OFF),
        (Kind.RESOURCE, Reason.RESOURCE_BEHIND_OFF),
        (Kind.EDGE, Reason.EDGE_BEHIND_OFF),
    ],
)
def test_whatever_is_off_of_a_subject_refuses_it_by_its_own_reason(kind: Kind, reason: Reason) -> None:
    refused(reason, acted_for.require_standing, subject(), Standing(Target(kind, "x"), GRANT))


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (Standing(), Reason.GRANT_EXPIRED),
        (Standing(grant=GRANT, gone=Reason.NOT_A_MEMBER), Reason.NOT_A_MEMBER),
        (Standing(grant=GRANT, gone=Reason.USER_UNKNOWN), Reason.USER_UNKNOWN),
        (Standing(grant=GRANT, gone=Reason.GRANT_EXPIRED), Reason.GRANT_EXPIRED),
        (Standing(grant=GRANT, signed_out=True), Reason.SESSION_OVER),
    ],
)
def test_a_subject_that_no_longer_stands_is_refused(standing: Standing, reason: Reason) -> None:
    refused(reason, acted_for.require_standing, subject(), standing)


def test_a_clients_own_work_and_a_foreign_subject_need_no_consent_to_stand_and_get_only_what_admins_gave() -> (
    None
):
    own = Subject(replace(subject().token, subject="first"))
    through = Subject(replace(subject(actors=("b", "a")).token, subject="a"))
    stranger = Subject(replace(subject().token, subject=f"{IDP}#alice"))
    assert tuple(own_work(one.token) for one in (own, through, stranger)) == (True, True, False)
    for one in (own, through, stranger):
        acted_for.require_standing(one, Standing())
        ask = {"named": False, "ask_at": "https://x/"}
        refused(Reason.SUBJECT_IS_NO_USER, acted_for.consented, one, EDGE, TARGET, Standing(), ("s1",), **ask)
        by_admin = replace(EDGE, consent=EdgeConsent.ADMIN)
        assert acted_for.consented(one, by_admin, TARGET, Standing(), ("s1",), **ask) == ("s1",)


def test_a_user_is_asked_for_what_they_were_not_shown() -> None:
    def consented(left: tuple[str, ...], named: bool) -> tuple[str, ...]:
        return acted_for.consented(
            subject(), EDGE, TARGET, Standing(grant=GRANT), left, named=named, ask_at="https://x/"
        )

    assert consented(("s1", "s2"), named=False) == ("s1",)
    assert consented(("s1",), named=True) == ("s1",)
    for left, named in ((("s1", "s2"), True), (("s2",), False)):
        error = refused(Reason.EDGE_NOT_CONSENTED, consented, left, named)
        assert error.interaction_uri == "https://x/gra"


def test_what_a_user_was_shown_of_another_way_there_gives_nothing() -> None:
    shown = Standing(grant=replace(GRANT, downstream={"other->target": ("s1", "s2")}))
    ask = {"named": False, "ask_at": "https://x/"}
    refused(Reason.EDGE_NOT_CONSENTED, acted_for.consented, subject(), EDGE, TARGET, shown, ("s1",), **ask)


def test_no_exchange_leaves_the_tenant() -> None:
    acted_for.require_tenant(subject(), TARGET)
    refused(
        Reason.TENANT_NOT_SERVED, acted_for.require_tenant, subject(), replace(TARGET, tenants=("globex",))
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
    to = resource("target", offered, stage, tools)
    edge = Edge("source", "target", mapping)
    form = Parameters({} if asked is None else {"scope": (" ".join(sorted(asked)),)})
    ceiling = {name for own in held for name in mapping.get(own, ())}
    within = set(estate_rules.expanded(to, [n for n in estate_rules.offered(to) if n in ceiling]))
    try:
        given_ = acted_for.scopes(subject(held), edge, to, form)
    except OAuthError as error:
        assert error.error == "invalid_scope"
        assert not within or (asked or set()) - within
        return
    assert given_ and set(given_) <= within
    assert not asked or set(given_) == asked
    assert set(estate_rules.expanded(to, given_)) <= within
    assert not set(estate_rules.expanded(to, given_)) & estate_rules.withheld(to)


# May this caller act?


def actor(issuer: str, name: str) -> ActorToken:
    return ActorToken(
        issuer, name, Spend("p", (issuer, "jti"), START, bad_actor(Reason.ACTOR_TOKEN_REPLAYED))
    )


def may_act(asked: TokenRequest, of: Subject, to: Resource = TARGET, by: ActorToken | None = None) -> Edge:
    return caller.may_act(asked, SOURCE, of, to, by)


def test_a_caller_may_act_with_its_own_token_along_its_edge() -> None:
    assert may_act(request(), subject()) == EDGE
    assert may_act(request(), subject(may_act={"sub": "source"})) == EDGE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audience": TARGET.uri}, Reason.SUBJECT_TOKEN_FOREIGN),
        ({"tenant": "globex"}, Reason.SUBJECT_TOKEN_FOREIGN),
        ({"confirmation": Confirmation("k")}, Reason.CONSTRAINT_LOST),
        ({"claims": {"may_act": {"sub": "other"}}}, Reason.MAY_ACT_OTHER),
    ],
)
def test_a_caller_may_not_act_with_what_was_given_to_others(
    changes: dict[str, object], reason: Reason
) -> None:
    refused(reason, may_act, request(), Subject(replace(subject().token, **changes)))


@pytest.mark.parametrize("named", [None, {"sub": "source", "client_id": "source", "iss": ISSUER}])
def test_no_word_of_a_token_stands_for_an_edge(named: object) -> None:
    of = subject() if named is None else subject(may_act=named)
    nowhere = replace(TARGET, id="elsewhere")
    refused(Reason.NO_EDGE, may_act, request(), of, nowhere)
    refused(Reason.EDGE_ENDED, may_act, request(replace(EDGE, expires_at=START)), of)
    vault = replace(TARGET, kind=ResourceKind.VAULT)
    refused(Reason.RELEASE_NOT_ALLOWED, may_act, request(), of, vault)
    assert may_act(request(replace(EDGE, release=True)), of, vault).release


@pytest.mark.requirement("RFC8693-14")
@pytest.mark.attack("EXCH-14")
@pytest.mark.parametrize(
    ("claim", "means_the_caller"),
    [
        ({"sub": "source"}, True),
        ({"client_id": "source"}, True),
        ({"client_id": "source", "iss": ISSUER}, True),
        ({"sub": "source", "client_id": "source", "iss": ISSUER}, True),
        ({"sub": "agent", "iss": IDP}, True),
        ({"sub": "agent", "iss": IDP, "client_id": "source"}, True),
        ({"sub": "source", "client_id": "other"}, False),
        ({"sub": "other", "client_id": "source"}, False),
        ({"sub": "source", "iss": IDP}, False),
        ({"sub": "agent", "iss": ISSUER}, False),
        ({"client_id": "source", "iss": "https://else.example"}, False),
        ({"sub": "agent", "iss": IDP, "client_id": "other"}, False),
        ({"sub": "source", "email": "a@b.example"}, False),
        ({"iss": ISSUER}, False),
        ({"sub": ["source"]}, False),
        ({}, False),
        ("source", False),
        (["source"], False),
        (None, False),
    ],
)
def test_may_act_is_read_to_the_last_member(claim: object, means_the_caller: bool) -> None:
    assert caller.named(claim, {(ISSUER, "source"), (IDP, "agent")}, "source") is means_the_caller


def test_only_an_actor_token_makes_the_caller_known_by_another_name() -> None:
    of = subject(may_act={"sub": "agent", "iss": IDP})
    refused(Reason.MAY_ACT_OTHER, may_act, request(), of)
    assert may_act(request(), of, by=actor(IDP, "agent")) == EDGE
    refused(Reason.MAY_ACT_OTHER, may_act, request(), of, by=actor(IDP, "another"))


# Who acts


@given(st.lists(NAMES, max_size=8), st.integers(min_value=1, max_value=6))
def test_the_chain_grows_by_one_and_forgets_nobody(actors: list[str], depth: int) -> None:
    token = subject(set(), tuple(actors)).token
    try:
        grown = chain.grown(token, ISSUER, "source", depth)
    except OAuthError as error:
        assert (error.reason, len(actors) > depth) == (Reason.CHAIN_TOO_DEEP, True)
        return
    assert max(len(actors), 1) <= depth
    assert [one.client_id for one in grown.chain()] == ["source", *(actors or ["first"])]
    link: object = grown.claim()
    while link is not None:
        assert isinstance(link, dict) and set(link) - {"act"} == {"iss", "sub", "client_id"}
        link = link.get("act")


@pytest.mark.attack("EXCH-16")
def test_a_chain_has_a_size_beside_its_depth() -> None:
    def grown(length: int) -> int:
        actor_ = chain.grown(subject(actors=("a" * length,)).token, ISSUER, "source", 16)
        return len(str(actor_.claim()))

    assert grown(1500) > 3000
    refused(Reason.CHAIN_TOO_LARGE, grown, 2100)


# Where to


@pytest.mark.parametrize("named", [{"resource": ("a", "b")}, {"resource": ("a",), "audience": ("a",)}, {}])
def test_a_target_is_exactly_one(named: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(OAuthError) as caught:
        target.named(request(**named))
    assert caught.value.error == "invalid_target"
    assert (
        target.named(request(audience=("target",))) == target.named(request(resource=(TARGET.uri,))) == TARGET
    )


# Tokens of trusted issuers


def ours(reading: Reading = Reading(), **changes: object) -> VerifiedToken:
    claims = {
        "iss": IDP,
        "sub": "alice",
        "aud": SOURCE.uri,
        "client_id": "app",
        "scope": "s0",
        "jti": "j1",
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    entry = TrustedIssuer("idp", IDP, None, ("acme",), (Use.SUBJECT_TOKENS,), reading=reading)
    return foreign.ours("a.b.c", kept, entry, "acme", ISSUER, START + 60)


@pytest.mark.attack("EXCH-31")
def test_a_foreign_name_is_nobodys_of_ours() -> None:
    token = ours()
    assert (token.subject, token.client_id, token.jti) == (f"{IDP}#alice", f"{IDP}#app", f"{IDP}#j1")
    assert (token.tenant, token.issuer, token.scopes) == ("acme", ISSUER, frozenset({"s0"}))
    assert token.actors == (Link(IDP, f"{IDP}#app", f"{IDP}#app"),)
    assert token.claims == {"vouched_by": "idp"} and token.txn is None
    assert ours(email="alice@example.com", acr="urn:high", auth_time=1).claims == token.claims
    assert ours(aud=[SOURCE.uri]).audience == SOURCE.uri


@pytest.mark.attack("EXCH-31")
def test_two_foreign_people_never_have_one_name() -> None:
    said = [
        ours(sub="t#s").subject,
        ours(sub="s", tenant="t").subject,
        ours(sub="t%23s").subject,
        ours(sub="#s", tenant="t").subject,
        ours(sub="s", tenant="t#").subject,
        ours(sub="s").subject,
    ]
    assert len(set(said)) == len(said), said
    assert len({foreign.grant_id(tenant, one) for one in said for tenant in ("acme", "globex")}) == 12


@pytest.mark.attack("EXCH-15")
def test_a_foreign_chain_stands_below_its_issuer() -> None:
    forged = {"iss": ISSUER, "sub": "desk-app", "client_id": "desk-app"}
    token = ours(act={"sub": "agent", "act": {**forged, "extra": 1}})
    assert token.actors == (
        Link(IDP, f"{IDP}#app", f"{IDP}#app"),
        Link(IDP, f"{IDP}#agent", f"{IDP}#agent"),
        Link(IDP, f"{IDP}#https://as.example%23desk-app", f"{IDP}#desk-app"),
    )
    assert all(link.client_id.startswith(f"{IDP}#") for link in token.actors)
    acting = {"sub": "service-7", "client_id": "app"}
    assert [link.sub for link in ours(act=acting).actors] == [f"{IDP}#service-7"]
    assert [link.sub for link in ours(client_id=None, act=acting).actors] == [f"{IDP}#service-7"]


@pytest.mark.attack("EXCH-30")
@pytest.mark.parametrize(
    "changes",
    [
        {"azp": "another"},
        {"client_id": ["app"]},
        {"act": "agent"},
        {"act": {"name": "agent"}},
        {"act": {"sub": "a", "iss": 7}},
        {"sub": "a\nb"},
        {"sub": "a" * 500},
        {"scope": "a\tb"},
        {"cnf": {"kid": "k"}},
        {"authorization_details": []},
        {"client_id": None, "azp": "app"},
        {"nonce": "n"},
        {"restricted_at": "https://a.example"},
        {"restricted_at": [7]},
        {"restricted_at": ["https://a.example/" + "a" * 2000]},
        {"restricted_at": [f"https://{i}.example/" + "a" * 400 for i in range(10)]},
    ],
)
def test_a_foreign_token_that_is_not_understood_is_not_exchanged(changes: dict[str, object]) -> None:
    with pytest.raises(foreign.Unreadable):
        ours(**changes)
    assert ours(azp="app").client_id == f"{IDP}#app"
    assert ours(Reading(client="azp"), client_id=None, azp="app").client_id == f"{IDP}#app"
    kept = ["https://a.example/mcp", "https://b.example/mcp"]
    assert ours(restricted_at=kept).claims["restricted_at"] == kept
    assert ours(client_id=None).client_id == f"{IDP}#alice"


# The list


def named_in(*files: Path) -> set[str]:
    """The reasons that these modules name."""
    return {
        node.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Reason"
    }


def test_the_list_of_refusals_is_closed_and_knows_every_error() -> None:
    """Every reason that the rooms of the exchange can give stands there, and nothing that they cannot."""
    folder = Path(exchange.__file__).parent
    files = [file for file in folder.glob("*.py") if file.name not in ("refusals.py", "to_id_jag.py")]
    # Given by the verifier of foreign tokens and turned into those of an exchange.
    turned = {"ASSERTION_EXPIRED", "ASSERTION_FOREIGN", "WORKLOAD_UNKNOWN"}
    # Given by what every exchange goes through: the form, what is off, what the token came from, the issuer's keys.
    elsewhere = {
        "PARAMETER_MISSING",
        "RESOURCE_OFF",
        "EVERYTHING_OFF",
        "TENANT_OFF",
        "USER_OFF",
        "USER_UNKNOWN",
        "NOT_A_MEMBER",
        "GRANT_OFF",
        "GRANT_EXPIRED",
        "SESSION_OVER",
        "TOKEN_OFF",
        "ISSUER_OFF",
        "ISSUER_UNAVAILABLE",
        "CLIENT_OFF",
        "EDGE_OFF",
    }
    own = named_in(*files, Path(token_exchange.__file__)) - turned
    listed = {reason.name for reason in REFUSALS}
    assert own | elsewhere <= listed
    assert listed - own - elsewhere <= named_in(*Path(vault.__file__).parent.glob("*.py"))
    assert {error for _, error in REFUSALS.values()} <= set(STATUS)
