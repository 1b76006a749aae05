"""A mail to one person about one approval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    id: str
    tenant: str
    approval_id: str
    user_id: str
    attempts: int = 0
    next_at: float = 0.0
