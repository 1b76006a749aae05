"""RFC 6749 section 5: answers. JSON is never stored by a cache; a page brings its own content security policy."""

import json
from collections.abc import Mapping

from flask import Response

from broker.protocol.errors import OAuthError
from broker.runtime.log import note

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)


def json_body(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    response = Response(text, status, content_type="application/json")
    response.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache", **(headers or {})})
    return response


def signed(token: str, media_type: str) -> Response:
    """A JWT as the whole answer."""
    response = Response(token, 200, content_type=media_type)
    response.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache"})
    return response


def refusal(error: OAuthError, realm: str = "broker", *, challenge: bool = False) -> Response:
    """A refusal as JSON; `challenge` when the client used the Authorization header (RFC 6749 section 5.2)."""
    note(reason=error.reason.value)
    headers = {}
    if error.retry_after is not None or error.status == 503:
        headers["Retry-After"] = str(error.retry_after or 1)
    if error.dpop_nonce is not None:
        headers["DPoP-Nonce"] = error.dpop_nonce
    if error.status == 401 and challenge:
        headers["WWW-Authenticate"] = f'Basic realm="{realm}", charset="UTF-8"'
    return json_body(error.body(), error.status, headers)


def problem(error: OAuthError, realm: str = "broker", *, challenge: bool = False) -> Response:
    """RFC 9457: the same refusal as `refusal` gives, as problem details."""
    response = refusal(error, realm, challenge=challenge)
    members = {"title": error.error, "status": error.status, "detail": error.description, **error.body()}
    response.set_data(json.dumps(members, separators=(",", ":"), ensure_ascii=False))
    response.content_type = "application/problem+json"
    return response


def page(html: str, status: int = 200, form_action: str = "", *, script: bool = False) -> Response:
    """A page for people. `form_action`: where, beside this server, its form may lead by redirect.

    `script`: our scripts run on it, and may ask this server.
    """
    response = Response(html, status, content_type="text/html; charset=utf-8")
    policy = POLICY + (f" {form_action}" if form_action else "")
    policy += "; script-src 'self'; connect-src 'self'" if script else ""
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Cookie"
    return response


def passing_on(html: str, destination: str) -> Response:
    """A page whose one form goes to `destination` (a source expression) and nowhere else; our script may press it."""
    response = page(html)
    policy = POLICY.replace("form-action 'self'", f"form-action {destination}; script-src 'self'")
    response.headers["Content-Security-Policy"] = policy
    return response


def redirect(url: str) -> Response:
    """303, so that a browser never repeats a form at the next address. `url` is ours or registered."""
    response = Response(b"", 303)
    response.headers["Location"] = url
    response.headers["Cache-Control"] = "no-store"
    response.autocorrect_location_header = False
    return response
