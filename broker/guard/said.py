"""MCP utilities (logging, progress, tasks): what a server may say beside its answers where these are redacted."""

from collections.abc import Mapping

_KEPT: Mapping[str, tuple[str, ...]] = {
    "notifications/progress": ("progressToken", "progress", "total"),
    "notifications/cancelled": ("requestId",),
    "notifications/tasks/status": (
        "taskId",
        "status",
        "createdAt",
        "lastUpdatedAt",
        "ttl",
        "ttlMs",
        "pollInterval",
        "pollIntervalMs",
    ),
    "notifications/elicitation/complete": ("elicitationId",),
    "notifications/resources/updated": ("uri",),
    "notifications/resources/list_changed": (),
    "notifications/tools/list_changed": (),
    "notifications/prompts/list_changed": (),
    "notifications/subscriptions/acknowledged": ("notifications",),
}
"""By notification, the members of its params that are not in the tool's words."""
_LOG, _OFFICIAL = "notifications/message", "io.modelcontextprotocol/"
_TASK = ("resultType", *_KEPT["notifications/tasks/status"])


def told(message: dict[str, object], *, strict: bool) -> dict[str, object] | None:
    """A notification without words; a request to the client as it is. `strict`: nothing that is not known."""
    method = message.get("method")
    known = _KEPT.get(method) if isinstance(method, str) else None
    if known is not None:
        params = message.get("params")
        kept = {} if not isinstance(params, Mapping) else {**_of(params, known), **_meta(params)}
        return {"jsonrpc": "2.0", "method": method, **({"params": kept} if "params" in message else {})}
    named = isinstance(method, str) and method.startswith("notifications/")
    if method == _LOG or (strict and (named or "id" not in message)):
        return None
    return message


def task(told: Mapping[str, object]) -> dict[str, object]:
    """A task, or a result that hands one out, without the tool's words."""
    inner = told.get("task")
    return {**_of(told, _TASK), **({"task": _of(inner, _TASK)} if isinstance(inner, Mapping) else {})}


def _of(members: Mapping[str, object], names: tuple[str, ...]) -> dict[str, object]:
    return {name: members[name] for name in names if name in members}


def _meta(params: Mapping[str, object]) -> dict[str, object]:
    found = params.get("_meta")
    kept = (
        {name: found[name] for name in found if name.startswith(_OFFICIAL)} if isinstance(found, dict) else {}
    )
    return {"_meta": kept} if kept else {}
