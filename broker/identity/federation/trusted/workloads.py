"""SEP-1933, RFC 7523 section 2.2: a token of the platform on which a workload runs says which client it is.

Two layers, kept by different hands: which platforms are believed at all (trusted issuers), and which of their
workloads are which client (workloads).
"""

from collections.abc import Iterable, Mapping

from broker.identity.clients.authentication.authenticate import refused
from broker.identity.clients.authentication.model import Attempt, Candidate, Presented, Proven, Unproven
from broker.identity.federation.trusted import rules
from broker.identity.federation.trusted.believe import NotTrusted, Trusted, Vouched
from broker.identity.federation.trusted.issuers import Issuers
from broker.identity.federation.trusted.model import TrustedIssuer, Use, Workload
from broker.identity.tenants.model import Door
from broker.protocol import jws
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.jws import InvalidToken
from broker.protocol.names import JWT_ASSERTION, JWT_BEARER, TYP_ID_JAG, WORKLOAD_JWT
from broker.runtime.database import Transaction

TYPES = ("JWT", None)
_SPIFFE_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


class Workloads:
    """The method of authentication, and what a workload's token is worth where it is the grant itself."""

    name = WORKLOAD_JWT

    def __init__(self, issuers: Issuers, trusted: Trusted) -> None:
        self._issuers, self._trusted = issuers, trusted

    def takes(self, token: str) -> bool:
        """Whether an assertion is a platform's: of an issuer that is trusted somewhere for this, about another."""
        try:
            claims = jws.peek_claims(token)
        except InvalidToken:
            return False
        issuer = claims.get("iss")
        return issuer != claims.get("sub") and any(
            entry.issuer == issuer and Use.WORKLOAD in entry.uses
            for entry in self._issuers.known().issuers.values()
        )

    def presented(self, attempt: Attempt, door: Door) -> Presented | None:
        """The client whose rules the token meets, unverified. As a grant it comes without any other proof."""
        token = _token(attempt)
        if token is None or (attempt.parameters.get("client_assertion") and not self.takes(token)):
            return None
        return Presented(((self._claimed(token, door) or attempt.parameters.get("client_id") or "", token),))

    def proves(self, credential: str, candidate: Candidate) -> Proven | Unproven:
        try:
            vouched, client_id = self.believed(
                credential, candidate.door, candidate.now, grant=_is_grant(candidate.attempt)
            )
        except NotTrusted as error:
            refusal = invalid_grant(error) if _is_grant(candidate.attempt) else None
            return Unproven(error.reason, error.detail, error.passing, refusal)
        client = candidate.client
        if client_id != client.client_id or client.tenant not in vouched.tenants:
            return Unproven(Reason.WORKLOAD_UNKNOWN, f"issuer {vouched.entry.id}")
        again = _again(candidate, client_id)
        spends = () if vouched.entry.reusable else (vouched.once(again),)
        return Proven(spends, vouched.entry.id)

    def believed(self, token: str, door: Door, now: float, *, grant: bool) -> tuple[Vouched, str]:
        """What the token says, and the one client that it is; NotTrusted.

        As a `grant` it may be for the token endpoint too (SEP-1933); as a client assertion it is for the issuer, and
        says so in one text (RFC 10070).
        """
        audiences = (door.issuer, door.url("/token")) if grant else (door.issuer,)
        vouched = self._trusted.believed(token, Use.WORKLOAD, door, types=TYPES, audiences=audiences, now=now)
        if not grant and not isinstance(vouched.claims["aud"], str):
            raise NotTrusted(Reason.ASSERTION_FOREIGN, f"issuer {vouched.entry.id}: aud")
        client_id = self._of(vouched.entry, vouched.claims)
        if client_id is None:
            raise NotTrusted(Reason.WORKLOAD_UNKNOWN, f"issuer {vouched.entry.id}")
        return vouched, client_id

    def stands(self, tx: Transaction, vouched: Vouched, client_id: str) -> bool:
        """Whether issuer and workload still say so, inside the transaction that serves the client."""
        if not self._issuers.stands(tx, vouched.entry):
            return False
        return _only(self._issuers.workloads(tx), vouched.entry, vouched.claims) == client_id

    def _claimed(self, token: str, door: Door) -> str | None:
        """By the entry that counts at this door: what others wrote down of the same issuer changes nothing here."""
        try:
            claims = jws.peek_claims(token)
        except InvalidToken:
            return None
        entry = self._trusted.entry(token, Use.WORKLOAD, door)
        return None if entry is None else self._of(entry, claims)

    def _of(self, entry: TrustedIssuer, claims: Mapping[str, object]) -> str | None:
        return _only(self._issuers.known().workloads.values(), entry, claims)


def _only(workloads: Iterable[Workload], entry: TrustedIssuer, claims: Mapping[str, object]) -> str | None:
    """The client whose workload this is; None where it is none's, or could be one or another's."""
    clients = {workload.client_id for workload in rules.matching(workloads, entry, claims)}
    return clients.pop() if len(clients) == 1 else None


def invalid_grant(error: NotTrusted) -> OAuthError:
    """RFC 7521 section 4.1.1; an issuer that is away is no fault of the client's."""
    if error.passing:
        return OAuthError(
            "temporarily_unavailable",
            "The keys of the assertion's issuer cannot be fetched now. Try again.",
            error.reason,
            detail=error.detail,
            retry_after=5,
        )
    return OAuthError(
        "invalid_grant",
        "The assertion is not one that is taken here: check issuer, audience, times, type and who it is for.",
        error.reason,
        detail=error.detail,
    )


def _again(candidate: Candidate, client_id: str) -> OAuthError:
    if _is_grant(candidate.attempt):
        return invalid_grant(NotTrusted(Reason.ASSERTION_REPLAYED))
    return refused(Reason.CLIENT_ASSERTION_REPLAYED, client_id, known=client_id)


def _is_grant(attempt: Attempt) -> bool:
    return attempt.parameters.get("client_assertion") is None


def _token(attempt: Attempt) -> str | None:
    form = attempt.parameters
    assertion = form.get("client_assertion")
    if assertion is not None:
        return assertion if form.get("client_assertion_type") in (JWT_ASSERTION, _SPIFFE_ASSERTION) else None
    if attempt.authorization is not None or form.get("client_secret") is not None:
        return None
    if form.get("grant_type") != JWT_BEARER:
        return None
    assertion = form.get("assertion")
    if assertion is None or is_id_jag(assertion):
        return None
    return assertion


def is_id_jag(token: str) -> bool:
    """An ID-JAG says nothing of its client that could prove it."""
    try:
        typ = jws.read_header(token).get("typ")
    except InvalidToken:
        return False
    return isinstance(typ, str) and typ.lower().removeprefix("application/") == TYP_ID_JAG
