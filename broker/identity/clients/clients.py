"""Clients as other rooms use them: looked up at a door, created, changed, removed."""

import hashlib
from urllib.parse import urlsplit

from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.clients import store
from broker.identity.clients.model import Client, Secret
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.database import Transaction
from broker.runtime.world import World

MIN_SECRET = 32
_DAY = 86400.0


def secret_hash(secret: str) -> str:
    """Secrets are 256 random bits, so one SHA-256 is enough (law 7)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def origin_of(uri: str) -> str | None:
    """RFC 6454 section 4: the web origin of a redirect URI; None for an app's."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.lower()}" if parts.scheme in ("http", "https") else None


class Clients:
    """`idle`: seconds that a client which registered itself is kept after it was used."""

    def __init__(self, world: World, short_secrets: bool, idle: float) -> None:
        self._world, self._short_secrets, self._idle = world, short_secrets, idle

    def at(self, door: Door, client_id: str) -> Client | None:
        """The client that this door knows under `client_id`; None when unknown, foreign or expired."""
        client = self._world.database.read(lambda tx: store.get(tx, client_id), door.tenant)
        return client if client is not None and self.known(client, door) else None

    def with_secrets(self, door: Door, client_id: str) -> tuple[Client | None, list[Secret]]:
        now = self._world.clock.now()
        found = self._world.database.read(
            lambda tx: (store.get(tx, client_id), store.secrets(tx, client_id, now)), door.tenant
        )
        client, secrets = found
        return (client, secrets) if client is not None and self.known(client, door) else (None, [])

    def within(self, tx: Transaction, client_id: str) -> Client | None:
        """The client as this transaction sees it: None when gone."""
        return store.get(tx, client_id)

    def ever(self, tx: Transaction, client_id: str) -> bool:
        """Whether this id is or was a client's."""
        return store.ever(tx, client_id)

    def every(self, tx: Transaction) -> list[Client]:
        return store.every(tx)

    def put(self, tx: Transaction, client: Client) -> None:
        store.put(tx, client)
        store.set_origins(tx, client, sorted({o for uri in client.redirect_uris if (o := origin_of(uri))}))

    def knows_origin(self, door: Door, origin: str) -> bool:
        """Whether a web page of this origin belongs to a registered client (CORS)."""
        return self._world.database.read(lambda tx: store.origin_known(tx, origin), door.tenant)

    def set_secret(self, tx: Transaction, client: Client, secret: str) -> bool:
        """Make `secret` the only one; False when it was already. ValueError, in plain words, when too short."""
        if self.too_short(secret):
            raise ValueError(f"The secret of {client.client_id} is shorter than {MIN_SECRET} characters.")
        if self.has_secret(tx, client.client_id, secret):
            return False
        store.set_secrets(tx, client.client_id, client.tenant, [Secret(secret_hash(secret), None)])
        return True

    def renew_secret(self, tx: Transaction, client: Client, secret: str, overlap: float) -> None:
        """Make `secret` the current one; the one before it works for `overlap` seconds more, and no other."""
        now = self._world.clock.now()
        before = [kept for kept in store.secrets(tx, client.client_id, now) if kept.expires_at is None]
        ending = [Secret(kept.hash, now + overlap) for kept in before if overlap > 0]
        current = Secret(secret_hash(secret), None)
        store.set_secrets(tx, client.client_id, client.tenant, [current, *ending])

    def too_short(self, secret: str) -> bool:
        """Whether `set_secret` would refuse it."""
        return len(secret) < MIN_SECRET and not self._short_secrets

    def has_secret(self, tx: Transaction, client_id: str, secret: str) -> bool:
        """Whether `secret` is the client's current one; another may work beside it until it expires."""
        kept = store.secrets(tx, client_id, self._world.clock.now())
        return [one.hash for one in kept if one.expires_at is None] == [secret_hash(secret)]

    def forget_secrets(self, tx: Transaction, client: Client) -> None:
        store.set_secrets(tx, client.client_id, client.tenant, [])

    def mark_used(self, tx: Transaction, client: Client) -> None:
        """Keep a client that registered itself; written at its first use, then once a day.

        OAuthError when it is gone by now: whatever else this transaction did for it does not happen.
        """
        until = self._world.clock.now() + self._idle
        due = client.fingerprint is not None or (client.unused_until or until) < until - _DAY
        if due and not store.mark_used(tx, client.client_id, until):
            raise OAuthError("invalid_client", "The client is not known any more.", Reason.CLIENT_UNKNOWN)

    def spare(self, tx: Transaction, client: Client, until: float) -> None:
        """Keep a client that was not used yet until then at least."""
        if client.unused_until is not None and client.unused_until < until:
            store.mark_used(tx, client.client_id, until)

    def remove(self, tx: Transaction, client_id: str) -> bool:
        removed = store.remove(tx, client_id)
        if removed:
            live.gone(tx, Target(Kind.CLIENT, client_id), self._world.clock.now())
        return removed

    def end(self, tx: Transaction, client: Client) -> None:
        """A client that registered itself is gone; one that was never used leaves nothing behind."""
        if client.fingerprint is not None:
            store.drop(tx, client.client_id)
        else:
            self.remove(tx, client.client_id)

    def known(self, client: Client, door: Door) -> bool:
        """Whether this door knows a client of this row."""
        expired = client.unused_until is not None and client.unused_until <= self._world.clock.now()
        return client.at_door(door.tenant) and not expired
