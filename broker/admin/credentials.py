"""New secrets and passwords: made or taken, recorded, told once."""

from broker.admin.apply import Apply
from broker.admin.model import Change, Difference
from broker.admin.plan import HIDDEN
from broker.admin.rooms import Rooms
from broker.identity.clients.model import SECRET_METHODS
from broker.identity.clients.registration import SECRET_PREFIX
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction


class NoCredential(ValueError):
    """It has none: a public client, or one with keys or a certificate."""


class Credentials:
    def __init__(self, rooms: Rooms, apply: Apply) -> None:
        self._rooms, self._apply = rooms, apply

    def rotate_secret(self, client_id: str, origin: Origin, overlap: float = 0.0) -> str:
        """The client's new secret; the one before it works `overlap` seconds more. LookupError, or NoCredential."""
        secret = self._rooms.world.entropy.secret(SECRET_PREFIX)

        def unit(tx: Transaction) -> None:
            client = self._rooms.clients.within(tx, client_id)
            if client is None:
                raise LookupError(client_id)
            if client.method not in SECRET_METHODS:
                raise NoCredential(f"{client_id} has no secret: its method is {client.method}.")
            self._rooms.clients.renew_secret(tx, client, secret, overlap)
            self._apply.record(tx, _renewed("client", client_id, "client_secret"), client.tenant, origin)

        self._rooms.world.database.write(unit, throwing=True)
        return secret

    def set_password(self, user_id: str, password: str, origin: Origin) -> None:
        """The user's new password, which ends their sessions and grants; LookupError, or ValueError in plain words."""
        user = self._rooms.people.get(user_id)
        if user is None:
            raise LookupError(user_id)
        self._rooms.judge(password, user)
        hashed = self._rooms.people.hash(password)

        def unit(tx: Transaction) -> None:
            if self._rooms.people.within(tx, user_id) is None:
                raise LookupError(user_id)
            self._rooms.set_password(tx, user_id, hashed)
            self._apply.record(tx, _renewed("user", user_id, "password"), None, origin)

        self._rooms.world.database.write(unit, throwing=True)


def _renewed(noun: str, identifier: str, member: str) -> Change:
    return Change(noun, identifier, "update", (Difference(member, HIDDEN, HIDDEN),))
