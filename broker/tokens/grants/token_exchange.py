"""RFC 8693: a resource server exchanges the token it was called with for one further along a registered edge."""

from dataclasses import dataclass

from broker.authorization.grants import Grants
from broker.authorization.model import Grant
from broker.denials.model import Kind, Target, edge_id
from broker.estate import rules as estate_rules
from broker.estate.model import Edge, EdgeConsent, Resource
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.identity.users.people import People
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE, TOKEN_TYPES
from broker.runtime.database import Transaction
from broker.tokens import calls, consented, live
from broker.tokens.model import Actor, Authority, TokenRequest
from broker.tokens.verified import OwnTokens


@dataclass(frozen=True, slots=True)
class _Verified:
    subject: VerifiedToken
    edge: Edge
    target: Resource
    scopes: tuple[str, ...]
    actor: Actor
    restricted_at: tuple[str, ...]


class TokenExchange:
    name = TOKEN_EXCHANGE
    parameters = frozenset(
        {
            "subject_token",
            "subject_token_type",
            "actor_token",
            "actor_token_type",
            "requested_token_type",
            "resource",
            "audience",
            "scope",
            "authorization_details",
        }
    )
    public_clients = False

    def __init__(self, tokens: OwnTokens, grants: Grants, people: People) -> None:
        self._tokens, self._grants, self._people = tokens, grants, people

    def verify(self, request: TokenRequest) -> _Verified:
        caller = request.estate.of_client(request.client.client_id)
        if caller is None:
            raise OAuthError(
                "unauthorized_client",
                "Only a resource's own client exchanges tokens.",
                Reason.CLIENT_GRANT_TYPE,
            )
        subject = self._subject(request, caller)
        if "cnf" in subject.claims and request.confirmation is None:
            raise OAuthError(
                "invalid_request",
                "The subject_token is bound to a key: bind yours too, with a DPoP proof or your certificate.",
                Reason.CONSTRAINT_LOST,
            )
        target = _target(request)
        edge = request.estate.edges.get((caller.id, target.id))
        if edge is None or not target.serves(subject.tenant):
            raise OAuthError("invalid_target", "There is no edge to that resource.", Reason.NO_EDGE)
        return _Verified(
            subject,
            edge,
            target,
            _scopes(request, edge, target, subject),
            _grown(subject, request, edge),
            _restricted(subject, target),
        )

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, _Verified)
        subject, edge = verified.subject, verified.edge
        inside = tx.inside(subject.tenant)
        try:
            live.require(inside, live.of_token(subject), request.now)
        except OAuthError as error:
            raise _as_exchange(error) from None
        latest = min(subject.expires_at, request.now + edge.lifetime)
        if int(latest) <= int(request.now):
            raise _bad_subject(Reason.SUBJECT_TOKEN_EXPIRED, "less than a second is left")
        grant = self._grants.within(inside, subject.grant_id or "")
        if grant is not None:
            try:
                consented.require_member(inside, self._people, grant)
            except OAuthError as error:
                raise _as_exchange(error) from None
        scopes = verified.scopes
        if edge.consent is EdgeConsent.USER:
            scopes = _allowed(request, verified, grant)
        details, scopes = calls.narrowed(request, verified.target, (), scopes)
        return Authority(
            subject=subject.subject,
            tenant=subject.tenant,
            resource=verified.target,
            confirmation=request.confirmation,
            scopes=scopes,
            details=details,
            restricted_at=verified.restricted_at,
            grant_id=subject.grant_id or "",
            txn=subject.txn or "",
            issuer=subject.issuer,
            client=request.client,
            latest_expiry=latest,
            actor=verified.actor,
            user=grant is not None,
            last_used_at=grant.last_used_at if grant else None,
            auth={
                name: subject.claims[name] for name in ("auth_time", "acr", "amr") if name in subject.claims
            },
            parent_jti=subject.jti,
            via=edge.source,
            targets=(
                Target(Kind.RESOURCE, edge.source),
                Target(Kind.EDGE, edge_id(edge.source, edge.target)),
            ),
            issued_token_type=ACCESS_TOKEN_TYPE,
            fact="exchange.granted",
        )

    def _subject(self, request: TokenRequest, caller: Resource) -> VerifiedToken:
        """RFC 8693 section 2.1: one of our access tokens, for the caller and nobody else."""
        asked = request.parameters
        token, kind = asked.require("subject_token"), asked.require("subject_token_type")
        if asked.get("actor_token") is not None or asked.get("actor_token_type") is not None:
            raise OAuthError(
                "invalid_request",
                "actor_token is not taken: the caller is the actor.",
                Reason.ACTOR_TOKEN_NOT_SUPPORTED,
            )
        if kind not in TOKEN_TYPES:
            raise OAuthError(
                "invalid_request", "The subject_token_type is not taken.", Reason.SUBJECT_TOKEN_TYPE
            )
        if asked.get("requested_token_type") not in (None, *TOKEN_TYPES):
            raise OAuthError(
                "invalid_request", "The requested_token_type is not offered.", Reason.SUBJECT_TOKEN_TYPE
            )
        try:
            subject = self._tokens.verify(token, request.door)
        except TokenRefused as refused:
            expired = refused.reason == "expired"
            reason = Reason.SUBJECT_TOKEN_EXPIRED if expired else Reason.SUBJECT_TOKEN_INVALID
            raise _bad_subject(reason, refused.reason) from None
        if subject.audience != caller.uri:
            raise _bad_subject(Reason.SUBJECT_TOKEN_FOREIGN, "audience")
        if not caller.serves(subject.tenant):
            raise _bad_subject(Reason.SUBJECT_TOKEN_FOREIGN, "tenant")
        return subject


