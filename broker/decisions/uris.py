"""RFC 3986 section 6.2.2: whether an MCP resource is named in the one way that policies can look at; pure."""

import re

_PARTS = re.compile(r"(?:([^:/?#]*):)?(?://([^/?#]*))?([^?#]*)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST = re.compile(r"[!-@\[-~]*")
"""Printable ASCII without capitals."""
_NEEDLESS = re.compile(r"%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AFaf]|6[1-9A-Fa-f]|7[0-9AEae])")
"""Escapes of what needs none (section 2.3), dots among them."""
_MISREAD = re.compile(r"[\x00-\x1f\x7f\\]|^ | $")
"""Some who read a URI drop it, or take it for a slash."""
_USUAL = {"http": ":80", "https": ":443"}


def normal(uri: str) -> bool:
    """Whether no other way of writing is the same to some: scheme and host in small letters, no needless port, no
    dot segments, no needless escapes."""
    if _MISREAD.search(uri) or _NEEDLESS.search(uri):
        return False
    parts = _PARTS.match(uri)
    assert parts is not None
    scheme, authority, path = parts.groups()
    if scheme is not None and _SCHEME.fullmatch(scheme) is None:
        return False
    host = (authority or "").rpartition("@")[2]
    if _HOST.fullmatch(host) is None or host.endswith((":", _USUAL.get(scheme or "", ":"))):
        return False
    return {".", ".."}.isdisjoint(path.split("/"))
