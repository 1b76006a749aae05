"""RFC 8693 section 2.1: the actor token, read: it says once more, of the caller alone, who acts.

The caller has proved who it is before, so none is needed. One that is sent has to be the caller's own and new: a token
of this door that the caller got for itself, a JWT that it signed with a registered key of its own (RFC 7523), or one of
the platform on which it runs, where that is trusted to say so.
"""

from collections.abc import Mapping

from broker.denials.model import Kind, Target
from broker.estate.model import Resource
from broker.guard.verifier import TokenRefused
from broker.identity.clients.authentication.private_key_jwt import PURPOSE
from broker.identity.clients.keys import ClientKeys, KeysUnavailable
from broker.identity.clients.model import Client
from broker.identity.federation.trusted.believe import NotTrusted
from broker.identity.federation.trusted.workloads import Workloads
from broker.protocol import assertion, jws
from broker.protocol.assertion import Assertion, InvalidAssertion, NotSigned
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.jws import InvalidToken, Parts
from broker.protocol.names import ACCESS_TOKEN_TYPE, SIGNING_ALGORITHMS, TOKEN_TYPES, TYP_ACCESS_TOKEN
from broker.runtime.once import Spend
from broker.tokens import live
from broker.tokens.exchange.model import ActorToken, Subject, away, bad_actor
from broker.tokens.model import TokenRequest
from broker.tokens.verified import OwnTokens

ACTOR_PURPOSE = "actor-token"
_REMEMBERED = 300.0
"""Seconds longer than it is accepted: the clocks of several servers differ."""


class ActorTokens:
    def __init__(self, own: OwnTokens, keys: ClientKeys, workloads: Workloads) -> None:
        self._own, self._keys, self._workloads = own, keys, workloads

    def read(self, request: TokenRequest, caller: Resource, subject: Subject) -> ActorToken | None:
        """None where there is none. OAuthError for one that is not the caller's, for this server, and good now."""
        token, kind = request.parameters.get("actor_token"), request.parameters.get("actor_token_type")
        if token is None and kind is None:
            return None
        if token is None or kind is None:
            raise OAuthError(
                "invalid_request",
                "actor_token and actor_token_type go together.",
                Reason.ACTOR_TOKEN_TYPE,
            )
        if kind not in TOKEN_TYPES:
            raise OAuthError("invalid_request", "The actor_token_type is not taken.", Reason.ACTOR_TOKEN_TYPE)
        if kind == ACCESS_TOKEN_TYPE or _typ(token) == TYP_ACCESS_TOKEN:
            return self._access_token(request, caller, subject, token)
        if self._workloads.takes(token):
            return self._of_platform(request, subject, token)
        return self._assertion(request, token)

    def _access_token(
        self, request: TokenRequest, caller: Resource, subject: Subject, text: str
    ) -> ActorToken:
        try:
            token = self._own.verify(text, request.door)
        except TokenRefused as refused:
            expired = refused.reason == "expired"
            reason = Reason.ACTOR_TOKEN_EXPIRED if expired else Reason.ACTOR_TOKEN_INVALID
            raise bad_actor(reason, refused.reason) from None
        client_id = request.client.client_id
        if (token.subject, token.client_id) != (client_id, client_id) or token.actors:
            raise bad_actor(Reason.ACTOR_TOKEN_FOREIGN, "sub")
        if token.audience != caller.uri:
            raise bad_actor(Reason.ACTOR_TOKEN_FOREIGN, "aud")
        if token.tenant != subject.token.tenant:
            raise bad_actor(Reason.ACTOR_TOKEN_FOREIGN, "tenant")
        if token.confirmation is not None and token.confirmation != request.confirmation:
            raise bad_actor(Reason.ACTOR_TOKEN_FOREIGN, "cnf")
        spend = Spend(
            ACTOR_PURPOSE,
            (token.issuer, token.jti),
            token.expires_at + _REMEMBERED,
            bad_actor(Reason.ACTOR_TOKEN_REPLAYED),
        )
        return ActorToken(token.issuer, token.subject, spend, tuple(live.of_token(token)))

    def _assertion(self, request: TokenRequest, text: str) -> ActorToken:
        """Spent as an assertion of the client is: nothing that it signed counts twice, for whatever it was sent."""
        client = request.client
        try:
            parts = assertion.read(
                text,
                client_id=client.client_id,
                audience=request.door.issuer,
                algorithms=(client.assertion_alg,) if client.assertion_alg else SIGNING_ALGORITHMS,
                now=request.now,
            )
            verified = self._signed(parts, client)
        except InvalidAssertion as error:
            raise bad_actor(_REASONS.get(error.what, Reason.ACTOR_TOKEN_INVALID), error.what) from None
        except KeysUnavailable as error:
            if error.passing:
                raise away(Reason.CLIENT_KEYS_UNAVAILABLE, str(error)) from None
            raise bad_actor(Reason.ACTOR_TOKEN_INVALID, str(error)) from None
        spend = Spend(
            PURPOSE,
            (client.client_id, verified.jti),
            verified.expires_at + _REMEMBERED,
            bad_actor(Reason.ACTOR_TOKEN_REPLAYED),
        )
        return ActorToken(client.client_id, client.client_id, spend)

    def _of_platform(self, request: TokenRequest, subject: Subject, text: str) -> ActorToken:
        try:
            vouched, client_id = self._workloads.believed(text, request.door, request.now, grant=False)
        except NotTrusted as refused:
            if refused.passing:
                raise away(refused.reason, refused.detail) from None
            raise bad_actor(
                _REASONS.get(refused.reason, Reason.ACTOR_TOKEN_INVALID), refused.detail
            ) from None
        if client_id != request.client.client_id or subject.token.tenant not in vouched.tenants:
            raise bad_actor(Reason.ACTOR_TOKEN_FOREIGN, f"issuer {vouched.entry.id}")
        if vouched.text("jti") is None:  # good more than once elsewhere, and here nothing is
            raise bad_actor(Reason.ACTOR_TOKEN_INVALID, "jti")
        issuer = Target(Kind.ISSUER, vouched.entry.id)
        spend = vouched.once(bad_actor(Reason.ACTOR_TOKEN_REPLAYED))
        return ActorToken(str(vouched.claims["iss"]), str(vouched.claims["sub"]), spend, (issuer,))

    def _signed(self, parts: Parts, client: Client) -> Assertion:
        try:
            return assertion.verify(parts, self._keys.of(client))
        except NotSigned:
            if client.jwks_uri is None:
                raise
            return assertion.verify(parts, self._keys.newer(client))


_REASONS: Mapping[str, Reason] = {
    jws.Reason.EXPIRED.value: Reason.ACTOR_TOKEN_EXPIRED,
    "iss": Reason.ACTOR_TOKEN_FOREIGN,
    "sub": Reason.ACTOR_TOKEN_FOREIGN,
    "aud": Reason.ACTOR_TOKEN_FOREIGN,
    Reason.ASSERTION_EXPIRED: Reason.ACTOR_TOKEN_EXPIRED,
    Reason.ASSERTION_FOREIGN: Reason.ACTOR_TOKEN_FOREIGN,
    Reason.WORKLOAD_UNKNOWN: Reason.ACTOR_TOKEN_FOREIGN,
}


def _typ(token: str) -> object:
    try:
        return jws.read_header(token).get("typ")
    except InvalidToken:
        return None
