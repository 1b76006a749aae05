"""RFC 9700 section 4.4: connections that come to nothing; recorded in full, told in a sentence."""

from collections.abc import Callable

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.audit.unknown import unknown
from broker.estate.estate import Estate
from broker.identity.sessions.model import Session
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin
from broker.vault.model import Connection

_TEXTS = {
    Reason.RESOURCE_UNKNOWN: "There is no such system to connect.",
    Reason.PROVIDER_UNAVAILABLE: "That system's provider cannot be used at the moment.",
    Reason.PROVIDER_VISIT_UNKNOWN: "This connection was not begun in this browser by this person, or is done already.",
    Reason.LOGIN_REQUIRED: "Sign in here first.",
    Reason.PROVIDER_MISMATCH: "The answer is not the provider's.",
    Reason.PROVIDER_REFUSED: "The provider did not connect the account.",
    Reason.PROVIDER_ANSWER_INVALID: "The provider's answer could not be used.",
    Reason.SCOPE_UNKNOWN: "That is not offered there.",
}
_DENIED = frozenset(
    {
        Reason.NOT_A_MEMBER,
        Reason.USER_OFF,
        Reason.TENANT_OFF,
        Reason.RESOURCE_OFF,
        Reason.EVERYTHING_OFF,
        Reason.PROVIDER_REFUSED,
    }
)
_PAUSE = 5


def unreadable(connection: Connection) -> OAuthError:
    """What is sealed does not open: by a wrong key, or because somebody changed it. Nothing of it is thrown away."""
    return OAuthError(
        "temporarily_unavailable",
        "The connection cannot be read at the moment.",
        Reason.CONNECTION_UNREADABLE,
        detail=f"connection {connection.id} version {connection.version}",
        retry_after=60,
    )


class NotConnected(Exception):
    """A refusal with its reason; the message is for the evidence. `wait`: for how many seconds a limit holds."""

    def __init__(self, reason: Reason, detail: str = "", wait: float = 0.0) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.wait = reason, detail, wait


class Refusing:
    def __init__(self, refusals: Refusals, estate: Callable[[], Estate]) -> None:
        self._refusals, self._estate = refusals, estate

    def recorded(
        self,
        door: Door,
        tenant: str | None,
        resource_id: str,
        session: Session | None,
        error: NotConnected,
        origin: Origin,
    ) -> OAuthError:
        """What the page may say, once the record is written."""
        known = error.reason is not Reason.RESOURCE_UNKNOWN
        fact = Fact(
            "connection.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=tenant if known else door.tenant,
            subject=session.user_id if session else None,
            downstream=self._named(resource_id) if known else None,
        )
        self._refusals.record(fact, origin, known=session is not None)
        if error.reason is Reason.RATE_LIMITED:
            return too_many("Too many connections were begun from your address.", error.wait)
        down = error.reason in (Reason.PROVIDER_UNAVAILABLE, Reason.CONNECTION_UNREADABLE)
        denied = "access_denied" if error.reason in _DENIED else "invalid_request"
        return OAuthError(
            "temporarily_unavailable" if down else denied,
            _TEXTS.get(error.reason, "This cannot be connected."),
            error.reason,
            status=404 if error.reason is Reason.RESOURCE_UNKNOWN else None,
            redirectable=False,
            retry_after=_PAUSE if down else None,
        )

    def _named(self, resource_id: str) -> str:
        """The path of a callback is what anybody writes there."""
        return resource_id if resource_id in self._estate().resources else unknown(resource_id)
