"""CWE-601: where signing in leads, out of a fixed list; an address is never taken from a request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from broker.identity.sessions.model import Demand
from broker.identity.users.ways_in import FRESH
from broker.protocol import acr as classes
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.parameters import Parameters

PLACES: dict[str, tuple[str, str | None]] = {
    "account": ("/account", "page"),
    "device": ("/device", "user_code"),
    "connections": ("/connections", "open"),
    "approvals": ("/approvals", "open"),
}
"""Pages that signing in may lead to, by name: the path below the door, and the parameter that `about` becomes there."""

FIELDS = ("request", "to", "about", "fresh", "acr", "again")
"""The parameters of /login that say where it leads; hidden fields of its forms carry them from step to step."""

_ABOUT = re.compile(r"[A-Za-z0-9._~-]{1,256}")


@dataclass(frozen=True, slots=True)
class Way:
    """What waits behind the sign-in: an authorization request of this browser, or a page.

    `fresh`: the page wants a sign-in of the last minutes; `acr`: of one of these classes. The page judges for itself:
    what stands here only decides what is asked. `again`: another account than the one signed in may be wanted.
    """

    request_id: str = ""
    to: str = ""
    about: str = ""
    fresh: bool = False
    acr: tuple[str, ...] = ()
    again: bool = False

    @classmethod
    def read(cls, parameters: Parameters) -> "Way":
        """From the query or the form of /login; OAuthError, never redirectable, when it leads nowhere."""
        request_id, to = parameters.get("request") or "", parameters.get("to") or ""
        about = parameters.get("about") or ""
        acr = classes.known((parameters.get("acr") or "").split())
        if request_id or to not in PLACES or not cls.carries(about):
            if to:
                raise OAuthError(
                    "invalid_request",
                    "This sign-in leads nowhere.",
                    Reason.INTERACTION_UNKNOWN,
                    redirectable=False,
                )
            return cls(request_id, again=parameters.get("again") == "1")
        fresh, again = parameters.get("fresh") == "1", parameters.get("again") == "1"
        return cls("", to, about, fresh, acr, again)

    @staticmethod
    def carries(about: str) -> bool:
        """Whether a sign-in may lead on to something of this name."""
        return not about or _ABOUT.fullmatch(about) is not None

    def fields(self) -> tuple[tuple[str, str], ...]:
        """The same as parameters, those that say something."""
        values = (
            self.request_id,
            self.to,
            self.about,
            "1" if self.fresh else "",
            " ".join(self.acr),
            "1" if self.again else "",
        )
        return tuple((name, value) for name, value in zip(FIELDS, values, strict=True) if value)

    def demand(self, now: float, user: str | None = None) -> Demand:
        """What the page behind wants of the sign-in."""
        return Demand(self.acr, now - FRESH if self.fresh else None, user)

    def path(self, step: str = "") -> str:
        """Of the sign-in, below the door; `step` such as "/verify" of one of its later pages."""
        return f"/login{step}?{urlencode(self.fields())}"

    def onward(self) -> str:
        """The path, below the door, to which a finished sign-in leads."""
        if not self.to:
            return "/consent?" + urlencode({"request": self.request_id})
        path, parameter = PLACES[self.to]
        return path + (f"?{urlencode({parameter: self.about})}" if parameter and self.about else "")

    def key(self) -> str:
        """What a form on this way is about, for its CSRF token."""
        return self.request_id or f"to {self.to} {self.about}"


def login_path(
    *, request_id: str = "", to: str = "", about: str = "", fresh: bool = False, acr: Sequence[str] = ()
) -> str:
    """The path of the sign-in, below the door, for who finds that one is needed: `door.url(login_path(…))`."""
    return Way(request_id, to, about, fresh, tuple(acr)).path()
