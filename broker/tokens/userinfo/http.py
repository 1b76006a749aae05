"""OpenID Connect Core section 5.3.1, RFC 6750 section 2, RFC 9449 section 7: /userinfo under every door."""

from flask import Blueprint, Response, abort, request

from broker.guard.possession import Sent
from broker.identity.clients.authentication.http import Desk
from broker.identity.tenants.model import Door
from broker.protocol import challenge, dpop
from broker.protocol.errors import OAuthError, Reason
from broker.tokens.userinfo.tell import UserInfo
from broker.web import cors, form, respond

_SCHEMES = ("bearer", "dpop")
_METHODS = ("GET", "POST")


def blueprint(behind: UserInfo, desk: Desk) -> Blueprint:
    routes = Blueprint("userinfo", __name__)

    def userinfo(tenant: str | None = None) -> Response:
        door = desk.door_at(tenant)
        if door is None:
            abort(404)
        origin = desk.sources.origin(request, door.issuer)
        try:
            token, scheme = _presented()
        except OAuthError as error:
            behind.refused(door, error, origin)
            return shared(door, _refusal(error))
        certificates = desk.certificates.of(request)
        sent = Sent(
            request.method,
            door.url("/userinfo"),
            scheme,
            tuple(request.headers.getlist("DPoP")),
            certificates[0] if certificates else None,
        )
        try:
            told = behind.tell(door, token, sent, origin)
        except OAuthError as error:
            return shared(door, _refusal(error))
        nonce = {"DPoP-Nonce": told.dpop_nonce} if told.dpop_nonce else None
        return shared(door, respond.json_body(told.claims, headers=nonce))

    def shared(door: Door, response: Response) -> Response:
        asking = cors.asking()
        known = asking is not None and desk.clients.knows_origin(door, asking)
        return cors.allow(response, asking) if asking is not None and known else response

    def preflight(tenant: str | None = None) -> Response:
        door, asking = desk.door_at(tenant), cors.asking()
        if door is None or asking is None or not desk.clients.knows_origin(door, asking):
            return Response(status=204)
        return cors.preflight(asking, ", ".join(_METHODS))

    for prefix in ("", "/t/<tenant>"):
        rule = f"{prefix}/userinfo"
        routes.add_url_rule(rule, rule, userinfo, methods=_METHODS, provide_automatic_options=False)
        routes.add_url_rule(
            rule, f"{rule}-options", preflight, methods=("OPTIONS",), provide_automatic_options=False
        )
    return routes


def _presented() -> tuple[str, str]:
    """The access token and the scheme that it came by; never from the query (RFC 6750 section 5.3)."""
    headers = request.headers.getlist("Authorization")
    body = form.body(request).get("access_token") if _is_form() else None
    if len(headers) > 1 or (headers and body is not None):
        raise OAuthError("invalid_request", "Send the access token once.", Reason.REPEATED_PARAMETER)
    if body is not None:
        return body, "bearer"
    scheme, _, token = (headers[0] if headers else "").partition(" ")
    if scheme.lower() not in _SCHEMES:
        raise OAuthError("invalid_token", "Send an access token.", Reason.PARAMETER_MISSING)
    return token.strip(" "), scheme.lower()


def _is_form() -> bool:
    return request.method == "POST" and request.mimetype == form.FORM


def _refusal(error: OAuthError) -> Response:
    """RFC 6750 section 3: who brought no token is told how, and not that anything was wrong."""
    response = respond.refusal(error)
    missing = error.reason is Reason.PARAMETER_MISSING
    said = None if missing else error.error
    why = None if missing else error.description
    by_key = error.error in ("invalid_dpop_proof", "use_dpop_nonce") or error.reason in (
        Reason.DPOP_MISSING,
        Reason.DPOP_KEY_MISMATCH,
    )
    if missing or not by_key:
        bearer = challenge.bearer_challenge(error=said, error_description=why)
        response.headers.add("WWW-Authenticate", bearer)
    if missing or by_key:
        proving = challenge.dpop_challenge(algs=dpop.ALGORITHMS, error=said, error_description=why)
        response.headers.add("WWW-Authenticate", proving)
    return response
