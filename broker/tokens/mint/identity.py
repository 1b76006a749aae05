"""OpenID Connect Core sections 2 and 3.1.3.6: an id_token, for the client that the user signed in at."""

import base64
import hashlib

from broker.identity.tenants.keys import DoorKeys
from broker.protocol.names import DEFAULT_ALGORITHM, TYP_ID_TOKEN
from broker.runtime.database import Transaction
from broker.tokens.model import Authority, Identity

LIFETIME = 300
_HASHES = {"EdDSA": "sha512"}  # RFC 8032 section 5.1: the hash of Ed25519


def mint(
    tx: Transaction, authority: Authority, identity: Identity, access_token: str, keys: DoorKeys, now: float
) -> str:
    """Sign who the user is and how they proved it, by the access token that goes with it."""
    issued_at = int(now)
    algorithm = authority.client.id_token_alg or DEFAULT_ALGORITHM
    claims: dict[str, object] = {
        **identity.claims,
        "iss": authority.issuer,
        "sub": authority.subject,
        "aud": authority.client.client_id,
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        **authority.auth,
        "at_hash": _half(access_token, algorithm),
    }
    if identity.nonce is not None:
        claims["nonce"] = identity.nonce
    if identity.sid is not None:
        claims["sid"] = identity.sid
    return keys.sign(tx, authority.issuer, algorithm, TYP_ID_TOKEN, claims)


def _half(access_token: str, algorithm: str) -> str:
    digest = hashlib.new(_HASHES.get(algorithm, "sha256"), access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")
