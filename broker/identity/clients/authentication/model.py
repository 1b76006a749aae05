"""RFC 6749 section 2.3: what a request presents to prove which client sent it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.identity.clients.model import Client, Secret
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.parameters import Parameters
from broker.runtime.once import Spend


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a back-channel request carries. `authorization` is the header as received, None when absent.

    `url` is the endpoint as clients know it. `proofs` are its DPoP headers. `certificates` is the client's chain from
    the TLS layer or a trusted proxy, DER, its own certificate first.
    """

    authorization: str | None
    parameters: Parameters
    url: str = ""
    proofs: tuple[str, ...] = ()
    certificates: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Presented:
    """A claim to be a client. Several (id, credential) pairs are readings of one header, any of which may be right."""

    readings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The client that is claimed to be there, its secrets in force, and where and when (epoch seconds) it is asked."""

    client: Client
    secrets: Sequence[Secret]
    door: Door
    attempt: Attempt
    now: float


@dataclass(frozen=True, slots=True)
class Unproven:
    """Why a credential proves nothing, for the evidence: the answer is the same for every reason.

    But for a `passing` one, which is no failure of the client's: it may try again. `refusal` is the answer where the
    credential is what the request is about, and not only who sends it.
    """

    reason: Reason
    detail: str = ""
    passing: bool = False
    refusal: OAuthError | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """What has to be used up for a credential, and the trusted issuer (its id) on whose word alone it counts."""

    spends: tuple[Spend, ...]
    vouched_by: str | None = None


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A client that proved itself by `method`; `spends` must be used up before anything is done for it.

    `vouched_by`: the trusted issuer on whose word alone it did; off, it makes nothing for it.
    """

    client: Client
    method: str
    spends: tuple[Spend, ...] = ()
    vouched_by: str | None = None


class Method(Protocol):
    @property
    def name(self) -> str: ...

    def presented(self, attempt: Attempt, door: Door) -> Presented | None:
        """What of this method the attempt at this door carries; OAuthError when it is broken."""
        ...

    def proves(self, credential: str, candidate: Candidate) -> tuple[Spend, ...] | Proven | Unproven | None:
        """What has to be used up for it, when the credential is the candidate's; else None, or why not.

        It is asked for clients that do not exist too, with nothing to prove themselves by, and takes as long for them.
        """
        ...
