"""Throw and lift switches, each with its record in the same transaction (law 2)."""

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.denials import store
from broker.denials.model import Denial, Kind, Target
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Switches:
    def __init__(self, world: World, recorder: Recorder) -> None:
        self._world, self._recorder = world, recorder

    def throw(
        self, target: Target, why: str, origin: Origin | None = None, tenant: str | None = None
    ) -> None:
        """Off for issuing, exchange and introspection once this returns. Throwing twice changes nothing more."""

        self._world.database.write(
            lambda tx: self.throw_within(tx, target, why, origin, tenant), throwing=True
        )

    def throw_within(
        self, tx: Transaction, target: Target, why: str, origin: Origin | None, tenant: str | None
    ) -> None:
        """As `throw`, with whatever else the throwing transaction `tx` does."""
        if store.throw(tx, target, tenant, self._world.clock.now(), why, final=False):
            self._recorder.record(tx, _fact("switch.thrown", target, tenant, why), origin)

    def lift(self, target: Target, why: str, origin: Origin | None = None) -> bool:
        """False when no switch was thrown. What was revoked or deleted stays off."""

        def unit(tx: Transaction) -> bool:
            lifted = store.lift(tx, target, self._world.clock.now())
            if lifted:
                self._recorder.record(tx, _fact("switch.lifted", target, None, why), origin)
            return lifted

        return self._world.database.write(unit, throwing=True)

    def list(self) -> list[Denial]:
        return self._world.database.read(lambda tx: store.in_force(tx, self._world.clock.now()))


def _fact(name: str, target: Target, tenant: str | None, why: str) -> Fact:
    """A user's id is personal: it stands beside the record, as its subject. A story's own ids lead to its end too."""
    user = target.id if target.kind is Kind.USER else None
    change: dict[str, object] = {"kind": target.kind.value, "why": why}
    if user is None:
        change["id"] = target.id
    return Fact(
        name,
        tenant=tenant,
        subject=user,
        grant_id=target.id if target.kind is Kind.GRANT else None,
        txn=target.id if target.kind is Kind.TRANSACTION else None,
        jti=target.id if target.kind is Kind.TOKEN else None,
        change=change,
    )
