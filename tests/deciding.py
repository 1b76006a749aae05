"""What tests of decisions share: questions as a resource's server asks them, and answers held to their shape."""

import json
from dataclasses import replace

from werkzeug.test import TestResponse

from broker.estate.model import Impact, Tool
from broker.runtime.database import Transaction
from tests.lab import ISSUER, TICKETS, Lab, basic, claims

REASONS = (
    "token_invalid",
    "switched_off",
    "stage",
    "unknown_tool",
    "tool_changed",
    "insufficient_scope",
    "invalid_arguments",
    "policy_denied",
    "in_progress",
    "duplicate",
    "idempotency_mismatch",
    "rate_limited",
    "budget_exhausted",
    "approval_required",
)


def question(
    token: str | None,
    tool: str = "search_tickets",
    arguments: object = None,
    *,
    subject: str | None = None,
    uri: str | None = TICKETS,
    schema_digest: str | None = None,
    method: str = "tools/call",
    kind: str = "tool",
    **context: object,
) -> dict[str, object]:
    """An AuthZEN request about one call; `subject` is the token's own where it is not given."""
    name = subject if subject is not None else str(claims(token)["sub"]) if token else "alice"
    of = {"resource": uri, "schema_digest": schema_digest}
    asked = {"arguments": arguments, **context}
    return {
        "subject": {"type": "user", "id": name, "properties": {"token": token} if token else {}},
        "action": {"name": method},
        "resource": {
            "type": kind,
            "id": tool,
            "properties": {name: value for name, value in of.items() if value is not None},
        },
        "context": {name: value for name, value in asked.items() if value is not None},
    }


def post(
    lab: Lab,
    path: str,
    body: object,
    client_id: str = "tickets-server",
    door: str = "",
    headers: dict[str, str] | None = None,
) -> TestResponse:
    """JSON (or bytes as they are) to an address below /access/v1, as this client."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lab.http().post(
        f"{door}/access/v1/{path}",
        base_url=ISSUER,
        data=data,
        content_type="application/json",
        headers=basic(client_id) if headers is None else headers,
        environ_base={"REMOTE_ADDR": "203.0.113.7"},
    )


def ask(
    lab: Lab, token: str | None, tool: str = "search_tickets", arguments: object = None, **more: object
) -> dict[str, object]:
    """The answer to one question of the ticket desk's server (or `client_id`, at `door`)."""
    where = {name: str(more.pop(name)) for name in ("client_id", "door") if name in more}
    response = post(lab, "evaluation", question(token, tool, arguments, **more), **where)
    assert response.status_code == 200, (response.status_code, response.get_data(as_text=True))
    answer: dict[str, object] = response.json
    assert isinstance(answer["decision"], bool)
    return answer


def permitted(
    lab: Lab, token: str, tool: str = "search_tickets", arguments: object = None, **more: object
) -> str:
    """The id of the decision, which is yes and recorded."""
    answer = ask(lab, token, tool, arguments, **more)
    assert answer["decision"] is True, answer
    context = answer["context"]
    record = lab.last("decision.made")
    assert (record["outcome"], record["decision"]) == ("allowed", context["decision_id"])
    return str(context["decision_id"])


def denied(
    lab: Lab,
    reason: str,
    token: str | None,
    tool: str = "search_tickets",
    arguments: object = None,
    **more: object,
) -> dict[str, object]:
    """The context of the answer, which is no for this reason and recorded."""
    answer = ask(lab, token, tool, arguments, **more)
    assert answer["decision"] is False, answer
    context = answer["context"]
    assert context["reason"] == reason, context
    record = lab.last("decision.made")
    assert (record["outcome"], record["reason"]) == ("denied", reason), record
    assert record["decision"] == context["decision_id"]
    return context


def scoped(lab: Lab, scope: str, user: str = "alice", **more: str | None) -> str:
    """An access token of this user for the ticket desk with these scopes."""
    return lab.tokens(user=user, scope=scope, **more)["access_token"]


def tool(name: str, *scopes: str, impact: Impact = Impact.READ, **more: object) -> Tool:
    return Tool(name, scopes, impact, **more)  # type: ignore[arg-type]


def desk(lab: Lab, *tools: Tool, resource: str = "tickets", **changes: object) -> None:
    """Change the ticket desk (or another resource): these tools in place of those of their names, and members."""

    def work(tx: Transaction) -> None:
        found = next(one for one in lab.broker.changes.resources(tx) if one.id == resource)
        named = {one.name: one for one in (*found.tools, *tools)}
        lab.broker.changes.put_resource(tx, replace(found, **{"tools": tuple(named.values()), **changes}))

    lab.change(work)


def problem(response: TestResponse, status: int, error: str) -> dict[str, object]:
    """Problem details: the code, no secret, nothing cacheable; and it is recorded."""
    assert response.status_code == status, (response.status_code, response.get_data(as_text=True))
    assert response.mimetype == "application/problem+json"
    body: dict[str, object] = response.json
    assert (body["error"], body["status"], body["title"]) == (error, status, error)
    assert isinstance(body["detail"], str) and response.headers["Cache-Control"] == "no-store"
    return body
