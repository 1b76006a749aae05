"""The texts of the page before the way back to an app that nobody here vouches for."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "leaving.refused.page": "This app could not connect",
    "leaving.refused.heading": "This app could not connect",
    "leaving.refused.what": "It asked for something that cannot be given here, and wants you back at",
    "leaving.refused.warning": "Nobody here has checked that site. Go on only if you know it and came from there. "
    "Otherwise close this page: nothing was allowed.",
    "leaving.signed_out.page": "You are signed out",
    "leaving.signed_out.heading": "You are signed out",
    "leaving.signed_out.what": "An app wants you back at",
    "leaving.signed_out.warning": "Nobody here has checked that site. Go on only if you know it and came from there. "
    "Otherwise close this page.",
    "leaving.submit": "Go to {host}",
}
