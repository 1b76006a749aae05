"""RFC 9700 section 4.7, RFC 7636: visits to a provider: each is of this browser and this door, and taken back once."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping

from broker.audit.refusals import source_key
from broker.identity.federation import rules, store
from broker.identity.federation.model import Attempt, Link, Provider
from broker.identity.federation.providers import Providers
from broker.identity.federation.refused import NotSignedIn, Refusing
from broker.identity.federation.upstream import Unavailable, Upstream
from broker.identity.sessions.model import Demand, Session
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door
from broker.protocol import acr
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

LIFETIME = 600.0
"""Seconds within which a person has to be back from the provider."""
_MINUTE = 60.0


class Visits:
    """`key` makes what goes with a visit; `per_minute`: how many one source may begin; `longest`: how long ago, in
    seconds, a person may have proved to the provider who they are."""

    def __init__(
        self,
        world: World,
        refusing: Refusing,
        providers: Providers,
        upstream: Upstream,
        doors: Callable[[], Doors],
        *,
        key: bytes,
        per_minute: int,
        longest: float,
    ) -> None:
        self._world, self._refusing, self._providers = world, refusing, providers
        self._upstream, self._doors = upstream, doors
        self._key, self._per_minute, self.longest = key, per_minute, longest

    def offered(self, door: Door) -> list[Provider]:
        """The providers with which people may sign in at this door, by name."""
        tenants = self._doors().tenants
        found = [p for p in self._providers.known().values() if rules.offered(p, door, tenants)]
        return sorted(found, key=lambda provider: (provider.name.casefold(), provider.id))

    def linkable(self, door: Door, links: Iterable[Link]) -> list[Provider]:
        """Those of them to which an account with these links has none yet."""
        known = list(links)
        return [p for p in self.offered(door) if not any(rules.joins(link, p) for link in known)]

    def at(self, door: Door, provider_id: str, origin: Origin) -> Provider:
        """The provider of this id, where it is offered; OAuthError."""
        provider = self._providers.known().get(provider_id)
        if provider is None or not rules.offered(provider, door, self._doors().tenants):
            raise self._refusing.recorded(door, None, NotSignedIn(Reason.PROVIDER_UNKNOWN), origin)
        return provider

    def begin(
        self,
        door: Door,
        provider_id: str,
        browser: str,
        onward: str,
        demand: Demand,
        origin: Origin,
        *,
        link: Session | None = None,
    ) -> str:
        """The address at the provider; `link`: the session whose account is to be linked. OAuthError, recorded."""
        provider = self.at(door, provider_id, origin)
        now = self._world.clock.now()
        hits = self._world.ephemeral.hit("upstream", source_key(origin.source), _MINUTE, now)
        if hits.count > self._per_minute:
            limit = NotSignedIn(Reason.RATE_LIMITED)
            raise self._refusing.recorded(door, provider, limit, origin, hits.ends_in)
        try:
            metadata = self._upstream.metadata(provider)
        except Unavailable as error:
            away = NotSignedIn(Reason.PROVIDER_UNAVAILABLE, str(error))
            raise self._refusing.recorded(door, provider, away, origin) from None
        state = self._world.entropy.secret()
        attempt = Attempt(
            provider.id,
            door.issuer,
            door.tenant,
            onward,
            link.user_id if link else None,
            demand.since,
            now,
            now + LIFETIME,
        )
        keys = (_hash("state", state), _hash("browser", browser))
        self._world.database.write(lambda tx: store.begin(tx, *keys, attempt), door.tenant)
        nonce, verifier = self.proofs(state)
        return self._upstream.visit(
            provider,
            metadata,
            callback=callback(door, provider),
            state=state,
            nonce=nonce,
            verifier=verifier,
            more=self._wishes(provider, demand, now),
        )

    def take(self, door: Door, provider: Provider, state: str | None, browser: str | None) -> Attempt | None:
        """The visit from which this browser comes back: one caller gets it, ever."""
        if not state or not browser:
            return None
        keys = (_hash("state", state), _hash("browser", browser))
        now = self._world.clock.now()
        return self._world.database.write(
            lambda tx: store.take(tx, *keys, provider.id, door.issuer, now), door.tenant
        )

    def proofs(self, state: str) -> tuple[str, str]:
        """(nonce, code verifier) of a state: 256 bits each that nobody without the key can know, stored nowhere."""
        return self._derived("nonce", state), self._derived("verifier", state)

    def sweep(self, tx: Transaction, now: float) -> None:
        store.sweep(tx, now)

    def _wishes(self, provider: Provider, demand: Demand, now: float) -> Mapping[str, str]:
        """How strong and how fresh the sign-in there has to be."""
        age = self.longest if demand.since is None else min(self.longest, max(0.0, now - demand.since))
        more = {"max_age": str(int(age))}
        if demand.since is not None and demand.since >= now - 1:
            more["prompt"] = "login"
        if provider.mfa.acr and any(acr.at_least(wanted, acr.MFA) for wanted in demand.acr):
            more["acr_values"] = " ".join(provider.mfa.acr)
        return more

    def _derived(self, purpose: str, state: str) -> str:
        digest = hmac.new(self._key, f"{purpose}\0{state}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def callback(door: Door, provider: Provider) -> str:
    """The redirect URI of one provider at one door: an answer that comes elsewhere is none."""
    return door.url(f"/login/upstream/{provider.id}/callback")


def _hash(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()
