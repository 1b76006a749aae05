"""OAuth 2.1 section 7.9, OWASP ASVS V10.7.3: the clients that a person allowed something, listed and taken back."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from broker.account.model import App
from broker.authorization import rules
from broker.authorization.choices.choices import Choices
from broker.authorization.grants import Grants
from broker.authorization.model import Grant
from broker.estate.estate import Estate
from broker.identity.clients.clients import Clients
from broker.identity.tenants.model import Door
from broker.identity.users.people import People
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Apps:
    def __init__(
        self,
        world: World,
        grants: Grants,
        choices: Choices,
        clients: Clients,
        people: People,
        estate: Callable[[], Estate],
    ) -> None:
        self._world, self._grants, self._choices = world, grants, choices
        self._clients, self._people, self._estate = clients, people, estate

    def of(self, door: Door, user_id: str) -> list[App]:
        """What is in force for this person in the tenants of this door, what was allowed last coming first."""
        mine = self._served(door, self._grants.list(user_id, door.tenant))
        return self._world.database.read(lambda tx: self._gathered(tx, mine), door.tenant)

    def one(self, door: Door, user_id: str, grant_id: str) -> App | None:
        """The app that one of its grants names, ended or not; None when it is not this person's, or not here."""

        def read(tx: Transaction) -> App | None:
            grant = self._grants.within(tx, grant_id)
            if grant is None or grant.user_id != user_id or not self._served(door, [grant]):
                return None
            standing = self._grants.standing(tx, user_id, grant.client_id, grant.resource_id)
            beside = [one for one in standing if one.tenant == grant.tenant]
            [app] = self._gathered(tx, beside or [grant], ended=not beside)
            return app if app.ended else self._with_choice(tx, door, user_id, app)

        return self._world.database.read(read, door.tenant)

    def choose(self, door: Door, user_id: str, app: App, tenant: str | None, origin: Origin) -> bool:
        """In which tenant the client works from the next sign-in on; None: ask then. False when it cannot be there."""
        if not app.tenants or tenant not in (None, *app.tenants):
            return False
        client_id = app.newest.client_id

        def unit(tx: Transaction) -> None:
            if tenant is None:
                self._choices.forget(tx, user_id, client_id, origin)
            else:
                self._choices.remember(tx, user_id, client_id, tenant, origin)

        self._world.database.write(unit, door.tenant)
        return True

    def remove(self, door: Door, user_id: str, grant_id: str, origin: Origin) -> bool:
        """End all that the app of this grant was allowed, with everything made from it. False when there is none."""

        def unit(tx: Transaction) -> bool:
            grant = self._grants.within(tx, grant_id)
            if grant is None or grant.user_id != user_id or not self._served(door, [grant]):
                return False
            standing = self._grants.standing(tx, user_id, grant.client_id, grant.resource_id)
            ended = [
                self._grants.end(tx, one.id, one.tenant, "taken back by the user", origin)
                for one in standing
                if one.tenant == grant.tenant
            ]
            if any(ended):  # whoever takes an app back is asked everything anew
                self._choices.forget(tx, user_id, grant.client_id, origin)
            return any(ended)

        return self._world.database.write(unit, door.tenant, throwing=True)

    def _with_choice(self, tx: Transaction, door: Door, user_id: str, app: App) -> App:
        """Only at the root door is anybody asked for a tenant."""
        user, doors = self._people.within(tx, user_id), self._estate().doors
        if door.tenant is not None or app.client is None or user is None:
            return app
        served = [tenant for tenant in doors.tenants if doors.serves(door, tenant)]
        tenants = rules.choices(user, app.client, served)
        if len(tenants) < 2:
            return app
        chosen = self._choices.of(tx, user_id, app.newest.client_id)
        return replace(app, tenants=tenants, chosen=chosen if chosen in tenants else None)

    def _served(self, door: Door, grants: Iterable[Grant]) -> list[Grant]:
        doors = self._estate().doors
        return [grant for grant in grants if doors.serves(door, grant.tenant)]

    def _gathered(self, tx: Transaction, grants: Iterable[Grant], *, ended: bool = False) -> list[App]:
        estate, found = self._estate(), dict[tuple[str, str, str], list[Grant]]()
        for grant in sorted(grants, key=lambda one: (one.created_at, one.id), reverse=True):
            found.setdefault((grant.client_id, grant.resource_id, grant.tenant), []).append(grant)
        return [
            App(
                tuple(together),
                self._clients.within(tx, client_id),
                estate.resources.get(resource_id),
                estate.doors.tenants[tenant].name,
                ended,
            )
            for (client_id, resource_id, tenant), together in found.items()
        ]
