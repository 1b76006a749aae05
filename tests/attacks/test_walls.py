"""The three walls between tenants, key, issuer and claim: each holds alone, wherever a token is shown.

Two tenants that have doors of their own alone, and two that share the root door, where the claim is the wall. A wall is
shown alone by switching the other two off: in a verifier by what it is told, at a door of the server by a token that
passes them, signed with the true keys.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from broker.estate.model import Edge, EdgeConsent, Resource, ResourceKind, Scope
from broker.guard.guard import Guard
from broker.guard.verifier import TokenRefused, Verifier
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Tenant
from broker.identity.users.model import Membership, User
from broker.protocol.jws import ALGORITHMS, VerificationKey
from broker.runtime.database import Transaction
from tests import lab as labs
from tests.engines import Engine
from tests.lab import CRM, EXCHANGE, FILES, INITECH, ISSUER, PASSWORD, TICKETS, Lab, basic, claims, header

HOOLI = ISSUER + "/t/hooli"
STORE = "https://store.example"
SECRET = "mcpb_cs_" + "h" * 43
DOORS = {"hooli": ("/t/hooli", HOOLI), "initech": ("/t/initech", INITECH)}
PEOPLE = {"hooli": "gavin", "initech": "ivan"}


def populate(tx: Transaction, lab: Lab) -> None:
    """One more tenant behind its own door alone, and a system behind the files server that serves everybody."""
    rooms = lab.broker
    rooms.tenants.put(tx, Tenant("hooli", "Hooli", root_door=False))
    rooms.people.put(tx, User("gavin", "Gavin", None, (Membership("hooli"),)))
    rooms.people.set_password(tx, "gavin", rooms.people.hash(PASSWORD))
    scopes = (Scope("s:read", "Read"),)
    rooms.changes.put_resource(
        tx, Resource("store", ResourceKind.DOWNSTREAM, STORE, "Store", ("*",), scopes=scopes, publish=False)
    )
    rooms.changes.put_edge(
        tx, Edge("files", "store", {"files:read": ("s:read",)}, consent=EdgeConsent.ADMIN), "test"
    )


@pytest.fixture(scope="module")
def lab(
    engine: Engine, counters: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """One for the whole module: a refused token changes nothing."""
    folder: Path = tmp_path_factory.mktemp("walls")
    made = labs.make(folder, engine, **counters)
    made.change(lambda tx: populate(tx, made))
    yield made
    made.broker.close()
    engine.drop(made.broker.settings.database)


def token(lab: Lab, tenant: str, **changes: str | None) -> str:
    """A true token of a person of this tenant, through its own door."""
    asked = {"resource": FILES, "scope": "files:read", **changes}
    return lab.tokens(user=PEOPLE[tenant], door=DOORS[tenant][0], **asked)["access_token"]


# In a verifier, as a resource server of Hooli runs it.


class Keys:
    """The keys of the doors. `at` None: each issuer's own; else those of these issuers, whoever is asked for."""

    def __init__(self, lab: Lab, *at: str) -> None:
        self._lab, self._at = lab, at

    def keys(self, issuer: str) -> Mapping[str, VerificationKey]:
        found: dict[str, VerificationKey] = {}
        for one in self._at or (issuer,):
            found.update(self._lab.broker.door_keys.keys(one))
        return found


def verifier(lab: Lab, wall: str) -> Verifier:
    """Of all walls but this one nothing is left: keys and issuers of both count, and any tenant."""
    both = [HOOLI, INITECH]
    tenants = ["hooli"] if wall == "claim" else "*"
    issuers = dict.fromkeys([HOOLI] if wall == "issuer" else both, tenants)
    keys = Keys(lab, *([HOOLI] if wall == "key" else both))
    return Verifier(issuers, FILES, ALGORITHMS, keys, lab.clock.now)


