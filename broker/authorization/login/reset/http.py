"""OWASP ASVS V6.4: /login/reset under every door, the page behind a reset link."""

from collections.abc import Callable
from typing import NoReturn

from flask import Blueprint, Response, request

from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.identity.users.model import User
from broker.identity.users.new_password import NewPasswords
from broker.identity.users.own import NotChanged
from broker.identity.users.password import MIN_LENGTH, Unfit
from broker.protocol.errors import OAuthError
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.web import errors, form, pages, respond, sign_in_pages, texts
from broker.web.doorway import Doorway, everywhere
from broker.web.manners import Manners


def blueprint(
    new_passwords: NewPasswords,
    sessions: Sessions,
    secret: Callable[[], str],
    manners: Manners,
    doorway: Doorway[Door],
) -> Blueprint:
    cookie, csrf = manners.cookie, manners.csrf

    def page(door: Door, user: User, token: str, wrong: Unfit | None = None) -> Response:
        lang, browser = errors.language(request), cookie.read(request) or secret()
        view = sign_in_pages.ResetView(
            action=door.url("/login/reset"),
            csrf=csrf.token(browser, f"reset {token}"),
            token=token,
            user_name=user.name,
            user_id=user.id,
            least=MIN_LENGTH,
            error=texts.say(f"reset.error.{wrong.why}", lang) if wrong else None,
            lang=lang,
        )
        response = respond.page(sign_in_pages.reset(view), 400 if wrong else 200)
        return response if cookie.read(request) else cookie.write(response, browser)

    def link(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        with doorway.recorded(door, origin):
            token = form.query(request).get("token") or ""
        session = sessions.current(cookie.read(request))
        try:
            return page(door, new_passwords.resetting(token, session, origin), token)
        except NotChanged as error:
            _turned_away(error)

    def reset(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        with doorway.recorded(door, origin):
            sent = form.body(request)
            token = sent.get("token") or ""
            csrf.check(request, cookie.read(request), f"reset {token}", sent.get("csrf"))
        return done(door, origin, token, sent)

    def done(door: Door, origin: Origin, token: str, sent: Parameters) -> Response:
        session = sessions.current(cookie.read(request))
        try:
            new_passwords.reset(token, sent.get("password") or "", session, origin)
        except Unfit as wrong:
            return page(door, new_passwords.resetting(token, session, origin), token, wrong)
        except NotChanged as error:
            _turned_away(error)
        return respond.page(pages.done(pages.DoneView(kind="password_set", lang=errors.language(request))))

    routes = doorway.pages("reset")
    everywhere(routes, "/login/reset", link, "GET")
    everywhere(routes, "/login/reset", reset, "POST")
    return routes


def _turned_away(error: NotChanged) -> NoReturn:
    raise OAuthError(
        "access_denied",
        "This link sets no password here: it was used, is too old, or is for somebody else.",
        error.reason,
        redirectable=False,
    )
