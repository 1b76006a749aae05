"""AuthZEN 1.0 section 10: /access/v1/… under every door. JSON in and out; a deny is 200, an error problem details."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from flask import Blueprint, Response, abort, request

from broker.decisions import question, reported
from broker.decisions.model import Caller, Malformed
from broker.decisions.room import Room
from broker.identity.clients.authentication.http import Desk
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client
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

    def outcomes(caller: Caller, members: Mapping[str, object], origin: Origin) -> Mapping[str, object]:
        if "calls" in members:
            calls = reported.calls(members["calls"])
            return {"unknown": room.reports.take(caller, calls, origin)}
        said = reported.outcome(members)
        return {"decision_id": said.decision_id, "recorded": room.outcomes.report(caller, said, origin)}

    def mount(path: str, verb: Verb) -> None:
        def view(tenant: str | None = None) -> Response:
            door = desk.door_at(tenant)
            if door is None:
                abort(404)
            origin = desk.sources.origin(request, door.issuer)
            try:
                return respond.json_body(_answer(room, desk, door, verb, origin))
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
    mount("outcomes", outcomes)
    return routes


def _answer(room: Room, desk: Desk, door: Door, verb: Verb, origin: Origin) -> Mapping[str, object]:
    """OAuthError, recorded, for what is no request that can be judged."""
    client: Client | None = None
    try:
        members = members_sent()
        client = room.callers.authenticated(door, attempt_of(desk, door, members), origin)
        origin = replace(origin, client=client.client_id)
        return verb(room.callers.admitted(door, client), members, origin)
    except Malformed as error:
        refusal = OAuthError("invalid_request", str(error), Reason.MALFORMED)
    except OAuthError as error:
        refusal = error
    room.callers.refused(door, client, refusal, origin)
    raise refusal


def members_sent() -> dict[str, object]:
    """The body, bounded and strict."""
    request.max_content_length = question.MOST_BYTES
    if request.mimetype != "application/json":
        raise Malformed("Send the request as application/json.")
    return question.body(form.content(request))


def attempt_of(desk: Desk, door: Door, members: Mapping[str, object]) -> Attempt:
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
