"""AuthZEN Access Request profile: /access/v1/requests under every door. JSON; refusals as problem details."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, request

from broker.control.approvals.binding import REQUESTS, form_url
from broker.control.approvals.model import Approval, State
from broker.decisions import question
from broker.decisions.http import attempt_of
from broker.decisions.model import Malformed
from broker.decisions.requests.requests import Requests, status
from broker.identity.clients.authentication.http import Desk
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.clock import Clock
from broker.web import form, respond
from broker.web.doorway import everywhere

_LONGEST_KEY = 255
Verb = Callable[[Door, Origin], Response]


def blueprint(requests: Requests, desk: Desk, clock: Clock) -> Blueprint:
    routes = Blueprint("access_requests", __name__)

    def ask(tenant: str | None = None) -> Response:
        def verb(door: Door, origin: Origin) -> Response:
            members, key = _members(), request.headers.get("Idempotency-Key")
            if key is not None and not 0 < len(key) <= _LONGEST_KEY:
                raise Malformed(f"Idempotency-Key: give 1 to {_LONGEST_KEY} characters.")
            found = requests.ask(door, attempt_of(desk, door, members), members, key, origin)
            return respond.json_body(told(found), 202, {"Location": _url(found)})

        return answered(tenant, verb)

    def one(approval_id: str, tenant: str | None = None) -> Response:
        def verb(door: Door, origin: Origin) -> Response:
            return respond.json_body(
                told(requests.status(door, attempt_of(desk, door, {}), approval_id, origin))
            )

        return answered(tenant, verb)

    def cancel(approval_id: str, tenant: str | None = None) -> Response:
        def verb(door: Door, origin: Origin) -> Response:
            members = _members() if request.method == "POST" and request.content_length else {}
            return respond.json_body(
                told(requests.cancel(door, attempt_of(desk, door, members), approval_id, origin))
            )

        return answered(tenant, verb)

    def told(approval: Approval) -> dict[str, object]:
        return members_of(approval, clock.now())

    def answered(tenant: str | None, verb: Verb) -> Response:
        door = desk.door_at(tenant)
        if door is None:
            abort(404)
        origin = desk.sources.origin(request, door.issuer)
        try:
            return verb(door, origin)
        except Malformed as error:
            refusal = OAuthError("invalid_request", str(error), Reason.MALFORMED)
            requests.unreadable(door, refusal, origin)
            return respond.problem(refusal)
        except OAuthError as error:
            return respond.problem(error, challenge="Authorization" in request.headers)

    everywhere(routes, REQUESTS, ask, "POST")
    everywhere(routes, f"{REQUESTS}/<approval_id>", one, "GET")
    everywhere(routes, f"{REQUESTS}/<approval_id>/cancel", cancel, "POST")
    for prefix in ("", "/t/<tenant>"):
        rule = f"{prefix}{REQUESTS}/<approval_id>"
        routes.add_url_rule(rule, f"{prefix}delete", cancel, methods=("DELETE",))
    return routes


def members_of(approval: Approval, now: float) -> dict[str, object]:
    """The task, and once it is approved, that the same decision is to be asked again; the state stays here."""
    found = status(approval, now)
    task: dict[str, object] = {
        "id": approval.id,
        "status": found,
        "status_endpoint": _url(approval),
        "expires_at": _moment(approval.expires_at),
        "form_url": form_url(approval),
        "links": {"cancel": f"{_url(approval)}/cancel"},
    }
    if approval.why and approval.state in (State.DENIED, State.WITHDRAWN):
        task["reason"] = approval.why
    if found != "approved":
        return {"task": task}
    assert approval.answered_at is not None
    result = {
        "mode": "reevaluate",
        "approval": {
            "id": approval.id,
            "approved_at": _moment(approval.answered_at),
            "approved_until": _moment(approval.expires_at),
            "spent": approval.state is State.SPENT,
        },
    }
    return {"task": task, "result": result}


def _members() -> Mapping[str, object]:
    request.max_content_length = question.MOST_BYTES
    if request.mimetype != "application/json":
        raise Malformed("Send the request as application/json.")
    return question.body(form.content(request))


def _url(approval: Approval) -> str:
    return f"{approval.door}{REQUESTS}/{approval.id}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
