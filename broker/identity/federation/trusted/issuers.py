"""RFC 7521 section 3: the issuers, workloads and recipients that administrators wrote down, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.federation.trusted import store
from broker.identity.federation.trusted.document import Entry
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Workload
from broker.runtime.database import Transaction
from broker.runtime.world import World


@dataclass(frozen=True, slots=True)
class Known:
    """All of them, by id."""

    issuers: Mapping[str, TrustedIssuer]
    workloads: Mapping[str, Workload]
    recipients: Mapping[str, Recipient]


class Issuers:
    """`stamp`: the version stamp that moves when any of them changes."""

    def __init__(self, world: World, stamp: str) -> None:
        self._world = world
        self._snapshot = world.snapshots.of(stamp, _load)

    def known(self) -> Known:
        """As requests are judged by now."""
        return self._snapshot.get()

    def every(self, tx: Transaction) -> list[Entry]:
        return [*store.issuers(tx), *store.workloads(tx), *store.recipients(tx)]

    def within(self, tx: Transaction, recipient_id: str) -> Recipient | None:
        """The recipient as it is inside the transaction that would vouch to it."""
        return next((one for one in store.recipients(tx) if one.id == recipient_id), None)

    def stands(self, tx: Transaction, entry: TrustedIssuer) -> bool:
        """Whether the issuer is still what its word was judged by, inside the transaction that acts on it."""
        return entry in store.issuers(tx)

    def workloads(self, tx: Transaction) -> list[Workload]:
        """As they are inside the transaction that serves one."""
        return store.workloads(tx)

    def put(self, tx: Transaction, entry: Entry) -> None:
        """Create or change; `Conflict` when the id belonged to one that was deleted."""
        store.put(tx, entry)

    def remove(self, tx: Transaction, kind: type[Entry], entry_id: str) -> bool:
        """What an issuer vouched for dies with it; links stay: they are to the issuer, not to this entry."""
        removed = store.remove(tx, kind, entry_id)
        if removed and kind is TrustedIssuer:
            live.gone(tx, Target(Kind.ISSUER, entry_id), self._world.clock.now())
        return removed


def _load(tx: Transaction) -> Known:
    return Known(
        {entry.id: entry for entry in store.issuers(tx)},
        {entry.id: entry for entry in store.workloads(tx)},
        {entry.id: entry for entry in store.recipients(tx)},
    )
