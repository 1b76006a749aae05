"""OWASP ASVS V3.5, V8.2: how every page of an account begins: which door, whose account, and the form that was sent."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from flask import Response, abort, request

from broker.account import views
from broker.account.visitor import Visitor, Visitors
from broker.authorization.login.way import Way
from broker.authorization.logout.model import BY_HAND
from broker.estate.estate import Estate
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
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

    def signed_in(self, page: str = "") -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        """`page`: a name of `PAGES`, to which signing in leads on."""

        def decorated(view: Callable[..., Response]) -> Callable[..., Response]:
            @wraps(view)
            def opened(tenant: str | None = None, **named: str) -> Response:
                door, origin = self.doorway.at(tenant)
                with self.doorway.recorded(door, origin):
                    if request.method == "POST":
                        self._manners.csrf.same_site(request)
                    sent = form.body(request) if request.method == "POST" else form.query(request)
                    visitor = self._visitors.of(door, self._manners.cookie.read(request))
                    if visitor is None:
                        # `again`: whoever is signed in here has no account at this door
                        way = Way(to="account", about=page, again=True)
                        return respond.redirect(door.url(way.path()))
                    return view(Visit(door, origin, visitor, sent), **named)

            return opened

        return decorated

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
        return {
            "base": visit.url(),
            "door_name": self.estate().doors.name(door, self._manners.server_name),
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
