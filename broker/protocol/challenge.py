"""RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3, RFC 9728 section 5.1: a resource's challenge."""

import re
from collections.abc import Iterable

_UNFIT = re.compile(r"[^\x20-\x7e]")


def _quoted(value: str) -> str:
    """A quoted-string (RFC 9110 section 5.6.4); what no header may carry (CR, LF, non-ASCII) becomes `?`."""
    escaped = _UNFIT.sub("?", value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def bearer_challenge(
    *,
    resource_metadata: str | None = None,
    error: str | None = None,
    error_description: str | None = None,
    scope: str | None = None,
    acr_values: str | None = None,
    max_age: int | None = None,
) -> str:
    """The value of one WWW-Authenticate header; without credentials in the request, give no `error`.

    `acr_values` and `max_age` are what the sign-in behind another token would have to be.
    """
    return _challenge("Bearer", error, error_description, scope, resource_metadata, acr_values, max_age)


def dpop_challenge(
    *,
    algs: Iterable[str],
    resource_metadata: str | None = None,
    error: str | None = None,
    error_description: str | None = None,
    scope: str | None = None,
    acr_values: str | None = None,
    max_age: int | None = None,
) -> str:
    """As `bearer_challenge`, where a proof is needed; `algs` is what it may be signed with."""
    asked = (error, error_description, scope, resource_metadata, acr_values, max_age)
    return _challenge("DPoP", *asked, " ".join(algs))


def _challenge(
    scheme: str,
    error: str | None,
    error_description: str | None,
    scope: str | None,
    resource_metadata: str | None,
    acr_values: str | None,
    max_age: int | None,
    algs: str | None = None,
) -> str:
    parameters = {
        "error": error,
        "error_description": error_description,
        "acr_values": acr_values,
        "max_age": None if max_age is None else str(max_age),
        "scope": scope,
        "resource_metadata": resource_metadata,
        "algs": algs,
    }
    rendered = [f"{name}={_quoted(value)}" for name, value in parameters.items() if value is not None]
    return f"{scheme} {', '.join(rendered)}" if rendered else scheme
