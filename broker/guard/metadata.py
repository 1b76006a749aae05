"""RFC 9728 sections 2 and 3: the metadata that a protected resource serves at its own origin."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from broker.protocol.details import TYPES
from broker.protocol.dpop import ALGORITHMS

_NAME = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Metadata:
    """The document, the paths it is served at, and the URL that a challenge names."""

    body: bytes
    paths: frozenset[str]
    url: str


def metadata_of(
    resource: str,
    authorization_servers: Sequence[str],
    scopes_supported: Sequence[str],
    *,
    resource_name: str | None = None,
    url: str | None = None,
    dpop_required: bool = False,
    certificates: bool = False,
    details: bool = False,
) -> Metadata:
    """The metadata of a resource; `url` replaces its own address in challenges (by the issuer's copy)."""
    members: dict[str, object] = {
        "resource": resource,
        "authorization_servers": list(authorization_servers),
        "scopes_supported": [scope for scope in scopes_supported if scope != "offline_access"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
    }
    if dpop_required:
        members["dpop_bound_access_tokens_required"] = True
    if certificates:
        members["tls_client_certificate_bound_access_tokens"] = True
    if details:
        members["authorization_details_types_supported"] = list(TYPES)
    if resource_name is not None:
        members["resource_name"] = resource_name
    parts = urlsplit(resource)
    path = parts.path if parts.path != "/" else ""
    own = f"{parts.scheme}://{parts.netloc}{_NAME}{path}" + (f"?{parts.query}" if parts.query else "")
    body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    # The root form too: some clients look there alone.
    return Metadata(body, frozenset({f"{_NAME}{path}", _NAME}), url or own)
