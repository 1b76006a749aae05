"""What the catalogue of a resource says; pure."""

from collections.abc import Collection, Mapping
from dataclasses import asdict

from broker.control import classes
from broker.decisions import rules as decision_rules
from broker.estate import rules
from broker.estate.estate import Estate
from broker.estate.model import Resource, Scope, Tool

Members = dict[str, object]


def document(estate: Estate, resource: Resource, unspoken: Collection[str]) -> Members:
    """Without what a door adds when it signs: whose word it is, and of when. `unspoken`: the tools about which no
    policy but the built-in ones says anything."""
    doors = {door.issuer: estate.tenants_of(resource, door) for door in estate.doors.all()}
    return {
        "resource": resource.uri,
        "resource_id": resource.id,
        "name": resource.name,
        "issuers": {issuer: tenants for issuer, tenants in doors.items() if tenants},
        "authorization_servers": [estate.door_of(resource).issuer],
        "stage": resource.stage.value,
        "record": resource.record.value,
        "default_scopes": list(rules.defaults(resource)),
        "scopes": [_scope(resource, scope) for scope in resource.scopes],
        "tools": [_tool(resource, tool, unspoken) for tool in resource.tools],
        "limits": _bounds(asdict(resource.limits)),
        "isolation": _bounds(asdict(resource.isolation)),
    }


def _scope(resource: Resource, scope: Scope) -> Members:
    """`offered`: it can be asked for at this stage."""
    return _said(
        {
            "name": scope.name,
            "description": scope.description,
            "implies": list(scope.implies),
            "acr": scope.acr,
            "max_age": scope.max_age,
            "offered": scope.name in rules.offered(resource),
        }
    )


def _tool(resource: Resource, tool: Tool, unspoken: Collection[str]) -> Members:
    """`open`: calls are within the stage. `keyed`: they need an idempotency key. `approval`: a user's may need one.
    `by_catalogue`: they go ahead without a decision, and are told of afterwards."""
    return _said(
        {
            "name": tool.name,
            "scopes": list(tool.scopes),
            "impact": tool.impact.value,
            "family": tool.family,
            "undo": tool.undo,
            "description": tool.description,
            "schema": tool.schema,
            "schema_digest": tool.digest,
            "changed": tool.changed,
            "open": not rules.above_stage(resource, tool),
            "keyed": classes.DEFAULTS[tool.impact].keyed,
            "approval": classes.rule(tool, user=True) is not None,
            "by_catalogue": decision_rules.by_catalogue(resource, tool, unspoken),
            "obligations": decision_rules.obligations(tool),
            "log_arguments": classes.keeps_arguments(tool),
        }
    )


def _said(members: Mapping[str, object]) -> Members:
    """Without what is None."""
    return {name: value for name, value in members.items() if value is not None}


def _bounds(members: Mapping[str, object]) -> Members:
    """The same all the way down, and without what bounds nothing."""
    found = {name: _bounds(value) if isinstance(value, dict) else value for name, value in members.items()}
    return {name: value for name, value in found.items() if value is not None and value != {}}
