"""The server reads its own access tokens with the guard's verifier, its own keys handed in."""

from collections.abc import Callable

from broker.estate.estate import Estate
from broker.guard.verifier import TokenRefused, VerifiedToken, Verifier
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Door
from broker.protocol.names import SIGNING_ALGORITHMS
from broker.runtime.world import World


class OwnTokens:
    """Verifies tokens of this server's doors; what is remembered goes when the estate changes."""

    def __init__(self, world: World, keys: DoorKeys, estate: Callable[[], Estate]) -> None:
        self._world, self._keys, self._estate = world, keys, estate
        self._current: tuple[Estate, Verifier] | None = None

    def verify(self, token: str, door: Door) -> VerifiedToken:
        """The token, if it came through this very door and is within its time; TokenRefused otherwise."""
        verified = self._verifier().verify(token)
        if verified.issuer != door.issuer:
            raise TokenRefused("issuer")
        return verified

    def _verifier(self) -> Verifier:
        estate = self._estate()
        current = self._current
        if current is None or current[0] is not estate:
            issuers = {
                door.issuer: [t for t in estate.doors.tenants if estate.doors.serves(door, t)]
                for door in estate.doors.all()
            }
            verifier = Verifier(
                issuers, None, SIGNING_ALGORITHMS, self._keys, self._world.clock.now, leeway=0.0
            )
            current = self._current = (estate, verifier)
        return current[1]
