"""Random estates, random chains: whatever servers ask of each other, nothing grows but the chain of those who act.

What is asked goes through the token endpoint. What should come out is worked out here anew, from docs/tokens.md.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from broker.authorization import store as authorization
from broker.authorization.model import Grant
from broker.denials.model import edge_id
from broker.estate.model import ANY_TENANT, Edge, EdgeConsent, Resource, ResourceKind, Scope
from broker.identity.clients.model import Client, Registered
from tests import lab as labs
from tests.engines import Engine
from tests.lab import ACCESS_TOKEN, EXCHANGE, ISSUER, Lab, assert_refused, basic, claims
from tests.proofs import Holder

PLACES = ("p0", "p1", "p2", "p3")
SCOPES = ("a", "b", "c")  # the same names everywhere: each resource means its own by them
SECRET = "mcpb_cs_" + "c" * 40
URL = f"{ISSUER}/token"
KEPT = ("iss", "sub", "tenant", "txn", "grant_id", "auth_time", "acr", "amr")
REFUSALS = {"invalid_request", "invalid_target", "invalid_scope", "interaction_required"}
# What would be claims, if a form could say them.
FORGED = {
    "sub": "mallory",
    "tenant": "globex",
    "aud": "https://p0.example/mcp",
    "exp": "9999999999",
    "act": '{"sub": "mallory"}',
    "cnf": '{"jkt": "x"}',
    "txn": "txn_mallory",
    "grant_id": "gra_mallory",
    "iss": "https://evil.example",
}
USERS = {"acme": "alice", "globex": "vera"}
numbers = itertools.count()


def uri(place: str) -> str:
    return f"https://{place}.example/mcp"


def owner(place: str) -> str:
    return f"{place}-server"


@dataclass(frozen=True)
class Place:
    """A resource: its tenants, its tokens' lifetime, and which of its scopes imply which."""

    tenants: tuple[str, ...]
    lifetime: int
    implies: Mapping[str, tuple[str, ...]]

    def closed(self, scopes: set[str]) -> set[str]:
        found = set(scopes)
        while more := {other for one in found for other in self.implies[one]} - found:
            found |= more
        return found

    def serves(self, tenant: str) -> bool:
        return bool({ANY_TENANT, tenant} & set(self.tenants))


@dataclass(frozen=True)
class Ask:
    """One exchange: for where, by whom (None: by whom the token is for), for what, with a proof, after a while.

    `target` is a place, or a number: one of those that an edge leads to, where there are any.
    """

    target: str | int
    caller: str | None
    scopes: frozenset[str] | None
    proves: bool
    wait: float
    forged: bool


@dataclass(frozen=True)
class Walk:
    """Where it begins, as whose, with what; what the user was shown of edges; and what is asked then."""

    start: str
    tenant: str
    by_user: bool
    scopes: frozenset[str]
    bound: bool
    life: int
    shown: Mapping[tuple[str, str], frozenset[str]]
    asks: list[Ask]


@dataclass(frozen=True)
class Estate:
    places: Mapping[str, Place]
    edges: Mapping[tuple[str, str], Edge]


some_scopes = st.frozensets(st.sampled_from(SCOPES), min_size=1)
implied = st.fixed_dictionaries(
    {one: st.lists(st.sampled_from(SCOPES), max_size=1).map(tuple) for one in SCOPES}
)
places = st.builds(
    Place,
    st.sampled_from([(ANY_TENANT,), (ANY_TENANT,), ("acme", "globex"), ("acme",)]),
    st.sampled_from([300, 600, 60, 30]),
    implied,
)
mappings = st.dictionaries(st.sampled_from(SCOPES), some_scopes.map(sorted).map(tuple), min_size=2)


@st.composite
def estates(draw: st.DrawFn) -> Estate:
    edges = {
        (one, other): Edge(
            one,
            other,
            draw(mappings),
            draw(st.sampled_from([600, 300, 120, 30, 2, 1])),
            draw(st.integers(1, 4)),
            draw(st.sampled_from([EdgeConsent.ADMIN, EdgeConsent.ADMIN, EdgeConsent.USER])),
        )
        for one, other in itertools.permutations(PLACES, 2)
        if draw(st.integers(0, 3))
    }
    return Estate({name: draw(places) for name in PLACES}, edges)


