"""The Fetch standard's CORS: which web pages may read an answer; never with credentials."""

from flask import Response, request

_HEADERS = "authorization, content-type, dpop, mcp-protocol-version"


def allow(response: Response, origin: str) -> Response:
    """Let pages of `origin` (`*` for any) read this answer."""
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "DPoP-Nonce, WWW-Authenticate"
    if origin != "*":
        response.headers.add("Vary", "Origin")
    return response


def preflight(origin: str, methods: str) -> Response:
    response = Response(status=204)
    response.headers.pop("Content-Type", None)
    response.headers["Access-Control-Allow-Methods"] = methods
    response.headers["Access-Control-Allow-Headers"] = _HEADERS
    response.headers["Access-Control-Max-Age"] = "600"
    return allow(response, origin)


def asking() -> str | None:
    """The web origin that asks, None when it is not a page."""
    origin = request.headers.get("Origin")
    return origin if origin and origin != "null" and len(origin) <= 512 else None
