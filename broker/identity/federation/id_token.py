"""OpenID Connect Core section 3.1.3.7: an id_token, believed only when all of it holds."""

import base64
import hashlib
import hmac
from collections.abc import Callable

from broker.identity.federation import rules, signed
from broker.identity.federation.model import Identity, Provider
from broker.protocol import jws
from broker.protocol.jws import InvalidToken, Parts

LEEWAY = 30.0
"""Seconds that the provider's clock may differ from this server's."""
_TYPES = ("JWT", None)


class NotBelieved(Exception):
    """The provider's answer is not what was asked for; the message is for the evidence, never for the page."""


def believed(
    token: str,
    provider: Provider,
    key_set: Callable[[bool], object],
    *,
    nonce: str,
    access_token: str | None,
    now: float,
) -> Identity:
    """Who the token says is there. `key_set(newer)` is the provider's JWK set; NotBelieved for anything else.

    Algorithms are the provider's by configuration, its keys those of its `jwks_uri`, and nothing that the token names.
    """
    try:
        parts = jws.split(token)
        algorithms = signed.algorithms(provider.algorithms)
        alg = jws.check_header(parts.header, typ=_TYPES, algorithms=algorithms)
        issuer = _issuer(provider, parts)
        signed.check(parts, alg, issuer, key_set)
        jws.check_times(parts.claims, now=now, leeway=LEEWAY)
    except InvalidToken as error:
        raise NotBelieved(f"id_token: {error.reason.value}") from None
    claims = parts.claims
    if "iat" not in claims:
        raise NotBelieved("id_token: iat")
    _check_audience(provider, claims)
    if not hmac.compare_digest(_text(claims, "nonce").encode(), nonce.encode()):
        raise NotBelieved("id_token: nonce")
    if "at_hash" in claims and not (access_token and _half(access_token, alg) == claims["at_hash"]):
        raise NotBelieved("id_token: at_hash")
    subject = rules.subject_of(claims)
    if subject is None:
        raise NotBelieved("id_token: sub")
    proved_at = None
    if claims.get("auth_time") is not None:
        try:
            proved_at = min(jws.numeric_date(claims["auth_time"]), now)
        except InvalidToken:
            raise NotBelieved("id_token: auth_time") from None
    return Identity(issuer, subject, claims, *rules.strength(provider, claims), proved_at)


def _issuer(provider: Provider, parts: Parts) -> str:
    wanted = rules.issuer_of(provider, parts.claims)
    if wanted is None or parts.claims.get("iss") != wanted:
        raise NotBelieved("id_token: iss")
    return wanted


def _check_audience(provider: Provider, claims: dict[str, object]) -> None:
    """This client and nobody else: no other audience is trusted here."""
    audience = claims.get("aud")
    if audience not in (provider.client_id, [provider.client_id]):
        raise NotBelieved("id_token: aud")
    if claims.get("azp", provider.client_id) != provider.client_id:
        raise NotBelieved("id_token: azp")


def _half(text: str, alg: str) -> str:
    """OpenID Connect Core section 3.1.3.6: the left half of the hash that goes with the algorithm."""
    digest = (hashlib.sha512 if alg in ("EdDSA", "Ed25519") else hashlib.sha256)(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")


def _text(claims: dict[str, object], name: str) -> str:
    found = claims.get(name)
    return found if isinstance(found, str) else ""
