"""RFC 8725 section 3.8: somebody whom a provider vouched for becomes an account of this server, or is refused."""

from collections.abc import Mapping

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.clients.clients import Clients
from broker.identity.federation import rules
from broker.identity.federation.links import Links
from broker.identity.federation.model import Accounts, Identity, Mapped, Provider
from broker.identity.federation.refused import NotSignedIn
from broker.identity.tenants.model import Tenant
from broker.identity.users.model import Membership, User
from broker.identity.users.people import People
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_OFF = {Kind.EVERYTHING: Reason.EVERYTHING_OFF, Kind.USER: Reason.USER_OFF, Kind.TENANT: Reason.TENANT_OFF}


class Arrival:
    def __init__(
        self, world: World, recorder: Recorder, people: People, clients: Clients, links: Links
    ) -> None:
        self._world, self._recorder = world, recorder
        self._people, self._clients, self._links = people, clients, links

    def account(
        self,
        tx: Transaction,
        provider: Provider,
        identity: Identity,
        tenants: Mapping[str, Tenant],
        at: str | None,
        origin: Origin,
        *,
        whole: bool = True,
    ) -> str:
        """The id of the account within `tx`, made or brought up to date. `at`: the tenant of the door. NotSignedIn.

        `whole`: the claims are all that the provider has to say; what they leave out is taken away.
        """
        found = rules.mapped(provider, identity.claims, tenants)
        link = self._links.find(tx, provider, identity)
        if link is None:
            if provider.accounts is Accounts.LINKED:
                raise NotSignedIn(Reason.IDENTITY_NOT_LINKED)
            self._require_live(tx, None, at, provider)
            return self._made(tx, provider, identity, found, at, origin)
        user = self._people.within(tx, link.user_id)
        if user is None:
            raise NotSignedIn(Reason.USER_OFF, user_id=link.user_id)
        self._require_live(tx, user.id, at, provider)
        if at is not None and at not in user.tenants():
            raise NotSignedIn(Reason.NOT_A_MEMBER, user_id=user.id)
        if provider.mapping.tenants and not found.places:
            raise NotSignedIn(Reason.NOT_A_MEMBER, user_id=user.id)
        if not self._links.use(tx, link):  # taken away meanwhile
            raise NotSignedIn(Reason.IDENTITY_NOT_LINKED, user_id=user.id)
        if not whole:
            provider = rules.spoken(provider, identity.claims)
            found = rules.mapped(provider, identity.claims, tenants)
        for membership in user.memberships:
            self._refresh(tx, provider, found, user.id, membership, origin)
        return user.id

    def _require_live(self, tx: Transaction, user_id: str | None, at: str | None, provider: Provider) -> None:
        targets = [
            *([Target(Kind.USER, user_id)] if user_id else []),
            *(Target(Kind.TENANT, tenant) for tenant in dict.fromkeys((at, provider.tenant)) if tenant),
        ]
        off = live.first_off(tx, targets, self._world.clock.now())
        if off is not None:
            raise NotSignedIn(_OFF[off.kind], user_id=user_id)

    def _made(
        self,
        tx: Transaction,
        provider: Provider,
        identity: Identity,
        found: Mapped,
        at: str | None,
        origin: Origin,
    ) -> str:
        places = {place.tenant: place for place in found.places}
        if not places or (at is not None and at not in places):
            raise NotSignedIn(Reason.NOT_A_MEMBER)
        email = found.email
        if found.claimed_email is not None:
            owners = self._people.with_email(tx, found.claimed_email)
            # What lies behind the wall of a tenant is not told to the provider of another.
            if any(provider.tenant is None or provider.tenant in owner.tenants() for owner in owners):
                raise NotSignedIn(Reason.IDENTITY_NOT_LINKED)
            email = None if owners else email
        user_id = next(
            (name for name in rules.new_ids(provider, identity, found) if self._free(tx, name)), None
        )
        if user_id is None:
            raise NotSignedIn(Reason.IDENTITY_NOT_LINKED)
        memberships = tuple(
            Membership(place.tenant, place.roles or (), dict(place.attributes)) for place in places.values()
        )
        self._people.put(tx, User(user_id, found.name or user_id, email, memberships))
        made = Fact("user.created", tenant=provider.tenant, subject=user_id, change={"provider": provider.id})
        self._recorder.record(tx, made, origin)
        self._links.add(tx, provider, identity, user_id, origin)
        return user_id

    def _free(self, tx: Transaction, name: str) -> bool:
        """Users and clients share one namespace, and no id is given twice."""
        return not self._people.ever(tx, name) and not self._clients.ever(tx, name)

    def _refresh(
        self,
        tx: Transaction,
        provider: Provider,
        found: Mapped,
        user_id: str,
        membership: Membership,
        origin: Origin,
    ) -> None:
        place = next((place for place in found.places if place.tenant == membership.tenant), None)
        if place is None:
            return
        roles, attributes = rules.refreshed(place, provider, membership.roles, membership.attributes)
        if (roles, attributes) == (membership.roles, membership.attributes):
            return
        self._people.place(tx, user_id, Membership(membership.tenant, roles, attributes))
        fact = Fact(
            "membership.mapped",
            tenant=membership.tenant,
            subject=user_id,
            change={"provider": provider.id, "roles": list(roles), "attributes": sorted(attributes)},
        )
        self._recorder.record(tx, fact, origin)
