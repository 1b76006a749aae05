"""A webhook: where it goes, and one notice that waits to go there."""

from dataclasses import dataclass, field

ALERTS = "alerts"
APPROVALS = "approvals"


@dataclass(frozen=True, slots=True)
class Target:
    """One address, and the secret that its receiver has too."""

    url: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """`target` names where it goes; `body` is the JSON to send; `attempts` so far, `next_at` is when it is tried."""

    id: str
    tenant: str
    target: str
    event: str
    body: str
    attempts: int
    next_at: float
