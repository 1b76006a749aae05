"""The texts of signing out."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "sign_out.page": "Sign out",
    "sign_out.heading": "Sign out of {door}?",
    "sign_out.client": "{client} asks to sign you out here.",
    "sign_out.unasked": "A link or an app brought you here. If that was not you, stay signed in.",
    "sign_out.destination": "Afterwards you go to",
    "sign_out.stay": "Stay signed in",
    "sign_out.submit": "Sign out",
}
