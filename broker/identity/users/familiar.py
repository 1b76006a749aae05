"""OWASP ASVS V6.3.1: a browser in which a person signed in before is known again; it proves nothing but that."""

import hashlib
import hmac

LIFETIME = 180 * 86400
_DAY = 86400.0
_PEOPLE = 3
_TAG = 22
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Familiar:
    """Reads and writes the value of a cookie: a random name of the browser, and a tag for each of its last people.

    A tag is a keyed hash over browser, person and day: nobody's name can be read from it, and none can be made up.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def browser(self, value: str | None, user_id: str, now: float) -> str | None:
        """The browser's name, if this person signed in with it within `LIFETIME`."""
        name, tags = _parts(value)
        known = [
            day
            for day, tag in tags
            if 0 <= int(now // _DAY) - day <= LIFETIME // _DAY
            and hmac.compare_digest(tag, self._tag(name, user_id, day))
        ]
        return name if known else None

    def remembering(self, value: str | None, user_id: str, now: float, drawn: str) -> str:
        """The cookie's next value, with this person first; `drawn` is a secret for a browser that has no name yet."""
        name, tags = _parts(value)
        name = name or hashlib.sha256(drawn.encode()).hexdigest()[:_TAG]
        others = [(day, tag) for day, tag in tags if tag != self._tag(name, user_id, day)]
        today = int(now // _DAY)
        kept = [(today, self._tag(name, user_id, today)), *others][:_PEOPLE]
        return ".".join([name, *(f"{_base36(day)}-{tag}" for day, tag in kept)])

    def _tag(self, name: str, user_id: str, day: int) -> str:
        message = f"{name}\0{day}\0{user_id}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:_TAG]


def _parts(value: str | None) -> tuple[str, list[tuple[int, str]]]:
    name, *entries = (value or "").split(".")
    if len(name) != _TAG or not name.isalnum() or len(entries) > _PEOPLE:
        return "", []
    tags = []
    for entry in entries:
        day, _, tag = entry.partition("-")
        if len(tag) != _TAG or not tag.isalnum() or not 0 < len(day) <= 6 or set(day) - set(_DIGITS):
            return "", []
        tags.append((int(day, 36), tag))
    return name, tags


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
