"""RFC 7515, RFC 9110 section 8.8.3: the catalogue of a resource, signed by a door once for each estate and its keys."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

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
    def __init__(self, estate: Callable[[], Estate], keys: DoorKeys, clock: Clock, callers: Callers) -> None:
        self._estate, self._keys, self._clock, self._callers = estate, keys, clock, callers
        self._made: tuple[Estate, Keyring, float, dict[tuple[str, str], Signed]] | None = None

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
        ring, made, now = self._keys.ring(), self._made, self._clock.now()
        since = now - now % _ANEW
        if made is None or made[0] is not estate or made[1] is not ring or made[2] != since:
            made = self._made = (estate, ring, since, {})
        key = door.issuer, resource.id
        if key not in made[3]:
            claims = {
                "iss": door.issuer,
                "aud": resource.client_id,
                "iat": int(since),
                "exp": int(since) + LIFETIME,
                **document.document(estate, resource),
            }
            token = self._keys.statement(door.issuer, resource.algorithm, TYP_CATALOGUE, claims)
            made[3][key] = Signed(token, hashlib.sha256(jcs.canonical(claims)).hexdigest()[:32])
        return made[3][key]
