"""RFC 6749 section 3.2, RFC 7662 section 2, RFC 7009 section 2: /token, /introspect, /revoke under every door."""

from dataclasses import dataclass

from flask import Blueprint, Response

from broker.identity.clients.authentication.http import Desk
from broker.identity.clients.authentication.model import Attempt
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.runtime.failpoints import failpoint
from broker.tokens.introspect import Introspection
from broker.tokens.pipeline import Pipeline
from broker.tokens.revoke import Revocation
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
        return respond.json_body(back.introspection.introspect(door, attempt, origin))

    def revoke(door: Door, attempt: Attempt, origin: Origin) -> Response:
        back.revocation.revoke(door, attempt, origin)
        return respond.json_body({})

    desk.mount(routes, "/token", token, unreadable)
    desk.mount(routes, "/introspect", introspect, unreadable, pages=False)
    desk.mount(routes, "/revoke", revoke, unreadable)
    return routes
