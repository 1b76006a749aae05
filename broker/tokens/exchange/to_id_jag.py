"""draft-ietf-oauth-identity-assertion-authz-grant section 4.3, EMA section 7.6.1: our word for a user, to one server.

A client that holds an id_token or a refresh token of ours may carry it to an authorization server of others, where the
administrator registered that server, its resources, and this client for them. Nothing of it is good here.
"""

from dataclasses import dataclass, replace

from broker.authorization.grants import Grants
from broker.authorization.hints import Hints
from broker.authorization.model import Grant
from broker.denials import live as denials
from broker.denials.model import Kind, Target
from broker.identity.federation.trusted import rules
from broker.identity.federation.trusted.issuers import Issuers
from broker.identity.federation.trusted.model import Bearer, Place, Recipient
from broker.identity.sessions.sessions import Sessions
from broker.identity.users.people import People
from broker.protocol import acr, jws
from broker.protocol import scope as scope_rules
from broker.protocol.errors import About, OAuthError, Reason, concerning
from broker.protocol.jws import InvalidToken
from broker.protocol.names import ID_JAG_TOKEN_TYPE, ID_TOKEN_TYPE, REFRESH_TOKEN_TYPE
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens import consented, live
from broker.tokens.exchange.model import bad_subject
from broker.tokens.families import Families
from broker.tokens.model import Authority, TokenRequest, Vouching


@dataclass(frozen=True, slots=True)
class _Verified:
    """`sid`, `user_id`: whom an id_token names; without them it is the refresh token `token`."""

    recipient: Recipient
    vouching: Vouching
    token: str
    user_id: str | None = None
    sid: str | None = None


class ToIdJag:
    def __init__(
        self,
        entropy: Entropy,
        hints: Hints,
        grants: Grants,
        people: People,
        families: Families,
        sessions: Sessions,
        issuers: Issuers,
    ) -> None:
        self._entropy, self._hints, self._grants, self._people = entropy, hints, grants, people
        self._families, self._sessions, self._issuers = families, sessions, issuers

    def verify(self, request: TokenRequest) -> _Verified:
        form = request.parameters
        token, kind = form.require("subject_token"), form.require("subject_token_type")
        if form.get("actor_token") is not None or form.get("actor_token_type") is not None:
            raise OAuthError("invalid_request", "actor_token is not taken here.", Reason.ACTOR_TOKEN_TYPE)
        if kind not in (ID_TOKEN_TYPE, REFRESH_TOKEN_TYPE):
            raise OAuthError(
                "invalid_request", "The subject_token_type is not taken.", Reason.SUBJECT_TOKEN_TYPE
            )
        recipient, bearer = self._recipient(request)
        place = _place(request, recipient)
        vouching = Vouching(
            recipient.issuer,
            place.uri,
            bearer.known_as,
            _scopes(request, place, bearer),
            recipient.lifetime,
            recipient.id,
        )
        if kind == REFRESH_TOKEN_TYPE:
            return _Verified(recipient, vouching, token)
        return _Verified(recipient, vouching, token, *self._named(request, token))

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, _Verified)
        if self._issuers.within(tx, verified.recipient.id) != verified.recipient:
            raise _unknown_recipient()
        grant = self._grant(tx, request, verified)
        with concerning(About(grant.tenant, grant.user_id, None, None, grant.id)):
            return self._authority(tx, request, verified, grant)

    def _authority(
        self, tx: Transaction, request: TokenRequest, verified: _Verified, grant: Grant
    ) -> Authority:
        recipient, inside = verified.recipient, tx.inside(grant.tenant)
        mine = [Target(Kind.USER, grant.user_id), Target(Kind.GRANT, grant.id)]
        off = denials.first_off(inside, mine, request.now)
        if off is not None:
            raise bad_subject(live.refused(off).reason)
        try:
            _, resource, _ = consented.still_worth(inside, self._people, request, grant)
        except OAuthError as error:
            if error.error != "invalid_grant":
                raise
            raise bad_subject(error.reason, error.detail) from None
        _require_sign_in(recipient, grant, request.now)
        latest = min(grant.expires_at, request.now + recipient.lifetime)
        if int(latest) <= int(request.now):
            raise bad_subject(Reason.GRANT_EXPIRED, "less than a second is left")
        return Authority(
            subject=grant.user_id,
            tenant=grant.tenant,
            resource=resource,
            scopes=(),
            details=(),
            grant_id=grant.id,
            txn=self._entropy.identifier("txn", request.now),
            issuer=request.door.issuer,
            client=request.client,
            confirmation=request.confirmation,
            latest_expiry=latest,
            last_used_at=grant.last_used_at,
            auth=consented.auth_claims(grant),
            issued_token_type=ID_JAG_TOKEN_TYPE,
            fact="id_jag.issued",
            vouching=replace(
                verified.vouching, tenant=None if request.door.tenant is not None else grant.tenant
            ),
        )

    def _recipient(self, request: TokenRequest) -> tuple[Recipient, Bearer]:
        """Section 4.3.3: one that is registered, at this door and for this client; our own doors never are."""
        named = request.parameters.all("audience")
        if len(named) != 1:
            raise OAuthError(
                "invalid_target",
                "Name one authorization server with audience.",
                Reason.RESOURCE_REPEATED if named else Reason.RESOURCE_MISSING,
            )
        door = request.door
        if rules.ours(named[0], request.estate.doors):
            raise _unknown_recipient()
        for recipient in self._issuers.known().recipients.values():
            bearer = next((b for b in recipient.bearers if b.client_id == request.client.client_id), None)
            here = recipient.tenant in (None, door.tenant) and any(
                request.estate.doors.serves(door, tenant) for tenant in recipient.tenants
            )
            if recipient.issuer == named[0] and bearer is not None and here:
                return recipient, bearer
        raise _unknown_recipient()

    def _named(self, request: TokenRequest, token: str) -> tuple[str, str | None]:
        """The user and the sign-in of an id_token that this door made for this client, within its time."""
        claims = self._hints.claims(request.door, token)
        if claims is None or claims["aud"] != request.client.client_id:
            raise bad_subject(
                Reason.SUBJECT_TOKEN_INVALID if claims is None else Reason.SUBJECT_TOKEN_FOREIGN
            )
        try:
            jws.check_times(claims, now=request.now)
        except InvalidToken:
            raise bad_subject(Reason.SUBJECT_TOKEN_EXPIRED) from None
        sid = claims.get("sid")
        return str(claims["sub"]), sid if isinstance(sid, str) else None

    def _grant(self, tx: Transaction, request: TokenRequest, verified: _Verified) -> Grant:
        if verified.user_id is None:
            return self._of_refresh_token(tx, request, verified)
        if verified.sid is None or self._sessions.signed_out(tx, verified.sid, hold=True):
            raise bad_subject(Reason.SESSION_OVER)
        found = {
            grant.tenant: grant
            for grant in self._grants.of_session(tx, verified.user_id, verified.sid)
            if grant.client_id == request.client.client_id
            and grant.door == request.door.issuer
            and grant.tenant in verified.recipient.tenants
            and not self._grants.over(tx, grant.id)
        }
        if len(found) != 1:
            raise bad_subject(Reason.TENANT_UNKNOWN if found else Reason.GRANT_EXPIRED)
        return next(iter(found.values()))

    def _of_refresh_token(self, tx: Transaction, request: TokenRequest, verified: _Verified) -> Grant:
        """It is looked at, not spent: whoever holds a copy of somebody else's does no harm to it."""
        row = self._families.find(tx, verified.token)
        if row is None or row.door != request.door.issuer:
            raise bad_subject(Reason.REFRESH_UNKNOWN)
        with concerning(About(row.tenant, None, None, None, row.grant_id)):
            if row.client_id != request.client.client_id:
                raise bad_subject(Reason.REFRESH_FOREIGN)
            if row.spent_at is not None or row.expires_at <= request.now:
                raise bad_subject(Reason.REFRESH_EXPIRED)
            if row.confirmation is not None and request.confirmation is None:
                raise bad_subject(Reason.CONSTRAINT_LOST)
            grant = self._grants.within(tx, row.grant_id)
            if grant is None:
                raise bad_subject(Reason.GRANT_EXPIRED)
            if grant.tenant not in verified.recipient.tenants:
                raise OAuthError(
                    "invalid_target",
                    "That server does not serve the user's tenant.",
                    Reason.TENANT_NOT_SERVED,
                )
            return grant


