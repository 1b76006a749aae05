"""RFC 9126 sections 2.2, 4 and 7: a request_uri that cannot be guessed, for one client, door and answer."""

import hashlib

from broker.authorization.pushed import store
from broker.authorization.pushed.model import PREFIX, Pushed
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.parameters import Parameters
from broker.runtime.database import Transaction
from broker.runtime.world import World

_WHY = {
    Reason.REQUEST_URI_UNKNOWN: "The request_uri is not known here.",
    Reason.REQUEST_URI_EXPIRED: "The request_uri has expired: push the request again.",
    Reason.REQUEST_URI_USED: "The request_uri was used: push a new request.",
}


class PushedRequests:
    """`lifetime` in seconds: until when it has to be opened. `answering`: how long a person may then take."""

    def __init__(self, world: World, lifetime: int, answering: float) -> None:
        self._world, self.lifetime, self._answering = world, lifetime, answering

    def keep(
        self, tx: Transaction, door: Door, client_id: str, parameters: Parameters, user_hint: str | None
    ) -> str:
        """A new request_uri; only its hash is stored."""
        uri = self._world.entropy.secret(PREFIX)
        ends = self._world.clock.now() + self.lifetime
        pushed = Pushed(door.issuer, door.tenant, client_id, parameters, user_hint, ends)
        store.add(tx, _hashed(uri), pushed)
        return uri

    def open(self, door: Door, client_id: str | None, uri: str) -> tuple[str, Pushed]:
        """What this client pushed at this door and its hash, as often as a browser asks before it is answered.

        OAuthError, never redirectable: nobody knows yet where to.
        """
        hashed = _hashed(uri)
        found = self._world.database.read(lambda tx: store.look(tx, hashed), door.tenant)
        if found is None or found.door != door.issuer:
            raise refused(Reason.REQUEST_URI_UNKNOWN)
        if found.client_id != client_id:
            raise refused(Reason.REQUEST_URI_UNKNOWN, detail="another client's")
        if found.spent_at is not None:
            raise refused(Reason.REQUEST_URI_USED)
        if found.expires_at <= self._world.clock.now():
            raise refused(Reason.REQUEST_URI_EXPIRED)
        return hashed, found

    def spend(self, tx: Transaction, hashed: str) -> None:
        """Within `tx`: the answer to it is given now, once."""
        if not store.spend(tx, hashed, self._world.clock.now()):
            raise refused(Reason.REQUEST_URI_USED)

    def sweep(self, tx: Transaction) -> None:
        """Drop what nobody can open or answer any more."""
        store.sweep(tx, self._world.clock.now() - self._answering)


def refused(reason: Reason, detail: str = "") -> OAuthError:
    return OAuthError("invalid_request_uri", _WHY[reason], reason, redirectable=False, detail=detail)


def _hashed(uri: str) -> str:
    """The kind is part of it, so that no other secret can pass as a request_uri."""
    return hashlib.sha256(b"request_uri:" + uri.encode()).hexdigest()
