"""RFC 9396 sections 3, 5 and 6: authorization details held against a resource: its tools, stage and scopes; pure.

Details narrow what scopes allow: a tool can be named only by whoever may have its scopes.
"""

from collections.abc import Iterable
from dataclasses import replace

from broker.estate import rules
from broker.estate.model import Resource
from broker.identity.clients.model import Client
from broker.protocol import details
from broker.protocol import resource as resource_uri
from broker.protocol import scope as scope_rules
from broker.protocol.details import TYPE, Details, Invalid
from broker.protocol.errors import OAuthError, Reason

PARAMETER = "authorization_details"


def judged(text: str, client: Client, resource: Resource, *, carrying: bool = False) -> Details:
    """What the parameter asks for, the resource named as it is registered; OAuthError when it cannot be asked for.

    `carrying`: where a token is made at once, it may carry an approval.
    """
    try:
        found = details.read(text)
    except Invalid as wrong:
        reason = Reason.DETAILS_TYPE_UNKNOWN if wrong.unknown_type else Reason.DETAILS_MALFORMED
        raise refused(f"{PARAMETER}{wrong.at}: {wrong}.", reason) from None
    if TYPE not in client.authorization_details_types:
        raise refused(
            f"The client is not registered for the type {TYPE} (authorization_details_types).",
            Reason.DETAILS_TYPE_NOT_REGISTERED,
        )
    if not all(_same(detail.resource, resource) for detail in found):
        raise refused("locations: name the resource that the token is for.", Reason.DETAILS_RESOURCE)
    if details.approval(found) is not None and not carrying:
        raise refused("An approval is named where the token is asked for.", Reason.DETAILS_MALFORMED)
    known = rules.callable_tools(resource)
    if unknown := [tool for tool in details.tools(found) if tool not in known]:
        raise refused(
            "The resource has no such tool at present.",
            Reason.DETAILS_TOOL_UNKNOWN,
            detail=" ".join(unknown)[:300],
        )
    return tuple(replace(detail, resource=resource.uri) for detail in found)


def needed(resource: Resource, held: Details) -> tuple[str, ...]:
    """The scopes that the tools of some details take, each once."""
    named = set(details.tools(held))
    return tuple(
        dict.fromkeys(scope for tool in resource.tools if tool.name in named for scope in tool.scopes)
    )


def scoped(resource: Resource, asked: Details, scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes that the tools take, all of which `scopes` must give; OAuthError when not, or when they take none."""
    wanted = needed(resource, asked)
    if lacking := scope_rules.missing(scopes, wanted, resource.implies):
        raise refused(
            f"A tool takes a scope that is not asked for or cannot be had: {' '.join(lacking)}.",
            Reason.SCOPE_WIDENED,
        )
    if not wanted:
        raise refused("None of the tools takes a scope: there is nothing to allow.", Reason.DETAILS_EMPTY)
    return wanted


def under(resource: Resource, held: Details, scopes: Iterable[str]) -> Details:
    """What is left of some details with those scopes, and of the tools that the resource has by now."""
    given = set(rules.expanded(resource, scopes))
    callable_ = {
        name for name, tool in rules.callable_tools(resource).items() if given.issuperset(tool.scopes)
    }
    return details.keeping(held, lambda name: name in callable_)


def refused(description: str, reason: Reason, detail: str = "") -> OAuthError:
    """RFC 9396 section 5."""
    return OAuthError("invalid_authorization_details", description, reason, detail=detail)


def _same(location: str, resource: Resource) -> bool:
    return resource_uri.valid(location) and resource_uri.folded(location) == resource_uri.folded(resource.uri)
