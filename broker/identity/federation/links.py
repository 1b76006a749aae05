"""OpenID Connect Core section 5.7: accounts linked by (issuer, subject), by whoever holds both, and by nothing else."""

import hashlib
from collections.abc import Callable, Mapping

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.identity.federation import rules, store
from broker.identity.federation.model import Identity, Link, Provider
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door, Tenant
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.model import User
from broker.identity.users.people import People
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Links:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        notices: Notices,
        people: People,
        doors: Callable[[], Doors],
    ) -> None:
        self._world, self._recorder, self._notices = world, recorder, notices
        self._people, self._doors = people, doors

    def of(self, user_id: str) -> list[Link]:
        """The links of an account, the oldest first."""
        return self._world.database.read(lambda tx: store.of(tx, user_id))

    def same(self, tx: Transaction, user_id: str) -> frozenset[str]:
        """The accounts whose person is this one too: linked to the same somebody elsewhere, in whichever tenant."""
        return frozenset(store.same(tx, user_id))

    def at(self, door: Door, user_id: str) -> list[Link]:
        """Those that count at this door: at a tenant's, of its own providers and of the server's."""
        return [
            link for link in self.of(user_id) if door.tenant is None or link.tenant in (None, door.tenant)
        ]

    def good(self, user_id: str) -> int:
        """With how many of them the person can sign in somewhere now."""
        return self._world.database.read(lambda tx: len(self._good(tx, user_id)))

    def has(self, tx: Transaction, user_id: str, *, but: str | None = None) -> bool:
        """Whether there is a link, other than `but`, with which the person can sign in."""
        return any(link.id != but for link in self._good(tx, user_id))

    def find(self, tx: Transaction, provider: Provider, identity: Identity) -> Link | None:
        return store.find(tx, link_id(provider.tenant, identity.issuer, identity.subject))

    def one(self, tx: Transaction, user_id: str, which: str) -> Link | None:
        """This link, where it is this person's."""
        return next((link for link in store.of(tx, user_id) if link.id == which), None)

    def use(self, tx: Transaction, link: Link) -> bool:
        """Within `tx`, until whose end nobody takes it away; False when somebody did."""
        return store.use(tx, link.id, self._world.clock.now())

    def add(
        self, tx: Transaction, provider: Provider, identity: Identity, user_id: str, origin: Origin
    ) -> None:
        """Within `tx`, by somebody who signed in there just now; `Conflict` when this subject was linked meanwhile."""
        where = (provider.tenant, identity.issuer, identity.subject)
        now = self._world.clock.now()
        link = Link(link_id(*where), *where, user_id, provider.id, now, now)
        store.link(tx, link)
        self._told(tx, "identity.linked", link, provider.name, origin)

    def take(self, tx: Transaction, link: Link, origin: Origin | None) -> bool:
        """Within `tx`; False when it was gone already."""
        removed = store.unlink(tx, link.id, link.user_id)
        if removed:
            names = {provider.id: provider.name for provider in store.every(tx)}
            self._told(tx, "identity.unlinked", link, names.get(link.provider, link.provider), origin)
        return removed

    def _good(self, tx: Transaction, user_id: str) -> list[Link]:
        user = self._people.within(tx, user_id)
        return good_links(tx, user, self._doors().tenants) if user else []

    def _told(self, tx: Transaction, what: str, link: Link, name: str, origin: Origin | None) -> None:
        change: dict[str, object] = {"provider": link.provider}
        fact = Fact(what, tenant=link.tenant, subject=link.user_id, change=change)
        self._recorder.record(tx, fact, origin)
        self._notices.show(tx, link.user_id, what, "link", origin, name)


def good_links(tx: Transaction, user: User, tenants: Mapping[str, Tenant]) -> list[Link]:
    """The links with which a person can sign in somewhere, as `tx` sees providers and its wall lets see links."""
    providers = store.every(tx)
    return [link for link in store.of(tx, user.id) if rules.good_link(link, user, providers, tenants)]


def link_id(tenant: str | None, issuer: str, subject: str) -> str:
    """One name for one subject of one issuer; of a tenant's own provider, behind that tenant's wall."""
    return hashlib.sha256("\0".join((tenant or "", issuer, subject)).encode()).hexdigest()
