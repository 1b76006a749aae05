"""RFC 6749 section 3.2, RFC 7662 and 7009 section 2, RFC 9701: /token, /introspect, /revoke under every door."""

from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.identity.clients.authentication.http import Desk
from broker.identity.clients.authentication.model import Attempt
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.runtime.failpoints import failpoint
from broker.tokens.introspect import Introspection
from broker.tokens.pipeline import Pipeline
from broker.tokens.revoke import Revocation
from broker.tokens.signed_answer import MEDIA_TYPE
from broker.web import respond


@dataclass(frozen=True, slots=True)
class BackChannel:
    """The verbs behind the endpoints."""

    pipeline: Pipeline
    introspection: Introspection
    revocation: Revocation


def blueprint(back: BackChannel, desk: Desk) -> Blueprint:
    routes = Blueprint("tokens", __name__)
    unreadable = back.pipeline.unreadable

    def token(door: Door, attempt: Attempt, origin: Origin) -> Response:
        issued = back.pipeline.issue(door, attempt, origin)
        nonce = {"DPoP-Nonce": issued.dpop_nonce} if issued.dpop_nonce else None
        response = respond.json_body(issued.members, headers=nonce)
        failpoint("token.before_answer")
        return response

    def introspect(door: Door, attempt: Attempt, origin: Origin) -> Response:
        if _wants_signed():
            return respond.signed(back.introspection.introspect_signed(door, attempt, origin), MEDIA_TYPE)
        return respond.json_body(back.introspection.introspect(door, attempt, origin))

    def revoke(door: Door, attempt: Attempt, origin: Origin) -> Response:
        back.revocation.revoke(door, attempt, origin)
        return respond.json_body({})

    desk.mount(routes, "/token", token, unreadable)
    desk.mount(routes, "/introspect", introspect, unreadable, pages=False)
    desk.mount(routes, "/revoke", revoke, unreadable)
    return routes


def _wants_signed() -> bool:
    """RFC 9701 section 4, RFC 9110 section 12.5.1: it is named and JSON is not preferred. A wildcard takes JSON."""
    accepted = request.accept_mimetypes
    named = [quality for value, quality in accepted if value.partition(";")[0].strip().lower() == MEDIA_TYPE]
    return max(named, default=0) > 0 and max(named) >= accepted["application/json"]
