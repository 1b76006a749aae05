"""RFC 7515, RFC 9110 section 8.8.3: the catalogue of a resource, signed by a door once for each estate and policies."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from broker.control.policy.model import SERVER
from broker.control.policy.policies import Policies
from broker.control.policy.rules import Rules
from broker.decisions.callers import Callers
from broker.decisions.catalogue import document
from broker.estate.estate import Estate
from broker.estate.model import Resource
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Door
from broker.protocol import jcs
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import TYP_CATALOGUE
from broker.protocol.origin import Origin
from broker.runtime.clock import Clock
from keys.ring import Keyring

LIFETIME = 3600
"""Seconds for which a guard may follow it; it is signed anew well before."""
_ANEW = 900


@dataclass(frozen=True, slots=True)
class Signed:
    """`etag` is of what is said, not of its signature: it is the same at every replica."""

    token: str
    etag: str


class Catalogues:
    def __init__(
        self,
        estate: Callable[[], Estate],
        policies: Policies,
        keys: DoorKeys,
        clock: Clock,
        callers: Callers,
    ) -> None:
        self._estate, self._policies, self._keys = estate, policies, keys
        self._clock, self._callers = clock, callers
        self._made: tuple[tuple[Estate, Rules, Keyring], float, dict[tuple[str, str], Signed]] | None = None

    def read(self, door: Door, attempt: Attempt, resource_id: str, origin: Origin) -> Signed:
        """The catalogue, for the resource's own client; OAuthError, recorded: 404 also for what is another's."""
        client: Client | None = None
        try:
            client = self._callers.authenticated(door, attempt, origin)
            origin = replace(origin, client=client.client_id)
            estate = self._estate()
            resource = estate.of_client(client.client_id)
            if resource is None or resource.id != resource_id or not estate.tenants_of(resource, door):
                raise OAuthError(
                    "invalid_request", "There is no such catalogue.", Reason.NOT_THE_CALLERS, status=404
                )
            self._callers.admitted(door, client)
        except OAuthError as error:
            self._callers.refused(door, client, error, origin)
            raise
        return self._signed(door, resource, estate)

    def _signed(self, door: Door, resource: Resource, estate: Estate) -> Signed:
        self._keys.ready(door.issuer, resource.algorithm)
        made, now = self._made, self._clock.now()
        of = estate, self._policies.rules(SERVER), self._keys.ring()
        since = now - now % _ANEW
        if (
            made is None
            or made[1] != since
            or any(old is not new for old, new in zip(made[0], of, strict=True))
        ):
            made = self._made = (of, since, {})
        key, signed = (door.issuer, resource.id), made[2]
        if key not in signed:
            claims = {
                "iss": door.issuer,
                "aud": resource.client_id,
                "iat": int(since),
                "exp": int(since) + LIFETIME,
                **document.document(estate, resource, self._policies.unspoken(resource)),
            }
            token = self._keys.statement(door.issuer, resource.algorithm, TYP_CATALOGUE, claims)
            signed[key] = Signed(token, hashlib.sha256(jcs.canonical(claims)).hexdigest()[:32])
        return signed[key]
