"""OWASP ASVS V6.3.7: a person is told of every change to their ways in, on their own page; the evidence has it too."""

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.identity.users.credentials import store
from broker.identity.users.credentials.model import Notice
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_KEPT = 90 * 86400.0
_MOST = 20
_LONGEST_NAME = 100


class Notices:
    def __init__(self, world: World, recorder: Recorder) -> None:
        self._world, self._recorder = world, recorder

    def tell(
        self, tx: Transaction, user_id: str, what: str, kind: str, origin: Origin, name: str | None = None
    ) -> None:
        """Within the change's transaction: the fact for the evidence, and the same for the person."""
        change: dict[str, object] = {"kind": kind, **({"name": name} if name else {})}
        self._recorder.record(tx, Fact(what, subject=user_id, change=change), origin)
        self.show(tx, user_id, what, kind, origin, name)

    def show(
        self,
        tx: Transaction,
        user_id: str,
        what: str,
        kind: str,
        origin: Origin | None,
        name: str | None = None,
    ) -> None:
        """Within the change's transaction, whose fact was recorded otherwise: the notice for the person alone."""
        now = self._world.clock.now()
        identifier = self._world.entropy.identifier("nte", now)
        source, agent = (origin.source, origin.agent) if origin else (None, None)
        named = name[:_LONGEST_NAME] if name else None
        store.tell(tx, Notice(identifier, user_id, what, kind, named, now, source, agent))

    def told(self, user_id: str) -> list[Notice]:
        """What changed in the last months, the newest first."""
        return self._world.database.read(lambda tx: store.told(tx, user_id, _MOST))

    def sweep(self, tx: Transaction) -> None:
        now = self._world.clock.now()
        store.sweep(tx, now, now - _KEPT)

    def forget(self, tx: Transaction, user_id: str) -> None:
        """Within `tx`: a person is gone, with every way in."""
        store.remove_all(tx, user_id)
