"""Every function of every store on a tenant's table, called with what belongs to one tenant.

A case is a call of the function with the values of `owner`; `SERVER_WIDE` names the functions that touch no
tenant's rows. Rows, ids and values of a tenant carry its canary, so that whatever of it comes out is recognised.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace

from sqlalchemy import text

from broker import schema
from broker.audit import store as audit
from broker.authorization import store as authorization
from broker.authorization.choices import store as choices
from broker.authorization.device import store as devices
from broker.authorization.logout import store as notices
from broker.authorization.pushed import store as pushes
from broker.control.policy import store as policies
from broker.denials import store as denials
from broker.denials.model import Kind, Target
from broker.estate.claims import store as claims
from broker.estate.claims.model import State
from broker.identity.clients import store as clients
from broker.identity.clients.model import Client, Secret
from broker.identity.federation import store as federation
from broker.identity.federation.trusted import store as trusted
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Workload
from broker.identity.tenants import store as tenants
from broker.identity.tenants.model import Tenant
from broker.identity.users import store as users
from broker.identity.users.model import Membership, User
from broker.runtime.database import Transaction
from broker.tokens import store as tokens
from tests.house.test_stores import wall_column
from tests.stores import approving, bounded, permitting, vaulted, vouched
from tests.stores.samples import (
    CHALLENGE,
    DOOR,
    LATER,
    NOW,
    attempt,
    choice,
    claim,
    client,
    code,
    device,
    grant,
    link,
    notice,
    provider,
    pushed,
    record,
    refresh,
    request,
)

TENANTS = ("acme", "globex")
Call = Callable[[Transaction, str], object]


def canary(tenant: str) -> str:
    """Stands in every row of a tenant but in none of the calls' own words."""
    return f"canary-{tenant}"


@dataclass(frozen=True, slots=True)
class Case:
    """`call(tx, owner)`. `adds`: it makes a row of `owner`."""

    store: str
    function: str
    call: Call
    adds: bool = False


SERVER_WIDE = {
    "broker.identity.users.store.password_hash": "accounts are the server's",
    "broker.identity.users.store.set_password_hash": "accounts are the server's",
    "broker.identity.users.store.replace_password_hash": "accounts are the server's",
    "broker.identity.users.store.with_email": "accounts are the server's",
    "broker.identity.users.store.alone": "accounts are the server's",
    "broker.identity.users.store.ever": "accounts are the server's",
    "broker.identity.federation.store.same": "a person is the same person behind every wall",
}


def cookie(owner: str) -> str:
    return f"browser-{canary(owner)}"


def mark(owner: str) -> str:
    return canary(owner)


def seed(tx: Transaction) -> None:
    """Both tenants with the same things, everything of theirs marked; and things of the server beside them."""
    for owner in TENANTS:
        m = mark(owner)
        tenants.put(tx, Tenant(owner, f"name {m}"))
        users.put(tx, User(f"user-{m}", m, None, (Membership(owner, (m,)),)))
        vaulted.seed(tx, m, owner)
        approving.seed(tx, m, owner)
        bounded.seed(tx, m, owner)
        permitting.seed(tx, m, owner)
        clients.put(tx, replace(client(m, owner, unused_until=LATER), fingerprint=f"print {m}"))
        clients.hand_over(tx, f"client-{m}", f"held {m}")
        clients.set_secrets(tx, f"client-{m}", owner, [Secret(f"secret {m}", None)])
        clients.set_origins(tx, client(m, owner), [f"https://{m}.example"])
        federation.put(tx, provider(m, owner))
        federation.set_secret(tx, f"idp-{m}", f"sealed {m}".encode())
        federation.begin(tx, f"visit-{m}", cookie(owner), attempt(m, owner))
        federation.link(tx, link(m, owner))
        for made in (vouched.issuer, vouched.workload, vouched.recipient):
            trusted.put(tx, made(m, owner))
        authorization.begin(tx, f"request-{m}", cookie(owner), request(m, owner), LATER)
        pushes.add(tx, f"pushed-{m}", pushed(m, owner))
        authorization.add_grant(tx, grant(m, owner))
        shared = replace(grant("shared", owner, grant_id=f"shared-{m}"), sid="sid-shared")
        authorization.add_grant(tx, shared)
        choices.keep(tx, choice(m, owner))
        claims.add(tx, claim(m, owner))
        policies.put(tx, owner, f"text {m}", NOW)
        notices.add(tx, notice(m, owner))
        authorization.add_code(tx, f"code-{m}", code(m, owner))
        devices.add(tx, f"waiting-{m}", f"typed-{m}", device(m, owner))
        approved = replace(device(m, owner, grant_id=f"grant-{m}"), id=f"approved-{m}")
        devices.add(tx, f"approved-{m}", f"answered-{m}", approved)
        tokens.add(tx, f"refresh-{m}", refresh(m, owner))
        tokens.add(tx, f"next-{m}", refresh(f"next-{m}", owner, predecessor=f"refresh-{m}"))
        audit.add(tx, record(m, owner), f'{{"subject":"{m}"}}', f"user-{m}")
        audit.add(tx, record(f"asked-{m}", owner, body=f'{{"approval":"apr-{m}"}}'), None, None)
        audit.add(tx, record(f"shared-{m}", owner, txn="shared", client="shared"), None, "shared")
        for final, target in ((False, f"switch-{m}"), (True, f"ended-{m}")):
            denials.throw(tx, Target(Kind.GRANT, target), owner, NOW, m, final=final, ends_at=LATER)
    users.put(
        tx, User("user-both", "Both", None, tuple(Membership(owner, (canary(owner),)) for owner in TENANTS))
    )
    clients.put(tx, client("server", None))
    devices.add(tx, "waiting-server", "typed-server", device("server", None))
    authorization.begin(tx, "request-server", "browser-server", request("server", None), LATER)
    pushes.add(tx, "pushed-server", pushed("server", None))