@pytest.mark.attack("TENANT-08")
@pytest.mark.parametrize(
    ("wall", "reason"), [("key", "unknown_key"), ("issuer", "issuer"), ("claim", "tenant"), ("none", None)]
)
def test_each_wall_of_a_resource_server_holds_alone(lab: Lab, wall: str, reason: str | None) -> None:
    own, others = token(lab, "hooli"), token(lab, "initech")
    assert verifier(lab, wall).verify(own).tenant == "hooli"
    if reason is None:
        assert verifier(lab, wall).verify(others).tenant == "initech", (
            "nothing but the walls stood in its way"
        )
        return
    with pytest.raises(TokenRefused) as refused:
        verifier(lab, wall).verify(others)
    assert refused.value.reason == reason


@pytest.mark.attack("TENANT-08")
def test_at_the_root_door_the_claim_is_the_wall_of_a_resource_server(lab: Lab) -> None:
    asked = {"resource": FILES, "scope": "files:read"}
    own, others = (lab.tokens(user=user, **asked)["access_token"] for user in ("vera", "alice"))
    assert header(own)["kid"] == header(others)["kid"] and claims(own)["iss"] == claims(others)["iss"]
    of_globex = Verifier({ISSUER: ["globex"]}, FILES, ALGORITHMS, Keys(lab), lab.clock.now)
    assert of_globex.verify(own).tenant == "globex"
    with pytest.raises(TokenRefused) as refused:
        of_globex.verify(others)
    assert refused.value.reason == "tenant"
    anybodys = Verifier({ISSUER: "*"}, FILES, ALGORITHMS, Keys(lab), lab.clock.now)
    assert anybodys.verify(others).tenant == "acme", "nothing but the claim stood in its way"


def test_a_guard_takes_pairs_of_issuer_and_tenants_and_refuses_the_rest(lab: Lab) -> None:
    guard = Guard(
        resource=FILES,
        issuers={HOOLI: ["hooli"]},
        tools={"read": ["files:read"]},
        keys=Keys(lab),
        clock=lab.clock.now,
    )
    assert guard.verify(token(lab, "hooli")).tenant == "hooli"
    with pytest.raises(TokenRefused):
        guard.verify(token(lab, "initech"))


# At the doors of the server.


def shown(lab: Lab, wall: str, tenant: str, **over: object) -> str:
    """A token that passes all walls of this tenant's door but one, or (`none`) all of them.

    It is a true token of the other tenant's where the issuer is the wall: key and claim are right for that.
    """
    other = "initech" if tenant == "hooli" else "hooli"
    own = dict(claims(token(lab, tenant))) | over
    issuer = {name: DOORS[name][1] for name in (tenant, other)}
    if wall == "issuer":
        theirs = dict(claims(token(lab, other))) | over
        return lab.signed(theirs, issuer[other])
    if wall == "claim":
        return lab.signed({**own, "tenant": other}, issuer[tenant])
    return lab.signed(own, issuer[other if wall == "key" else tenant])


def introspected(lab: Lab, door: str, shown_token: str) -> bool:
    return lab.active(shown_token, "files-server", door)


def exchanged(lab: Lab, door: str, shown_token: str) -> bool:
    answer = lab.exchange(shown_token, "files-server", door, resource=STORE)
    if answer.status_code != 200:
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
        assert lab.last("token.refused")["reason"] in ("subject_token_invalid", "subject_token_foreign")
    return answer.status_code == 200


def revoked(lab: Lab, door: str, shown_token: str) -> bool:
    """Whether anything ended; the answer says nothing."""
    before = lab.rows("denial")
    assert lab.revoke(shown_token, door=door).status_code == 200
    return lab.rows("denial") > before


PLACES: dict[str, Callable[[Lab, str, str], bool]] = {
    "introspection": introspected,
    "exchange": exchanged,
    "revocation": revoked,
}


