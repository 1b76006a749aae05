"""WebAuthn level 3 section 13.4.3, OWASP ASVS V6.4: what is begun in one browser is finished there, once, in time."""

import hashlib

from broker.identity.users.credentials import store
from broker.identity.users.credentials.model import Ceremony, Purpose
from broker.runtime.database import Transaction
from broker.runtime.world import World

LIFETIME = 300.0
"""Seconds for a challenge or a half-finished sign-in."""
RESET_LIFETIME = 900.0
"""Seconds for a reset link."""


class Begun:
    """Keeps what was begun under the hash of its secret, its purpose and the browser that may finish it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def begin(self, tx: Transaction, ceremony: Ceremony, secret: str, browser: str) -> None:
        """Within `tx`. The same secret, purpose and browser begin anew what was begun before."""
        lifetime = RESET_LIFETIME if ceremony.purpose is Purpose.PASSWORD_RESET else LIFETIME
        ends = self._world.clock.now() + lifetime
        store.begin(tx, _hashed(ceremony.purpose, secret, browser), ceremony, ends)

    def look(self, purpose: Purpose, secret: str, browser: str) -> Ceremony | None:
        now, hashed = self._world.clock.now(), _hashed(purpose, secret, browser)
        return self._world.database.read(lambda tx: store.look(tx, hashed, purpose, now))

    def finish(self, tx: Transaction, purpose: Purpose, secret: str, browser: str) -> Ceremony | None:
        """Within `tx`: whoever gets it is the only one."""
        return store.finish(tx, _hashed(purpose, secret, browser), purpose, self._world.clock.now())

    def forget(self, tx: Transaction, user_id: str, purpose: Purpose) -> None:
        """Within `tx`: whatever was begun for this person with this purpose comes to nothing."""
        store.forget(tx, user_id, purpose)

    def outdate(self, tx: Transaction, user_id: str) -> None:
        """Within the transaction of a new password: what was begun with the old one, or to set one, is over."""
        self.forget(tx, user_id, Purpose.PASSWORD_RESET)
        self.forget(tx, user_id, Purpose.SECOND_STEP)

    def burn(self, purpose: Purpose, secret: str, browser: str) -> Ceremony | None:
        """In a transaction of its own: used up, whatever comes of the answer."""
        return self._world.database.write(lambda tx: self.finish(tx, purpose, secret, browser))


def _hashed(purpose: Purpose, secret: str, browser: str) -> str:
    return hashlib.sha256(f"{purpose.value}\0{secret}\0{browser}".encode()).hexdigest()
