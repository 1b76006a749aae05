"""The nouns of an exchange: whom a token speaks of, and what proves who acts."""

from dataclasses import dataclass
from typing import Protocol

from broker.denials.model import Target
from broker.guard.verifier import VerifiedToken
from broker.protocol.errors import About, OAuthError, Reason
from broker.runtime.database import Transaction
from broker.runtime.once import Spend
from broker.tokens.model import Authority, TokenRequest

VOUCHED_BY = "vouched_by"
"""The claim of access tokens that names a trusted issuer, by the id of its entry."""


class Exchange(Protocol):
    """One way to exchange, chosen by what is asked for; like a grant type, and part of one."""

    def verify(self, request: TokenRequest) -> object: ...

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a subject token speaks of. `token` is ours, or one of a trusted issuer with every name in it made ours.

    `live` is everything whose end ends the token.
    """

    token: VerifiedToken
    live: tuple[Target, ...] = ()

    @property
    def vouched_by(self) -> str | None:
        """The trusted issuer on whose word alone the token rests, by the id of its entry."""
        found = self.token.claims.get(VOUCHED_BY)
        return found if isinstance(found, str) else None

    @property
    def about(self) -> About:
        token = self.token
        return About(token.tenant, token.subject, token.jti, token.txn, token.grant_id)


@dataclass(frozen=True, slots=True)
class ActorToken:
    """A verified one. `issuer` and `subject` are as it says, `spend` what is used up with it."""

    issuer: str
    subject: str
    spend: Spend
    live: tuple[Target, ...] = ()


def bad_subject(reason: Reason, detail: str = "") -> OAuthError:
    """RFC 8693 section 2.2.2: what is wrong with a subject token, the caller is not told."""
    return OAuthError(
        "invalid_request",
        "The subject_token is expired, revoked, or not one that you may exchange.",
        reason,
        detail=detail,
    )


def away(reason: Reason, detail: str) -> OAuthError:
    """An issuer or client whose keys cannot be had now: no fault of the token's."""
    return OAuthError(
        "temporarily_unavailable",
        "The keys of a token's issuer cannot be had now. Try again.",
        reason,
        detail=detail,
        retry_after=5,
    )


def bad_actor(reason: Reason, detail: str = "") -> OAuthError:
    return OAuthError(
        "invalid_request",
        "The actor_token is expired, revoked, used, or not one that you may act with.",
        reason,
        detail=detail,
    )
