"""RFC 7519 section 7.1: claims to a compact JWS, signed by the back end that is handed in."""

import json
from collections.abc import Mapping
from typing import NoReturn

from jwt.algorithms import Algorithm
from jwt.api_jws import PyJWS

from keys.model import ALGORITHMS
from keys.signer import Signer


class _BySigner(Algorithm):
    """PyJWT lays out the token; the signature is the signer's. It can do nothing else."""

    def prepare_key(self, key: Signer) -> Signer:
        return key

    def sign(self, msg: bytes, key: Signer) -> bytes:
        return key.sign(msg)

    def verify(self, msg: bytes, key: Signer, sig: bytes) -> NoReturn:
        raise NotImplementedError

    @staticmethod
    def to_jwk(key_obj: object, as_dict: bool = False) -> NoReturn:
        raise NotImplementedError

    @staticmethod
    def from_jwk(jwk: object) -> NoReturn:
        raise NotImplementedError


_JWS = PyJWS(algorithms=[])
for _alg in ALGORITHMS:
    _JWS.register_algorithm(_alg, _BySigner())


def encode(signer: Signer, claims: Mapping[str, object], typ: str) -> str:
    """The signed token; its header is exactly `alg`, `kid`, `typ`. Raises if JSON cannot say the claims."""
    if not typ:
        raise ValueError("every token says what it is: typ is missing")
    payload = json.dumps(dict(claims), separators=(",", ":"), allow_nan=False).encode()
    header = {"kid": signer.kid, "typ": typ}
    return _JWS.encode(payload, signer, signer.alg, header)  # type: ignore[arg-type]  # _BySigner takes a Signer
