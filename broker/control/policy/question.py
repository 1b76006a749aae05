"""An act, or a mint, as a question that Cedar answers: principal, action, resource, context, and what is known of them.

RFC 8693 section 4.1: of the chain of actors policy sees the current one. It never sees what a client says it intends.
"""

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.control.model import Act, Actor, Person
from broker.control.policy import arguments
from broker.control.policy.model import CALL, READ
from broker.control.policy.schema import family_id, tool_id
from broker.estate.model import Resource
from broker.protocol import jcs

Value = dict[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    principal: Value
    action: Value
    resource: Value
    context: Value
    entities: str


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, through whom, how signed in: what calls and mints have in common."""

    subject: Person
    client_id: str
    tenant: str
    resource: Resource
    actor: Actor | None
    acr: str | None
    auth_time: float | None

    @property
    def principal(self) -> Value:
        return _id("User" if self.subject.user else "Client", self.subject.id)

    def context(self, now: float) -> Value:
        known: Value = {
            "client": _ref("Client", self.client_id),
            "tenant": _ref("Tenant", self.tenant),
            "stage": self.resource.stage.value,
            "now": _extension("datetime", _written(now)),
        }
        if self.actor is not None:
            known["actor"] = {
                "iss": self.actor.iss,
                "sub": self.actor.sub,
                "client_id": self.actor.client_id,
            }
        if self.acr is not None:
            known["acr"] = self.acr
        if self.auth_time is not None:
            known["auth_age"] = int(now - self.auth_time)
        return known

    def entities(self) -> list[Value]:
        """The principal in the token's tenant, and the server in it where it works for that tenant."""
        here = _id("Tenant", self.tenant)
        principal: Value = {"uid": self.principal, "attrs": {}, "parents": [here]}
        if self.subject.user:
            principal["attrs"] = {"roles": list(self.subject.roles)}
            principal["tags"] = dict(_tags(self.subject))
        server: Value = {
            "uid": _id("Resource", self.resource.id),
            "attrs": {},
            "parents": [here] if self.resource.serves(self.tenant) else [],
        }
        return [principal, server]


def of_act(act: Act, action: str, now: float, looks: Container[str]) -> Question:
    """`action`: the method asked for, with a `uri` or `name` where it is no call of a tool. `looks`: what to say of the
    context. ValueError where Cedar cannot hold it.
    """
    asker = Asker(
        act.subject,
        act.client_id,
        act.tenant,
        act.resource,
        act.actors[0] if act.actors else None,
        act.acr,
        act.auth_time,
    )
    context, entities = asker.context(now), asker.entities()
    context["scopes"] = sorted(act.scopes)
    if action != CALL:
        context["name"] = str(act.arguments["uri" if action == READ else "name"])
        return _question(asker, action, _id("Resource", act.resource.id), context, looks, entities)
    if "arguments" in looks:
        context["arguments"] = arguments.said(arguments.record(act.tool.schema), act.arguments)
    tool = _id("Tool", tool_id(act.resource, act.tool))
    parents = [_id("Resource", act.resource.id)]
    if act.tool.family is not None:
        family = _id("Family", family_id(act.resource, act.tool.family))
        entities.append({"uid": family, "attrs": {}, "parents": [*parents]})
        parents.append(family)
    attributes = {
        "impact": act.tool.impact.value,
        "scopes": list(act.tool.scopes),
        "asks": act.tool.approval is not None,
    }
    entities.append({"uid": tool, "attrs": attributes, "parents": parents})
    entities.append({"uid": _id("Action", str(tool["id"])), "attrs": {}, "parents": [_id("Action", CALL)]})
    return _question(asker, str(tool["id"]), tool, context, looks, entities)


def of_mint(asker: Asker, action: str, scope: str, now: float, looks: Container[str]) -> Question:
    wanted = _id("Scope", f"{asker.resource.id}/{scope}")
    entity = {"uid": wanted, "attrs": {"name": scope}, "parents": [_id("Resource", asker.resource.id)]}
    return _question(asker, action, wanted, asker.context(now), looks, [*asker.entities(), entity])


def _question(
    asker: Asker, action: str, resource: Value, context: Value, looks: Container[str], entities: list[Value]
) -> Question:
    seen = {name: value for name, value in context.items() if name in looks}
    return Question(asker.principal, _id("Action", action), resource, seen, json.dumps(entities))


def _tags(person: Person) -> Iterator[tuple[str, list[str]]]:
    """Each attribute as a set of texts: a text as it is, a list of them, everything else in its JSON form."""
    for name, value in person.attributes.items():
        items = value if isinstance(value, list) else [value]
        yield name, [item if isinstance(item, str) else jcs.canonical(item).decode() for item in items]


def _id(kind: str, name: str) -> Value:
    return {"type": kind, "id": name}


def _ref(kind: str, name: str) -> Value:
    return {"__entity": _id(kind, name)}


def _extension(name: str, argument: str) -> Value:
    return {"__extn": {"fn": name, "arg": argument}}


def _written(now: float) -> str:
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
