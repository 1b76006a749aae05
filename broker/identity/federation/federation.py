"""OpenID Connect Core section 3.1.2.5, RFC 9207: back from a provider; who is there, and what that is worth here."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.identity.federation import upstream
from broker.identity.federation.arrival import Arrival
from broker.identity.federation.id_token import LEEWAY, NotBelieved
from broker.identity.federation.links import Links
from broker.identity.federation.model import Attempt, Identity, Provider
from broker.identity.federation.providers import Providers
from broker.identity.federation.refused import NotSignedIn, Refusing
from broker.identity.federation.upstream import Unavailable, Upstream
from broker.identity.federation.visits import Visits, callback
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.database import Conflict, Transaction
from broker.runtime.world import World

_LONGEST_CODE = 4096


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session was begun; `cookie` is the browser's new one, `onward` what waits behind the sign-in."""

    cookie: str
    session: Session
    onward: str


@dataclass(frozen=True, slots=True)
class Linked:
    """The person at the provider now belongs to the account that was signed in here."""

    onward: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It came to nothing. `onward`, None where the visit was not this browser's, can be tried another way."""

    error: OAuthError
    onward: str | None = None


class Federation:
    def __init__(
        self,
        world: World,
        refusing: Refusing,
        sessions: Sessions,
        providers: Providers,
        upstream: Upstream,
        visits: Visits,
        arrival: Arrival,
        links: Links,
        doors: Callable[[], Doors],
    ) -> None:
        self._world, self._refusing, self._sessions = world, refusing, sessions
        self._providers, self._upstream, self._visits = providers, upstream, visits
        self._arrival, self._links, self._doors = arrival, links, doors

    def finish(
        self, door: Door, provider_id: str, parameters: Parameters, browser: str | None, origin: Origin
    ) -> SignedIn | Linked | Refused:
        """Take the visit back, once; then judge what the provider says. Every refusal is recorded here."""
        try:
            provider = self._visits.at(door, provider_id, origin)
        except OAuthError as error:
            return Refused(error)
        state = parameters.get("state")
        attempt = self._visits.take(door, provider, state, browser)
        if attempt is None or state is None or browser is None:
            unknown = NotSignedIn(Reason.PROVIDER_VISIT_UNKNOWN)
            return Refused(self._refusing.recorded(door, provider, unknown, origin))
        try:
            identity = self._identity(door, provider, parameters, state, attempt)
            if attempt.user_id is not None:
                self._link(door, provider, identity, attempt.user_id, browser, origin)
                return Linked(attempt.onward)
            return self._sign_in(door, provider, identity, attempt, browser, origin)
        except Unavailable as error:
            refused = NotSignedIn(Reason.PROVIDER_UNAVAILABLE, str(error))
        except NotBelieved as error:
            refused = NotSignedIn(Reason.PROVIDER_ANSWER_INVALID, str(error))
        except NotSignedIn as error:
            refused = error
        return Refused(self._refusing.recorded(door, provider, refused, origin), attempt.onward)

    def _identity(
        self, door: Door, provider: Provider, parameters: Parameters, state: str, attempt: Attempt
    ) -> Identity:
        metadata = self._upstream.metadata(provider)
        if not upstream.possible(provider, parameters.get("iss"), metadata):
            raise NotSignedIn(Reason.PROVIDER_MISMATCH)
        if (said := parameters.get("error")) is not None:
            plain = said.isascii() and said.isprintable()
            raise NotSignedIn(Reason.PROVIDER_REFUSED, said[:60] if plain else "")
        code = parameters.get("code")
        if not code or len(code) > _LONGEST_CODE:
            raise NotBelieved("no code")
        secret = self._world.database.read(lambda tx: self._providers.secret(tx, provider), provider.tenant)
        nonce, verifier = self._visits.proofs(state)
        identity = self._upstream.identity(
            provider,
            metadata,
            secret,
            callback=callback(door, provider),
            code=code,
            nonce=nonce,
            verifier=verifier,
        )
        if parameters.get("iss") not in (None, metadata.issuer, identity.issuer):
            raise NotSignedIn(Reason.PROVIDER_MISMATCH)
        self._require_fresh(identity, attempt)
        return identity

    def _require_fresh(self, identity: Identity, attempt: Attempt) -> None:
        """A provider that does not say when the person proved it vouches for no time, and not if one was asked for."""
        if identity.auth_time is None:
            if attempt.since is not None:
                raise NotSignedIn(Reason.PROVIDER_REFUSED, "auth_time is missing")
            return
        since = self._world.clock.now() - self._visits.longest if attempt.since is None else attempt.since
        if identity.auth_time < since - LEEWAY:
            raise NotSignedIn(Reason.PROVIDER_REFUSED, "auth_time is too long ago")

    def _link(
        self, door: Door, provider: Provider, identity: Identity, user_id: str, browser: str, origin: Origin
    ) -> None:
        """Only into the account that is still signed in behind this browser."""
        session = self._sessions.current(browser)
        if session is None or session.user_id != user_id:
            raise NotSignedIn(Reason.LOGIN_REQUIRED)

        def unit(tx: Transaction) -> None:
            if not self._sessions.goes_on(tx, session):
                raise NotSignedIn(Reason.LOGIN_REQUIRED)
            known = self._links.find(tx, provider, identity)
            if known is None:
                self._links.add(tx, provider, identity, user_id, origin)
            elif known.user_id != user_id:
                raise NotSignedIn(Reason.IDENTITY_TAKEN, user_id=user_id)
            else:
                self._links.use(tx, known)

        try:
            self._world.database.write(unit)
        except Conflict:
            raise NotSignedIn(Reason.IDENTITY_TAKEN, user_id=user_id) from None

    def _sign_in(
        self,
        door: Door,
        provider: Provider,
        identity: Identity,
        attempt: Attempt,
        browser: str,
        origin: Origin,
    ) -> SignedIn:
        def unit(tx: Transaction) -> tuple[str, Session]:
            tenants = self._doors().tenants
            user_id = self._arrival.account(tx, provider, identity, tenants, door.tenant, origin)
            before = self._sessions.within(tx, browser)
            started = self._sessions.start(
                tx,
                user_id,
                identity.amr,
                identity.acr,
                origin,
                sid=before.sid if before is not None and before.user_id == user_id else None,
                provider=provider.id,
                auth_time=identity.auth_time,
                dated=identity.auth_time is not None,
            )
            if before is not None and not self._sessions.end_within(tx, browser, origin):
                raise NotSignedIn(Reason.PROVIDER_VISIT_UNKNOWN)  # replaced by another sign-in at this moment
            return started

        try:
            cookie, session = self._world.database.write(unit)
        except Conflict:  # the same person arrived twice at once: the other one made the account
            cookie, session = self._world.database.write(unit)
        return SignedIn(cookie, session, attempt.onward)
