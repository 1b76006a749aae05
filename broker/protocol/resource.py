"""RFC 8707 section 2: resource indicators."""

import re

# RFC 3986 characters only; no userinfo, no fragment (not even an empty one).
_URI = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>(?:/[a-z0-9._~!$&'()*+,;=:@%/-]*)?)"
    r"(?P<query>(?:\?[a-z0-9._~!$&'()*+,;=:@%/?-]*)?)",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def valid(uri: str) -> bool:
    """Whether this is an absolute http or https URI without fragment, userinfo or stray characters."""
    match = _URI.fullmatch(uri)
    return match is not None and int(match["port"] or 0) <= 65535


def folded(uri: str) -> str:
    """The form to compare in authorization and user grants.

    Scheme and host in lower case, without the default port and one trailing slash; path and query stay
    byte-exact. What is not valid stays as it is.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return uri
    scheme, port, path, query = match["scheme"].lower(), match["port"], match["path"], match["query"]
    authority = match["host"].lower()
    if port and port != _DEFAULT_PORTS[scheme]:
        authority += f":{port}"
    if not query:
        path = path.removesuffix("/")
    return f"{scheme}://{authority}{path}{query}"