@pytest.mark.attack("TENANT-08")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wall", ["key", "issuer", "claim"])
def test_each_wall_of_a_door_holds_alone(lab: Lab, wall: str, place: str) -> None:
    door, taken = DOORS["hooli"][0], PLACES[place]
    assert not taken(lab, door, shown(lab, wall, "hooli"))
    assert taken(lab, door, shown(lab, "none", "hooli")), "with all of them right it is taken"


@pytest.mark.attack("TENANT-08")
@pytest.mark.parametrize("wall", ["key", "issuer", "claim"])
def test_each_wall_of_userinfo_holds_alone(lab: Lab, wall: str) -> None:
    def asked(wall: str) -> TestResponse:
        here = {"aud": f"{HOOLI}/userinfo", "scope": "openid"}
        text = shown(lab, wall, "hooli", **here)
        return lab.get("/t/hooli/userinfo", Authorization=f"Bearer {text}")

    refused = asked(wall)
    assert refused.status_code == 401 and "invalid_token" in refused.headers["WWW-Authenticate"]
    assert lab.last("userinfo.refused")["reason"] in ("subject_token_invalid", "resource_mismatch")
    assert asked("none").json["sub"] == "gavin"


@pytest.mark.attack("TENANT-08")
def test_at_the_root_door_the_claim_is_the_wall_of_every_endpoint(lab: Lab) -> None:
    """The CRM serves Acme; a token for it that says Globex is of the right key and issuer."""
    token = lab.exchange(lab.tokens()["access_token"]).json["access_token"]
    wrong = lab.signed({**claims(token), "tenant": "globex"})
    gone = lab.signed({**claims(token), "tenant": "initech"})
    for refused in (wrong, gone):
        assert not lab.active(refused, "crm-server")
        answer = lab.exchange(refused, "crm-server", resource="https://ledger.internal.example")
        assert answer.json["error"] == "invalid_request"
    assert lab.active(token, "crm-server") and claims(token)["aud"] == CRM
    answer = lab.exchange(token, "crm-server", resource="https://ledger.internal.example")
    assert answer.status_code == 200
    told = dict(claims(lab.tokens(resource=None, scope="openid")["access_token"]))
    for tenant, status in (("initech", 401), ("nowhere", 401), ("acme", 200)):
        text = lab.signed({**told, "tenant": tenant})
        assert lab.get("/userinfo", Authorization=f"Bearer {text}").status_code == status, tenant


def test_a_person_of_one_tenant_has_no_account_and_no_consent_at_anothers_door(lab: Lab) -> None:
    browser = lab.browser()
    browser.sign_in(browser.get("/t/initech/account"), "ivan")
    assert b"Your account" in browser.get("/t/initech/account").data
    for path in ("/t/hooli/account", "/t/hooli/account/apps"):
        assert b'name="password"' in browser.get(path).data
    url = lab.authorize_url(door="/t/hooli", resource=FILES, scope="files:read")
    assert b'name="password"' in browser.get(url).data
    own = lab.authorize_url(door="/t/initech", resource=FILES, scope="files:read", prompt="consent")
    assert b'name="decision"' in browser.get(own).data


def test_a_server_of_one_tenant_is_nobody_at_anothers_door(lab: Lab) -> None:
    def add(tx: Transaction) -> None:
        server = Client(
            "hooli-server", "S", "hooli", "client_secret_basic", Registered.RESOURCE, grant_types=(EXCHANGE,)
        )
        lab.broker.clients.put(tx, server)
        lab.broker.clients.set_secret(tx, server, SECRET)

    lab.change(add)
    form = {"token": token(lab, "initech")}
    answer = lab.post("/t/initech/introspect", form, basic("hooli-server", SECRET))
    lab.refused(answer, 401, "invalid_client", "client_unknown")
    at_home = lab.post("/t/hooli/introspect", form, basic("hooli-server", SECRET))
    assert at_home.json == {"active": False}
    assert TICKETS not in at_home.get_data(as_text=True)