def _unknown_recipient() -> OAuthError:
    return OAuthError(
        "invalid_target",
        "The client may not ask for an assertion to that authorization server, or to that resource there.",
        Reason.RECIPIENT_UNKNOWN,
    )


def _place(request: TokenRequest, recipient: Recipient) -> Place:
    """EMA section 7.6.1: only pairs of server and resource that are registered."""
    named = request.parameters.all("resource")
    if len(named) > 1:
        raise OAuthError("invalid_target", "Name one resource.", Reason.RESOURCE_REPEATED)
    found = [place for place in recipient.places if not named or place.uri == named[0]]
    if len(found) != 1:
        raise _unknown_recipient()
    return found[0]


def _scopes(request: TokenRequest, place: Place, bearer: Bearer) -> tuple[str, ...]:
    """What of the wish is registered for the resource and the client; all that is, without a wish."""
    try:
        asked = scope_rules.parse(request.parameters.get("scope"))
    except ValueError:
        raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None
    allowed = [name for name in place.scopes if bearer.scopes is None or name in bearer.scopes]
    scopes = tuple(name for name in allowed if not asked or name in asked)
    if not scopes:
        raise OAuthError("invalid_scope", "Nothing is left of the scope.", Reason.SCOPE_EMPTY)
    return scopes


def _require_sign_in(recipient: Recipient, grant: Grant, now: float) -> None:
    """Section 8.2, RFC 9470: strong and fresh enough for that server; the client learns what to ask for."""
    weak = recipient.acr is not None and not acr.at_least(grant.acr, recipient.acr)
    old = recipient.max_age is not None and (not grant.dated or now - grant.auth_time > recipient.max_age)
    if not weak and not old:
        return
    more: dict[str, object] = {}
    if weak and recipient.acr is not None:
        more["acr_values"] = recipient.acr
    if recipient.max_age is not None:
        more["max_age"] = recipient.max_age
    raise OAuthError(
        "insufficient_user_authentication",
        "That server takes a stronger or newer sign-in: start an authorization request for it.",
        Reason.AUTHENTICATION_TOO_WEAK,
        more=more,
    )
