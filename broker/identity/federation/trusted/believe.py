"""RFC 7523 section 3: a token of an issuer that is trusted for this use at this door, believed only when all holds."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from broker.audit.unknown import unknown
from broker.identity.federation import signed
from broker.identity.federation.trusted import rules
from broker.identity.federation.trusted.issuers import Issuers
from broker.identity.federation.trusted.keys import IssuerKeys
from broker.identity.federation.trusted.model import TrustedIssuer, Use
from broker.identity.federation.upstream import Unavailable
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door
from broker.protocol import jws
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.jws import Expired, InvalidToken, Parts
from broker.runtime.once import Spend

LEEWAY = 30.0
"""Seconds that the issuer's clock may differ from this server's."""
LONGEST_TEXT = 255
PURPOSE = "identity-assertion"
_REMEMBERED = 300.0
"""Seconds longer than it is accepted: the clocks of several servers differ."""


class NotTrusted(Exception):
    """Why a token counts for nothing; `detail` is for the evidence. A `passing` reason is no fault of the token."""

    def __init__(self, reason: Reason, detail: str = "", *, passing: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.passing = reason, detail, passing


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a trusted issuer says, verified. `tenants`: those for which its word counts at this door."""

    entry: TrustedIssuer
    claims: dict[str, object]
    tenants: tuple[str, ...]
    expires_at: float

    def text(self, name: str) -> str | None:
        """A claim that is a plain text of some length; None when it is absent. NotTrusted for what is neither."""
        found = self.claims.get(name)
        if found is None:
            return None
        if not isinstance(found, str) or not plain(found):
            raise NotTrusted(Reason.ASSERTION_INVALID, name)
        return found

    @property
    def handle(self) -> str | None:
        """Its `jti` as a name here, `ENTRY#JTI`: no issuer names a token of ours, or of another issuer."""
        jti = self.text("jti")
        return None if jti is None else f"{self.entry.id}{rules.SEPARATOR}{jti}"

    def once(self, refusal: OAuthError) -> Spend:
        """Its `jti`, to use up in the transaction that acts on it: one per issuer and ever.

        What a tenant's own entry says of an issuer uses up nothing of others.
        """
        key = (self.entry.tenant or "", str(self.claims["iss"]), str(self.claims["jti"]))
        return Spend(PURPOSE, key, self.expires_at + LEEWAY + _REMEMBERED, refusal)


class Trusted:
    def __init__(self, issuers: Issuers, keys: IssuerKeys, doors: Callable[[], Doors]) -> None:
        self._issuers, self._keys, self._doors = issuers, keys, doors

    def entry(self, token: str, use: Use, door: Door) -> TrustedIssuer | None:
        """Whose it says to be, unverified, where that issuer is trusted here for this."""
        try:
            issuer = jws.peek_claims(token).get("iss")
        except InvalidToken:
            return None
        return rules.trusted(self._issuers.known().issuers.values(), issuer, use, door, self._doors())

    def believed(
        self,
        token: str,
        use: Use,
        door: Door,
        *,
        types: Collection[str | None],
        audiences: Collection[str],
        now: float,
    ) -> Vouched:
        """What the token says; NotTrusted. `audiences`: it is for one of these, and for nobody else.

        Whether it was used before is for whoever spends `Vouched.once`.
        """
        try:
            parts = jws.split(token)
        except InvalidToken as error:
            raise NotTrusted(Reason.ASSERTION_INVALID, error.reason.value) from None
        doors = self._doors()
        known = self._issuers.known().issuers.values()
        entry = rules.trusted(known, parts.claims.get("iss"), use, door, doors)
        if entry is None:
            raise NotTrusted(Reason.ISSUER_UNTRUSTED, _named(parts))
        try:
            alg = jws.check_header(parts.header, typ=types, algorithms=signed.algorithms(entry.algorithms))
            signed.check(parts, alg, entry.issuer, lambda newer: self._keys.of(entry, newer=newer))
            jws.check_times(parts.claims, now=now, leeway=LEEWAY)
            expires_at = _bounded(entry, parts)
        except Expired:
            raise NotTrusted(Reason.ASSERTION_EXPIRED, f"issuer {entry.id}") from None
        except InvalidToken as error:
            raise NotTrusted(Reason.ASSERTION_INVALID, f"issuer {entry.id}: {error.reason.value}") from None
        except Unavailable as error:
            raise NotTrusted(Reason.ISSUER_UNAVAILABLE, f"issuer {entry.id}: {error}", passing=True) from None
        vouched = Vouched(entry, parts.claims, tuple(rules.served(entry, door, doors)), expires_at)
        _check_claims(vouched, use, audiences)
        return vouched


def plain(text: str) -> bool:
    return 0 < len(text) <= LONGEST_TEXT and text.isascii() and text.isprintable()


def _bounded(entry: TrustedIssuer, parts: Parts) -> float:
    """RFC 7523 section 3: not issued for longer, nor longer ago, than the entry lets it be good."""
    if "iat" not in parts.claims:
        raise InvalidToken(jws.Reason.CLAIMS)
    issued, expires = (jws.numeric_date(parts.claims[name]) for name in ("iat", "exp"))
    if expires - issued > entry.longest:
        raise InvalidToken(jws.Reason.CLAIMS)
    return expires


def _check_claims(vouched: Vouched, use: Use, audiences: Collection[str]) -> None:
    claims, entry = vouched.claims, vouched.entry
    if vouched.text("sub") is None:
        raise NotTrusted(Reason.ASSERTION_INVALID, f"issuer {entry.id}: sub")
    aud = claims.get("aud")
    only = aud[0] if isinstance(aud, list) and len(aud) == 1 else aud
    if not isinstance(only, str) or only not in audiences:
        raise NotTrusted(Reason.ASSERTION_FOREIGN, f"issuer {entry.id}: aud")
    reusable = use is Use.SUBJECT_TOKENS or (use is Use.WORKLOAD and entry.reusable)
    if vouched.text("jti") is None and not reusable:
        raise NotTrusted(Reason.ASSERTION_INVALID, f"issuer {entry.id}: jti")
    if not rules.upstream(entry, claims):
        raise NotTrusted(Reason.ASSERTION_FOREIGN, f"issuer {entry.id}: tenant")


def _named(parts: Parts) -> str:
    issuer = parts.claims.get("iss")
    return f"iss {unknown(issuer)}" if isinstance(issuer, str) else "iss"
