"""The texts of the page that sends an answer back to the app by a form."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "form_post.page": "Back to the app",
    "form_post.heading": "Back to the app",
    "form_post.what": "Your answer goes to {host}. If nothing happens by itself, continue with the button.",
    "form_post.submit": "Continue",
}
