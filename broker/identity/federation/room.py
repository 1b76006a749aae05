"""OpenID Connect Core section 3.1: the room as a whole, its verbs wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.identity.clients.clients import Clients
from broker.identity.federation.arrival import Arrival
from broker.identity.federation.federation import Federation
from broker.identity.federation.links import Links
from broker.identity.federation.providers import Providers
from broker.identity.federation.refused import Refusing
from broker.identity.federation.trusted.room import TrustedRoom, trusted_room
from broker.identity.federation.upstream import Upstream
from broker.identity.federation.visits import Visits
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.doors import Doors
from broker.identity.users.people import People
from broker.runtime.egress import Egress
from broker.runtime.world import World


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call."""

    providers: Providers
    upstream: Upstream
    visits: Visits
    links: Links
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
    doors: Callable[[], Doors],
    *,
    key: bytes,
    per_minute: int,
    longest: float,
    stamp: str,
) -> Room:
    """`key`, `per_minute`, `longest`: see `Visits`; `stamp`: see `Issuers`."""
    upstream, refusing = Upstream(egress, world.clock), Refusing(refusals)
    links = Links(world, recorder, people)
    visits = Visits(
        world, refusing, providers, upstream, doors, key=key, per_minute=per_minute, longest=longest
    )
    arrival = Arrival(world, recorder, people, clients, links)
    federation = Federation(world, refusing, sessions, providers, upstream, visits, arrival, links, doors)
    trusted = trusted_room(world, egress, arrival, links, people, doors, stamp)
    return Room(providers, upstream, visits, links, federation, trusted)
