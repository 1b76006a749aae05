"""RFC 8628 sections 5.1 and 6.1, RFC 10027 section 6.1.11: codes that people can type and nobody can guess; pure."""

import hashlib
import unicodedata

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words; no digits, so nothing that looks like another."""
LENGTH = 10
GROUP = 5
WINDOW = 600.0
"""Seconds within which wrong codes are counted; no code lives longer."""
PER_BROWSER = 10
PER_SOURCE = 10
PER_DOOR = 1000
"""Wrong codes of all who are not signed in. A code may see two windows: 2 * PER_DOOR / 20 ** LENGTH is less than
2 ** -32. Past it a code is taken from people only, PER_BROWSER of each."""
PACE = 5
"""Seconds between two polls, and by how much they grow for a device that does not keep to them."""
_LONGEST = 64


def user_code(secret: str) -> str:
    """A code from 256 random bits."""
    number = int.from_bytes(hashlib.sha256(secret.encode()).digest())
    letters = []
    for _ in range(LENGTH):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)


def grouped(code: str) -> str:
    """As it is shown: in groups, which the eye compares with ease."""
    return "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))


def folded(typed: str) -> str:
    """What somebody meant: letters of any case and width; what no code has is passed over."""
    plain = unicodedata.normalize("NFKC", typed[:_LONGEST]).upper()
    return "".join(letter for letter in plain if letter in ALPHABET)
