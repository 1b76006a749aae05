"""OWASP ASVS V6, V7.5.3: who comes to the sign-in on which way, and what the sign-in has to be for that."""

from dataclasses import dataclass

from broker.authorization import rules
from broker.authorization.interaction import Interactions
from broker.authorization.login.way import Way
from broker.authorization.model import AuthorizationRequest
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.identity.users.sign_in import Visit
from broker.protocol.origin import Origin
from broker.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request to one of the pages: through which door, on which way, and what is known of the browser."""

    door: Door
    way: Way
    asked: AuthorizationRequest | None
    visit: Visit


class Arrivals:
    def __init__(self, interactions: Interactions, sessions: Sessions, clock: Clock) -> None:
        self._interactions, self._sessions, self._clock = interactions, sessions, clock

    def at(self, door: Door, way: Way, browser: str | None, familiar: str | None, origin: Origin) -> Arrival:
        """OAuthError when the way begins with a request that this browser did not begin.

        Where a page wants a fresh sign-in, it is of the person who is signed in; where another account may be wanted,
        it is of anybody, and who is signed in counts for nothing.
        """
        asked = None if way.to else self._interactions.pending(door, way.request_id, browser)
        session = self._sessions.current(browser)
        who = session.user_id if session and way.fresh and not way.again else None
        demand = rules.demand(asked) if asked else way.demand(self._clock.now(), who)
        visit = Visit(
            door.tenant,
            origin,
            browser or "",
            f"{door.issuer} {way.key()}",
            demand,
            None if way.again else session,
            familiar,
        )
        return Arrival(door, way, asked, visit)
