"""OpenID Connect Core section 2 (`acr`), RFC 9470 section 4: how strongly a person proved who they are, in order."""

from collections.abc import Iterable

PASSWORD = "urn:mcp-token-broker:acr:password"  # noqa: S105  a name of a context class
MFA = "urn:mcp-token-broker:acr:mfa"
PASSKEY = "urn:mcp-token-broker:acr:passkey"
ORDER = (PASSWORD, MFA, PASSKEY)
"""From weakest to strongest: one factor; a second one beside it; phishing-resistant, with the user verified."""


def at_least(held: str, wanted: str) -> bool:
    """Whether a sign-in of class `held` does for `wanted`; what is not in `ORDER` does for itself alone."""
    if held == wanted:
        return True
    return held in ORDER and wanted in ORDER and ORDER.index(held) >= ORDER.index(wanted)


def strongest(values: Iterable[str]) -> str:
    """The strongest of `values`, all of them in `ORDER`."""
    return max(values, key=ORDER.index)


def known(values: Iterable[str]) -> tuple[str, ...]:
    """Those of `values` that this server can reach, weakest first."""
    asked = set(values)
    return tuple(value for value in ORDER if value in asked)
