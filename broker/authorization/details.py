"""RFC 9396 sections 3 and 5: the step that reads authorization_details, and what of them a person's answer leaves."""

from collections.abc import Iterable
from dataclasses import replace

from broker.authorization.draft import Draft
from broker.authorization.model import AuthorizationRequest, Details
from broker.estate import calls
from broker.estate import rules as estate_rules
from broker.estate.model import Resource
from broker.protocol import details as rich
from broker.protocol import scope as scope_rules
from broker.protocol.errors import Reason


def details_can_be_asked_for(draft: Draft) -> Draft:
    """With details, the scopes are those that their tools take: no more is of use, and no more is asked for."""
    assert draft.client is not None and draft.resource is not None
    if calls.PARAMETER in draft.parameters.blank:
        raise calls.refused("authorization_details is empty: leave it out.", Reason.DETAILS_MALFORMED)
    text = draft.parameters.get(calls.PARAMETER)
    if text is None:
        return draft
    asked = calls.judged(text, draft.client, draft.resource)
    needed = calls.scoped(draft.resource, asked, _at_hand(draft, draft.resource))
    return replace(
        draft,
        details=tuple(rich.members(asked)),
        scopes=tuple(dict.fromkeys(_registered(draft, draft.resource, scope) for scope in needed)),
    )


def reach(draft: Draft) -> tuple[str, ...]:
    """The scopes to look among where details come without any; none where no details come."""
    assert draft.resource is not None
    return _all(draft, draft.resource) if draft.parameters.get(calls.PARAMETER) else ()


def left(
    resource: Resource, asked: Iterable[Details], scopes: tuple[str, ...]
) -> tuple[tuple[Details, ...], tuple[str, ...]]:
    """What remains of details, and of `scopes` with them, when only `scopes` were allowed."""
    held = rich.stored(tuple(asked))
    if not held:
        return (), scopes
    kept = calls.under(resource, held, scopes)
    needed = set(calls.needed(resource, kept))
    used = tuple(name for name in scopes if needed & set(scope_rules.expand((name,), resource.implies)))
    return tuple(rich.members(kept)), used


def covered(held: Iterable[Details], request: AuthorizationRequest) -> bool:
    """Whether an earlier consent with these details allows whatever calls the request asks for."""
    return rich.covers(rich.stored(tuple(held)), rich.stored(request.details))


def shown(resource: Resource, asked: Iterable[Details]) -> object:
    """All that a page says of details, in a form to compare."""
    found = rich.stored(tuple(asked))
    named = set(rich.tools(found))
    return found and (
        rich.digest(found),
        [(tool.name, tool.impact.value) for tool in resource.tools if tool.name in named],
    )


def _at_hand(draft: Draft, resource: Resource) -> tuple[str, ...]:
    """The scopes that were named; where none was, whatever the client may ask for."""
    named = set(estate_rules.offered(resource)).intersection((draft.parameters.get("scope") or "").split())
    return draft.scopes if named else _all(draft, resource)


def _all(draft: Draft, resource: Resource) -> tuple[str, ...]:
    assert draft.client is not None
    cap = draft.client.scopes
    return tuple(name for name in estate_rules.offered(resource) if cap is None or name in cap)


def _registered(draft: Draft, resource: Resource, scope: str) -> str:
    """The scope itself, or the one that brings it where the client is registered for that alone."""
    assert draft.client is not None
    cap = draft.client.scopes
    if cap is None or scope in cap:
        return scope
    return next(
        (
            name
            for name in _at_hand(draft, resource)
            if scope in scope_rules.expand((name,), resource.implies)
        ),
        scope,
    )
