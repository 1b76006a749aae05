"""RFC 8414 section 3.1, OpenID Connect Discovery 1.0 section 4, RFC 9728 section 3.1: addresses."""

from urllib.parse import urlsplit

AUTHORIZATION_SERVER = "oauth-authorization-server"
OPENID = "openid-configuration"
AUTHZEN = "authzen-configuration"
PROTECTED_RESOURCE = "oauth-protected-resource"


def inserted(issuer: str, name: str) -> str:
    """The URL with `/.well-known/NAME` between the host and the path of an issuer or resource."""
    parts = urlsplit(issuer)
    path = parts.path if parts.path != "/" else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{path}{query}"


def appended(issuer: str, name: str) -> str:
    """The URL with `/.well-known/NAME` after the path of an issuer."""
    return f"{issuer.removesuffix('/')}/.well-known/{name}"


def authorization_server(issuer: str) -> str:
    """Where an issuer's RFC 8414 document is."""
    return inserted(issuer, AUTHORIZATION_SERVER)


def openid(issuer: str) -> tuple[str, ...]:
    """Where an issuer's OpenID document is: inserted, and appended where that differs."""
    return tuple(dict.fromkeys((inserted(issuer, OPENID), appended(issuer, OPENID))))


def published_resource(root_issuer: str, resource_id: str) -> str:
    """Where the server publishes the metadata of one of its registered resources."""
    return f"{root_issuer}/.well-known/{PROTECTED_RESOURCE}/r/{resource_id}"
