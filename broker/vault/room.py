"""The room as a whole, its verbs wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.estate.estate import Estate
from broker.identity.federation.providers import Providers
from broker.identity.sessions.sessions import Sessions
from broker.identity.users.people import People
from broker.runtime.database import Transaction
from broker.runtime.egress import Egress
from broker.runtime.world import World
from broker.vault.connections import Connections
from broker.vault.credentials.credentials import Credentials
from broker.vault.ending import Ending
from broker.vault.farewells.farewells import Farewells
from broker.vault.making import Making
from broker.vault.refreshing import Refreshing
from broker.vault.refused import Refusing
from broker.vault.releases.releases import Releases
from broker.vault.sealing import Sealing
from broker.vault.underway.underway import Underway
from broker.vault.upstream import Upstream
from broker.vault.use import Use
from broker.vault.visits import Visits
from broker.vault.watch import Granted, Watch
from broker.vault.whose import Whose
from keys.sealed import KeyEncryptionKey


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call: `Broker.vault`."""

    connections: Connections
    credentials: Credentials
    visits: Visits
    use: Use
    refreshing: Refreshing
    releases: Releases
    farewells: Farewells
    watch: Watch
    whose: Whose

    def tend(self) -> None:
        """Background duties, once: what is off is taken back, providers are told, data keys are sealed anew."""
        self.watch.run()
        self.farewells.deliver()
        self.connections.rewrap()

    def sweep(self, tx: Transaction, now: float) -> None:
        self.visits.sweep(tx, now)
        self.releases.sweep(tx, now)


def furnished(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    egress: Egress,
    sessions: Sessions,
    people: People,
    providers: Providers,
    estate: Callable[[], Estate],
    granted: Granted,
    kek: KeyEncryptionKey,
    *,
    per_minute: int,
) -> Room:
    """`granted`: see `Watch`; `per_minute`: see `Visits`."""
    upstream, sealing, credentials = Upstream(egress, world.clock), Sealing(kek), Credentials(kek)
    farewells = Farewells(world, recorder, upstream, credentials, sealing, estate)
    releases = Releases(world)
    whose = Whose(kek.derive("vault-whose"))
    ending = Ending(world, recorder, sealing, farewells, releases)
    visits = Visits(
        world,
        Refusing(refusals, estate),
        upstream,
        credentials,
        Underway(world, kek.derive("vault-visits")),
        Making(world, recorder, sealing, ending),
        sessions,
        people,
        providers,
        estate,
        per_minute=per_minute,
    )
    return Room(
        Connections(world, recorder, sealing, ending),
        credentials,
        visits,
        Use(world, sealing, whose),
        Refreshing(world, recorder, upstream, credentials, sealing, ending, estate),
        releases,
        farewells,
        Watch(world, recorder, releases, ending, estate, granted),
        whose,
    )
