"""What a request to sign out comes to, and a notice for a client that its user did."""

import hashlib
from dataclasses import dataclass

from broker.identity.sessions.model import Session


@dataclass(frozen=True, slots=True)
class Departure:
    """Who asks, where the browser goes afterwards (None: to a page of ours), and whether the person is asked first.

    `unchecked`: nobody vouched for that address, and the client does not prove that it had this very sign-in: they are
    told where it leads before they go.
    """

    client_id: str | None
    client_name: str | None
    redirect_uri: str | None
    state: str | None
    ask: bool
    unchecked: bool = False

    def carried(self) -> tuple[tuple[str, str | None], ...]:
        """What goes from the question to its answer, by the names of the parameters."""
        return (
            ("client_id", self.client_id),
            ("post_logout_redirect_uri", self.redirect_uri),
            ("state", self.state),
        )

    def about(self, session: Session) -> str:
        """What the person was asked: an answer to another question is none."""
        return hashlib.sha256(repr((session.id, *self.carried())).encode()).hexdigest()


BY_HAND = Departure(None, None, None, None, ask=True)
"""Nobody asks but the person."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One client is to be told of one sign-in's end. `attempts` so far; `next_at` is when it is tried again."""

    id: str
    tenant: str
    door: str
    client_id: str
    user_id: str
    sid: str
    attempts: int
    next_at: float
