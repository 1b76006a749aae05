"""Law 7: what clients say, as it may be kept: without secrets, also where it is the very token, or a part of it."""

import re
from collections.abc import Mapping

from broker.runtime.log import without_secrets

_CUT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]*")
"""The beginning of a JWT, which somebody cut off."""


def cleaned(text: str, token: str | None) -> str:
    return _CUT.sub("***", without_secrets(text.replace(token, "***") if token else text))


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