def own(owner: str) -> Client:
    return client(mark(owner), owner)


def off(owner: str) -> Target:
    return Target(Kind.GRANT, f"switch-{mark(owner)}")


def stolen(tx: Transaction, owner: str) -> None:
    """A client of the caller's own with the id of the owner's."""
    here = next(name for name in TENANTS if name != owner)
    clients.put(tx, client(mark(owner), here))


def _cases() -> Iterator[Case]:
    def case(function: Callable[..., object], call: Call, *, adds: bool = False) -> Case:
        return Case(function.__module__, function.__name__, call, adds)

    both = User("user-both", "Both", None, ())

    yield case(tenants.put, lambda tx, o: tenants.put(tx, Tenant(o, "taken over")), adds=True)
    yield case(tenants.put, lambda tx, o: tenants.put(tx, Tenant(f"{o}-new", "new")), adds=True)
    yield case(tenants.delete, lambda tx, o: tenants.delete(tx, o))
    yield case(tenants.every, lambda tx, o: tenants.every(tx))

    yield case(users.get, lambda tx, o: users.get(tx, "user-both"))
    yield case(users.every, lambda tx, o: [user.memberships for user in users.every(tx)])
    yield case(users.put, lambda tx, o: users.put(tx, both))
    yield case(
        users.put,
        lambda tx, o: users.put(tx, User("user-new", "N", None, (Membership(o),))),
        adds=True,
    )
    yield case(users.remove, lambda tx, o: users.remove(tx, "user-both") and None)

    yield case(users.holding, lambda tx, o: users.holding(tx, o, mark(o), 9))
    yield case(users.place, lambda tx, o: users.place(tx, "user-both", Membership(o, ("taken over",), {})))
    yield case(federation.every, lambda tx, o: federation.every(tx))
    yield case(
        federation.put,
        lambda tx, o: federation.put(tx, replace(provider(mark(o), o), name="taken over")),
        adds=True,
    )
    yield case(federation.put, lambda tx, o: federation.put(tx, provider("new", o)), adds=True)
    yield case(federation.remove, lambda tx, o: federation.remove(tx, f"idp-{mark(o)}"))
    yield case(federation.secret, lambda tx, o: federation.secret(tx, f"idp-{mark(o)}"))
    yield case(federation.set_secret, lambda tx, o: federation.set_secret(tx, f"idp-{mark(o)}", b"mine"))
    yield case(federation.begin, lambda tx, o: federation.begin(tx, "v", "b", attempt("new", o)), adds=True)
    yield case(
        federation.take,
        lambda tx, o: federation.take(tx, f"visit-{mark(o)}", cookie(o), f"idp-{mark(o)}", DOOR, NOW),
    )
    yield case(federation.sweep, lambda tx, o: federation.sweep(tx, LATER))
    yield case(federation.link, lambda tx, o: federation.link(tx, link("new", o)), adds=True)
    yield case(federation.find, lambda tx, o: federation.find(tx, f"link-{mark(o)}"))
    yield case(federation.use, lambda tx, o: federation.use(tx, f"link-{mark(o)}", LATER))
    yield case(federation.unlink, lambda tx, o: federation.unlink(tx, f"link-{mark(o)}", f"user-{mark(o)}"))
    for read in (trusted.issuers, trusted.workloads, trusted.recipients):
        yield case(read, lambda tx, o, read=read: read(tx))
    for made, noun, kind in (
        (vouched.issuer, "issuer", TrustedIssuer),
        (vouched.workload, "workload", Workload),
        (vouched.recipient, "recipient", Recipient),
    ):
        yield case(trusted.put, lambda tx, o, made=made: trusted.put(tx, made("new", o)), adds=True)
        yield case(
            trusted.remove,
            lambda tx, o, noun=noun, kind=kind: trusted.remove(tx, kind, f"{noun}-{mark(o)}"),
        )
    yield case(federation.of, lambda tx, o: federation.of(tx, f"user-{mark(o)}"))

    yield case(clients.get, lambda tx, o: clients.get(tx, f"client-{mark(o)}"))
    yield case(clients.ever, lambda tx, o: clients.ever(tx, f"client-{mark(o)}"))
    yield case(clients.every, lambda tx, o: clients.every(tx))
    yield case(clients.put, lambda tx, o: clients.put(tx, replace(own(o), name="taken over")), adds=True)
    yield case(clients.put, stolen)
    yield case(clients.put, lambda tx, o: clients.put(tx, client("new", o)), adds=True)
    yield case(clients.put, lambda tx, o: clients.put(tx, client(mark(o), None)))
    yield case(
        clients.set_origins, lambda tx, o: clients.set_origins(tx, own(o), ["https://n.example"]), adds=True
    )
    yield case(clients.set_origins, lambda tx, o: clients.set_origins(tx, client(mark(o), tx.tenant), []))
    yield case(clients.origin_known, lambda tx, o: clients.origin_known(tx, f"https://{mark(o)}.example"))
    yield case(clients.mark_used, lambda tx, o: clients.mark_used(tx, f"client-{mark(o)}", LATER + 1))
    yield case(clients.remove, lambda tx, o: clients.remove(tx, f"client-{mark(o)}"))
    yield case(clients.expire, lambda tx, o: clients.expire(tx, LATER))
    yield case(clients.drop, lambda tx, o: clients.drop(tx, f"client-{mark(o)}"))
    yield case(clients.supersede, lambda tx, o: clients.supersede(tx, f"print {mark(o)}", LATER))
    yield case(clients.hand_over, lambda tx, o: clients.hand_over(tx, f"client-{mark(o)}", "mine"))
    yield case(clients.managed, lambda tx, o: clients.managed(tx, f"client-{mark(o)}", f"held {mark(o)}"))
    yield case(clients.secrets, lambda tx, o: clients.secrets(tx, f"client-{mark(o)}", NOW))
    yield case(
        clients.set_secrets,
        lambda tx, o: clients.set_secrets(tx, f"client-{mark(o)}", o, [Secret("s", None)]),
        adds=True,
    )
    yield case(clients.set_secrets, lambda tx, o: clients.set_secrets(tx, f"client-{mark(o)}", tx.tenant, []))

    yield case(
        authorization.begin,
        lambda tx, o: authorization.begin(tx, "h", "b", request("new", o), LATER),
        adds=True,
    )
    for function in (authorization.pending, authorization.claim):
        yield case(
            function,
            lambda tx, o, function=function: function(tx, "r", f"request-{mark(o)}", cookie(o), NOW),
        )
    yield case(authorization.rebind, lambda tx, o: authorization.rebind(tx, cookie(o), "mine"))
    yield case(authorization.sweep, lambda tx, o: authorization.sweep(tx, LATER, LATER))
    yield case(authorization.add_grant, lambda tx, o: authorization.add_grant(tx, grant("new", o)), adds=True)
    yield case(authorization.grant, lambda tx, o: authorization.grant(tx, f"grant-{mark(o)}"))
    yield case(
        authorization.standing,
        lambda tx, o: authorization.standing(tx, "user-shared", "client-shared", "resource-shared", NOW),
    )
    yield case(
        authorization.of_session, lambda tx, o: authorization.of_session(tx, "user-shared", "sid-shared")
    )
    yield case(authorization.of_consent, lambda tx, o: authorization.of_consent(tx, "consent-shared"))
    yield case(authorization.widen, lambda tx, o: authorization.widen(tx, f"grant-{mark(o)}", {"x": ("y",)}))
    yield case(authorization.used, lambda tx, o: authorization.used(tx, f"grant-{mark(o)}", NOW, NOW))
    yield case(authorization.grants, lambda tx, o: authorization.grants(tx, None, NOW))
    yield case(authorization.grants, lambda tx, o: authorization.grants(tx, "user-shared", NOW))
    yield case(
        authorization.add_code, lambda tx, o: authorization.add_code(tx, "new", code("new", o)), adds=True
    )
    yield case(
        authorization.consume,
        lambda tx, o: authorization.consume(
            tx,
            f"code-{mark(o)}",
            door=DOOR,
            client_id=f"client-{mark(o)}",
            challenge=CHALLENGE,
            redirect_uri=None,
            resource_id=None,
            jkt=None,
            now=NOW,
        ),
    )
    yield case(authorization.explain, lambda tx, o: authorization.explain(tx, f"code-{mark(o)}"))

    yield case(choices.keep, lambda tx, o: choices.keep(tx, choice("new", o)), adds=True)
    yield case(choices.keep, lambda tx, o: choices.keep(tx, choice(mark(o), o, LATER)), adds=True)
    yield case(choices.find, lambda tx, o: choices.find(tx, f"user-{mark(o)}", f"client-{mark(o)}", NOW))
    yield case(choices.forget, lambda tx, o: choices.forget(tx, f"user-{mark(o)}", f"client-{mark(o)}"))
    yield case(choices.sweep, lambda tx, o: choices.sweep(tx, LATER))

    yield case(policies.put, lambda tx, o: policies.put(tx, o, "other", LATER), adds=True)
    yield case(policies.every, lambda tx, o: policies.every(tx))
    yield case(policies.remove, lambda tx, o: policies.remove(tx, o))
    yield case(claims.add, lambda tx, o: claims.add(tx, claim("new", o)), adds=True)
    yield case(claims.get, lambda tx, o: claims.get(tx, f"claim-{mark(o)}"))
    yield case(claims.at, lambda tx, o: claims.at(tx, o, f"https://{mark(o)}.example/mcp"))
    yield case(claims.every, lambda tx, o: claims.every(tx))
    yield case(
        claims.settle,
        lambda tx, o: claims.settle(tx, f"claim-{mark(o)}", State.PENDING, State.PROVED, NOW),
    )
    yield case(claims.registered, lambda tx, o: claims.registered(tx, f"claim-{mark(o)}", "mine"))
    yield case(claims.withdraw, lambda tx, o: claims.withdraw(tx, f"claim-{mark(o)}"))

    yield case(pushes.add, lambda tx, o: pushes.add(tx, "new", pushed("new", o)), adds=True)
    yield case(pushes.look, lambda tx, o: pushes.look(tx, f"pushed-{mark(o)}"))
    yield case(pushes.spend, lambda tx, o: pushes.spend(tx, f"pushed-{mark(o)}", NOW))
    yield case(pushes.sweep, lambda tx, _: pushes.sweep(tx, LATER))

    yield case(devices.add, lambda tx, o: devices.add(tx, "new", "new", device("new", o)), adds=True)
    yield case(devices.typed, lambda tx, o: devices.typed(tx, f"typed-{mark(o)}"))
    yield case(devices.get, lambda tx, o: devices.get(tx, f"device-{mark(o)}"))
    yield case(devices.approve, lambda tx, o: devices.approve(tx, f"device-{mark(o)}", "grant", NOW))
    yield case(devices.deny, lambda tx, o: devices.deny(tx, f"device-{mark(o)}", NOW))
    for function, which in ((devices.poll, "waiting"), (devices.redeem, "approved")):
        yield case(
            function,
            lambda tx, o, function=function, which=which: function(
                tx,
                f"{which}-{mark(o)}",
                door=DOOR,
                client_id=f"client-{mark(o)}",
                challenge=CHALLENGE,
                resource_id=None,
                jkt=None,
                now=NOW,
            ),
        )
    yield case(devices.explain, lambda tx, o: devices.explain(tx, f"waiting-{mark(o)}"))
    yield case(devices.sweep, lambda tx, o: devices.sweep(tx, LATER))

    yield case(notices.add, lambda tx, o: notices.add(tx, notice("new", o)), adds=True)
    yield case(notices.due, lambda tx, o: notices.due(tx, NOW, 100))
    yield case(notices.attempt, lambda tx, o: notices.attempt(tx, notice(mark(o), o), LATER))
    yield case(notices.put_off, lambda tx, o: notices.put_off(tx, f"client-{mark(o)}", NOW, LATER))
    yield case(notices.drop, lambda tx, o: notices.drop(tx, f"out-{mark(o)}"))

    yield case(tokens.add, lambda tx, o: tokens.add(tx, "new", refresh("new", o)), adds=True)
    yield case(
        tokens.spend,
        lambda tx, o: tokens.spend(tx, f"refresh-{mark(o)}", DOOR, f"client-{mark(o)}", NOW),
    )
    yield case(tokens.keep, lambda tx, o: tokens.keep(tx, f"refresh-{mark(o)}", LATER + 9))
    yield case(tokens.find, lambda tx, o: tokens.find(tx, f"refresh-{mark(o)}"))
    yield case(tokens.successor, lambda tx, o: tokens.successor(tx, f"refresh-{mark(o)}"))
    yield case(tokens.every, lambda tx, o: tokens.every(tx))
    yield case(tokens.sweep, lambda tx, o: tokens.sweep(tx, LATER))

    yield case(
        audit.add, lambda tx, o: audit.add(tx, record("new", o), '{"subject":"x"}', "user-x"), adds=True
    )
    yield case(audit.find, lambda tx, o: audit.find(tx))
    yield case(audit.find, lambda tx, o: audit.find(tx, subject=f"user-{mark(o)}"))
    yield case(audit.find, lambda tx, o: audit.find(tx, client="shared"))
    yield case(audit.every, lambda tx, o: audit.every(tx))
    for name in ("aud", "txn", "grant", "jti", "parent", "req"):
        yield case(audit.handles, lambda tx, o, name=name: audit.handles(tx, f"{name}-{mark(o)}"))
    yield case(audit.handles, lambda tx, o: audit.handles(tx, "shared"))
    yield case(audit.mentions, lambda tx, o: audit.mentions(tx, f"apr-{mark(o)}"))
    yield case(audit.with_tokens, lambda tx, o: audit.with_tokens(tx, [f"jti-{mark(o)}"]))
    yield case(
        audit.chain,
        lambda tx, o: audit.chain(
            tx, [f"aud-{mark(o)}"], ["shared"], [f"grant-{mark(o)}"], [f"req-{mark(o)}"]
        ),
    )

    yield case(
        denials.throw,
        lambda tx, o: denials.throw(tx, Target(Kind.USER, "new"), o, NOW, "why", final=True),
        adds=True,
    )
    yield case(denials.off, lambda tx, o: denials.off(tx, [off(o)], NOW))
    yield case(denials.newest, lambda tx, o: denials.newest(tx))
    yield case(denials.stands, lambda tx, o: denials.stands(tx, off(o), NOW, final=False))
    for function, call, adds in (
        *vaulted.cases(mark),
        *bounded.cases(mark),
        *approving.cases(mark),
        *permitting.cases(mark),
    ):
        yield case(function, call, adds=adds)
    yield case(denials.lift, lambda tx, o: denials.lift(tx, off(o), NOW))
    yield case(denials.sweep, lambda tx, o: denials.sweep(tx, LATER))
    yield case(denials.in_force, lambda tx, o: denials.in_force(tx, NOW))


CASES = tuple(_cases())


def spoken(found: object) -> str:
    """Everything that an answer says."""
    if is_dataclass(found):
        return " ".join(spoken(getattr(found, one.name)) for one in fields(found))
    if isinstance(found, (list, tuple, set)):
        return " ".join(spoken(one) for one in found)
    return repr(found)


def rows_of(tx: Transaction, tenant: str) -> dict[str, list[str]]:
    """Every row of a tenant, seen from before all walls."""
    if tx.connection.dialect.name == "postgresql":
        tx.connection.execute(text("SELECT set_config('broker.tenant', '*', true)"))
    found: dict[str, list[str]] = {}
    for metadata in schema.METADATA:
        for table in metadata.sorted_tables:
            column = wall_column(table)
            if column is not None:
                named = f'SELECT * FROM "{table.name}" WHERE "{column}" = :tenant OR "{column}" LIKE :new'
                rows = tx.connection.execute(text(named), {"tenant": tenant, "new": f"{tenant}-%"})
                found[table.name] = sorted(repr(tuple(row)) for row in rows)
    return found
