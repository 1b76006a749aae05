"""RFC 9449 section 7, RFC 8705 section 3: whether the sender of a request holds what its token is bound to."""

import hashlib
import heapq
import threading
from dataclasses import dataclass
from typing import Protocol

from broker.guard.clock import Clock
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.protocol import dpop
from broker.protocol.certificate import thumbprint
from broker.protocol.dpop import InvalidProof
from broker.protocol.nonces import Nonces


@dataclass(frozen=True, slots=True)
class Sent:
    """How a request presents its token: its method, the URL as its client knows it, the scheme of its Authorization
    header (lower case), its DPoP headers, and the certificate (DER) of the client's connection."""

    method: str
    url: str
    scheme: str = "bearer"
    proofs: tuple[str, ...] = ()
    certificate: bytes | None = None


_DESCRIPTIONS = {
    "bound_to_a_key": "the token is bound to a key: send it with the DPoP scheme and a proof",
    "bound_to_a_certificate": "the token is bound to a certificate: show it, and send the token as Bearer",
    "another_certificate": "the token is bound to another certificate",
    "not_bound": "the token is bound to no key",
    "another_key": "the token is bound to another key",
    "not_one_proof": "send one DPoP header",
    "nonce": "send a proof with the nonce of this answer",
    "time": "the time of the proof is too far off",
    "replayed": "the proof was used before",
}


class PossessionRefused(TokenRefused):
    """The token may be good; its sender has not shown to be the one it is for.

    `error` and `description` are what a challenge says, `nonce` is what the next proof must carry. `proof`: it is a
    proof that was missing or wrong, not a certificate.
    """

    def __init__(self, error: str, reason: str, nonce: str | None = None) -> None:
        super().__init__(reason)
        self.error = error
        self.description = _DESCRIPTIONS.get(reason, "the proof is not one for this request")
        self.nonce = nonce
        self.proof = reason not in ("bound_to_a_certificate", "another_certificate")


class TooManyProofs(Exception):
    """No further proof is taken now: what is remembered may not grow, and nothing of it may be forgotten."""


class Replays(Protocol):
    """Which proofs were used. Several processes behind one address share one, or what one took another takes again."""

    def use(self, holder: str, jti: str, until: float, now: float) -> bool:
        """Use a proof up, to be remembered until then (epoch seconds); False when it was used. TooManyProofs."""
        ...


class Memory:
    """The `Replays` of one process. Of `most` proofs that it remembers, a tenth at most is of one holder."""

    def __init__(self, most: int = 100_000) -> None:
        self._most, self._most_of_one = most, max(1, most // 10)
        self._used: dict[str, set[bytes]] = {}
        self._ends: list[tuple[float, str, bytes]] = []
        self._lock = threading.Lock()

    def use(self, holder: str, jti: str, until: float, now: float) -> bool:
        digest = hashlib.sha256(jti.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            self._forget(now)
            used = self._used.get(holder, set())
            if digest in used:
                return False
            if len(self._ends) >= self._most or len(used) >= self._most_of_one:
                raise TooManyProofs
            self._used.setdefault(holder, used).add(digest)
            heapq.heappush(self._ends, (until, holder, digest))
            return True

    def _forget(self, now: float) -> None:
        """Drop what would be refused for its age."""
        while self._ends and self._ends[0][0] < now:
            _, holder, digest = heapq.heappop(self._ends)
            self._used[holder].discard(digest)
            if not self._used[holder]:
                del self._used[holder]


class Possession:
    """For one resource. `nonces`: demand one in every proof. `required`: take no token that is bound to nothing."""

    def __init__(
        self, resource: str, clock: Clock, replays: Replays, nonces: Nonces | None, *, required: bool
    ) -> None:
        self._resource, self._clock, self._replays = resource, clock, replays
        self._nonces, self.required = nonces, required

    def check(self, token: VerifiedToken, text: str, sent: Sent | None) -> None:
        """PossessionRefused unless the sender may use the token. Without a view of the request, none that is bound."""
        bound = token.confirmation
        if sent is None:
            if bound is not None or self.required:
                raise PossessionRefused("invalid_token", "bound_but_unseen")
            return
        if bound is None:
            if self.required or sent.scheme == "dpop":
                raise PossessionRefused("invalid_token", "not_bound")
            return
        if self.required and bound.jkt is None:
            raise PossessionRefused("invalid_token", "not_bound")
        if bound.x5t is not None:
            self._by_certificate(bound.x5t, sent)
        if bound.jkt is not None:
            self._by_key(bound.jkt, text, sent)
        elif sent.scheme != "bearer":
            raise PossessionRefused("invalid_token", "bound_to_a_certificate")

    def fresh_nonce(self) -> str | None:
        """What answers to proofs carry where nonces are demanded."""
        return self._nonces.issue(self._resource, self._clock()) if self._nonces else None

    def _by_certificate(self, x5t: str, sent: Sent) -> None:
        if sent.certificate is None:
            raise PossessionRefused("invalid_token", "bound_to_a_certificate")
        if thumbprint(sent.certificate) != x5t:
            raise PossessionRefused("invalid_token", "another_certificate")

    def _by_key(self, jkt: str, text: str, sent: Sent) -> None:
        if sent.scheme != "dpop":
            raise PossessionRefused("invalid_token", "bound_to_a_key")
        if len(sent.proofs) != 1:
            raise PossessionRefused("invalid_dpop_proof", "not_one_proof", self.fresh_nonce())
        try:
            proof = dpop.verify(sent.proofs[0], method=sent.method, url=sent.url, token=text)
        except InvalidProof as error:
            raise PossessionRefused("invalid_dpop_proof", error.reason, self.fresh_nonce()) from None
        if proof.jkt != jkt:
            raise PossessionRefused("invalid_token", "another_key", self.fresh_nonce())
        now = self._clock()
        until = proof.ends
        if self._nonces is not None:
            ends = self._nonces.ends(proof.nonce or "", self._resource, now)
            if ends is None:
                raise PossessionRefused("use_dpop_nonce", "nonce", self.fresh_nonce())
            until = ends
        elif not proof.timely(now):
            raise PossessionRefused("invalid_dpop_proof", "time")
        if not self._replays.use(jkt, proof.jti, until, now):
            raise PossessionRefused("invalid_dpop_proof", "replayed", self.fresh_nonce())
