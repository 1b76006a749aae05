"""What the catalogue and the token say to one exact call, in the order of the contract; pure."""

from collections.abc import Collection, Mapping

from broker.control.classes import DEFAULTS, keeps_arguments, max_output, rule
from broker.control.model import Refused, Why
from broker.decisions import uris
from broker.decisions.model import AROUND, CALLS, NOTIFICATIONS, TOOLS_CALL, Question
from broker.denials.model import Kind, Target, tool_id
from broker.estate import rules as estate_rules
from broker.estate.model import Impact, Recording, Resource, Stage, Tool
from broker.guard.verifier import VerifiedToken
from broker.protocol import details, jcs
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason

MOST_ARGUMENTS = 16 * 1024
"""Bytes, in canonical form, of arguments that a record keeps."""


def require_own(resource: Resource, question: Question) -> None:
    """OAuthError when the question names a resource that is not the caller's."""
    if question.uri not in (None, resource.uri):
        raise OAuthError(
            "access_denied", "That is not the resource whose own client you are.", Reason.RESOURCE_MISMATCH
        )


def decided(action: str) -> bool:
    """Whether calls of this MCP method are decided one by one."""
    return action in CALLS


def around(action: str) -> bool:
    """Whether it is of the session around calls: permitted to whoever has a live token."""
    return action in AROUND or action.startswith(NOTIFICATIONS)


def tool_of(resource: Resource, question: Question) -> Tool | None:
    """The tool that the question is about, by its exact name; None when the catalogue has none.

    Reading an MCP resource or fetching a prompt is a `read` without a scope of its own, unless the catalogue has an
    entry under the method's name.
    """
    method = CALLS.get(question.action)
    if method is None or method.kind != question.kind:
        return None
    name = question.id if question.action == TOOLS_CALL else question.action
    for tool in resource.tools:
        if tool.name == name:
            return tool
    return None if question.action == TOOLS_CALL else Tool(name, (), Impact.READ)


def arguments_of(question: Question) -> Mapping[str, object] | None:
    """What is called with; None when they are no object."""
    if not isinstance(question.arguments, Mapping):
        return None
    if question.action == TOOLS_CALL:
        return question.arguments
    if question.kind == "prompt":
        return {"name": question.id, "arguments": dict(question.arguments)}
    return {"uri": question.id}


def targets(resource: Resource, tool: Tool | None) -> list[Target]:
    """What of the estate can be off for the call."""
    found = [Target(Kind.RESOURCE, resource.id)]
    if tool is not None:
        found.append(Target(Kind.TOOL, tool_id(resource.id, tool.name)))
        if tool.family is not None:
            found.append(Target(Kind.FAMILY, tool.family))
    return found


def by_catalogue(resource: Resource, tool: Tool, unspoken: Collection[str]) -> bool:
    """Whether its calls may go ahead by the catalogue and be told of afterwards. `unspoken`: the tools about which no
    policy but the built-in ones says anything."""
    return (
        resource.record is Recording.AFTER
        and tool.impact is Impact.READ
        and not tool.changed
        and not estate_rules.above_stage(resource, tool)
        and rule(tool, user=True) is None
        and tool.name in unspoken
    )


def require_stage(resource: Resource, tool: Tool | None) -> None:
    if resource.stage is Stage.BASELINE or (tool is not None and estate_rules.above_stage(resource, tool)):
        raise Refused(Why.STAGE, resource.stage.value, stage=resource.stage.value)


def require_tool(tool: Tool | None, question: Question) -> Tool:
    """The tool, as somebody looked at it."""
    if tool is None:
        raise Refused(Why.UNKNOWN_TOOL)
    if tool.changed:
        raise Refused(Why.TOOL_CHANGED, "nobody has looked at its new definition")
    said = question.schema_digest
    if said is not None and tool.digest is not None and said != tool.digest:
        raise Refused(Why.TOOL_CHANGED, "schema_digest")
    return tool


def require_scope(resource: Resource, tool: Tool, token: VerifiedToken, now: float) -> None:
    """The token has the tool's scopes, and was got by a sign-in that they take."""
    if scope_rules.missing(tuple(token.scopes), tool.scopes, resource.implies):
        raise Refused(Why.INSUFFICIENT_SCOPE, "scope", scope=scope_rules.render(tool.scopes))
    held, since = token.claims.get("acr"), token.claims.get("auth_time")
    attained = estate_rules.attained(
        resource,
        tool.scopes,
        held if isinstance(held, str) else None,
        float(since) if isinstance(since, (int, float)) else None,
        now,
    )
    if len(attained) < len(tool.scopes):
        acr, age = estate_rules.demanded(resource, tool.scopes)
        more = {"acr_values": acr, "max_age": age}
        said = {name: value for name, value in more.items() if value is not None}
        scope = scope_rules.render(tool.scopes)
        raise Refused(Why.INSUFFICIENT_SCOPE, "sign-in", scope=scope, **said)


def enough_scope(resource: Resource, tool: Tool, token: VerifiedToken, now: float) -> bool:
    try:
        require_scope(resource, tool, token, now)
    except Refused:
        return False
    return True


def require_details(
    resource: Resource, tool: Tool, token: VerifiedToken, arguments: Mapping[str, object]
) -> None:
    """RFC 9396: details narrow what the scopes allow."""
    if token.details is None or details.allows(token.details, resource.uri, tool.name, arguments):
        return
    raise Refused(
        Why.INSUFFICIENT_SCOPE,
        "authorization_details",
        scope=scope_rules.render(tool.scopes),
        authorization_details_types=list(details.TYPES),
    )


def require_normal(question: Question) -> None:
    """A resource is named as policies look at it, and not in another way that its server takes for the same."""
    if question.kind == CALLS["resources/read"].kind and not uris.normal(question.id):
        raise Refused(
            Why.INVALID_ARGUMENTS, "uri", errors=[{"pointer": "/arguments/uri", "keyword": "format"}]
        )


def require_kept(tool: Tool, arguments: Mapping[str, object]) -> None:
    """What a record has to keep is no larger than what it can."""
    if keeps_arguments(tool) and len(jcs.canonical(arguments)) > MOST_ARGUMENTS:
        raise Refused(Why.INVALID_ARGUMENTS, "size", errors=[{"pointer": "/arguments", "keyword": "size"}])


def require_key(tool: Tool, question: Question) -> None:
    if DEFAULTS[tool.impact].keyed and question.key is None:
        missing = {"pointer": "/idempotency_key", "keyword": "required"}
        raise Refused(Why.INVALID_ARGUMENTS, "idempotency_key", errors=[missing])


def needed(tool: Tool) -> dict[str, object]:
    """What a call would have taken, for the record of a stage that lets none through."""
    return {"scope": scope_rules.render(tool.scopes), "impact": tool.impact.value}


def obligations(tool: Tool) -> list[dict[str, object]]:
    """AuthZEN obligations: what the guard has to do with a call and its answer."""
    found: list[dict[str, object]] = [
        {"id": "max_output", "type": "max_output", "properties": {"bytes": max_output(tool)}}
    ]
    if tool.redact:
        found.append({"id": "redact", "type": "redact", "properties": {"paths": list(tool.redact)}})
    if keeps_arguments(tool):
        found.append({"id": "log_arguments", "type": "log_arguments", "properties": {}})
    return found
