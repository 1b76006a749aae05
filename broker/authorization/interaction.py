"""One sign-in over several visits: stored when it begins, found only by the browser that began it."""

import hashlib
from dataclasses import dataclass

from broker.audit.refusals import source_key
from broker.authorization import store
from broker.authorization.grants import Grants
from broker.authorization.model import AuthorizationRequest
from broker.authorization.pushed.requests import PushedRequests
from broker.identity.clients.clients import Clients
from broker.identity.clients.documents.rules import client_host
from broker.identity.clients.model import Registered
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Begun:
    """The request is stored; `cookie` names the browser that must come back with it."""

    request: AuthorizationRequest
    cookie: str


@dataclass(frozen=True, slots=True)
class About:
    """What the sign-in page says of the request that waits behind it."""

    request_id: str
    client_name: str | None
    client_verified: bool
    client_host: str = ""


class Interactions:
    """`lifetime` in seconds: how long a person may take. `per_minute`: how many one source may begin."""

    def __init__(
        self,
        world: World,
        clients: Clients,
        grants: Grants,
        pushed: PushedRequests,
        lifetime: float,
        per_minute: int,
    ) -> None:
        self._world, self._clients, self._grants, self._pushed = world, clients, grants, pushed
        self._lifetime, self._per_minute = lifetime, per_minute

    def admit(self, origin: Origin) -> None:
        """Count one more beginning of this source; OAuthError 429 past the limit."""
        now = self._world.clock.now()
        hits = self._world.ephemeral.hit("interactions", source_key(origin.source), _MINUTE, now)
        if hits.count > self._per_minute:
            raise too_many("Too many sign-ins were begun from your address.", hits.ends_in)

    def begin(self, door: Door, request: AuthorizationRequest, cookie: str | None) -> Begun:
        """Store the request for the browser behind `cookie`, or for a new one."""
        browser = cookie or self._world.entropy.secret()
        keys = (_request_hash(request.id), _browser_hash(browser))
        ends = request.begun_at + self._lifetime
        self._world.database.write(lambda tx: store.begin(tx, *keys, request, ends), door.tenant)
        return Begun(request, browser)

    def extend(self, door: Door, grant_id: str, cookie: str | None, origin: Origin) -> Begun:
        """Begin asking the user of a grant to let it reach further, along edges that came later."""
        self.admit(origin)
        grant = self._world.database.read(lambda tx: self._grants.within(tx, grant_id), door.tenant)
        if grant is None or grant.door != door.issuer:
            raise unknown()
        request = AuthorizationRequest(
            id=self._world.entropy.secret(),
            door=door.issuer,
            tenant=door.tenant,
            client_id=grant.client_id,
            redirect_uri="",
            state=None,
            resource_id=grant.resource_id,
            scopes=grant.scopes,
            offline=False,
            challenge="",
            prompt=("consent",),
            begun_at=self._world.clock.now(),
            extends=grant.id,
            details=grant.details,
        )
        return self.begin(door, request, cookie)

    def pending(self, door: Door, request_id: str, cookie: str | None) -> AuthorizationRequest:
        """The request that this browser began at this door; OAuthError (never redirectable) when there is none."""
        now = self._world.clock.now()
        found = None
        if cookie and request_id:
            keys = (_request_hash(request_id), _browser_hash(cookie))
            found = self._world.database.read(
                lambda tx: store.pending(tx, request_id, *keys, now), door.tenant
            )
        if found is None or found.door != door.issuer:
            raise unknown()
        return found

    def claim(self, tx: Transaction, request_id: str, cookie: str) -> AuthorizationRequest:
        """Decide the request, and what was pushed for it, within `tx`: one caller gets it, ever."""
        keys = (_request_hash(request_id), _browser_hash(cookie))
        found = store.claim(tx, request_id, *keys, self._world.clock.now())
        if found is None:
            raise unknown()
        if found.pushed is not None:
            self._pushed.spend(tx, found.pushed)
        return found

    def follow(self, before: str, after: str) -> None:
        """A browser signed in and got a new cookie: what it had begun goes with it."""
        self._world.database.write(lambda tx: store.rebind(tx, _browser_hash(before), _browser_hash(after)))

    def about(self, door: Door, request: AuthorizationRequest) -> About:
        if request.extends:  # whoever came with a grant's id is not told whose client it is
            return About(request.id, None, False)
        client = self._clients.at(door, request.client_id)
        if client is None:
            raise unknown()
        verified = client.registered not in (Registered.DYNAMIC, Registered.DOCUMENT)
        return About(request.id, client.name, verified, client_host(client))


def unknown() -> OAuthError:
    return OAuthError(
        "invalid_request",
        "This sign-in is not known in this browser: it expired, was finished, or was begun elsewhere.",
        Reason.INTERACTION_UNKNOWN,
        redirectable=False,
    )


def _request_hash(request_id: str) -> str:
    return hashlib.sha256(b"interaction:" + request_id.encode()).hexdigest()


def _browser_hash(cookie: str) -> str:
    return hashlib.sha256(b"browser:" + cookie.encode()).hexdigest()
