"""RFC 7517 section 5: the rings of a door, turned in the caller's transaction, read as a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from sqlalchemy import Connection

from keys import store
from keys.local import LocalSigner, generate
from keys.model import KeyRecord, KeyState, RingName, public_members, thumbprint
from keys.rotation import Activate, Change, Create, Remove, Retire, RotationPolicy, plan, stamp
from keys.sealed import KeyEncryptionKey, SealError
from keys.signer import Signer

# Published, and in this order: a verifier that looks at the first key only finds the one that signs.
_PUBLISHED = (KeyState.ACTIVE, KeyState.RETIRING, KeyState.PENDING)


class RingConflict(Exception):
    """The ring changed underneath in a way that no race of workers explains: roll back."""


def create(
    connection: Connection, kek: KeyEncryptionKey, name: RingName, state: KeyState, now: float
) -> KeyRecord:
    """Make the ring's pending or active key and return it, or the one that stands there already.

    An active key made here signs before verifiers can know it: `advance` does so for a ring's first key only.
    """
    records = store.ring(connection, name)
    standing = [record for record in records if record.state is state]
    if not standing:
        record = _generate(kek, name, state, records, now)
        if store.insert(connection, record):
            return record
        standing = [record for record in store.ring(connection, name) if record.state is state]
    if not standing:
        raise RingConflict(f"cannot add a {state} key to {name}")
    return standing[0]


def advance(
    connection: Connection,
    kek: KeyEncryptionKey,
    name: RingName,
    now: float,
    policy: RotationPolicy,
    force: bool = False,
) -> tuple[Change, ...]:
    """Do what is due in one ring; returns what this caller changed (a step that another worker took is not
    among it), for the caller to record. Commit all of it or nothing."""
    records = store.ring(connection, name)
    at = stamp(records, now)
    done: list[Change] = []
    for change in plan(records, now, policy, force=force):
        match change:
            case Create(state):
                record = _generate(kek, name, state, records, now)
                change = replace(change, kid=record.kid)
                won = store.insert(connection, record)
            case Retire(kid):
                won = store.move(connection, kid, KeyState.ACTIVE, KeyState.RETIRING, at)
                if not won:
                    break  # another worker is past this point and activates the next key
            case Activate(kid):
                won = store.move(connection, kid, KeyState.PENDING, KeyState.ACTIVE, at)
                if not won and done:
                    raise RingConflict(f"{name} would be left without an active key")
            case Remove(kid):
                won = store.move(connection, kid, KeyState.RETIRING, KeyState.RETIRED, at)
        if won:
            done.append(change)
    return tuple(done)


@dataclass(frozen=True, slots=True)
class Keyring:
    """All rings at one moment: active keys unsealed, parsed and warmed. Never changes; load another."""

    _signers: Mapping[RingName, Signer]
    _published: Mapping[str, tuple[KeyRecord, ...]]

    @classmethod
    def load(cls, connection: Connection, kek: KeyEncryptionKey, previous: "Keyring | None" = None) -> Self:
        """Read the table; SealError if an active key does not open. Signers of `previous` are kept."""
        published: dict[str, list[KeyRecord]] = {}
        signers: dict[RingName, Signer] = {}
        for record in store.rows(connection):
            if record.state in _PUBLISHED:
                published.setdefault(record.door, []).append(record)
            if record.state is KeyState.ACTIVE:
                known = previous.active(record.name) if previous is not None else None
                signers[record.name] = known if known and known.kid == record.kid else _signer(record, kek)
        for records in published.values():
            records.sort(key=lambda record: _PUBLISHED.index(record.state))
        return cls(signers, {door: tuple(records) for door, records in published.items()})

    def active(self, name: RingName) -> Signer | None:
        """The signer of a ring, or None if the ring has no active key (yet)."""
        return self._signers.get(name)

    def published(self, door: str) -> tuple[KeyRecord, ...]:
        """Active, retiring and pending keys of a door, in that order."""
        return self._published.get(door, ())

    def jwks(self, door: str) -> dict[str, list[dict[str, str]]]:
        """The key set of a door, public members only."""
        return {
            "keys": [
                {**public_members(record.public_jwk), "kid": record.kid, "use": "sig", "alg": record.alg}
                for record in self.published(door)
            ]
        }

    def names(self) -> frozenset[RingName]:
        """Every ring that has a published key."""
        return frozenset(record.name for records in self._published.values() for record in records)


def _generate(
    kek: KeyEncryptionKey, name: RingName, state: KeyState, ring: list[KeyRecord], now: float
) -> KeyRecord:
    if state not in (KeyState.PENDING, KeyState.ACTIVE):
        raise ValueError("a key begins as pending or active")
    private, jwk = generate(name.alg)
    at = stamp(ring, now)
    record = KeyRecord(
        kid=thumbprint(jwk),
        door=name.door,
        alg=name.alg,
        purpose=name.purpose,
        version=1 + max((record.version for record in ring), default=0),
        state=state,
        created_at=at,
        activated_at=at if state is KeyState.ACTIVE else None,
        public_jwk=jwk,
    )
    return replace(record, sealed_private=kek.seal(private, _context(record)))


def _signer(record: KeyRecord, kek: KeyEncryptionKey) -> Signer:
    if record.sealed_private is None:
        raise SealError(f"the active key {record.kid} has no private part")
    signer = LocalSigner(kek.open(record.sealed_private, _context(record)), record.alg)
    if signer.kid != record.kid or signer.public_jwk() != public_members(record.public_jwk):
        raise SealError(f"the active key {record.kid} is published with another public part")
    signer.sign(b"")  # the first signature of a key pays for its tables: not within a request
    return signer


def _context(record: KeyRecord) -> dict[str, str]:
    return {
        "kid": record.kid,
        "alg": record.alg,
        "door": record.door,
        "purpose": record.purpose,
        "version": str(record.version),
    }
