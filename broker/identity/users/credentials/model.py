"""WebAuthn level 3 sections 4 and 6.1, RFC 6238, NIST SP 800-63B section 3.1.2: what a person can prove with."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker.protocol import acr

PRIVILEGED = frozenset({"admin", "owner", "approver"})
"""Roles, in any tenant, of people who use the stronger way in whenever they have one."""


class Purpose(StrEnum):
    """What something that was begun is good for, and for nothing else."""

    PASSKEY_ASSERTION = "passkey.assertion"
    PASSKEY_CREATION = "passkey.creation"
    TOTP_ENROLMENT = "totp.enrolment"
    SECOND_STEP = "second.step"
    PASSWORD_RESET = "password.reset"  # noqa: S105  the name of a purpose


@dataclass(frozen=True, slots=True)
class Ceremony:
    """Something begun, to be finished once by the same browser: `user` and `session` where they are known."""

    purpose: Purpose
    user_id: str | None
    session_id: str | None
    content: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Passkey:
    """A public key credential. `credential` and `handle` are base64url; `key` is COSE, base64url.

    `counter` is the last signature counter, `eligible` whether it may be backed up, `backed_up` whether it is.
    """

    id: str
    user_id: str
    credential: str
    handle: str
    key: str
    name: str
    counter: int
    eligible: bool
    backed_up: bool
    transports: tuple[str, ...]
    created_at: float
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class CodeApp:
    """A confirmed authenticator app: the sealed secret, and the last step whose code was used."""

    sealed: str
    last_step: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Notice:
    """What changed among the ways in of a person, as they are told: `what` is the name of the fact."""

    id: str
    user_id: str
    what: str
    kind: str
    name: str | None
    at: float
    source: str | None
    agent: str | None


@dataclass(frozen=True, slots=True)
class Factors:
    """With what a person can sign in now. Passkeys count only where they are offered."""

    password: bool = False
    passkeys: int = 0
    totp: bool = False
    recovery: int = 0

    @property
    def strongest(self) -> str | None:
        """The class that a sign-in can reach; None when there is no way in here."""
        if self.passkeys:
            return acr.PASSKEY
        if self.password:
            return acr.MFA if self.totp or self.recovery else acr.PASSWORD
        return None

    def needed(self, demanded: tuple[str, ...], privileged: bool) -> str:
        """The class that this person has to reach: what is demanded as far as they can, and what they enrolled for."""
        floor = [acr.PASSWORD]
        known = acr.known(demanded)
        if known:
            floor.append(known[0])
        if self.totp or (privileged and self.passkeys):
            floor.append(acr.MFA)
        wanted = acr.known(floor)[-1]
        reachable = self.strongest or acr.PASSWORD
        return wanted if acr.at_least(reachable, wanted) else reachable
