"""OpenID Connect Core section 5.3, RFC 6750 section 3.1: with an access token for /userinfo, who its user is."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.denials.model import Kind, Target
from broker.estate.estate import Estate
from broker.guard.possession import Possession, PossessionRefused, Sent
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.identity.tenants.model import Door
from broker.identity.users.people import People
from broker.protocol.dpop import LEEWAY
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import OPENID
from broker.protocol.nonces import Nonces
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.once import Spend, spend
from broker.runtime.world import World
from broker.tokens import live, who
from broker.tokens.standing import Standings, over
from broker.tokens.verified import OwnTokens

_REMEMBERED = 600.0
_REASONS = {
    "bound_to_a_key": Reason.DPOP_MISSING,
    "another_key": Reason.DPOP_KEY_MISMATCH,
    "nonce": Reason.DPOP_NONCE,
    "replayed": Reason.DPOP_REPLAYED,
    "bound_to_a_certificate": Reason.CERTIFICATE_MISSING,
    "another_certificate": Reason.CERTIFICATE_MISMATCH,
}


@dataclass(frozen=True, slots=True)
class Told:
    """The claims, and a nonce for the client's next proof."""

    claims: dict[str, object]
    dpop_nonce: str | None = None


class UserInfo:
    """`nonces`: demanded in every proof, None where they are not."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        estate: Callable[[], Estate],
        tokens: OwnTokens,
        standings: Standings,
        people: People,
        nonces: Nonces | None,
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._estate, self._tokens, self._standings, self._people = estate, tokens, standings, people
        self._nonces = nonces

    def tell(self, door: Door, token: str, sent: Sent, origin: Origin) -> Told:
        """OAuthError as RFC 6750 says it, recorded by then. The first telling with a token is recorded too."""
        verified: VerifiedToken | None = None
        try:
            verified = self._verified(door, token)
            nonce = self._held(door, verified, token, sent)
            return Told(self._told(door, verified, origin), nonce)
        except OAuthError as error:
            self.refused(door, error, origin, verified)
            raise

    def refused(
        self, door: Door, error: OAuthError, origin: Origin, token: VerifiedToken | None = None
    ) -> None:
        """Record a request that came to nothing, also one that bore no token."""
        fact = Fact(
            "userinfo.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=token.tenant if token else door.tenant,
            subject=token.subject if token else None,
            client=token.client_id if token else None,
            jti=token.jti if token else None,
            grant_id=token.grant_id if token else None,
            issuer=door.issuer,
        )
        self._refusals.record(fact, origin, known=False)

    def _verified(self, door: Door, token: str) -> VerifiedToken:
        try:
            verified = self._tokens.verify(token, door)
        except TokenRefused as refused:
            expired = refused.reason == "expired"
            reason = Reason.SUBJECT_TOKEN_EXPIRED if expired else Reason.SUBJECT_TOKEN_INVALID
            raise _invalid("The access token is not valid here.", reason, refused.reason) from None
        if verified.audience != self._estate().userinfo_at(door).uri:
            raise _invalid("The access token is for another place.", Reason.RESOURCE_MISMATCH)
        if OPENID not in verified.scopes:
            raise OAuthError("insufficient_scope", "The token is not for openid.", Reason.SCOPE_EMPTY)
        return verified

    def _held(self, door: Door, token: VerifiedToken, text: str, sent: Sent) -> str | None:
        """OAuthError unless the sender may use the token; a nonce for its next proof."""
        here = self._estate().userinfo_at(door).uri
        clock = self._world.clock.now
        possession = Possession(here, clock, _Used(self._world, here), self._nonces, required=False)
        try:
            possession.check(token, text, sent)
        except PossessionRefused as refused:
            raise OAuthError(
                refused.error,
                f"{refused.description[:1].upper()}{refused.description[1:]}.",
                _REASONS.get(refused.reason, Reason.DPOP_INVALID),
                status=401,
                detail=refused.reason,
                dpop_nonce=refused.nonce,
            ) from None
        return possession.fresh_nonce() if sent.proofs else None

    def _told(self, door: Door, token: VerifiedToken, origin: Origin) -> dict[str, object]:
        now = self._world.clock.now()
        first = self._world.ephemeral.seen("told", token.jti, _REMEMBERED, now).count == 0

        def unit(tx: Transaction) -> dict[str, object]:
            here = self._estate().userinfo_at(door)
            targets = [*live.of_token(token), Target(Kind.RESOURCE, here.id)]
            standing = self._standings.of(tx, token, targets, now)
            if standing.off is not None:
                error = live.refused(standing.off)
                raise _invalid("The access token was revoked.", error.reason, error.detail)
            reason = over(token, standing)
            if reason is not None:
                raise _invalid("The access token was revoked.", reason)
            grant = standing.grant
            if grant is None:  # the token is nobody's
                raise _invalid("The access token is not valid here.", Reason.SUBJECT_IS_NO_USER)
            user = self._people.within(tx, grant.user_id)
            assert user is not None  # as a member
            if first:
                self._record(tx, door, token, origin)
            return who.claims(user, token.scopes)

        if not first:
            return self._world.database.read(unit, token.tenant)
        told = self._world.database.write(unit, token.tenant)
        self._world.ephemeral.hit("told", token.jti, _REMEMBERED, now)  # not before its record is there
        return told

    def _record(self, tx: Transaction, door: Door, token: VerifiedToken, origin: Origin) -> None:
        fact = Fact(
            "userinfo.told",
            tenant=token.tenant,
            subject=token.subject,
            client=token.client_id,
            scope=tuple(sorted(token.scopes)),
            jti=token.jti,
            txn=token.txn,
            grant_id=token.grant_id,
            issuer=door.issuer,
        )
        self._recorder.record(tx, fact, origin)


class _Used:
    """The proofs that were used here: remembered for all processes (law 1)."""

    def __init__(self, world: World, here: str) -> None:
        self._world, self._here = world, here

    def use(self, holder: str, jti: str, until: float, now: float) -> bool:
        replayed = OAuthError("invalid_dpop_proof", "The proof was used before.", Reason.DPOP_REPLAYED)
        once = Spend("dpop", (self._here, holder, jti), until + LEEWAY, replayed)
        try:
            self._world.database.write(lambda tx: spend(tx, [once]))
        except OAuthError:
            return False
        return True


def _invalid(description: str, reason: Reason, detail: str = "") -> OAuthError:
    return OAuthError("invalid_token", description, reason, detail=detail)
