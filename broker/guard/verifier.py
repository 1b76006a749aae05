"""RFC 9068 section 4, RFC 8725 sections 3.8 to 3.11: verifying access tokens, for guards and the server."""

import hashlib
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from broker.guard.clock import Clock
from broker.guard.jwks import JwksSource, KeysUnavailable, Refetching
from broker.protocol import confirmation, details, jws
from broker.protocol import scope as scope_rules
from broker.protocol.confirmation import Confirmation
from broker.protocol.details import Details

TYPE = "at+jwt"
_MOST = 4096
_DEEPEST_CHAIN = 32
_STRINGS = ("iss", "sub", "client_id", "tenant", "jti")
_DETAILS = "authorization_details"

Tenants = Collection[str] | Literal["*"]


class TokenRefused(Exception):
    """It does not work here: `reason` is a jws.Reason, or issuer, audience, tenant, keys_unavailable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Actor:
    """One link of the `act` chain (RFC 8693 section 4.1)."""

    iss: str
    sub: str
    client_id: str


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a verified token says. `token_hash` is its SHA-256 in hex; `actors` has the current one first.

    `confirmation` is who alone may use it, `details` the only tool calls that it is good for where it has any (else
    None): a verifier cannot see either, it looks at no request.
    """

    token_hash: str
    claims: Mapping[str, object]
    issuer: str
    subject: str
    audience: str
    client_id: str
    tenant: str
    scopes: frozenset[str]
    actors: tuple[Actor, ...]
    expires_at: float
    jti: str
    txn: str | None
    grant_id: str | None
    kid: str
    confirmation: Confirmation | None = None
    details: Details | None = None


class Verifier:
    """Verifies tokens of pinned issuers for one audience; with audience None, the caller checks `audience`.

    `issuers` maps each issuer to its tenants (names, or `*`). `algorithms` is the allow-list. Times have
    `leeway` seconds. Verified tokens are remembered by their hash, at most 4096, until they end or their key
    leaves the set.
    """

    def __init__(
        self,
        issuers: Mapping[str, Tenants],
        audience: str | None,
        algorithms: Collection[str],
        keys: JwksSource,
        clock: Clock,
        leeway: float = 5.0,
    ) -> None:
        self._issuers = issuers
        self._audience = audience
        self._algorithms = frozenset(algorithms)
        self._keys = keys
        self._clock = clock
        self._leeway = leeway
        self._seen: dict[str, VerifiedToken] = {}
        self._lock = threading.Lock()

    def verify(self, token: str) -> VerifiedToken:
        """The verified token; TokenRefused."""
        if len(token) > jws.LONGEST or not token.isascii():
            raise TokenRefused(jws.Reason.MALFORMED)
        token_hash = hashlib.sha256(token.encode("ascii")).hexdigest()
        try:
            return self._remembered(token_hash) or self._verify(token, token_hash)
        except jws.InvalidToken as error:
            raise TokenRefused(error.reason) from error
        except KeysUnavailable as error:
            raise TokenRefused("keys_unavailable") from error

    def is_remembered(self, token: str) -> bool:
        """Whether `verify` needs no signature work and no fetch; says nothing about the answer."""
        found = self._seen.get(hashlib.sha256(token.encode("utf-8", "replace")).hexdigest())
        if found is None:
            return False
        return not isinstance(self._keys, Refetching) or self._keys.at_hand(found.issuer)

    def _remembered(self, token_hash: str) -> VerifiedToken | None:
        found = self._seen.get(token_hash)
        if found is None:
            return None
        if found.expires_at <= self._clock() - self._leeway:
            self._forget(token_hash)
            raise jws.Expired
        self._check_tenant(found.issuer, found.tenant)
        if found.kid not in self._keys.keys(found.issuer):
            self._forget(token_hash)
            return None
        return found

    def _verify(self, token: str, token_hash: str) -> VerifiedToken:
        parts = jws.split(token)
        issuer = parts.claims.get("iss")
        if not isinstance(issuer, str) or self._issuers.get(issuer) is None:
            raise TokenRefused("issuer")
        claims = self._checked(parts, issuer)
        verified = _read(claims, token_hash, str(parts.header["kid"]))
        if self._audience is not None and verified.audience != self._audience:
            raise TokenRefused("audience")
        self._check_tenant(issuer, verified.tenant)
        self._remember(verified)
        return verified

    def _checked(self, parts: jws.Parts, issuer: str) -> dict[str, object]:
        def check(keys: Mapping[str, jws.VerificationKey]) -> dict[str, object]:
            now = self._clock()
            return jws.check(parts, keys, typ=TYPE, algorithms=self._algorithms, now=now, leeway=self._leeway)

        try:
            return check(self._keys.keys(issuer))
        except jws.UnknownKey:
            if not isinstance(self._keys, Refetching):
                raise
            return check(self._keys.refetched(issuer))

    def _check_tenant(self, issuer: str, tenant: str) -> None:
        tenants = self._issuers.get(issuer, ())
        # A bare string is one name (or `*`), never a place to find a part of a name in.
        if not (tenants in ("*", tenant) if isinstance(tenants, str) else tenant in tenants):
            raise TokenRefused("tenant")

    def _remember(self, verified: VerifiedToken) -> None:
        with self._lock:
            while len(self._seen) >= _MOST:
                del self._seen[next(iter(self._seen))]
            self._seen[verified.token_hash] = verified

    def _forget(self, token_hash: str) -> None:
        with self._lock:
            self._seen.pop(token_hash, None)


