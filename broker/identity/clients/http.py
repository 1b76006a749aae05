"""RFC 7591 section 3, RFC 7592 section 2: /register and /register/CLIENT_ID under every door."""

from collections.abc import Callable

from flask import Blueprint, Response, abort, request

from broker.identity.clients.management import Management
from broker.identity.clients.registration import Registration
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door
from broker.protocol import strict_json
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.web import cors, form, respond
from broker.web.source import Sources

_DEEPEST = 20


def blueprint(
    registration: Registration, management: Management, doors: Callable[[], Doors], sources: Sources
) -> Blueprint:
    routes = Blueprint("clients", __name__)

    def answer(tenant: str | None, methods: str, verb: Callable[[Door, Origin], Response]) -> Response:
        door = doors().at_path(tenant)
        if door is None:
            abort(404)
        if request.method == "OPTIONS":
            return cors.preflight("*", methods)
        try:
            response = verb(door, sources.origin(request, door.issuer))
        except OAuthError as error:
            response = respond.refusal(error)
            if error.error == "invalid_token":
                response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return cors.allow(response, "*")

    def register(tenant: str | None = None) -> Response:
        def verb(door: Door, origin: Origin) -> Response:
            return respond.json_body(registration.register(door, read(door, origin), origin), 201)

        return answer(tenant, "POST", verb)

    def manage(client_id: str, tenant: str | None = None) -> Response:
        def verb(door: Door, origin: Origin) -> Response:
            token = _bearer()
            possible = client_id.isascii() and client_id.isprintable()
            return managed(door, client_id if possible else "", token, origin)

        def managed(door: Door, client_id: str, token: str, origin: Origin) -> Response:
            if request.method == "PUT":
                document = read(door, origin)
                return respond.json_body(management.update(door, client_id, token, document, origin))
            if request.method == "DELETE":
                management.delete(door, client_id, token, origin)
                return Response(status=204, headers={"Cache-Control": "no-store"})
            return respond.json_body(management.read(door, client_id, token, origin))

        return answer(tenant, "GET, PUT, DELETE", verb)

    def read(door: Door, origin: Origin) -> dict[str, object]:
        try:
            return _document()
        except OAuthError as error:
            registration.refused(door, error, origin)
            raise

    for prefix in ("", "/t/<tenant>"):
        for path, view, methods in (
            ("/register", register, ("POST", "OPTIONS")),
            ("/register/<client_id>", manage, ("GET", "PUT", "DELETE", "OPTIONS")),
        ):
            routes.add_url_rule(
                prefix + path,
                f"{prefix}{view.__name__}",
                view,
                methods=methods,
                provide_automatic_options=False,
            )
    return routes


def _bearer() -> str:
    """RFC 6750 section 2.1: the token in the header, and nowhere else; empty when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _document() -> dict[str, object]:
    if request.mimetype != "application/json":
        raise _malformed("Send the metadata as application/json.")
    try:
        document = strict_json.read(form.content(request))
    except ValueError:
        raise _malformed("The body is not JSON.") from None
    if not isinstance(document, dict):
        raise _malformed("The body is not a JSON object.")
    _require_shallow(document)
    return document


def _require_shallow(document: object) -> None:
    """Metadata has a few levels; whatever walks it later need not fear more."""
    level = [document]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise _malformed(f"The body is nested more than {_DEEPEST} levels deep.")


def _malformed(description: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", description, Reason.MALFORMED)
