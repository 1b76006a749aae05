"""OpenID Connect Core section 5.7: accounts linked by (issuer, subject), by whoever holds both, and by nothing else."""

import hashlib

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.identity.federation import store
from broker.identity.federation.model import Identity, Link, Provider
from broker.identity.users.people import People
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class LastWay(Exception):
    """Without this link the person could not sign in any more."""


class Links:
    def __init__(self, world: World, recorder: Recorder, people: People) -> None:
        self._world, self._recorder, self._people = world, recorder, people

    def of(self, user_id: str) -> list[Link]:
        """The links of an account, the oldest first."""
        return self._world.database.read(lambda tx: store.of(tx, user_id))

    def has(self, tx: Transaction, user_id: str) -> bool:
        """See `linked`."""
        return linked(tx, user_id)

    def find(self, tx: Transaction, provider: Provider, identity: Identity) -> Link | None:
        return store.find(tx, link_id(provider.tenant, identity.issuer, identity.subject))

    def use(self, tx: Transaction, link: Link) -> None:
        store.use(tx, link.id, self._world.clock.now())

    def add(
        self, tx: Transaction, provider: Provider, identity: Identity, user_id: str, origin: Origin
    ) -> None:
        """Within `tx`; `Conflict` when this subject was linked meanwhile."""
        where = (provider.tenant, identity.issuer, identity.subject)
        now = self._world.clock.now()
        store.link(tx, Link(link_id(*where), *where, user_id, provider.id, now))
        self._recorder.record(tx, _fact("identity.linked", provider.id, provider.tenant, user_id), origin)

    def remove(self, user_id: str, which: str, origin: Origin | None) -> bool:
        """Take a link away; False when the person has none of this id. LastWay when nothing else would let them in."""

        def unit(tx: Transaction) -> bool:
            mine = store.of(tx, user_id)
            found = next((link for link in mine if link.id == which), None)
            if found is None:
                return False
            if len(mine) == 1 and not self._people.has_password(tx, user_id):
                raise LastWay
            removed = store.unlink(tx, which, user_id)
            if removed:
                fact = _fact("identity.unlinked", found.provider, found.tenant, user_id)
                self._recorder.record(tx, fact, origin)
            return removed

        return self._world.database.write(unit)


def linked(tx: Transaction, user_id: str) -> bool:
    """Whether some provider vouches for this person, as the wall lets see."""
    return bool(store.of(tx, user_id))


def link_id(tenant: str | None, issuer: str, subject: str) -> str:
    """One name for one subject of one issuer; of a tenant's own provider, behind that tenant's wall."""
    return hashlib.sha256("\0".join((tenant or "", issuer, subject)).encode()).hexdigest()


def _fact(name: str, provider: str, tenant: str | None, user_id: str) -> Fact:
    return Fact(name, tenant=tenant, subject=user_id, change={"provider": provider})
