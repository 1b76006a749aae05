"""RFC 6749 section 4.1, RFC 7636, RFC 9700 section 4.7: to a provider and back; whoever finishes is who began."""

import contextlib
from collections.abc import Callable
from urllib.parse import urlsplit

from broker.audit.refusals import source_key
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate import rules
from broker.estate.estate import Estate
from broker.identity.federation.providers import Providers
from broker.identity.federation.rules import good_for
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.identity.users.people import People
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.database import Conflict, Transaction, Unknown
from broker.runtime.database import Unavailable as DatabaseUnavailable
from broker.runtime.world import World
from broker.vault import reach
from broker.vault.credentials.credentials import Credentials
from broker.vault.making import Making
from broker.vault.model import Connected, Reach, Tokens, Visit
from broker.vault.refused import NotConnected, Refusing
from broker.vault.underway.underway import Underway
from broker.vault.upstream import Over, Unavailable, Upstream
from keys.sealed import SealError

_MINUTE = 60.0
_LONGEST_CODE = 4096


def callback(door: Door, resource_id: str) -> str:
    """The redirect URI of one resource at one door: an answer that comes elsewhere is none."""
    return door.url(f"/connections/{resource_id}/callback")


class Visits:
    """`per_minute`: how many one source may begin."""

    def __init__(
        self,
        world: World,
        refusing: Refusing,
        upstream: Upstream,
        credentials: Credentials,
        underway: Underway,
        making: Making,
        sessions: Sessions,
        people: People,
        providers: Providers,
        estate: Callable[[], Estate],
        *,
        per_minute: int,
    ) -> None:
        self._world, self._refusing, self._upstream = world, refusing, upstream
        self._credentials, self._underway, self._making = credentials, underway, making
        self._sessions, self._people, self._providers, self._estate = sessions, people, providers, estate
        self._per_minute = per_minute

    def begin(
        self,
        door: Door,
        tenant: str,
        resource_id: str,
        scopes: tuple[str, ...],
        browser: str,
        session: Session,
        origin: Origin,
        onward: str | None = None,
    ) -> str:
        """The address at the provider. `scopes` empty: the resource's defaults. OAuthError, recorded."""
        try:
            aim = self._reached(door, tenant, resource_id, session)
            self._within_limit(origin)
            wanted = _wanted(aim, scopes)
            state, verifier = self._underway.begin(
                door, tenant, resource_id, wanted, browser, session.user_id, onward
            )
            return self._upstream.visit(
                aim, callback=callback(door, resource_id), state=state, verifier=verifier, scopes=wanted
            )
        except Unavailable as error:
            refused = NotConnected(Reason.PROVIDER_UNAVAILABLE, str(error))
        except NotConnected as error:
            refused = error
        raise self._refusing.recorded(door, tenant, resource_id, session, refused, origin)

    def finish(
        self,
        door: Door,
        resource_id: str,
        parameters: Parameters,
        browser: str | None,
        session: Session | None,
        origin: Origin,
    ) -> Connected:
        """Take the visit back, once, and keep what the provider gives. OAuthError, recorded."""
        tenant = door.tenant
        try:
            if session is None:
                raise NotConnected(Reason.LOGIN_REQUIRED)
            state = parameters.get("state")
            visit = self._underway.take(door, resource_id, state, browser, session.user_id)
            if visit is None or state is None:
                raise NotConnected(Reason.PROVIDER_VISIT_UNKNOWN)
            tenant = visit.tenant
            aim = self._reached(door, tenant, resource_id, session)
            code = _code(aim, parameters)
            secret = self._secret(aim, visit)
            tokens = self._upstream.redeem(
                aim,
                secret,
                callback=callback(door, resource_id),
                code=code,
                verifier=self._underway.verifier(state),
            )
            return self._kept(aim, visit, tokens, secret, session, origin)
        except Unavailable as error:
            refused = NotConnected(Reason.PROVIDER_UNAVAILABLE, str(error))
        except Over as error:
            refused = NotConnected(Reason.PROVIDER_ANSWER_INVALID, str(error))
        except SealError:
            refused = NotConnected(Reason.CONNECTION_UNREADABLE, "the secret for the provider")
        except NotConnected as error:
            refused = error
        raise self._refusing.recorded(door, tenant, resource_id, session, refused, origin)

    def sweep(self, tx: Transaction, now: float) -> None:
        self._underway.sweep(tx, now)

    def _kept(
        self, aim: Reach, visit: Visit, tokens: Tokens, secret: str | None, session: Session, origin: Origin
    ) -> Connected:
        """The connection; or else the provider is asked to forget what it gave, as far as it can be."""
        try:
            account = self._upstream.account(aim, tokens.access)
            return self._making.keep(
                aim, visit, tokens, account, lambda tx: self._require(tx, aim, visit.tenant, session), origin
            )
        except Unknown:  # perhaps they are kept
            raise
        except (Unavailable, NotConnected, DatabaseUnavailable, Conflict) as error:
            with contextlib.suppress(Unavailable):
                for _, token in aim.provider.revocation.of(tokens):
                    self._upstream.revoke(aim, secret, token)
            if isinstance(error, Conflict):
                raise NotConnected(Reason.PROVIDER_UNAVAILABLE, "connected elsewhere at once") from None
            raise

    def _secret(self, aim: Reach, visit: Visit) -> str | None:
        return self._world.database.read(
            lambda tx: self._credentials.secret(tx, aim.resource.id), visit.tenant
        )

    def _reached(self, door: Door, tenant: str, resource_id: str, session: Session) -> Reach:
        """The resource in that tenant, where this door and this person's sign-in lead to it; NotConnected."""
        estate = self._estate()
        aim = reach.at(estate, resource_id, tenant) if estate.doors.serves(door, tenant) else None
        if aim is None:
            raise NotConnected(Reason.RESOURCE_UNKNOWN)
        self._world.database.read(lambda tx: self._require(tx, aim, tenant, session), tenant)
        return aim

    def _require(self, tx: Transaction, aim: Reach, tenant: str, session: Session) -> None:
        """Within `tx`: still signed in, by a way that the tenant accepts, a member, served there, nothing off."""
        if not self._sessions.goes_on(tx, session):
            raise NotConnected(Reason.LOGIN_REQUIRED)
        if reach.at(self._estate(), aim.resource.id, tenant) is None:
            raise NotConnected(Reason.RESOURCE_UNKNOWN)
        user = self._people.within(tx, session.user_id)
        doors = self._estate().doors
        accepted = good_for(session.provider, tenant, self._providers.known(), doors.tenants)
        if user is None or tenant not in user.tenants() or not accepted:
            raise NotConnected(Reason.NOT_A_MEMBER)
        targets = [
            Target(Kind.TENANT, tenant),
            Target(Kind.USER, session.user_id),
            Target(Kind.RESOURCE, aim.resource.id),
        ]
        off = live.first_off(tx, targets, self._world.clock.now())
        if off is not None:
            raise NotConnected(_OFF[off.kind])

    def _within_limit(self, origin: Origin) -> None:
        now = self._world.clock.now()
        hits = self._world.ephemeral.hit("connect", source_key(origin.source), _MINUTE, now)
        if hits.count > self._per_minute:
            raise NotConnected(Reason.RATE_LIMITED, wait=hits.ends_in)


