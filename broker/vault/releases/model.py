"""A release: a provider's access token in the hands of a server."""

from dataclasses import dataclass

from broker.denials.model import Kind, Target

_PASSING = frozenset({Kind.GRANT, Kind.TRANSACTION, Kind.TOKEN})


@dataclass(frozen=True, slots=True)
class Release:
    """`version`: of the connection's tokens; `targets` are what ends it here; `via` is the resource that asked.

    `ended_at`: when something of these was found off; then `withdrawn` says whether the provider is being told, or
    else the token is good there until `expires_at`, which is None where the provider names no end.
    """

    id: str
    tenant: str
    connection_id: str
    version: int
    user_id: str
    resource_id: str
    via: str
    client_id: str
    grant_id: str
    txn: str
    jti_hash: str
    targets: tuple[Target, ...]
    released_at: float
    expires_at: float | None
    ended_at: float | None = None
    withdrawn: bool = False

    @property
    def lasting(self) -> frozenset[Target]:
        """Of what ends it, that which outlives its grant."""
        return frozenset(target for target in self.targets if target.kind not in _PASSING)
