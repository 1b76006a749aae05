"""OWASP ASVS V8.2: whose account it is: of the person signed in behind a cookie, at a door that may know them."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.authorization.question import Questions
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate.estate import Estate
from broker.identity.federation import rules as federation
from broker.identity.federation.model import Provider
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.identity.users.model import User
from broker.identity.users.people import People
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.database import Transaction
from broker.runtime.world import World

_OFF = {
    Kind.EVERYTHING: Reason.EVERYTHING_OFF,
    Kind.USER: Reason.USER_OFF,
    Kind.TENANT: Reason.TENANT_OFF,
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person, their session and the cookie behind it."""

    user: User
    session: Session
    cookie: str


def tenants_at(
    door: Door, visitor: Visitor, estate: Estate, providers: Mapping[str, Provider]
) -> tuple[str, ...]:
    """The person's tenants at this door that accept how they signed in."""
    doors, by = estate.doors, visitor.session.provider
    return tuple(
        tenant
        for tenant in visitor.user.tenants()
        if doors.serves(door, tenant) and federation.good_for(by, tenant, providers, doors.tenants)
    )


class Visitors:
    def __init__(self, world: World, people: People, sessions: Sessions, questions: Questions) -> None:
        self._world, self._people, self._sessions, self._questions = world, people, sessions, questions

    def of(self, door: Door, cookie: str | None) -> Visitor | None:
        """Who is there; None when they have to sign in first. OAuthError when they, or the tenant, are off."""
        session = self._sessions.current(cookie)
        if session is None or cookie is None:
            return None
        targets = [Target(Kind.USER, session.user_id)]
        if door.tenant is not None:
            targets.append(Target(Kind.TENANT, door.tenant))

        def read(tx: Transaction) -> tuple[User | None, Target | None]:
            stranger = self._questions.stranger(tx, door, session)
            user = None if stranger else self._people.within(tx, session.user_id)
            return user, live.first_off(tx, targets, self._world.clock.now())

        user, off = self._world.database.read(read, door.tenant)
        if user is None:
            return None
        if off is not None:
            raise OAuthError(
                "access_denied", "This account is switched off.", _OFF[off.kind], redirectable=False
            )
        return Visitor(user, session, cookie)
