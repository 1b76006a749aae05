"""RFC 7523: the room as a whole, its verbs wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.identity.federation.arrival import Arrival
from broker.identity.federation.links import Links
from broker.identity.federation.trusted.accounts import Accounts
from broker.identity.federation.trusted.believe import Trusted
from broker.identity.federation.trusted.issuers import Issuers
from broker.identity.federation.trusted.keys import IssuerKeys
from broker.identity.federation.trusted.workloads import Workloads
from broker.identity.tenants.doors import Doors
from broker.identity.users.people import People
from broker.runtime.egress import Egress
from broker.runtime.world import World


@dataclass(frozen=True, slots=True)
class TrustedRoom:
    """What other rooms and faces call."""

    issuers: Issuers
    keys: IssuerKeys
    trusted: Trusted
    accounts: Accounts
    workloads: Workloads


def trusted_room(
    world: World,
    egress: Egress,
    arrival: Arrival,
    links: Links,
    people: People,
    doors: Callable[[], Doors],
    stamp: str,
) -> TrustedRoom:
    """`stamp`: see `Issuers`."""
    issuers, keys = Issuers(world, stamp), IssuerKeys(egress, world.clock)
    trusted = Trusted(issuers, keys, doors)
    return TrustedRoom(
        issuers, keys, trusted, Accounts(world, arrival, links, people), Workloads(issuers, trusted)
    )