def _allowed(request: TokenRequest, verified: _Verified, grant: Grant | None) -> tuple[str, ...]:
    """What of an edge's scopes the user was shown and allowed."""
    if grant is None:
        raise OAuthError("invalid_request", "That edge is for tokens of people.", Reason.SUBJECT_IS_NO_USER)
    shown = estate_rules.expanded(verified.target, grant.downstream.get(verified.target.id, ()))
    scopes = tuple(scope for scope in verified.scopes if scope in shown)
    if not scopes or (request.parameters.get("scope") and scopes != verified.scopes):
        raise OAuthError(
            "interaction_required",
            "The user has not allowed this server to reach that system so far. Send them to interaction_uri.",
            Reason.EDGE_NOT_CONSENTED,
            interaction_uri=f"{request.door.issuer}/consent?grant={grant.id}",
        )
    return scopes


def _target(request: TokenRequest) -> Resource:
    """RFC 8693 section 2.1, RFC 8707: one target, named exactly."""
    resources, audiences = request.parameters.all("resource"), request.parameters.all("audience")
    named = resources + audiences
    if not named:
        raise OAuthError(
            "invalid_target", "Name the target with resource or audience.", Reason.RESOURCE_MISSING
        )
    if len(named) > 1:
        raise OAuthError("invalid_target", "One token is for one target.", Reason.RESOURCE_REPEATED)
    found = request.estate.by_exact_uri(named[0])
    if found is None and audiences:
        found = request.estate.resources.get(named[0])
    if found is None:
        raise OAuthError("invalid_target", "There is no edge to that resource.", Reason.RESOURCE_UNKNOWN)
    return found


def _scopes(request: TokenRequest, edge: Edge, target: Resource, subject: VerifiedToken) -> tuple[str, ...]:
    offered = estate_rules.offered(target)
    mapped = {given for own in subject.scopes for given in edge.scopes.get(own, ())}
    allowed = estate_rules.expanded(target, (name for name in offered if name in mapped))
    try:
        asked = scope_rules.parse(request.parameters.get("scope"))
    except ValueError:
        raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None
    if any(name not in allowed for name in asked):
        raise OAuthError(
            "invalid_scope", "The scope goes beyond the edge or the token.", Reason.SCOPE_WIDENED
        )
    if not allowed:
        raise OAuthError("invalid_scope", "The edge gives nothing for this token.", Reason.SCOPE_EMPTY)
    return asked or allowed


def _grown(subject: VerifiedToken, request: TokenRequest, edge: Edge) -> Actor:
    """RFC 8693 section 4.1: every earlier actor stays; the first exchange puts the user's client innermost."""
    before: Actor | None = None
    for link in reversed(subject.actors):
        before = Actor(link.iss, link.sub, link.client_id, before)
    if before is None:
        before = Actor(subject.issuer, subject.client_id, subject.client_id)
    hops = len(subject.actors) or 1
    if hops > edge.depth:
        raise OAuthError(
            "invalid_request", "The chain of actors is too long for that edge.", Reason.CHAIN_TOO_DEEP
        )
    caller = request.client.client_id
    return Actor(request.door.issuer, caller, caller, before)


def _restricted(subject: VerifiedToken, target: Resource) -> tuple[str, ...]:
    """RFC 9396 section 9.1: where the chain was good for some calls only; a chain does not come back there.

    Details say what may be called at one resource, and go no further than its tokens. So what a chain gets along edges
    could be a token for that resource without them.
    """
    earlier = subject.claims.get("restricted_at")
    kept = [uri for uri in earlier if isinstance(uri, str)] if isinstance(earlier, list) else []
    if subject.details is not None:
        kept.append(subject.audience)
    if target.uri in kept:
        raise OAuthError(
            "invalid_target",
            "The token was made from one that is good for some calls there only.",
            Reason.DETAILS_LOST,
        )
    return tuple(dict.fromkeys(kept))


def _bad_subject(reason: Reason, detail: str) -> OAuthError:
    return OAuthError(
        "invalid_request",
        "The subject_token is expired, revoked, or not one that you may exchange.",
        reason,
        detail=detail,
    )


def _as_exchange(error: OAuthError) -> OAuthError:
    """RFC 8693 section 2.2.2: what is wrong with the subject is `invalid_request` here."""
    if error.error == "invalid_target":
        return error
    return _bad_subject(error.reason, error.detail)
