"""RFC 8615 and RFC 9110 section 13.1.2: serving the documents, to anyone, from any origin."""

from collections.abc import Callable

from flask import Blueprint, Response, request

from wellknown.document import Document, Source
from wellknown.paths import AUTHZEN

__all__ = ["Document", "Source", "blueprint"]

_METHODS = ("GET", "HEAD", "OPTIONS")
_ALLOWED_HEADERS = ("mcp-protocol-version", "authorization", "content-type", "dpop", "if-none-match")
_NOT_FOUND = b'{"error":"not_found"}'


def blueprint(source: Source) -> Blueprint:
    """The routes over whoever provides the documents; discovery never answers 429."""
    routes = Blueprint("wellknown", __name__)

    def serve(rule: str, find: Callable[[str], Document | None], prefix: str = "") -> None:
        def view(name: str = "") -> Response:
            if request.method == "OPTIONS":
                return _preflight()
            return _answer(find(f"{prefix}{name}"))

        routes.add_url_rule(
            rule,
            endpoint=rule.replace(".", "_"),
            view_func=view,
            methods=_METHODS,
            provide_automatic_options=False,
        )

    for name, find in (
        ("oauth-authorization-server", source.authorization_server),
        ("openid-configuration", source.openid),
    ):
        serve(f"/.well-known/{name}", find)
        serve(f"/.well-known/{name}/t/<name>", find, "/t/")
        serve(f"/t/<name>/.well-known/{name}", find, "/t/")
    serve(f"/.well-known/{AUTHZEN}", source.authzen)
    serve(f"/.well-known/{AUTHZEN}/t/<name>", source.authzen, "/t/")
    serve("/.well-known/oauth-protected-resource/r/<name>", source.protected_resource)
    serve("/jwks", source.jwks)
    serve("/t/<name>/jwks", source.jwks, "/t/")
    return routes


def _answer(document: Document | None) -> Response:
    if document is None:
        response = Response(_NOT_FOUND, 404, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
    else:
        response = _known(document)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _known(document: Document) -> Response:
    if request.if_none_match.contains_weak(document.etag.strip('"')):
        response = Response(status=304)
        response.headers.pop("Content-Type", None)
    else:
        response = Response(document.body, content_type="application/json")
    response.headers["ETag"] = document.etag
    response.headers["Cache-Control"] = f"public, max-age={document.max_age}"
    return response


def _preflight() -> Response:
    """The Fetch standard's CORS preflight: which of the headers asked for may be sent."""
    asked = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
    allowed = [header for header in _ALLOWED_HEADERS if header in {name.strip() for name in asked}]
    response = Response(status=204)
    response.headers.pop("Content-Type", None)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Methods"] = "GET, HEAD"
    response.headers["Access-Control-Allow-Headers"] = ", ".join(
        dict.fromkeys(("mcp-protocol-version", *allowed))
    )
    response.headers["Access-Control-Max-Age"] = "600"
    response.headers["Vary"] = "Access-Control-Request-Headers"
    return response
