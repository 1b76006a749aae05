"""RFC 9396 section 6: which calls a token is good for: those of the grant, or fewer where the request names them."""

from collections.abc import Mapping, Sequence

from broker.estate import calls
from broker.estate.model import Resource
from broker.protocol import details
from broker.protocol.details import Details
from broker.protocol.errors import OAuthError, Reason
from broker.tokens.model import TokenRequest


def narrowed(
    request: TokenRequest,
    resource: Resource,
    granted: Sequence[Mapping[str, object]],
    scopes: tuple[str, ...],
) -> tuple[Details, tuple[str, ...]]:
    """The details of the token, and its scopes: with details, those that they take.

    `granted` are a grant's details, none where it allows whatever its scopes do. Of these, `scopes` are what is left or
    asked for. OAuthError when nothing is left of details: they never fall away.
    """
    held = details.stored(granted)
    left = calls.under(resource, held, scopes)
    if held and not left:
        if request.parameters.get("scope"):
            raise calls.refused("None of the allowed calls has that scope.", Reason.DETAILS_EMPTY)
        raise OAuthError(
            "invalid_grant",
            "Nothing that was allowed can be called any more. Start the sign-in again.",
            Reason.DETAILS_EMPTY,
        )
    text = request.parameters.get(calls.PARAMETER)
    if text is None:
        return left, calls.needed(resource, left) if left else scopes
    asked = calls.judged(text, request.client, resource, carrying=True)
    if not details.covers(left, asked):
        raise calls.refused("That goes beyond what was allowed.", Reason.DETAILS_WIDENED)
    return asked, calls.scoped(resource, asked, scopes)
