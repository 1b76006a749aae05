"""Law 7: a short code is found by a keyed hash and shown from a sealed copy: who has the database has neither."""

import base64
import hmac
from dataclasses import dataclass, field

from broker.authorization.device import rules
from keys.sealed import KeyEncryptionKey, SealError


@dataclass(frozen=True, slots=True)
class UserCodes:
    """`lookup` is the key of the hash."""

    lookup: bytes = field(repr=False)
    seal: KeyEncryptionKey

    @classmethod
    def under(cls, kek: KeyEncryptionKey) -> "UserCodes":
        return cls(kek.derive("user-code-lookup"), KeyEncryptionKey(kek.derive("user-code")))

    def hashed(self, door: str, typed: str) -> str:
        """Of the same code at another door, another."""
        return hmac.digest(self.lookup, f"{door}\0{rules.folded(typed)}".encode(), "sha256").hex()

    def sealed(self, code: str, device: str) -> str:
        return base64.b64encode(self.seal.seal(code.encode(), {"device": device})).decode()

    def opened(self, sealed: str, device: str) -> str | None:
        """The code as it is shown; None when the server's key is another by now."""
        try:
            code = self.seal.open(base64.b64decode(sealed), {"device": device})
        except SealError:
            return None
        return rules.grouped(code.decode())