def _read(claims: Mapping[str, object], token_hash: str, kid: str) -> VerifiedToken:
    """The nouns in the claims; InvalidToken(claims) when one is absent or of another type."""
    strings = {name: _string(claims.get(name)) for name in _STRINGS}
    scope, expires_at = claims.get("scope"), claims["exp"]
    if not isinstance(scope, str) or "iat" not in claims or not isinstance(expires_at, (int, float)):
        raise jws.InvalidToken(jws.Reason.CLAIMS)
    try:
        scopes = frozenset(scope_rules.parse(scope))
        bound = confirmation.of(claims)
        calls = details.claimed(claims[_DETAILS]) if _DETAILS in claims else None
    except ValueError:
        raise jws.InvalidToken(jws.Reason.CLAIMS) from None
    return VerifiedToken(
        token_hash=token_hash,
        claims=MappingProxyType(dict(claims)),
        issuer=strings["iss"],
        subject=strings["sub"],
        audience=_audience(claims.get("aud")),
        client_id=strings["client_id"],
        tenant=strings["tenant"],
        scopes=scopes,
        actors=_actors(claims.get("act")),
        expires_at=expires_at,
        jti=strings["jti"],
        txn=_string(claims["txn"]) if "txn" in claims else None,
        grant_id=_string(claims["grant_id"]) if "grant_id" in claims else None,
        kid=kid,
        confirmation=bound,
        details=calls,
    )


def _string(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise jws.InvalidToken(jws.Reason.CLAIMS)
    return value


def _audience(value: object) -> str:
    """The sole audience: a string, or a list of exactly one."""
    if isinstance(value, list):
        if len(value) != 1:
            raise TokenRefused("audience")
        value = value[0]
    if not isinstance(value, str):
        raise TokenRefused("audience")
    return value


def _actors(act: object) -> tuple[Actor, ...]:
    chain: list[Actor] = []
    while act is not None:
        if not isinstance(act, dict) or len(chain) == _DEEPEST_CHAIN:
            raise jws.InvalidToken(jws.Reason.CLAIMS)
        chain.append(Actor(*(_string(act.get(name)) for name in ("iss", "sub", "client_id"))))
        act = act.get("act")
    return tuple(chain)
