"""A browser in which a person signed in."""

from dataclasses import dataclass

from broker.protocol import acr


@dataclass(frozen=True, slots=True)
class Session:
    """A verified sign-in in one browser; `id` is the handle shown to people, never the cookie's value.

    `sid` (OpenID Connect Back-Channel Logout section 2.1) stays the same when the person proves more in the same
    browser, until they sign out. `provider` is the identity provider that vouched for them, None for this server. Not
    `dated`, that provider did not say when they proved it: `auth_time` is when they came, and counts as no time.
    """

    id: str
    user_id: str
    auth_time: float
    acr: str
    amr: tuple[str, ...]
    sid: str = ""
    provider: str | None = None
    dated: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """A live session as its owner may recognize it: when and from where it was begun, and when it was last seen."""

    session: Session
    seen_at: float
    source: str | None
    agent: str | None


@dataclass(frozen=True, slots=True)
class Demand:
    """What a sign-in has to be: one of the classes `acr` (empty: any), no older than `since`, of `user` if named."""

    acr: tuple[str, ...] = ()
    since: float | None = None
    user: str | None = None

    def met_by(self, session: Session | None) -> bool:
        if session is None:
            return False
        strong = not self.acr or any(acr.at_least(session.acr, wanted) for wanted in self.acr)
        return strong and self.fresh(session) and self.user in (None, session.user_id)

    def fresh(self, session: Session) -> bool:
        """Whether the person is known to have proved it late enough."""
        return self.since is None or (session.dated and session.auth_time >= self.since)
