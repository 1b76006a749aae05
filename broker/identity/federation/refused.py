"""RFC 9700 section 4.4: sign-ins at a provider that come to nothing; recorded in full, told in a sentence."""

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.identity.federation.model import Provider
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin

_TEXTS = {
    Reason.PROVIDER_UNKNOWN: "This way of signing in is not offered here.",
    Reason.PROVIDER_UNAVAILABLE: "The identity provider cannot be used at the moment.",
    Reason.PROVIDER_VISIT_UNKNOWN: "This sign-in is not known in this browser, or was used already.",
    Reason.PROVIDER_MISMATCH: "The answer is not the identity provider's.",
    Reason.PROVIDER_REFUSED: "The identity provider did not sign you in.",
    Reason.PROVIDER_ANSWER_INVALID: "The identity provider's answer could not be believed.",
    Reason.IDENTITY_NOT_LINKED: "No account here is linked to this sign-in.",
    Reason.IDENTITY_TAKEN: "That sign-in is linked to another account.",
    Reason.LOGIN_REQUIRED: "Sign in here first.",
}
_DENIED = frozenset(
    {
        Reason.IDENTITY_NOT_LINKED,
        Reason.IDENTITY_TAKEN,
        Reason.NOT_A_MEMBER,
        Reason.USER_OFF,
        Reason.TENANT_OFF,
        Reason.EVERYTHING_OFF,
    }
)
_PAUSE = 5


class NotSignedIn(Exception):
    """A refusal with its reason; the message is for the evidence, `user_id` whom it concerns where that is known."""

    def __init__(self, reason: Reason, detail: str = "", user_id: str | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.user_id = reason, detail, user_id


class Refusing:
    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def recorded(
        self, door: Door, provider: Provider | None, error: NotSignedIn, origin: Origin, wait: float = 0.0
    ) -> OAuthError:
        """What the page may say, once the record is written. `wait`: for how many seconds a limit holds."""
        fact = Fact(
            "session.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=door.tenant,
            subject=error.user_id,
            change={"provider": provider.id} if provider else {},
        )
        self._refusals.record(fact, origin, known=error.user_id is not None)
        if error.reason is Reason.RATE_LIMITED:
            return too_many("Too many sign-ins were begun from your address.", wait)
        down = error.reason is Reason.PROVIDER_UNAVAILABLE
        denied = "access_denied" if error.reason in _DENIED else "invalid_request"
        return OAuthError(
            "temporarily_unavailable" if down else denied,
            _TEXTS.get(error.reason, "You cannot sign in this way."),
            error.reason,
            status=404 if error.reason is Reason.PROVIDER_UNKNOWN else None,
            redirectable=False,
            retry_after=_PAUSE if down else None,
        )
