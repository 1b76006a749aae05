"""OWASP ASVS V3.5, V8.2: how every page of an account begins: which door, whose account, and the form that was sent."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import wraps

from flask import Response, abort, request

from broker.account import views
from broker.account.visitor import Visitor, Visitors
from broker.authorization.login.way import Way
from broker.authorization.logout.model import BY_HAND
from broker.estate.estate import Estate
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.protocol.parameters import REPEATABLE, Parameters
from broker.web import errors, form, respond
from broker.web.doorway import Doorway
from broker.web.manners import Manners

PAGES = {
    "apps": "/apps",
    "sessions": "/sessions",
    "sign-in": "/sign-in",
    "passkey": "/sign-in/passkeys/new",
    "app": "/sign-in/app",
    "codes": "/sign-in/codes",
    "password": "/sign-in/password",
}
"""What signing in may lead on to, by the name that it carries: the path below /account."""
_PASSKEY = re.compile(r"pk_\w{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person to a page of theirs. `form` is what was sent, or the query of a GET."""

    door: Door
    origin: Origin
    visitor: Visitor
    form: Parameters

    def url(self, path: str = "") -> str:
        return self.door.url(f"/account{path}")


class Face:
    """What the pages share. `signed_in` makes a view out of a function of a `Visit`."""

    def __init__(
        self, visitors: Visitors, estate: Callable[[], Estate], manners: Manners, doorway: Doorway[Door]
    ) -> None:
        self._visitors, self.estate, self._manners, self.doorway = visitors, estate, manners, doorway

    def signed_in(
        self,
        page: str = "",
        way: Callable[..., Way] | None = None,
        repeatable: Iterable[str] = REPEATABLE,
    ) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        """`page`: a name of `PAGES`, to which signing in leads on; or `way`, of what was sent and named in the path.

        `repeatable`: fields of its form that may come several times.
        """

        def decorated(view: Callable[..., Response]) -> Callable[..., Response]:
            @wraps(view)
            def opened(tenant: str | None = None, **named: str) -> Response:
                door, origin = self.doorway.at(tenant)
                with self.doorway.recorded(door, origin):
                    if request.method == "POST":
                        self._manners.csrf.same_site(request)
                    posted = request.method == "POST"
                    sent = form.body(request, repeatable) if posted else form.query(request)
                    visitor = self.visitor(door)
                    if visitor is None:
                        on = Way(to="account", about=page) if way is None else way(sent, **named)
                        # `again`: whoever is signed in here has no account at this door
                        return respond.redirect(door.url(replace(on, again=True).path()))
                    return view(Visit(door, origin, visitor, sent), **named)

            return opened

        return decorated

    def visitor(self, door: Door) -> Visitor | None:
        """Who sent this request, for a page that nobody is made to sign in for. OAuthError when they are off."""
        return self._visitors.of(door, self._manners.cookie.read(request))

    def browser(self) -> str | None:
        """The cookie of this request."""
        return self._manners.cookie.read(request)

    def sending(self, visit: Visit, path: str, about: str) -> views.Sending:
        """Where a form goes, with the token that `check` wants to see again."""
        return views.Sending(visit.url(path), self.token(visit, about))

    def token(self, visit: Visit, about: str) -> str:
        return self._manners.csrf.token(visit.visitor.cookie, about)

    def check(self, visit: Visit, about: str) -> None:
        """OAuthError 403 unless the form is one that was given to this session about this."""
        self._manners.csrf.check(request, visit.visitor.cookie, about, visit.form.get("csrf"))

    def around(self, visit: Visit) -> views.Around:
        door, visitor = visit.door, visit.visitor
        estate = self.estate()
        return {
            "base": visit.url(),
            "connections": door.url("/connections")
            if estate.connectable(door, visitor.user.tenants())
            else "",
            "approvals": door.url("/approvals") if estate.approvable(door, visitor.user.tenants()) else "",
            "door_name": estate.doors.name(door, self._manners.server_name),
            "user_name": visitor.user.name,
            "user_id": visitor.user.id,
            "sign_out": door.url("/logout"),
            "sign_out_csrf": self._manners.csrf.token(visitor.cookie, BY_HAND.about(visitor.session)),
            "lang": errors.language(request),
        }


def named_page(name: str) -> str | None:
    """The path below /account of a page that signing in leads on to; a passkey's page is named by its id."""
    return f"/sign-in/passkeys/{name}" if _PASSKEY.fullmatch(name) else PAGES.get(name)


def gone() -> Response:
    """What never was and what is somebody else's."""
    abort(404)
