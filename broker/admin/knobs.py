"""Diagnosis of the settings: each may be right alone and unsafe beside another; pure.

What may not be at all is refused when settings are read.
"""

import ipaddress
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlsplit

from broker.admin.doctor import Finding, checked, fail, warn
from broker.protocol.redirect_uri import is_loopback


class Knobs(Protocol):
    """The settings that the rules look at."""

    issuer: str
    development: bool
    trusted_proxies: tuple[str, ...]
    proxies_drop_underscores: bool
    registration_open: bool
    registration_unused_lifetime: int
    interaction_lifetime: int
    refresh_lifetime: int
    grant_lifetime: int
    session_idle: int
    session_absolute: int
    metadata_max_age: int
    key_publish_before: int
    key_active: int
    key_retire_after: int


def settings(knobs: Knobs) -> list[Finding]:
    return [
        *checked("settings.issuer", f"The issuer is {knobs.issuer}.", _issuer(knobs)),
        *checked("settings.development", "Development mode is off.", _development(knobs)),
        *checked("settings.proxies", "Only named proxies are believed.", _proxies(knobs)),
        *checked("settings.registration", "Registration suits who can reach it.", _registration(knobs)),
        *checked("settings.lifetimes", "The lifetimes fit together.", _lifetimes(knobs)),
    ]


def _issuer(knobs: Knobs) -> Iterator[Finding]:
    if urlsplit(knobs.issuer).scheme != "https":
        text = f"The issuer {knobs.issuer} is http: it serves this machine alone."
        yield warn("settings.issuer", text, "Set `issuer` to the https address that clients reach.")


def _development(knobs: Knobs) -> Iterator[Finding]:
    if not knobs.development:
        return
    fix = "Leave `development` unset and use a data folder that `broker init` made."
    if is_loopback(knobs.issuer):
        yield warn("settings.development", "Development mode is on: short secrets are accepted.", fix)
    else:
        yield fail("settings.development", f"Development mode is on at {knobs.issuer}.", fix)


def _proxies(knobs: Knobs) -> Iterator[Finding]:
    for proxy in knobs.trusted_proxies:
        if ipaddress.ip_network(proxy, strict=False).prefixlen == 0:
            text = (
                f"`trusted_proxies` has {proxy}: anybody can choose the address that limits and records see."
            )
            yield fail("settings.proxies", text, "Name the addresses of your proxies only.")
    if knobs.trusted_proxies and not knobs.proxies_drop_underscores:
        text = "A client that sends `X_Forwarded_For` may be taken for a proxy that sends `X-Forwarded-For`."
        fix = "Let the proxies drop header names with an underscore (nginx does), and set `proxies_drop_underscores`."
        yield warn("settings.proxies", text, fix)
    if not knobs.trusted_proxies and knobs.issuer.startswith("https:"):
        text = "No proxy is trusted, so all requests count as one source: the proxy that ends TLS."
        yield warn("settings.proxies", text, "Put that proxy's address into `trusted_proxies`.")


def _registration(knobs: Knobs) -> Iterator[Finding]:
    if knobs.registration_open and not is_loopback(knobs.issuer):
        text = f"Anybody who reaches {knobs.issuer} can register a client."
        fix = "Set `registration_open = false` unless MCP clients that you do not know are meant to come."
        yield warn("settings.registration", text, fix)


def _lifetimes(knobs: Knobs) -> Iterator[Finding]:
    name = "settings.lifetimes"
    if knobs.key_publish_before <= knobs.metadata_max_age:
        text = (
            "A key may sign before every cached key set has it: `key_publish_before` <= `metadata_max_age`."
        )
        yield fail(name, text, "Make `key_publish_before` longer than `metadata_max_age`.")
    if knobs.key_active <= knobs.key_publish_before:
        text = "A key would be due for replacement before it signs: `key_active` <= `key_publish_before`."
        yield fail(name, text, "Make `key_active` longer than `key_publish_before`.")
    if knobs.refresh_lifetime > knobs.grant_lifetime:
        text = "`refresh_lifetime` is longer than `grant_lifetime`: the consent ends first."
        yield warn(name, text, "Shorten `refresh_lifetime`, or lengthen `grant_lifetime`.")
    if knobs.session_idle > knobs.session_absolute:
        text = "`session_idle` is longer than `session_absolute`: it never applies."
        yield warn(name, text, "Shorten `session_idle`.")
    if knobs.registration_unused_lifetime <= knobs.interaction_lifetime:
        text = "A client that registered may be removed while its first user signs in."
        yield warn(
            name, text, "Make `registration_unused_lifetime` longer than `interaction_lifetime`, by hours."
        )
