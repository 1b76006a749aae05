"""RFC 7523: the room as a whole, its verbs wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.identity.federation.trusted.accounts import Accounts
from broker.identity.federation.trusted.believe import Trusted
from broker.identity.federation.trusted.issuers import Issuers
from broker.identity.federation.trusted.keys import IssuerKeys
from broker.identity.federation.trusted.workloads import Workloads
from broker.identity.tenants.doors import Doors
from broker.runtime.egress import Egress
from broker.runtime.world import World


@dataclass(frozen=True, slots=True)
class Believed:
    """Whom to believe, and which client a platform's token makes somebody: what asks nobody above."""

    issuers: Issuers
    keys: IssuerKeys
    trusted: Trusted
    workloads: Workloads


@dataclass(frozen=True, slots=True)
class TrustedRoom:
    """What other rooms and faces call."""

    believed: Believed
    accounts: Accounts

    @property
    def issuers(self) -> Issuers:
        return self.believed.issuers

    @property
    def keys(self) -> IssuerKeys:
        return self.believed.keys

    @property
    def trusted(self) -> Trusted:
        return self.believed.trusted

    @property
    def workloads(self) -> Workloads:
        return self.believed.workloads


def believing(world: World, egress: Egress, doors: Callable[[], Doors], stamp: str) -> Believed:
    """`stamp`: see `Issuers`."""
    issuers, keys = Issuers(world, stamp), IssuerKeys(egress, world.clock)
    trusted = Trusted(issuers, keys, doors)
    return Believed(issuers, keys, trusted, Workloads(issuers, trusted))
