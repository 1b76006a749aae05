"""RFC 6238, NIST SP 800-63B section 3.1.4: codes of an app, each good once and one step early or late."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

import pyotp

from broker.identity.users.credentials import store
from broker.identity.users.credentials.model import CodeApp
from broker.runtime.database import Transaction
from broker.runtime.world import World
from keys.sealed import KeyEncryptionKey, SealError

STEP = 30
DIGITS = 6
_WINDOW = 1
_SECRET_BYTES = 20


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a person puts into their app: the secret in base32, and the same as an address for a QR code."""

    secret: str
    address: str


class Totp:
    """`key` seals the secrets; each is bound to its user."""

    def __init__(self, world: World, key: KeyEncryptionKey, issuer_name: str) -> None:
        self._world, self._key, self._issuer_name = world, key, issuer_name

    def draw(self) -> str:
        """A new secret, base32."""
        drawn = hashlib.sha256(b"totp\0" + self._world.entropy.secret().encode()).digest()
        return base64.b32encode(drawn[:_SECRET_BYTES]).decode()

    def enrolment(self, secret: str, user_id: str) -> Enrolment:
        generator = pyotp.TOTP(secret, digits=DIGITS, interval=STEP)
        address = generator.provisioning_uri(name=user_id, issuer_name=self._issuer_name)
        return Enrolment(secret, address)

    def seal(self, secret: str, user_id: str) -> str:
        return self._key.seal(secret.encode(), _context(user_id)).hex()

    def open(self, sealed: str, user_id: str) -> str | None:
        """None when it was sealed for somebody else, or with another key."""
        try:
            return self._key.open(bytes.fromhex(sealed), _context(user_id)).decode()
        except SealError:
            return None

    def step_of(self, secret: str, code: str) -> int | None:
        """The step near now whose code this is."""
        now = int(self._world.clock.now()) // STEP
        generator = pyotp.TOTP(secret, digits=DIGITS, interval=STEP)
        matching = [
            step
            for step in range(now - _WINDOW, now + _WINDOW + 1)
            if hmac.compare_digest(generator.generate_otp(step).encode(), code.encode())
        ]
        return matching[-1] if matching else None

    def matching(self, user_id: str, code: str) -> int | None:
        """The step that this code of the person's app is of; using it up is `use`."""
        app = self._world.database.read(lambda tx: store.app(tx, user_id))
        secret = self.open(app.sealed, user_id) if app else None
        return self.step_of(secret, code) if secret else None

    def use(self, tx: Transaction, user_id: str, step: int) -> bool:
        """Within the sign-in's transaction; False when this code, or a later one, was used before."""
        return store.advance(tx, user_id, step)

    def enrolled(self, tx: Transaction, user_id: str) -> bool:
        return store.app(tx, user_id) is not None

    def remove(self, tx: Transaction, user_id: str) -> bool:
        return store.remove_app(tx, user_id)

    def put(self, tx: Transaction, user_id: str, sealed: str, step: int) -> None:
        """Within `tx`: the app that proved itself with the code of `step`, in place of the one before."""
        store.remove_app(tx, user_id)
        store.put_app(tx, user_id, CodeApp(sealed, step, self._world.clock.now()))


def _context(user_id: str) -> dict[str, str]:
    return {"purpose": "totp", "user": user_id}
