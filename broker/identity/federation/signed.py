"""RFC 7515 section 4.1.4: what another issuer signed, by its keys and by nothing that the token names."""

from collections.abc import Callable, Sequence

from broker.identity.federation.model import TENANT_ID
from broker.protocol import jwk, jws
from broker.protocol.jws import InvalidToken, Parts, Reason

_MOST_TRIED = 8


def algorithms(configured: Sequence[str]) -> list[str]:
    """RFC 9864: EdDSA under its other name too."""
    return [*configured, *(["Ed25519"] if "EdDSA" in configured else [])]


def check(parts: Parts, alg: str, issuer: str, key_set: Callable[[bool], object]) -> None:
    """By a key of the issuer for this algorithm: the named one, else any; asked for anew when none is the one.

    `key_set(newer)` is the issuer's JWK set; InvalidToken.
    """
    for newer in (False, True):
        for key in _keys(key_set(newer), parts.header.get("kid"), alg, issuer)[:_MOST_TRIED]:
            try:
                return jws.check_signature(parts, key)
            except InvalidToken:
                continue
    raise InvalidToken(Reason.SIGNATURE)


def _keys(document: object, kid: object, alg: str, issuer: str) -> list[jwk.VerificationKey]:
    entries = document.get("keys") if isinstance(document, dict) else None
    mine = [entry for entry in (entries if isinstance(entries, list) else ()) if _signs_for(entry, issuer)]
    usable = [key for key in jwk.usable({"keys": mine}, alg) if key.alg == alg]
    return usable if kid is None else [key for key in usable if key.kid == kid]


def _signs_for(entry: object, issuer: str) -> bool:
    """A key may say whose it is, where one set serves several issuers (Microsoft Entra ID)."""
    said = entry.get("issuer") if isinstance(entry, dict) else None
    if said is None:
        return True
    return isinstance(said, str) and (said == issuer or _fits(said, issuer))


def _fits(template: str, issuer: str) -> bool:
    before, marked, behind = template.partition(TENANT_ID)
    return (
        bool(marked)
        and issuer.startswith(before)
        and issuer.endswith(behind)
        and "/" not in (issuer[len(before) : len(issuer) - len(behind)])
    )