asks = st.builds(
    Ask,
    st.sampled_from([0, 1, 2, 0, 1, 2, 0, 1, 2, *PLACES]),
    st.sampled_from([None] * 12 + [*PLACES]),
    st.one_of(st.none(), st.none(), some_scopes),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0.0, 0.0, 0.4, 1.0, 30.0, 0.0, 0.0, 150.0]),
    st.booleans(),
)
walks = st.builds(
    Walk,
    st.sampled_from(PLACES),
    st.sampled_from(["acme", "acme", "globex"]),
    st.booleans(),
    some_scopes,
    st.booleans(),
    st.sampled_from([600, 300, 120, 10, 1]),
    st.dictionaries(st.sampled_from([*itertools.permutations(PLACES, 2)]), some_scopes, min_size=8),
    st.lists(asks, min_size=5, max_size=8),
)


@dataclass
class Rig:
    """A broker, on which one estate after the other is laid out."""

    lab: Lab
    key: Holder = field(default_factory=Holder)

    def lay_out(self, estate: Estate) -> None:
        changes = self.lab.broker.changes

        def work(tx: object) -> None:
            for name, place in estate.places.items():
                scopes = tuple(Scope(one, one, implies=place.implies[one]) for one in SCOPES)
                changes.put_resource(
                    tx,
                    Resource(
                        name,
                        ResourceKind.MCP,
                        uri(name),
                        name,
                        place.tenants,
                        client_id=owner(name),
                        lifetime=place.lifetime,
                        scopes=scopes,
                    ),
                )
            for one, other in itertools.permutations(PLACES, 2):
                if (edge := estate.edges.get((one, other))) is not None:
                    changes.put_edge(tx, edge)
                else:
                    changes.remove_edge(tx, one, other)

        self.lab.change(work)

    def begin(self, walk: Walk, estate: Estate) -> str:
        """The first token: a user's, with the grant behind it, or a client's own."""
        now = self.lab.clock.now()
        grant = Grant(
            id=f"gra_{next(numbers)}",
            consent_id="gra_0",
            tenant=walk.tenant,
            user_id=USERS[walk.tenant],
            client_id="desk-app",
            door=ISSUER,
            resource_id=walk.start,
            scopes=tuple(sorted(walk.scopes)),
            offline=False,
            downstream={edge_id(*ends): tuple(sorted(scopes)) for ends, scopes in walk.shown.items()},
            auth_time=now,
            acr="urn:mcp-token-broker:acr:password",
            amr=("pwd",),
            created_at=now,
            expires_at=now + 3600,
        )
        said: dict[str, object] = {
            "iss": ISSUER,
            "sub": f"worker-{walk.tenant}",
            "aud": uri(walk.start),
            "client_id": f"worker-{walk.tenant}",
            "tenant": walk.tenant,
            "scope": " ".join(sorted(estate.places[walk.start].closed(set(walk.scopes)))),
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now) + walk.life,
            "jti": f"tok_{next(numbers)}",
            "txn": f"txn_{next(numbers)}",
            "grant_id": f"own_{walk.tenant}",
        }
        if walk.by_user:
            self.lab.broker.world.database.write(lambda tx: authorization.add_grant(tx, grant), walk.tenant)
            said |= {"sub": grant.user_id, "client_id": grant.client_id, "grant_id": grant.id}
            said |= {"auth_time": int(now), "acr": grant.acr, "amr": list(grant.amr)}
        if walk.bound:
            said["cnf"] = {"jkt": Holder().jkt}
        return self.lab.signed(said)

    def ask(self, token: str, ask: Ask, caller: str) -> labs.TestResponse:
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": uri(ask.target),
            **(FORGED if ask.forged else {}),
            **({} if ask.scopes is None else {"scope": " ".join(sorted(ask.scopes))}),
        }
        proof = {"DPoP": self.key.proof(URL, self.lab.clock.now())} if ask.proves else {}
        return self.lab.post("/token", form, basic(owner(caller), SECRET) | proof)


