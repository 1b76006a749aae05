"""RFC 8628 section 3.2: a device that asks to be connected, and what of it the person is shown."""

from dataclasses import dataclass

from broker.authorization.model import AuthorizationRequest


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device code's row; both codes are known to the device alone.

    `request` is what the device asked for, as it will be put to the person; `tenant` is its door's, and of an approved
    one the grant's. `source` and `agent` are the device's, `sealed` the code on its display, for the page to show.
    `pace` is the number of seconds that have to lie between two polls.
    """

    id: str
    tenant: str | None
    request: AuthorizationRequest
    source: str
    agent: str | None
    sealed: str
    expires_at: float
    pace: int
    denied_at: float | None = None
    grant_id: str | None = None
    spent_at: float | None = None

    def waits(self, now: float) -> bool:
        """Whether nobody has decided yet, and somebody still may."""
        return self.denied_at is None and self.grant_id is None and self.expires_at > now


@dataclass(frozen=True, slots=True)
class Poll:
    """A poll that came before anybody decided. `hurried`: sooner than `pace` allowed, which it grew for."""

    pace: int
    hurried: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """What the person compares: the code on the device's display, when and from where it began."""

    user_code: str
    begun_at: float
    source: str
    agent: str | None
