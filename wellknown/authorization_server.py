"""RFC 8414 section 2, RFC 8705 sections 3.3 and 5, RFC 9126 section 5, RFC 9207, RFC 9701 section 7, RFC 9728."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DocumentMembers = dict[str, object]
_MTLS_ENDPOINTS = (
    ("token", "token"),
    ("introspection", "introspect"),
    ("revocation", "revoke"),
    ("pushed_authorization_request", "par"),
    ("userinfo", "userinfo"),
)
_LISTS = (
    "introspection_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
    "prompt_values_supported",
    "acr_values_supported",
    "authorization_details_types_supported",
    "ui_locales_supported",
    "authorization_grant_profiles_supported",
    "identity_chaining_requested_token_types_supported",
)


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What one door (issuer) offers; endpoints are addresses below the issuer.

    `auth_signing_alg_values_supported` holds at every endpoint where clients authenticate. `mtls_base` is the address
    above the endpoints for clients with certificates, where it is not the issuer.
    """

    issuer: str
    scopes_supported: Sequence[str]
    grant_types_supported: Sequence[str]
    token_endpoint_auth_methods_supported: Sequence[str]
    id_token_signing_alg_values_supported: Sequence[str] = ("ES256",)
    introspection_endpoint_auth_methods_supported: Sequence[str] = (
        "client_secret_basic",
        "client_secret_post",
    )
    revocation_endpoint_auth_methods_supported: Sequence[str] = (
        "none",
        "client_secret_basic",
        "client_secret_post",
    )
    auth_signing_alg_values_supported: Sequence[str] = ()
    introspection_signing_alg_values_supported: Sequence[str] = ()
    response_modes_supported: Sequence[str] = ("query",)
    dpop_signing_alg_values_supported: Sequence[str] = ()
    prompt_values_supported: Sequence[str] = ()
    ui_locales_supported: Sequence[str] = ()
    claims_supported: Sequence[str] = ()
    acr_values_supported: Sequence[str] = ()
    authorization_details_types_supported: Sequence[str] = ()
    authorization_grant_profiles_supported: Sequence[str] = ()
    identity_chaining_requested_token_types_supported: Sequence[str] = ()
    devices: bool = False
    registration: bool = True
    require_pushed_authorization_requests: bool = False
    client_id_metadata_document_supported: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    mtls_base: str | None = None
    service_documentation: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


def document(metadata: ServerMetadata) -> DocumentMembers:
    """The members of the RFC 8414 document; what is not offered is absent."""
    issuer = metadata.issuer
    members: DocumentMembers = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "require_pushed_authorization_requests": metadata.require_pushed_authorization_requests,
        "scopes_supported": list(metadata.scopes_supported),
        "response_types_supported": ["code"],
        "response_modes_supported": list(metadata.response_modes_supported),
        "grant_types_supported": list(metadata.grant_types_supported),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(metadata.token_endpoint_auth_methods_supported),
        "introspection_endpoint_auth_methods_supported": list(
            metadata.introspection_endpoint_auth_methods_supported
        ),
        "revocation_endpoint_auth_methods_supported": list(
            metadata.revocation_endpoint_auth_methods_supported
        ),
        "authorization_response_iss_parameter_supported": True,
    }
    if metadata.auth_signing_alg_values_supported:
        for endpoint in ("token", "introspection", "revocation"):
            name = f"{endpoint}_endpoint_auth_signing_alg_values_supported"
            members[name] = list(metadata.auth_signing_alg_values_supported)
    if metadata.devices:
        members["device_authorization_endpoint"] = f"{issuer}/device_authorization"
    if metadata.registration:
        members["registration_endpoint"] = f"{issuer}/register"
    if metadata.client_id_metadata_document_supported:
        members["client_id_metadata_document_supported"] = True
    if metadata.tls_client_certificate_bound_access_tokens:
        members["tls_client_certificate_bound_access_tokens"] = True
    if metadata.mtls_base is not None:
        members["mtls_endpoint_aliases"] = {
            f"{name}_endpoint": f"{metadata.mtls_base}/{path}" for name, path in _MTLS_ENDPOINTS
        }
    if metadata.service_documentation is not None:
        members["service_documentation"] = metadata.service_documentation
    for name in _LISTS:
        if values := getattr(metadata, name):
            members[name] = list(values)
    return members | dict(metadata.extra)
