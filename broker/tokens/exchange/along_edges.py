"""RFC 8693: a resource server exchanges the token it was called with for one further along a registered edge."""

from dataclasses import dataclass

from broker.audit.record import jti_hash
from broker.denials import live as denials
from broker.denials.model import Kind, Target, edge_id
from broker.estate.model import Edge, Resource
from broker.protocol.errors import Reason, concerning
from broker.protocol.names import ACCESS_TOKEN_TYPE
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.runtime.once import spend
from broker.tokens import calls, consented, live
from broker.tokens.caps import Handles
from broker.tokens.exchange import acted_for, caller, chain, target
from broker.tokens.exchange.actor_token import ActorTokens
from broker.tokens.exchange.model import ActorToken, Subject, bad_actor, bad_subject
from broker.tokens.exchange.subject_token import SubjectTokens
from broker.tokens.model import Actor, Authority, TokenRequest
from broker.tokens.standing import Standings


@dataclass(frozen=True, slots=True)
class _Verified:
    subject: Subject
    edge: Edge
    target: Resource
    scopes: tuple[str, ...]
    actor: Actor
    actor_token: ActorToken | None
    restricted_at: tuple[str, ...]

    @property
    def handles(self) -> Handles:
        token = self.subject.token
        about = self.subject.about
        return Handles(token.grant_id or token.jti, f"{token.tenant}|{token.txn or token.jti}", about)


class AlongEdges:
    def __init__(
        self,
        entropy: Entropy,
        subjects: SubjectTokens,
        actors: ActorTokens,
        standings: Standings,
    ) -> None:
        self._entropy, self._subjects, self._actors = entropy, subjects, actors
        self._standings = standings

    def verify(self, request: TokenRequest) -> _Verified:
        source = caller.resource_of(request)
        subject = self._subjects.read(request, source)
        with concerning(subject.about):
            return self._judged(request, source, subject)

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, _Verified)
        with concerning(verified.subject.about):
            return self._authority(tx, request, verified)

    def _judged(self, request: TokenRequest, source: Resource, subject: Subject) -> _Verified:
        actor_token = self._actors.read(request, source, subject)
        aim = target.named(request)
        edge = caller.may_act(request, source, subject, aim, actor_token)
        acted_for.require_way(subject, request.estate, request.now)
        acted_for.require_tenant(subject, aim)
        return _Verified(
            subject,
            edge,
            aim,
            acted_for.scopes(subject, edge, aim, request.parameters),
            chain.grown(subject.token, request.door.issuer, request.client.client_id, edge.depth),
            actor_token,
            acted_for.restricted(subject, aim),
        )

    def _authority(self, tx: Transaction, request: TokenRequest, verified: _Verified) -> Authority:
        subject, edge, token = verified.subject, verified.edge, verified.subject.token
        inside = tx.inside(token.tenant)
        # Read again at the mint: what was true when the request came may have ended since.
        standing = self._standings.of(inside, token, subject.live, request.now, hold=True)
        acted_for.require_standing(subject, standing)
        if verified.actor_token is not None:
            _spend(inside, verified.actor_token, request.now)
        latest = min(token.expires_at, request.now + edge.lifetime, edge.expires_at or float("inf"))
        if int(latest) <= int(request.now):
            raise bad_subject(Reason.SUBJECT_TOKEN_EXPIRED, "less than a second is left")
        scopes = acted_for.consented(
            subject,
            edge,
            verified.target,
            standing,
            verified.scopes,
            named=request.parameters.get("scope") is not None,
            ask_at=f"{request.door.issuer}/consent?grant=",
        )
        details, scopes = calls.narrowed(request, verified.target, (), scopes)
        return Authority(
            subject=token.subject,
            tenant=token.tenant,
            resource=verified.target,
            confirmation=request.confirmation,
            scopes=scopes,
            details=details,
            restricted_at=verified.restricted_at,
            grant_id=token.grant_id or "",
            txn=token.txn or self._entropy.identifier("txn", request.now),
            issuer=token.issuer,
            client=request.client,
            latest_expiry=latest,
            actor=verified.actor,
            user=standing.grant is not None,
            last_used_at=standing.grant.last_used_at if standing.grant else None,
            auth={name: token.claims[name] for name in consented.AUTH_CLAIMS if name in token.claims},
            vouched_by=subject.vouched_by,
            parent_jti=token.jti,
            via=edge.source,
            targets=(
                *live.of_chain(token, request.estate),
                Target(Kind.RESOURCE, edge.source),
                Target(Kind.EDGE, edge_id(edge.source, edge.target)),
            ),
            issued_token_type=ACCESS_TOKEN_TYPE,
            fact="exchange.granted",
            evidence=_evidence(verified),
        )


def _spend(inside: Transaction, actor_token: ActorToken, now: float) -> None:
    off = denials.first_off(inside, actor_token.live, now)
    if off is not None:
        error = live.refused(off)
        raise error if error.error == "invalid_target" else bad_actor(Reason.ACTOR_TOKEN_OFF, error.detail)
    spend(inside, (actor_token.spend,))


def _evidence(verified: _Verified) -> dict[str, object]:
    """What the record says beside the token: what for, and how the actor proved itself once more."""
    found = {
        "purpose": verified.edge.purpose,
        "actor_jti_hash": None
        if verified.actor_token is None
        else jti_hash(verified.actor_token.spend.key[-1]),
    }
    return {name: value for name, value in found.items() if value is not None}
