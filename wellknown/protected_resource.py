"""RFC 9728 sections 2 and 2.2: protected resource metadata, plain and signed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wellknown.authorization_server import DocumentMembers

Sign = Callable[[Mapping[str, object]], str]

# A scope that asks the authorization server for a refresh token is no scope of a resource.
_NOT_OF_A_RESOURCE = frozenset({"offline_access"})


@dataclass(frozen=True, slots=True)
class ResourceMetadata:
    """What one MCP server (protected resource) says of itself."""

    resource: str
    authorization_servers: Sequence[str]
    scopes_supported: Sequence[str]
    resource_name: str | None = None
    resource_documentation: str | None = None
    authorization_details_types_supported: Sequence[str] = ()


def members(metadata: ResourceMetadata) -> DocumentMembers:
    """The members of the plain document."""
    found: DocumentMembers = {
        "resource": metadata.resource,
        "authorization_servers": list(metadata.authorization_servers),
        "scopes_supported": [scope for scope in metadata.scopes_supported if scope not in _NOT_OF_A_RESOURCE],
        "bearer_methods_supported": ["header"],
    }
    if metadata.authorization_details_types_supported:
        found["authorization_details_types_supported"] = list(metadata.authorization_details_types_supported)
    if metadata.resource_name is not None:
        found["resource_name"] = metadata.resource_name
    if metadata.resource_documentation is not None:
        found["resource_documentation"] = metadata.resource_documentation
    return found


def signed_claims(metadata: ResourceMetadata, *, issuer: str, now: float) -> DocumentMembers:
    """The claims of `signed_metadata`: the plain members, who vouches for them, since when (epoch)."""
    return members(metadata) | {"iss": issuer, "iat": int(now)}


def document(metadata: ResourceMetadata, *, issuer: str, now: float, sign: Sign) -> DocumentMembers:
    """The document with `signed_metadata`, a JWT that `sign` makes of the claims."""
    return members(metadata) | {"signed_metadata": sign(signed_claims(metadata, issuer=issuer, now=now))}
