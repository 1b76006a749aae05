"""RFC 8693 section 2.1, RFC 8707 section 2: where an exchange leads: one target, named exactly; pure."""

from broker.estate.model import Resource
from broker.protocol.errors import OAuthError, Reason
from broker.tokens.model import TokenRequest


def named(request: TokenRequest) -> Resource:
    """The one resource that `resource` (its URI) or `audience` (its URI or id) names."""
    resources, audiences = request.parameters.all("resource"), request.parameters.all("audience")
    both = resources + audiences
    if not both:
        raise OAuthError(
            "invalid_target", "Name the target with resource or audience.", Reason.RESOURCE_MISSING
        )
    if len(both) > 1:
        raise OAuthError("invalid_target", "One token is for one target.", Reason.RESOURCE_REPEATED)
    found = request.estate.by_exact_uri(both[0])
    if found is None and audiences:
        found = request.estate.resources.get(both[0])
    if found is None:
        raise OAuthError("invalid_target", "There is no edge to that resource.", Reason.RESOURCE_UNKNOWN)
    return found
