"""Law 7: what clients say, as it may be kept: without secrets, also where it is the token or a part of it, and without
what terminals obey."""

import re
from collections.abc import Mapping

from broker.runtime.log import without_secrets

_CUT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]*")
"""The beginning of a JWT, which somebody cut off."""


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Of what terminals do something else than show: all but tabs and ends of lines."""


def cleaned(text: str, token: str | None) -> str:
    said = _CONTROL.sub("\ufffd", text.replace(token, "***") if token else text)
    return _CUT.sub("***", without_secrets(said))


def clean(value: object, token: str | None) -> object:
    """The same JSON value, with all its texts and names cleaned."""
    match value:
        case str():
            return cleaned(value, token)
        case Mapping():
            return {cleaned(str(name), token): clean(item, token) for name, item in value.items()}
        case list() | tuple():
            return [clean(item, token) for item in value]
        case _:
            return value
