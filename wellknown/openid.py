"""OpenID Connect Discovery 1.0 section 3, RP-Initiated Logout 1.0 section 2.1, Back-Channel Logout 1.0 section 2.1."""

from wellknown.authorization_server import DocumentMembers, ServerMetadata
from wellknown.authorization_server import document as authorization_server_document


def document(metadata: ServerMetadata) -> DocumentMembers:
    """The RFC 8414 members of the same door, and those that OpenID requires."""
    members = authorization_server_document(metadata) | {
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(metadata.id_token_signing_alg_values_supported),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{metadata.issuer}/userinfo",
        "end_session_endpoint": f"{metadata.issuer}/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }
    if metadata.claims_supported:
        members["claims_supported"] = list(metadata.claims_supported)
    return members
