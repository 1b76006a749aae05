"""OpenID Connect Core section 3.1: the room as a whole, its verbs wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.identity.clients.clients import Clients
from broker.identity.federation.arrival import Arrival
from broker.identity.federation.federation import Federation
from broker.identity.federation.links import Links
from broker.identity.federation.own_links import OwnLinks
from broker.identity.federation.providers import Providers
from broker.identity.federation.refused import Refusing
from broker.identity.federation.trusted.accounts import Accounts
from broker.identity.federation.trusted.room import Believed, TrustedRoom
from broker.identity.federation.upstream import Upstream
from broker.identity.federation.visits import Visits
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.doors import Doors
from broker.identity.users.people import People
from broker.identity.users.ways_in import WaysIn
from broker.runtime.egress import Egress
from broker.runtime.world import World


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call."""

    providers: Providers
    upstream: Upstream
    visits: Visits
    links: Links
    own_links: OwnLinks
    federation: Federation
    trusted: TrustedRoom


def furnished(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    egress: Egress,
    sessions: Sessions,
    people: People,
    clients: Clients,
    providers: Providers,
    links: Links,
    ways_in: WaysIn,
    believed: Believed,
    doors: Callable[[], Doors],
    *,
    key: bytes,
    per_minute: int,
    longest: float,
) -> Room:
    """`key`, `per_minute`, `longest`: see `Visits`."""
    upstream, refusing = Upstream(egress, world.clock), Refusing(refusals)
    visits = Visits(
        world, refusing, providers, upstream, doors, key=key, per_minute=per_minute, longest=longest
    )
    arrival = Arrival(world, recorder, people, clients, links)
    federation = Federation(world, refusing, sessions, providers, upstream, visits, arrival, links, doors)
    own_links = OwnLinks(world, refusals, sessions, ways_in, links)
    trusted = TrustedRoom(believed, Accounts(world, arrival, links, people))
    return Room(providers, upstream, visits, links, own_links, federation, trusted)
