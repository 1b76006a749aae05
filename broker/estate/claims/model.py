"""RFC 9728 section 3.3: what a tenant says of an address, and how far that is shown."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How far a claim is shown. One that lapsed was proved, and its address says something else by now."""

    PENDING = "pending"
    PROVED = "proved"
    VOUCHED = "vouched"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Claim:
    """`checked_at`: when the address was last heard. `resource_id`: what the tenant registered there, None so far."""

    id: str
    tenant: str
    uri: str
    state: State
    made_at: float
    checked_at: float | None = None
    resource_id: str | None = None
