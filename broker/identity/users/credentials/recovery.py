"""NIST SP 800-63B section 3.1.2 (look-up secrets): recovery codes, shown once, kept as keyed hashes, each good once."""

import hashlib
import hmac

from broker.identity.users.credentials import store
from broker.runtime.database import Transaction
from broker.runtime.world import World

COUNT = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no i, l, o, 0, 1
_GROUPS, _LETTERS = 4, 4


class RecoveryCodes:
    """`key` is the server's: with the database alone nobody can try codes."""

    def __init__(self, world: World, key: bytes) -> None:
        self._world, self._key = world, key

    def draw(self) -> tuple[str, ...]:
        """A new set: sixteen letters of 31 each, 79 bits."""
        return tuple(self._one() for _ in range(COUNT))

    def put(self, tx: Transaction, user_id: str, codes: tuple[str, ...]) -> None:
        """Within `tx`: these and no others."""
        store.replace_codes(tx, user_id, [self._hashed(user_id, code) for code in codes])

    def spend(self, tx: Transaction, user_id: str, code: str) -> bool:
        """Within the sign-in's transaction."""
        return store.spend_code(tx, user_id, self._hashed(user_id, code), self._world.clock.now())

    def left(self, tx: Transaction, user_id: str) -> int:
        return store.codes_left(tx, user_id)

    def _one(self) -> str:
        drawn = int.from_bytes(hashlib.sha256(b"recovery\0" + self._world.entropy.secret().encode()).digest())
        letters = ""
        for _ in range(_GROUPS * _LETTERS):
            drawn, index = divmod(drawn, len(_ALPHABET))
            letters += _ALPHABET[index]
        return "-".join(letters[start : start + _LETTERS] for start in range(0, len(letters), _LETTERS))

    def _hashed(self, user_id: str, code: str) -> str:
        plain = "".join(code.casefold().split()).replace("-", "")
        return hmac.new(self._key, f"{user_id}\0{plain}".encode(), hashlib.sha256).hexdigest()
