"""RFC 9449 sections 5 and 8, RFC 8705 section 3: what key or certificate the token of a request will be bound to."""

from dataclasses import dataclass

from broker.audit.refusals import source_key
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol import certificate, dpop
from broker.protocol.confirmation import Confirmation
from broker.protocol.dpop import LEEWAY, InvalidProof, Proof
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.nonces import Nonces
from broker.protocol.origin import Origin
from broker.runtime.once import Spend
from broker.runtime.world import World

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Proven:
    """The constraint that the request proves to fulfil, None for a bearer token; `spends` are used up with it."""

    confirmation: Confirmation | None = None
    spends: tuple[Spend, ...] = ()


class Possession:
    """`demand`: every proof must carry a nonce, not only those of clients whose clock is wrong.

    `per_minute`: proofs that one source may send, so that what is remembered of used ones stays bounded.
    `mtls_origin`: where clients with certificates reach the same endpoints.
    """

    def __init__(
        self, world: World, nonces: Nonces, *, demand: bool, per_minute: int, mtls_origin: str | None = None
    ) -> None:
        self._world, self._nonces = world, nonces
        self._demand, self._per_minute, self._mtls_origin = demand, per_minute, mtls_origin

    def prove(self, door: Door, attempt: Attempt, client: Client, origin: Origin, now: float) -> Proven:
        """OAuthError when a proof is broken, or missing where the client is registered to give one."""
        if attempt.proofs:
            return self.offered(door, attempt, client, origin, now)
        if client.dpop_bound:
            raise OAuthError("invalid_dpop_proof", "The client must send a DPoP proof.", Reason.DPOP_MISSING)
        if client.certificate_bound:
            return Proven(Confirmation(x5t=_thumbprint(attempt)))
        return Proven()

    def offered(self, door: Door, attempt: Attempt, client: Client, origin: Origin, now: float) -> Proven:
        """As `prove`, of the key only and where nothing need be proven: what a request is for, not yet a token."""
        if not attempt.proofs:
            return Proven()
        if client.certificate_bound:
            raise _refused("The client's tokens are bound to its certificate: send no DPoP proof.")
        return self._by_key(door, attempt, origin, now)

    def fresh_nonce(self, door: Door, attempt: Attempt) -> str | None:
        """RFC 9449 section 8.2: what the answer to a proof carries where nonces are demanded."""
        wanted = self._demand and attempt.proofs
        return self._nonces.issue(door.issuer, self._world.clock.now()) if wanted else None

    def _by_key(self, door: Door, attempt: Attempt, origin: Origin, now: float) -> Proven:
        if len(attempt.proofs) > 1:
            raise _refused("Send one DPoP header.")
        self._not_too_many(origin, now)
        try:
            proof = dpop.verify(attempt.proofs[0], method="POST", url=self._addresses(door, attempt))
        except InvalidProof as error:
            raise _refused("The DPoP proof is not one for this request.", error.reason) from None
        # Kept for longer than it could come back, by as much as the clocks of two processes may differ.
        spend = Spend(
            "dpop",
            (door.issuer, proof.jkt, proof.jti),
            self._taken_until(proof, door, now) + LEEWAY,
            OAuthError(
                "invalid_dpop_proof",
                "This DPoP proof was used before: make a new one for each request.",
                Reason.DPOP_REPLAYED,
            ),
        )
        return Proven(Confirmation(jkt=proof.jkt), (spend,))

    def _addresses(self, door: Door, attempt: Attempt) -> tuple[str, ...]:
        """RFC 8705 section 5: the endpoint, and its alias for clients with certificates."""
        if self._mtls_origin is None:
            return (attempt.url,)
        alias = self._mtls_origin + door.path + attempt.url.removeprefix(door.issuer)
        return (attempt.url, alias)

    def _taken_until(self, proof: Proof, door: Door, now: float) -> float:
        """Until when this proof would be taken. A nonce of this door stands for the time of the client's clock."""
        if proof.nonce is not None:
            ends = self._nonces.ends(proof.nonce, door.issuer, now)
            if ends is not None:
                return ends
            why = "no nonce of this door and time"
        elif self._demand:
            why = "no nonce"
        elif not proof.timely(now):
            why = "the time of the proof is too far off"
        else:
            return proof.ends
        raise OAuthError(
            "use_dpop_nonce",
            "Send a new DPoP proof with the nonce of this answer's DPoP-Nonce header.",
            Reason.DPOP_NONCE,
            detail=why,
            dpop_nonce=self._nonces.issue(door.issuer, now),
        )

    def _not_too_many(self, origin: Origin, now: float) -> None:
        hits = self._world.ephemeral.hit("proofs", source_key(origin.source), _MINUTE, now)
        if hits.count > self._per_minute:
            raise too_many("Too many DPoP proofs came from your address. Wait, then try again.", hits.ends_in)


def _refused(description: str, detail: str = "") -> OAuthError:
    return OAuthError("invalid_dpop_proof", description, Reason.DPOP_INVALID, detail=detail)


def _thumbprint(attempt: Attempt) -> str:
    if not attempt.certificates:
        raise OAuthError(
            "invalid_request", "The client must present its certificate.", Reason.CERTIFICATE_MISSING
        )
    return certificate.thumbprint(attempt.certificates[0])
