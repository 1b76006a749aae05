"""The texts that no page has alone: the frame around all, badges, durations, the pages that end something."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "product": "MCP token broker",
    "title": "{page} · {product}",
    "badge.unverified": "unverified name",
    "badge.document": "unverified app",
    "badge.admin": "registered by your administrator",
    "details": "Technical details",
    "duration.day.one": "1 day",
    "duration.day.other": "{n} days",
    "duration.hour.one": "1 hour",
    "duration.hour.other": "{n} hours",
    "duration.minute.one": "1 minute",
    "duration.minute.other": "{n} minutes",
    "duration.second.one": "1 second",
    "duration.second.other": "{n} seconds",
    "done.signed_out.title": "You are signed out",
    "done.signed_out.what": "Apps that you allowed to stay connected still are, until you remove them.",
    "done.signed_in.title": "You are still signed in",
    "done.signed_in.what": "Nothing was changed. You can close this window.",
    "done.finished.title": "All done",
    "done.finished.what": "You can close this window and go back to the app.",
    "done.extended.title": "Access extended",
    "done.extended.what": "The app may go on with what it was doing. You can close this window.",
    "home.page": "Authorization server",
    "home.heading": "{door}",
    "home.what": "This address issues access tokens for MCP servers. Apps send people here to sign in and to allow "
    "access. What you allowed, and how you sign in, you see in your account.",
    "home.issuer": "Issuer",
    "home.metadata": "For clients and servers",
}
