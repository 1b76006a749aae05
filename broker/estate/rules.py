"""What a resource's own description lets anybody ask for: scopes at its stage, defaults, hierarchy."""

from collections.abc import Iterable

from broker.estate.model import Impact, Resource, Stage, Tool
from broker.protocol import acr
from broker.protocol import scope as scope_rules

_HIGHEST = {
    Stage.BASELINE: (),
    Stage.READ_ONLY: (Impact.READ, Impact.SENSITIVE_READ),
    Stage.REVERSIBLE: (Impact.READ, Impact.SENSITIVE_READ, Impact.REVERSIBLE_WRITE),
    Stage.FULL: tuple(Impact),
}


def withheld(resource: Resource) -> frozenset[str]:
    """Scopes that the stage holds back: those with tools, all of which lie above it.

    At `baseline` sign-in and discovery work, so nothing is withheld; every call is refused by decisions.
    """
    if resource.stage in (Stage.BASELINE, Stage.FULL):
        return frozenset()
    allowed = _HIGHEST[resource.stage]
    held = set()
    for scope in resource.scopes:
        impacts = [tool.impact for tool in resource.tools if scope.name in tool.scopes]
        if impacts and all(impact not in allowed for impact in impacts):
            held.add(scope.name)
    return frozenset(held)


def offered(resource: Resource) -> tuple[str, ...]:
    """The scopes that can be asked for now."""
    held = withheld(resource)
    return tuple(name for name in resource.scope_names if name not in held)


def callable_tools(resource: Resource) -> dict[str, Tool]:
    """The tools that the stage does not hold back, by name; all of them at `baseline`, as with scopes."""
    allowed = _HIGHEST[resource.stage] or tuple(Impact)
    return {tool.name: tool for tool in resource.tools if tool.impact in allowed}


def above_stage(resource: Resource, tool: Tool) -> bool:
    """Whether the stage refuses every call of the tool; at `baseline` it refuses those of all."""
    return tool.impact not in _HIGHEST[resource.stage]


def defaults(resource: Resource) -> tuple[str, ...]:
    """What is asked for when nothing is: the scopes marked default, else all."""
    marked = tuple(scope.name for scope in resource.scopes if scope.default)
    return tuple(name for name in marked or resource.scope_names if name in offered(resource))


def expanded(resource: Resource, scopes: Iterable[str]) -> tuple[str, ...]:
    """`scopes` with everything they imply, in the order of the resource's own list."""
    held = set(scope_rules.expand(tuple(scopes), resource.implies))
    return tuple(name for name in offered(resource) if name in held)


def demanded(resource: Resource, scopes: Iterable[str]) -> tuple[str | None, int | None]:
    """RFC 9470: the class and the age (seconds) of sign-in that all of `scopes`, with what they imply, take."""
    held = set(expanded(resource, scopes))
    taken = [scope for scope in resource.scopes if scope.name in held]
    classes = [scope.acr for scope in taken if scope.acr is not None]
    ages = [scope.max_age for scope in taken if scope.max_age is not None]
    return acr.strongest(classes) if classes else None, min(ages) if ages else None


def attained(
    resource: Resource, scopes: Iterable[str], held: str | None, auth_time: float | None, now: float
) -> tuple[str, ...]:
    """Those of `scopes` for which a sign-in of class `held` at `auth_time` is enough; None where nobody signed in."""

    def enough(scope: str) -> bool:
        wanted, age = demanded(resource, (scope,))
        strong = wanted is None or (held is not None and acr.at_least(held, wanted))
        return strong and (age is None or (auth_time is not None and now - auth_time <= age))

    return tuple(scope for scope in scopes if enough(scope))


def impact_of(resource: Resource, scope: str) -> Impact | None:
    """The gravest class among the scope's tools; None when it has none."""
    order = list(Impact)
    found = [order.index(tool.impact) for tool in resource.tools if scope in tool.scopes]
    return order[max(found)] if found else None
