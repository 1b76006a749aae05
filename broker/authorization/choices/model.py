"""A choice: for this client, this person works in this tenant."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    user_id: str
    client_id: str
    tenant: str
    chosen_at: float
    expires_at: float
