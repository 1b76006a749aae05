"""RFC 9110 section 13.1.2: /access/v1/catalogue/RESOURCE_ID under every door; GET, or POST with other credentials."""

from flask import Blueprint, Response, abort, request

from broker.decisions.catalogue.catalogues import Catalogues
from broker.decisions.http import attempt_of, members_sent
from broker.decisions.model import Malformed
from broker.identity.clients.authentication.http import Desk
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import TYP_CATALOGUE
from broker.web import respond
from broker.web.doorway import everywhere

PATH = "/access/v1/catalogue/<resource_id>"


def blueprint(catalogues: Catalogues, desk: Desk) -> Blueprint:
    routes = Blueprint("catalogue", __name__)

    def catalogue(resource_id: str, tenant: str | None = None) -> Response:
        door = desk.door_at(tenant)
        if door is None:
            abort(404)
        origin = desk.sources.origin(request, door.issuer)
        try:
            members = members_sent() if request.method == "POST" else {}
            found = catalogues.read(door, attempt_of(desk, door, members), resource_id, origin)
        except Malformed as error:
            return respond.problem(OAuthError("invalid_request", str(error), Reason.MALFORMED))
        except OAuthError as error:
            return respond.problem(error, challenge="Authorization" in request.headers)
        response = respond.signed(found.token, f"application/{TYP_CATALOGUE}")
        response.headers.pop("Pragma")
        response.headers["Cache-Control"] = "private, no-cache"
        response.set_etag(found.etag, weak=True)
        response.make_conditional(request)
        return response

    everywhere(routes, PATH, catalogue, "GET", "POST")
    return routes
