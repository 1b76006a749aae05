"""The Cedar schema of an estate: who asks, what for, about what, and what a policy can see of it (docs/policy.md)."""

import json
from collections.abc import Iterable, Mapping

import cedarpy

from broker.control.policy import arguments
from broker.control.policy.model import CALL, GET, OBTAIN, READ
from broker.estate.model import Resource, Tool

Type = dict[str, object]
PRINCIPALS = ("User", "Client")


def tool_id(resource: Resource, tool: Tool) -> str:
    """The id of a tool, and of the action that calls it; no other action has a slash in it."""
    return f"{resource.id}/{tool.name}"


def family_id(resource: Resource, family: str) -> str:
    return f"{resource.id}/{family}"


def of(resources: Iterable[Resource]) -> cedarpy.Schema:
    """Each tool is an action of its own in the group `call`, as each has arguments of its own."""
    actions = {
        tool_id(resource, tool): _action(
            "Tool", {**_called, "arguments": arguments.typed(arguments.record(tool.schema))}, CALL
        )
        for resource in resources
        for tool in resource.tools
    }
    return cedarpy.Schema.from_json_str(
        json.dumps({"": {"entityTypes": _ENTITIES, "actions": {**_ACTIONS, **actions}}})
    )


def text(resources: Iterable[Resource]) -> str:
    """The schema as people read it."""
    return str(of(resources)).replace("__cedar::", "").strip()


def known(resources: Iterable[Resource]) -> frozenset[tuple[str, str]]:
    """Type and id of what there is in the estate: a policy about anything else has a slip in it."""
    found = set()
    for resource in resources:
        found.add(("Resource", resource.id))
        found |= {("Scope", f"{resource.id}/{name}") for name in resource.scope_names}
        for tool in resource.tools:
            found.add(("Tool", tool_id(resource, tool)))
            if tool.family is not None:
                found.add(("Family", family_id(resource, tool.family)))
    return frozenset(found)


def _named(name: str) -> Type:
    return {"type": "EntityOrCommon", "name": name}


def _set(element: Type) -> Type:
    return {"type": "Set", "element": element}


def _record(members: Mapping[str, Type]) -> Type:
    return {"type": "Record", "attributes": members}


def _maybe(kind: Type) -> Type:
    return {**kind, "required": False}


def _action(resource: str, context: Mapping[str, Type], *groups: str) -> Type:
    return {
        "memberOf": [{"id": group} for group in groups],
        "appliesTo": {
            "principalTypes": list(PRINCIPALS),
            "resourceTypes": [resource],
            "context": _record(context),
        },
    }


_TEXT, _WHOLE, _YES = _named("String"), _named("Long"), _named("Bool")
_common: Mapping[str, Type] = {
    "client": _named("Client"),
    "tenant": _named("Tenant"),
    "actor": _maybe(_record({"iss": _TEXT, "sub": _TEXT, "client_id": _TEXT})),
    "stage": _TEXT,
    "acr": _maybe(_TEXT),
    "auth_age": _maybe(_WHOLE),
    "now": _named("datetime"),
}
_called: Mapping[str, Type] = {**_common, "scopes": _set(_TEXT), "approved": _YES}
CONTEXT = frozenset({*_called, "name", "arguments"})
"""Every member that a context can have."""
_ENTITIES: Mapping[str, object] = {
    "Tenant": {},
    "User": {
        "memberOfTypes": ["Tenant"],
        "shape": _record({"roles": _set(_TEXT)}),
        "tags": _set(_TEXT),
    },
    "Client": {"memberOfTypes": ["Tenant"]},
    "Resource": {"memberOfTypes": ["Tenant"]},
    "Family": {"memberOfTypes": ["Resource"]},
    "Tool": {
        "memberOfTypes": ["Family", "Resource"],
        "shape": _record({"impact": _TEXT, "scopes": _set(_TEXT), "asks": _YES}),
    },
    "Scope": {"memberOfTypes": ["Resource"], "shape": _record({"name": _TEXT})},
}
_ACTIONS: Mapping[str, object] = {
    CALL: _action("Tool", {**_called, "arguments": _record({})}),
    READ: _action("Resource", {**_called, "name": _TEXT}),
    GET: _action("Resource", {**_called, "name": _TEXT}),
    OBTAIN: _action("Scope", _common),
}