_OFF = {
    Kind.EVERYTHING: Reason.EVERYTHING_OFF,
    Kind.TENANT: Reason.TENANT_OFF,
    Kind.USER: Reason.USER_OFF,
    Kind.RESOURCE: Reason.RESOURCE_OFF,
}


def _code(aim: Reach, parameters: Parameters) -> str:
    """RFC 9207: only of an answer that can be this provider's; NotConnected."""
    if not _possible(aim, parameters.get("iss")):
        raise NotConnected(Reason.PROVIDER_MISMATCH)
    if (said := parameters.get("error")) is not None:
        plain = said.isascii() and said.isprintable()
        raise NotConnected(Reason.PROVIDER_REFUSED, said[:60] if plain else "")
    code = parameters.get("code")
    if not code or len(code) > _LONGEST_CODE or not (code.isascii() and code.isprintable()):
        raise NotConnected(Reason.PROVIDER_ANSWER_INVALID, "no code")
    return code


def _possible(aim: Reach, said: str | None) -> bool:
    """RFC 9207 section 2.4: the issuer that the estate names, exactly; without one, the site where the browser was."""
    if aim.issuer is not None or said is None:
        return said == aim.issuer
    try:
        here, there = urlsplit(aim.authorization_endpoint), urlsplit(said)
    except ValueError:
        return False
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def _wanted(aim: Reach, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """What is asked of the provider: scopes that the resource offers, each once."""
    offered = rules.offered(aim.resource)
    if any(name not in offered for name in scopes):
        raise NotConnected(Reason.SCOPE_UNKNOWN)
    return tuple(dict.fromkeys(scopes)) or rules.defaults(aim.resource)
