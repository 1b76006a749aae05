"""Connections, visits, releases and farewells for the tests of stores."""

from collections.abc import Callable, Iterator

from broker.denials.model import Kind, Target
from broker.runtime.database import Transaction
from broker.vault import store as vault
from broker.vault.farewells import store as farewells
from broker.vault.farewells.model import Farewell
from broker.vault.model import Account, Connection, Sealed, State, Visit
from broker.vault.releases import store as releases
from broker.vault.releases.model import Release
from broker.vault.underway import store as underway
from tests.stores.samples import DOOR, LATER, NOW

Call = Callable[[Transaction, str], object]


def connection(mark: str, tenant: str = "acme", *, version: int = 1, user: str | None = None) -> Connection:
    return Connection(
        id=f"con-{mark}",
        tenant=tenant,
        user_id=user or f"user-{mark}",
        resource_id=f"resource-{mark}",
        provider="github",
        account=Account(f"account-{mark}", f"Äccount {mark}"),
        scopes=("repo", "read:user"),
        wider=("gist",),
        state=State.CONNECTED,
        version=version,
        refreshable=True,
        expires_at=LATER,
        connected_at=NOW,
        changed_at=NOW,
    )


def sealed(mark: str, key_id: str = "k1") -> Sealed:
    return Sealed(key_id, f"key {mark}".encode(), f"\0access {mark}\xff".encode(), f"refresh {mark}".encode())


def visit(mark: str, tenant: str = "acme", expires_at: float = LATER) -> Visit:
    return Visit(tenant, f"resource-{mark}", DOOR, f"user-{mark}", ("repo",), f"/on/{mark}", NOW, expires_at)


def release(mark: str, tenant: str = "acme", expires_at: float | None = LATER) -> Release:
    return Release(
        id=f"rel-{mark}",
        tenant=tenant,
        connection_id=f"con-{mark}",
        version=1,
        user_id=f"user-{mark}",
        resource_id=f"resource-{mark}",
        via="tickets",
        client_id=f"client-{mark}",
        grant_id=f"grant-{mark}",
        txn=f"txn-{mark}",
        jti_hash="f" * 64,
        targets=(Target(Kind.TENANT, tenant), Target(Kind.USER, f"user-{mark}")),
        released_at=NOW,
        expires_at=expires_at,
    )


def farewell(mark: str, tenant: str = "acme", next_at: float = NOW, attempts: int = 0) -> Farewell:
    return Farewell(
        f"bye-{mark}",
        tenant,
        f"con-{mark}",
        f"resource-{mark}",
        f"user-{mark}",
        f"why {mark}",
        None,
        f"\0token {mark}\xff".encode(),
        attempts,
        next_at,
    )


def seed(tx: Transaction, mark: str, tenant: str) -> None:
    vault.add(tx, connection(mark, tenant), sealed(mark))
    underway.begin(tx, f"away-{mark}", f"browser-{mark}", visit(mark, tenant))
    releases.add(tx, release(mark, tenant))
    farewells.add(tx, farewell(mark, tenant))


def cases(mark: Callable[[str], str]) -> Iterator[tuple[Callable[..., object], Call, bool]]:
    """(function, call, whether it adds a row) for what belongs to one tenant, and to two people of it."""

    def which(owner: str) -> str:
        return f"con-{mark(owner)}"

    yield vault.get, lambda tx, o: vault.get(tx, which(o)), False
    yield (
        vault.find,
        lambda tx, o: vault.find(tx, o, f"user-{mark(o)}", f"resource-{mark(o)}"),
        False,
    )
    yield vault.every, lambda tx, o: vault.every(tx), False
    yield vault.every, lambda tx, o: vault.every(tx, f"user-{mark(o)}"), False
    yield vault.otherwise_sealed, lambda tx, o: vault.otherwise_sealed(tx, "k2", "", 100), False
    yield vault.add, lambda tx, o: vault.add(tx, connection("new", o), sealed("new")), True
    yield (
        vault.renew,
        lambda tx, o: vault.renew(tx, 1, connection(mark(o), o, version=2), sealed("mine")),
        False,
    )
    yield vault.claim, lambda tx, o: vault.claim(tx, which(o), 1, "me", NOW, LATER), False
    yield (
        vault.fail,
        lambda tx, o: (
            vault.claim(tx, which(o), 1, "me", NOW, LATER),
            vault.fail(tx, which(o), 1, "me", LATER, "why"),
        )[1],
        False,
    )
    yield vault.broke, lambda tx, o: vault.broke(tx, which(o), 1, "why", NOW), False
    yield (
        vault.erase,
        lambda tx, o: vault.erase(tx, which(o), 1, State.DISCONNECTED, "why", NOW),
        False,
    )
    yield vault.expire, lambda tx, o: vault.expire(tx, which(o), 1, "why", NOW), False
    yield vault.used, lambda tx, o: vault.used(tx, which(o), LATER, NOW), False
    yield vault.rewrap, lambda tx, o: vault.rewrap(tx, which(o), 1, sealed("mine", "k2")), False

    yield underway.begin, lambda tx, o: underway.begin(tx, "h", "b", visit("new", o)), True
    yield (
        underway.take,
        lambda tx, o: underway.take(
            tx,
            f"away-{mark(o)}",
            f"browser-{mark(o)}",
            f"user-{mark(o)}",
            f"resource-{mark(o)}",
            DOOR,
            NOW,
        ),
        False,
    )
    yield underway.sweep, lambda tx, o: underway.sweep(tx, LATER), False

    yield releases.add, lambda tx, o: releases.add(tx, release("new", o)), True
    yield releases.still_good, lambda tx, o: releases.still_good(tx, NOW, "", 100), False
    yield releases.of, lambda tx, o: releases.of(tx, which(o), 100), False
    yield releases.end, lambda tx, o: releases.end(tx, f"rel-{mark(o)}", NOW, withdrawn=True), False
    yield releases.end_all, lambda tx, o: releases.end_all(tx, which(o), NOW, withdrawn=True), False
    yield releases.forget, lambda tx, o: releases.forget(tx, f"rel-{mark(o)}"), False
    yield releases.sweep, lambda tx, o: releases.sweep(tx, LATER, NOW), False

    yield farewells.add, lambda tx, o: farewells.add(tx, farewell("new", o)), True
    yield farewells.due, lambda tx, o: farewells.due(tx, NOW, 100), False
    yield farewells.attempt, lambda tx, o: farewells.attempt(tx, farewell(mark(o), o), LATER), False
    yield (
        farewells.put_off,
        lambda tx, o: farewells.put_off(tx, f"resource-{mark(o)}", NOW, LATER),
        False,
    )
    yield farewells.drop, lambda tx, o: farewells.drop(tx, f"bye-{mark(o)}"), False
