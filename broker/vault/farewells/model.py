"""A farewell: a token that its provider is to take back."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Farewell:
    """`expires_at`: when the token ends by itself, None when nobody says. `token` is sealed for this farewell alone."""

    id: str
    tenant: str
    connection_id: str
    resource_id: str
    user_id: str
    why: str
    expires_at: float | None
    token: bytes = field(repr=False)
    attempts: int = 0
    next_at: float = 0.0