@pytest.fixture(scope="module")
def rig(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    lab = labs.make(tmp_path_factory.mktemp("chains"), engine, dpop_proofs_per_minute=1_000_000)
    clients = lab.broker.clients

    def work(tx: object) -> None:
        for name in PLACES:
            client = Client(
                owner(name), name, None, "client_secret_basic", Registered.RESOURCE, grant_types=(EXCHANGE,)
            )
            clients.put(tx, client)
            clients.set_secret(tx, client, SECRET)
        for tenant in USERS:
            clients.put(tx, Client(f"worker-{tenant}", "", tenant, "client_secret_basic", Registered.ADMIN))

    lab.change(work)
    yield Rig(lab)
    lab.broker.close()
    engine.drop(lab.broker.settings.database)


def aimed(estate: Estate, at: str, target: str | int) -> str:
    reached = [other for one, other in estate.edges if one == at] or list(PLACES)
    return target if isinstance(target, str) else reached[target % len(reached)]


def due(
    estate: Estate, walk: Walk, token: Mapping[str, object], source: str, ask: Ask, now: float
) -> set[str]:
    """The scopes that this exchange may give; none where it has to be refused."""
    edge, tenant = estate.edges.get((source, ask.target)), str(token["tenant"])
    if edge is None or (ask.caller or source) != source or int(str(token["exp"])) <= int(now):
        return set()
    if not (estate.places[source].serves(tenant) and estate.places[ask.target].serves(tenant)):
        return set()
    if max(len(actors(token)), 1) > edge.depth or ("cnf" in token and not ask.proves):
        return set()
    target = estate.places[ask.target]
    within = target.closed(
        {given for own in str(token["scope"]).split() for given in edge.scopes.get(own, ())}
    )
    wanted = set(ask.scopes or within)
    if not wanted <= within:
        return set()
    if edge.consent is EdgeConsent.USER:
        shown = target.closed(set(walk.shown.get((source, ask.target), ()))) if walk.by_user else set()
        if ask.scopes is not None and not wanted <= shown:
            return set()
        wanted &= shown
    return target.closed(wanted)


def actors(token: Mapping[str, object]) -> list[dict[str, object]]:
    found, link = [], token.get("act")
    while isinstance(link, dict):
        found.append({name: value for name, value in link.items() if name != "act"})
        link = link.get("act")
    return found


def held_true(
    parent: Mapping[str, object], child: Mapping[str, object], edge: Edge, target: Place, now: float
) -> None:
    """What no exchange may break."""
    assert child["aud"] == uri(edge.target)
    assert {name: child.get(name) for name in KEPT} == {name: parent.get(name) for name in KEPT}
    assert child["jti"] != parent["jti"] and child["client_id"] == owner(edge.source)
    latest = min(int(str(parent["exp"])), int(now + edge.lifetime), int(now + target.lifetime))
    assert int(now) < int(str(child["exp"])) <= latest and child["iat"] == child["nbf"] == int(now)
    given = {name for own in str(parent["scope"]).split() for name in edge.scopes.get(own, ())}
    assert set(str(child["scope"]).split()) <= target.closed(given)
    first = [{"iss": parent["iss"], "sub": parent["client_id"], "client_id": parent["client_id"]}]
    caller = owner(edge.source)
    acting = {"iss": ISSUER, "sub": caller, "client_id": caller}
    assert actors(child) == [acting, *(actors(parent) or first)]
    assert "cnf" in child or "cnf" not in parent


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(estates(), st.lists(walks, min_size=3, max_size=3))
def test_nothing_grows_along_any_chain_but_the_chain(rig: Rig, estate: Estate, walked: list[Walk]) -> None:
    rig.lay_out(estate)
    for walk in walked:
        token, at = rig.begin(walk, estate), walk.start
        tokens = [claims(token)]
        for ask in walk.asks:
            rig.lab.clock.advance(ask.wait)
            now, parent = rig.lab.clock.now(), tokens[-1]
            ask = replace(ask, target=aimed(estate, at, ask.target))
            expected = due(estate, walk, parent, at, ask, now)
            answer = rig.ask(token, ask, ask.caller or at)
            note(f"{at} > {ask}: {answer.get_data(as_text=True)[:200]}")
            if not expected:
                assert answer.status_code == 400 and answer.json["error"] in REFUSALS
                assert_refused(answer, 400, answer.json["error"])
                continue
            assert answer.status_code == 200
            token, child = answer.json["access_token"], claims(answer.json["access_token"])
            held_true(parent, child, estate.edges[(at, ask.target)], estate.places[ask.target], now)
            assert set(str(child["scope"]).split()) == expected == set(answer.json["scope"].split())
            assert answer.json["expires_in"] == int(str(child["exp"])) - int(now)
            assert child.get("cnf") == ({"jkt": rig.key.jkt} if ask.proves else None)
            assert "refresh_token" not in answer.json
            tokens.append(child)
            at = ask.target
        told = [
            record for record in rig.lab.trace(str(tokens[-1]["jti"])) if record["fact"] == "exchange.granted"
        ]
        assert [record["actors"] for record in told] == [
            [actor["client_id"] for actor in actors(child)] for child in tokens[1:]
        ]
