"""RFC 8693 section 2.1: the subject token, read: one of this door's own, or of an issuer that is trusted for that."""

from broker.estate.model import Resource
from broker.guard.verifier import TokenRefused
from broker.identity.federation.trusted.believe import NotTrusted, Trusted
from broker.identity.federation.trusted.model import Use
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import ACCESS_TOKEN_TYPE, TOKEN_TYPES, TYP_ACCESS_TOKEN
from broker.tokens import live
from broker.tokens.exchange import foreign
from broker.tokens.exchange.model import Subject, away, bad_subject
from broker.tokens.model import TokenRequest
from broker.tokens.verified import OwnTokens

_PLAIN = ("JWT", None)


class SubjectTokens:
    def __init__(self, own: OwnTokens, trusted: Trusted) -> None:
        self._own, self._trusted = own, trusted

    def read(self, request: TokenRequest, caller: Resource) -> Subject:
        """Whom the token of this request speaks of; OAuthError when it cannot be believed here."""
        token, kind = (
            request.parameters.require("subject_token"),
            request.parameters.require("subject_token_type"),
        )
        if kind not in TOKEN_TYPES:
            raise OAuthError(
                "invalid_request", "The subject_token_type is not taken.", Reason.SUBJECT_TOKEN_TYPE
            )
        try:
            verified = self._own.verify(token, request.door)
        except TokenRefused as refused:
            if refused.reason == "issuer" and self._trusted.entry(token, Use.SUBJECT_TOKENS, request.door):
                return self._foreign(request, caller, token, kind)
            expired = refused.reason == "expired"
            reason = Reason.SUBJECT_TOKEN_EXPIRED if expired else Reason.SUBJECT_TOKEN_INVALID
            raise bad_subject(reason, refused.reason) from None
        return Subject(verified, (*live.of_token(verified), *live.of_chain(verified, request.estate)))

    def _foreign(self, request: TokenRequest, caller: Resource, token: str, kind: str) -> Subject:
        types = (TYP_ACCESS_TOKEN,) if kind == ACCESS_TOKEN_TYPE else (TYP_ACCESS_TOKEN, *_PLAIN)
        try:
            vouched = self._trusted.believed(
                token,
                Use.SUBJECT_TOKENS,
                request.door,
                types=types,
                audiences=(caller.uri,),
                now=request.now,
            )
        except NotTrusted as refused:
            raise _refused(refused) from None
        tenants = [tenant for tenant in vouched.tenants if caller.serves(tenant)]
        if len(tenants) != 1:
            raise bad_subject(Reason.SUBJECT_TOKEN_FOREIGN, "tenant")
        try:
            verified = foreign.ours(
                token,
                vouched.claims,
                vouched.entry,
                tenants[0],
                request.door.issuer,
                vouched.expires_at,
            )
        except foreign.Unreadable as wrong:
            another = isinstance(wrong, foreign.OfAnother)
            reason = Reason.SUBJECT_TOKEN_FOREIGN if another else Reason.SUBJECT_TOKEN_INVALID
            raise bad_subject(reason, f"issuer {vouched.entry.id}: {wrong.what}") from None
        return Subject(verified, tuple(live.of_token(verified)))


def _refused(refused: NotTrusted) -> OAuthError:
    """The reasons of an exchange say what is wrong; whose fault it was stands in the detail."""
    if refused.passing:
        return away(refused.reason, refused.detail)
    reasons = {
        Reason.ASSERTION_EXPIRED: Reason.SUBJECT_TOKEN_EXPIRED,
        Reason.ASSERTION_FOREIGN: Reason.SUBJECT_TOKEN_FOREIGN,
    }
    return bad_subject(reasons.get(refused.reason, Reason.SUBJECT_TOKEN_INVALID), refused.detail)
