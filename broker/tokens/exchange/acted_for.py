"""RFC 8693 section 5: may this subject be acted for? Asked of the subject alone; who asks plays no part.

Liveness, tenant, consent and the scopes that it has to give; the caller's own right is another question (`caller`).
"""

from broker.denials.model import Kind, edge_id
from broker.estate import rules as estate_rules
from broker.estate.estate import Estate
from broker.estate.model import Edge, EdgeConsent, Resource
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.parameters import Parameters
from broker.tokens import live
from broker.tokens.exchange.model import Subject, bad_subject
from broker.tokens.standing import Standing, over


def require_way(subject: Subject, estate: Estate, now: float) -> None:
    """Every edge that its token came along is still there."""
    missing = live.missing(subject.token, estate, now)
    if missing is not None:
        raise bad_subject(Reason.EDGE_BEHIND_OFF, f"{missing.kind.value} {missing.id}")


def require_tenant(subject: Subject, target: Resource) -> None:
    """No exchange leaves the tenant."""
    if not target.serves(subject.token.tenant):
        raise OAuthError(
            "invalid_target", "There is no edge to that resource.", Reason.TENANT_NOT_SERVED, detail=target.id
        )


def scopes(subject: Subject, edge: Edge, target: Resource, asked: Parameters) -> tuple[str, ...]:
    """What the edge makes of the subject's scopes, narrowed to what was asked for; never more than either."""
    offered = estate_rules.offered(target)
    mapped = {given for own in subject.token.scopes for given in edge.scopes.get(own, ())}
    allowed = estate_rules.expanded(target, (name for name in offered if name in mapped))
    try:
        wanted = scope_rules.parse(asked.get("scope"))
    except ValueError:
        raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None
    if any(name not in allowed for name in wanted):
        raise OAuthError(
            "invalid_scope", "The scope goes beyond the edge or the token.", Reason.SCOPE_WIDENED
        )
    if not allowed:
        raise OAuthError("invalid_scope", "The edge gives nothing for this token.", Reason.SCOPE_EMPTY)
    return wanted or allowed


def restricted(subject: Subject, target: Resource) -> tuple[str, ...]:
    """RFC 9396 section 9.1: where the chain was good for some calls only; a chain does not come back there.

    Details say what may be called at one resource, and go no further than its tokens. So what a chain gets along edges
    could be a token for that resource without them.
    """
    token = subject.token
    earlier = token.claims.get("restricted_at")
    kept = [uri for uri in earlier if isinstance(uri, str)] if isinstance(earlier, list) else []
    if token.details is not None:
        kept.append(token.audience)
    if target.uri in kept:
        raise OAuthError(
            "invalid_target",
            "The token was made from one that is good for some calls there only.",
            Reason.DETAILS_LOST,
        )
    return tuple(dict.fromkeys(kept))


def require_standing(subject: Subject, standing: Standing) -> None:
    """The subject is still there, and nothing that its token came from has ended; OAuthError."""
    if standing.off is not None:
        raise _off(standing)
    reason = over(subject.token, standing)
    if reason is not None:
        raise bad_subject(reason)


def consented(
    subject: Subject,
    edge: Edge,
    target: Resource,
    standing: Standing,
    left: tuple[str, ...],
    *,
    named: bool,
    ask_at: str,
) -> tuple[str, ...]:
    """What of `left` the user was shown and allowed; with `consent: admin`, the administrator decided for them.

    What they allowed is this edge: that another one leads to the same system says nothing about the caller.
    `named`: the request asks for exactly `left`. `ask_at`: where a user can be asked, but for the grant's id.
    """
    if edge.consent is EdgeConsent.ADMIN:
        return left
    grant = standing.grant
    if grant is None:
        raise OAuthError(
            "invalid_request",
            "That edge is for tokens of people who gave their consent here.",
            Reason.SUBJECT_IS_NO_USER,
        )
    shown = estate_rules.expanded(target, grant.downstream.get(edge_id(edge.source, edge.target), ()))
    allowed = tuple(scope for scope in left if scope in shown)
    if not allowed or (named and allowed != left):
        raise OAuthError(
            "interaction_required",
            "The user has not allowed this server to reach that system so far. Send them to interaction_uri.",
            Reason.EDGE_NOT_CONSENTED,
            interaction_uri=ask_at + grant.id,
        )
    return allowed


def _off(standing: Standing) -> OAuthError:
    """RFC 8693 section 2.2.2: what is wrong with the subject is `invalid_request` here."""
    assert standing.off is not None
    error = live.refused(standing.off)
    behind = _BEHIND.get(standing.off.kind)
    if behind is None and error.error == "invalid_target":
        return error
    return bad_subject(behind or error.reason, error.detail)


_BEHIND = {
    Kind.CLIENT: Reason.ACTOR_OFF,
    Kind.RESOURCE: Reason.RESOURCE_BEHIND_OFF,
    Kind.EDGE: Reason.EDGE_BEHIND_OFF,
}
"""What is off behind the subject token is another thing than the caller, the target, or the edge that leads there."""
