"""The keys behind each door: made when first needed, turned by rule, recorded, and read as a snapshot."""

from collections.abc import Iterable, Mapping

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.protocol.jws import VerificationKey, keys_from_jwks
from broker.runtime.database import Transaction, bump
from broker.runtime.failpoints import failpoint
from broker.runtime.world import World
from keys import jwt, ring
from keys.model import RingName
from keys.ring import Keyring
from keys.rotation import Activate, Change, Create, Remove, Retire, RotationPolicy
from keys.sealed import KeyEncryptionKey

STAMP = "keys"
PURPOSE = "token"
_FACTS = {Create: "key.created", Activate: "key.activated", Retire: "key.retiring", Remove: "key.retired"}


class DoorKeys:
    """Signs for a door and publishes what verifies. Also the key source of the server's own verifier."""

    def __init__(
        self, world: World, recorder: Recorder, kek: KeyEncryptionKey, policy: RotationPolicy
    ) -> None:
        self._world, self._recorder, self._kek, self._policy = world, recorder, kek, policy
        self._snapshot = world.snapshots.of(STAMP, self._load)
        self._last: Keyring | None = None
        self._parsed: tuple[Keyring, dict[str, Mapping[str, VerificationKey]]] | None = None

    def ring(self) -> Keyring:
        return self._snapshot.get()

    def keys(self, issuer: str) -> Mapping[str, VerificationKey]:
        """The published keys of a door, by kid."""
        current = self.ring()
        parsed = self._parsed
        if parsed is None or parsed[0] is not current:
            parsed = self._parsed = (current, {})
        if issuer not in parsed[1]:
            parsed[1][issuer] = keys_from_jwks(current.jwks(issuer))
        return parsed[1][issuer]

    def sign(
        self, tx: Transaction, issuer: str, algorithm: str, typ: str, claims: Mapping[str, object]
    ) -> str:
        """A compact JWS by the door's active key of this algorithm."""
        name = RingName(issuer, algorithm, PURPOSE)
        signer = self.ring().active(name)
        if signer is None:
            self.turn(tx, [name])
            signer = Keyring.load(tx.connection, self._kek).active(name)
        if signer is None:
            raise RuntimeError(f"the ring {name} has no active key")
        return jwt.encode(signer, claims, typ)

    def statement(self, issuer: str, algorithm: str, typ: str, claims: Mapping[str, object]) -> str:
        """Sign something that the server says of itself, outside a request's transaction."""
        signer = self.ring().active(RingName(issuer, algorithm, PURPOSE))
        if signer is not None:
            return jwt.encode(signer, claims, typ)
        return self._world.database.write(lambda tx: self.sign(tx, issuer, algorithm, typ, claims))

    def ready(self, issuer: str, algorithm: str) -> None:
        """Make sure that `sign` finds a key, before a transaction of one tenant begins: keys are the server's."""
        if self.ring().active(RingName(issuer, algorithm, PURPOSE)) is None:
            self._world.database.write(lambda tx: self.prepare(tx, [(issuer, algorithm)]))
            self.refresh()

    def prepare(self, tx: Transaction, rings: Iterable[tuple[str, str]]) -> None:
        """Make sure that each (issuer, algorithm) has a key, so that it is published before it signs."""
        self.turn(tx, [RingName(issuer, algorithm, PURPOSE) for issuer, algorithm in rings])

    def turn(self, tx: Transaction, names: Iterable[RingName], force: bool = False) -> list[Change]:
        """Do what is due in these rings within `tx`, each change recorded."""
        changed: list[Change] = []
        for name in names:
            for change in ring.advance(
                tx.connection, self._kek, name, self._world.clock.now(), self._policy, force
            ):
                changed.append(change)
                self._record(tx, name, change)
                failpoint("keys.after_change")
        if changed:
            bump(tx, STAMP)
        return changed

    def tend(self) -> list[Change]:
        """The background duty: advance every ring there is."""
        return self._world.database.write(lambda tx: self.turn(tx, sorted(self.ring().names())))

    def rotate(self, issuer: str, algorithm: str) -> list[Change]:
        """Begin a rotation now: a pending key, which signs once it was published long enough."""
        name = RingName(issuer, algorithm, PURPOSE)
        return self._world.database.write(lambda tx: self.turn(tx, [name], force=True))

    def refresh(self) -> Keyring:
        return self._snapshot.refresh()

    def _load(self, tx: Transaction) -> Keyring:
        self._last = Keyring.load(tx.connection, self._kek, self._last)
        return self._last

    def _record(self, tx: Transaction, name: RingName, change: Change) -> None:
        detail: dict[str, object] = {"kid": change.kid, "alg": name.alg, "purpose": name.purpose}
        self._recorder.record(tx, Fact(_FACTS[type(change)], issuer=name.door, change=detail))
