"""Where a request came from and through which door: made by a face, handed down to limits and records."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """`request_id` is ours; `source` the peer's address; `door` the issuer; `client` once it is authenticated.

    `agent` is what the peer calls itself, bounded, and nothing to believe.
    """

    request_id: str
    source: str
    door: str
    client: str | None = None
    agent: str | None = None
