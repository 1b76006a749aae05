"""RFC 7523 section 3 with RFC 10070: the assertion that a client signs to say who it is, judged for one door."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.protocol import jws
from broker.protocol.jwk import VerificationKey
from broker.protocol.jws import InvalidToken, Parts, UnknownKey

LEEWAY = 10.0
LONGEST_LIFE = 600.0
LONGEST_JTI = 256
MOST_TRIED = 4
TYPES = ("JWT", "client-authentication+jwt", "oauth-client-auth+jwt", None)


class InvalidAssertion(Exception):
    """It proves nothing: `what` names the part that is wrong, a claim or a jws.Reason."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class NotSigned(InvalidAssertion):
    """None of the keys verifies it; newer ones might."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified one: its id, and from when (epoch seconds) it is refused for its age."""

    jti: str
    expires_at: float


def subject(token: str) -> str | None:
    """Whose assertion it says to be, unverified: to choose whose keys to ask, never to trust."""
    try:
        found = jws.peek_claims(token).get("sub")
    except InvalidToken:
        return None
    return found if isinstance(found, str) else None


def read(token: str, *, client_id: str, audience: str, algorithms: Sequence[str], now: float) -> Parts:
    """All but the signature holds: this client's, for this audience alone, now; InvalidAssertion."""
    try:
        parts = jws.split(token)
        jws.check_header(parts.header, typ=TYPES, algorithms=algorithms)
        jws.check_times(parts.claims, now=now, leeway=LEEWAY)
    except InvalidToken as error:
        raise InvalidAssertion(error.reason) from None
    claims = parts.claims
    for name, expected in (("iss", client_id), ("sub", client_id), ("aud", audience)):
        if claims.get(name) != expected:
            raise InvalidAssertion(name)
    if _expiry(parts) > now + LONGEST_LIFE + LEEWAY:
        raise InvalidAssertion("exp")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise InvalidAssertion("jti")
    return parts


def verify(parts: Parts, keys: Sequence[VerificationKey]) -> Assertion:
    """What `read` returned, signed by one of the keys. NotSigned costs as much time, with a key or without."""
    refused: InvalidToken = UnknownKey()
    fitting = _fitting(parts, keys)
    for key in fitting:
        try:
            jws.check_signature(parts, key)
        except InvalidToken as error:
            refused = error
        else:
            return Assertion(str(parts.claims["jti"]), _expiry(parts) + LEEWAY)
    if not fitting:
        jws.take_time(parts)
    raise NotSigned(refused.reason)


def _expiry(parts: Parts) -> float:
    return float(str(parts.claims["exp"]))


def _fitting(parts: Parts, keys: Sequence[VerificationKey]) -> list[VerificationKey]:
    """The keys of the header's algorithm with its `kid`; a missing `kid`, on either side, fits any, a few at most."""
    kid, absent = parts.header.get("kid"), "kid" not in parts.header
    same = [key for key in keys if key.alg == parts.header["alg"]]
    named = [key for key in same if key.kid and key.kid == kid]
    return (named or [key for key in same if not key.kid or absent])[:MOST_TRIED]
