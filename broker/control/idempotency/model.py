"""A permit: one call that was let through, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permit:
    """`id` is the decision's. `digest` is the act's. `outcome` None: nobody has said yet what the call did.

    `keyed`: the call is of a class that needs an idempotency key, or had one. Times are epoch seconds.
    """

    id: str
    tenant: str
    resource: str
    tool: str
    subject: str
    client_id: str
    digest: str
    keyed: bool
    txn: str | None
    grant_id: str | None
    made_at: float
    outcome: Mapping[str, object] | None = None
    reported_at: float | None = None
