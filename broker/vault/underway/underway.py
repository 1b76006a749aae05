"""RFC 9700 section 4.7, RFC 7636: a visit is of this browser and this person, and its verifier is stored nowhere."""

import base64
import hashlib
import hmac

from broker.identity.tenants.model import Door
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault.model import Visit
from broker.vault.underway import store

LIFETIME = 600.0
"""Seconds within which a person has to be back from the provider."""


class Underway:
    """`key` makes what goes with a visit."""

    def __init__(self, world: World, key: bytes) -> None:
        self._world, self._key = world, key

    def begin(
        self,
        door: Door,
        tenant: str,
        resource_id: str,
        scopes: tuple[str, ...],
        browser: str,
        user_id: str,
        onward: str | None,
    ) -> tuple[str, str]:
        """(state, code verifier) of a new visit."""
        state, now = self._world.entropy.secret(), self._world.clock.now()
        visit = Visit(tenant, resource_id, door.issuer, user_id, scopes, onward, now, now + LIFETIME)
        keys = (_hash("state", state), _hash("browser", browser))
        self._world.database.write(lambda tx: store.begin(tx, *keys, visit), tenant)
        return state, self.verifier(state)

    def take(
        self, door: Door, resource_id: str, state: str | None, browser: str | None, user_id: str
    ) -> Visit | None:
        """The visit from which this person comes back in this browser: one caller gets it, ever."""
        if not state or not browser:
            return None
        keys = (_hash("state", state), _hash("browser", browser))
        now = self._world.clock.now()
        return self._world.database.write(
            lambda tx: store.take(tx, *keys, user_id, resource_id, door.issuer, now), door.tenant
        )

    def verifier(self, state: str) -> str:
        """256 bits that nobody without the key can know."""
        digest = hmac.new(self._key, f"verifier\0{state}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def sweep(self, tx: Transaction, now: float) -> None:
        store.sweep(tx, now)


def _hash(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode("utf-8", "surrogatepass")).hexdigest()
