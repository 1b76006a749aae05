"""AuthZEN 1.0 section 10: /access/v1/… under every door. JSON in and out; a deny is 200, an error problem details."""

from collections.abc import Callable, Mapping

from flask import Blueprint, Response, abort, request

from broker.decisions import question
from broker.decisions.model import Caller, Malformed
from broker.decisions.room import Room
from broker.identity.clients.authentication.http import Desk
from broker.identity.clients.authentication.model import Attempt
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.web import form, respond

_CREDENTIALS = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
_REQUEST_ID = "X-Request-ID"
_LONGEST_ID = 200
Verb = Callable[[Caller, Mapping[str, object], Origin], Mapping[str, object]]


def blueprint(room: Room, desk: Desk) -> Blueprint:
    routes = Blueprint("decisions", __name__)

    def evaluation(caller: Caller, members: Mapping[str, object], origin: Origin) -> Mapping[str, object]:
        return room.decisions.decide(caller, question.one(members), origin).members()

    def evaluations(caller: Caller, members: Mapping[str, object], origin: Origin) -> Mapping[str, object]:
        several = question.several(members)
        if several is None:
            return room.advice.of(caller, question.one(members), origin).members()
        answers = room.advice.of_all(caller, several, origin)
        return {"evaluations": [answer.members() for answer in answers]}

    def mount(path: str, verb: Verb) -> None:
        def view(tenant: str | None = None) -> Response:
            door = desk.door_at(tenant)
            if door is None:
                abort(404)
            origin = desk.sources.origin(request, door.issuer)
            try:
                members = _members(room, door, origin)
                caller = room.callers.admit(door, _attempt(desk, door, members), origin)
                return respond.json_body(verb(caller, members, origin))
            except Malformed as error:
                return respond.problem(_malformed(error))
            except OAuthError as error:
                return respond.problem(error, challenge="Authorization" in request.headers)

        for prefix in ("", "/t/<tenant>"):
            rule = f"{prefix}/access/v1/{path}"
            routes.add_url_rule(rule, rule, view, methods=("POST",), provide_automatic_options=False)

    @routes.after_request
    def echo(response: Response) -> Response:
        """Section 10.1.9: the caller's own id of the request comes back."""
        said = request.headers.get(_REQUEST_ID, "")
        if 0 < len(said) <= _LONGEST_ID and said.isprintable():
            response.headers[_REQUEST_ID] = said
        return response

    mount("evaluation", evaluation)
    mount("evaluations", evaluations)
    return routes


def _members(room: Room, door: Door, origin: Origin) -> dict[str, object]:
    """The body, bounded and strict; who sent what is none is recorded as a stranger."""
    request.max_content_length = question.MOST_BYTES
    try:
        if request.mimetype != "application/json":
            raise Malformed("Send the request as application/json.")
        return question.body(form.content(request))
    except Malformed as error:
        room.callers.refused(door, None, _malformed(error), origin)
        raise
    except OAuthError as error:
        room.callers.refused(door, None, error, origin)
        raise


def _malformed(error: Malformed) -> OAuthError:
    return OAuthError("invalid_request", str(error), Reason.MALFORMED)


def _attempt(desk: Desk, door: Door, members: Mapping[str, object]) -> Attempt:
    """What proves the client: as in a form, but that its members stand in the JSON object."""
    said = {name: (value,) for name in _CREDENTIALS if isinstance(value := members.get(name), str) and value}
    headers = request.headers.getlist("Authorization")
    return Attempt(
        ", ".join(headers) if headers else None,
        Parameters(said),
        door.url(request.path.removeprefix(door.path)),
        tuple(request.headers.getlist("DPoP")),
        desk.certificates.of(request),
    )
