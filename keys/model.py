"""RFC 7517 section 4 and RFC 7638 section 3: a signing key, its names and its life."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")

# What RFC 7638 section 3.2 takes for the thumbprint is also all that a public key consists of.
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


class KeyState(StrEnum):
    """Pending: published, signs nothing. Active: signs. Retiring: only published. Retired: destroyed."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


# The only ways a key moves; none leads back.
SUCCESSOR = {
    KeyState.PENDING: KeyState.ACTIVE,
    KeyState.ACTIVE: KeyState.RETIRING,
    KeyState.RETIRING: KeyState.RETIRED,
}


class RingName(NamedTuple):
    """One ring: the keys of a door (issuer), for one algorithm and one purpose."""

    door: str
    alg: str
    purpose: str


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as stored. Times are epoch seconds; `kid` is the thumbprint; `version` counts within the ring."""

    kid: str
    door: str
    alg: str
    purpose: str
    version: int
    state: KeyState
    created_at: float
    public_jwk: dict[str, str]
    activated_at: float | None = None
    retiring_at: float | None = None
    retired_at: float | None = None
    sealed_private: bytes | None = field(default=None, repr=False)

    @property
    def name(self) -> RingName:
        """The ring that this key belongs to."""
        return RingName(self.door, self.alg, self.purpose)

    @property
    def latest(self) -> float:
        """The last time that anything happened to this key."""
        times = (self.created_at, self.activated_at, self.retiring_at, self.retired_at)
        return max(time for time in times if time is not None)


def public_members(jwk: Mapping[str, str]) -> dict[str, str]:
    """The members that make up the public key, nothing else; ValueError for an unknown or incomplete key."""
    names = _MEMBERS.get(jwk.get("kty", ""))
    if names is None or any(name not in jwk for name in names):
        raise ValueError("not a complete EC, OKP or RSA public key")
    return {name: jwk[name] for name in names}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """SHA-256 JWK thumbprint, base64url without padding."""
    canonical = json.dumps(public_members(jwk), separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")
