"""OWASP ASVS V6.2 and V11.4: passwords as argon2id, never truncated, checked in equal time for unknown users."""

import unicodedata
from typing import Literal

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 8
MAX_BYTES = 1024


class Unfit(ValueError):
    """A password that cannot be used: `why` names the reason, the text says it to the person."""

    def __init__(self, why: Literal["short", "long", "nul", "common", "around"], text: str) -> None:
        super().__init__(text)
        self.why = why


class Passwords:
    """Hash and verify; `memory` in KiB."""

    def __init__(self, memory: int, iterations: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=iterations, memory_cost=memory, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
        )
        self._nobody = self._hasher.hash("the password of nobody")

    def check(self, password: str) -> None:
        """Unfit, with a sentence for the person, when the password cannot be used."""
        if len(password) < MIN_LENGTH:
            raise Unfit("short", f"A password has at least {MIN_LENGTH} characters.")
        if len(password.encode()) > MAX_BYTES:
            raise Unfit("long", f"A password has at most {MAX_BYTES} bytes.")
        if "\0" in password:  # no form takes one, so nobody could sign in with it
            raise Unfit("nul", "A password has no NUL character.")

    def hash(self, password: str) -> str:
        """Unfit when the password cannot be used; whether it should be is judged where one is chosen."""
        self.check(password)
        return self._hasher.hash(_normal(password))

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the one; costs the same when there is none to compare with."""
        if len(password.encode()) > MAX_BYTES:
            password = ""
        try:
            self._hasher.verify(stored or self._nobody, _normal(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether it was made with other costs than today's, so that the next sign-in makes it anew."""
        return self._hasher.check_needs_rehash(stored)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFC", password)
