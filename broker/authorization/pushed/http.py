"""RFC 9126 section 2: /par under every door."""

from flask import Blueprint, Response

from broker.authorization.pushed.push import Push
from broker.identity.clients.authentication.http import Desk
from broker.identity.clients.authentication.model import Attempt
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.web import respond


def blueprint(push: Push, desk: Desk) -> Blueprint:
    routes = Blueprint("pushed", __name__)

    def par(door: Door, attempt: Attempt, origin: Origin) -> Response:
        receipt = push.push(door, attempt, origin)
        body = {"request_uri": receipt.request_uri, "expires_in": receipt.expires_in}
        nonce = {"DPoP-Nonce": receipt.dpop_nonce} if receipt.dpop_nonce else None
        return respond.json_body(body, 201, nonce)

    desk.mount(routes, "/par", par, push.unreadable)
    return routes
