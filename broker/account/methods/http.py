"""OWASP ASVS V6.4, V7.5.1: /account/sign-in and what is below it, under every door. Only passkeys need a script."""

from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.account.face import Face, Visit, gone
from broker.account.methods import proving, views
from broker.account.views import browser
from broker.authorization.upstream import offers
from broker.identity.federation.room import Room as Federation
from broker.identity.users.assembly import SigningIn
from broker.identity.users.credentials.model import Passkey
from broker.identity.users.own import NotChanged
from broker.identity.users.password import Unfit
from broker.protocol.errors import OAuthError
from broker.web import errors, respond, texts
from broker.web.doorway import everywhere


@dataclass(frozen=True, slots=True)
class Methods:
    """The verbs behind the pages."""

    face: Face
    signing_in: SigningIn
    federation: Federation


def blueprint(behind: Methods) -> Blueprint:
    face, federation = behind.face, behind.federation
    ways_in, own = behind.signing_in.ways_in, behind.signing_in.own

    @face.signed_in("sign-in")
    def methods(visit: Visit) -> Response:
        return listed(visit)

    @face.signed_in("sign-in")
    def unlink(visit: Visit) -> Response:
        face.check(visit, "links")
        which = visit.form.require("unlink")
        try:
            if not federation.own_links.remove(visit.visitor.session, which, visit.origin):
                return gone()
        except NotChanged as error:
            return to_prove(visit, "sign-in", error) or listed(visit, error)
        return respond.redirect(visit.url("/sign-in"))

    def listed(visit: Visit, wrong: NotChanged | None = None) -> Response:
        user_id, session = visit.visitor.user.id, visit.visitor.session
        links = federation.links.at(visit.door, user_id)
        if not ways_in.whole(session.provider):
            mine = [link for link in links if link.provider == session.provider]
            return respond.page(views.methods_of(face.around(visit), mine, federation.providers.known()))
        factors, passkeys = ways_in.of(user_id)
        html = views.methods(
            face.around(visit),
            factors,
            passkeys,
            links,
            federation.providers.known(),
            offers.to_link(federation.visits, visit.door, links, lambda about: face.token(visit, about)),
            ways_in.told(user_id),
            face.sending(visit, "/sign-in", "links"),
            offers_passkeys=ways_in.offers_passkeys,
            error=said(wrong),
        )
        return answered(html, wrong)

    @face.signed_in("passkey")
    def new_passkey(visit: Visit) -> Response:
        return to_prove(visit, "passkey") or make_passkey(visit)

    @face.signed_in("passkey")
    def add_passkey(visit: Visit) -> Response:
        face.check(visit, "passkey")
        credential, name = visit.form.get("credential") or "", visit.form.get("name") or ""
        try:
            own.add_passkey(visit.visitor.session, visit.visitor.cookie, credential, name, visit.origin)
        except NotChanged as error:
            return to_prove(visit, "passkey", error) or make_passkey(visit, error)
        return respond.redirect(visit.url("/sign-in"))

    def make_passkey(visit: Visit, wrong: NotChanged | None = None) -> Response:
        if not ways_in.offers_passkeys:
            return gone()
        name = visit.form.get("name") or browser(request.headers.get("User-Agent"), errors.language(request))
        form = face.sending(visit, "/sign-in/passkeys/new", "passkey")
        options = visit.url("/sign-in/passkeys/options")
        html = views.new_passkey(face.around(visit), options, name, form, said(wrong))
        return answered(html, wrong, script=True)

    @face.signed_in("passkey")
    def options(visit: Visit) -> Response:
        """For the script: a challenge to make a passkey with."""
        try:
            face.check(visit, "passkey")
            found = own.begin_passkey(visit.visitor.session, visit.visitor.cookie, visit.origin)
        except OAuthError as error:
            return respond.refusal(error)
        except NotChanged as error:
            return respond.json_body({"error": "access_denied", "reason": error.reason.value}, 403)
        return respond.json_body(found)

    @face.signed_in("sign-in")
    def passkey(visit: Visit, passkey_id: str) -> Response:
        if mine(visit, passkey_id) is None:
            return gone()
        return to_prove(visit, passkey_id) or show_passkey(visit, passkey_id)

    @face.signed_in("sign-in")
    def change_passkey(visit: Visit, passkey_id: str) -> Response:
        if mine(visit, passkey_id) is None:
            return gone()
        face.check(visit, f"passkey {passkey_id}")
        session = visit.visitor.session
        try:
            if visit.form.get("do") == "remove":
                own.remove_passkey(session, passkey_id, visit.origin)
            else:
                own.rename_passkey(session, passkey_id, visit.form.get("name") or "", visit.origin)
        except NotChanged as error:
            return to_prove(visit, passkey_id, error) or show_passkey(visit, passkey_id, error)
        return respond.redirect(visit.url("/sign-in"))

    def show_passkey(visit: Visit, passkey_id: str, wrong: NotChanged | None = None) -> Response:
        found = mine(visit, passkey_id)
        if found is None:
            return gone()
        form = face.sending(visit, f"/sign-in/passkeys/{passkey_id}", f"passkey {passkey_id}")
        return answered(views.passkey(face.around(visit), found, form, said(wrong)), wrong)

    def mine(visit: Visit, passkey_id: str) -> Passkey | None:
        _, passkeys = ways_in.of(visit.visitor.user.id)
        return next((one for one in passkeys if one.id == passkey_id), None)

    @face.signed_in("app")
    def app(visit: Visit) -> Response:
        return to_prove(visit, "app") or show_app(visit)

    @face.signed_in("app")
    def change_app(visit: Visit) -> Response:
        face.check(visit, "app")
        session, cookie = visit.visitor.session, visit.visitor.cookie
        do = visit.form.require("do")
        try:
            if do == "confirm":
                code = visit.form.get("code") or ""
                fresh = own.confirm_totp(session, cookie, code, visit.origin)
                return show_codes(visit, fresh) if fresh else respond.redirect(visit.url("/sign-in"))
            if do == "remove":
                own.remove_totp(session, visit.origin)
                return respond.redirect(visit.url("/sign-in"))
            own.begin_totp(session, cookie, visit.origin)
        except NotChanged as error:
            return to_prove(visit, "app", error) or show_app(visit, error)
        return respond.redirect(visit.url("/sign-in/app"))

    def show_app(visit: Visit, wrong: NotChanged | None = None) -> Response:
        factors, _ = ways_in.of(visit.visitor.user.id)
        pending = own.enrolling(visit.visitor.session, visit.visitor.cookie)
        form = face.sending(visit, "/sign-in/app", "app")
        html = views.app(face.around(visit), form, pending, said(wrong), enrolled=factors.totp)
        return answered(html, wrong)

    @face.signed_in("codes")
    def codes(visit: Visit) -> Response:
        return to_prove(visit, "codes") or show_codes(visit)

    @face.signed_in("codes")
    def renew_codes(visit: Visit) -> Response:
        face.check(visit, "codes")
        try:
            return show_codes(visit, own.renew_codes(visit.visitor.session, visit.origin))
        except NotChanged as error:
            return to_prove(visit, "codes", error) or show_codes(visit, (), error)

    def show_codes(visit: Visit, fresh: tuple[str, ...] = (), wrong: NotChanged | None = None) -> Response:
        factors, _ = ways_in.of(visit.visitor.user.id)
        form = face.sending(visit, "/sign-in/codes", "codes")
        html = views.codes(face.around(visit), factors, form, fresh, said(wrong))
        return answered(html, wrong)

    @face.signed_in("password")
    def password(visit: Visit) -> Response:
        return to_prove(visit, "password") or show_password(visit)

    @face.signed_in("password")
    def change_password(visit: Visit) -> Response:
        face.check(visit, "password")
        if not ways_in.whole(visit.visitor.session.provider):
            return to_prove(visit, "password") or show_password(visit)
        old, new = visit.form.get("old") or "", visit.form.get("password") or ""
        if new != (visit.form.get("again") or ""):
            return show_password(visit, texts.say("methods.error.differ", errors.language(request)))
        try:
            behind.signing_in.new_passwords.change(visit.visitor.session, old, new, visit.origin)
        except Unfit as error:
            return show_password(visit, texts.say(f"reset.error.{error.why}", errors.language(request)))
        except NotChanged as error:
            return to_prove(visit, "password", error) or show_password(visit, said(error))
        return show_password(visit, done=True)

    def show_password(visit: Visit, wrong: str | None = None, *, done: bool = False) -> Response:
        factors, _ = ways_in.of(visit.visitor.user.id)
        form = face.sending(visit, "/sign-in/password", "password")
        html = views.password(face.around(visit), form, wrong, present=factors.password, done=done)
        return respond.page(html, 400 if wrong else 200)

    def to_prove(visit: Visit, page: str, error: NotChanged | None = None) -> Response | None:
        """To the sign-in, and back to `page`, where it is too old or too weak for a change; None when it is not."""
        way = proving.way(ways_in, visit.visitor.session, page, error)
        return None if way is None else respond.redirect(visit.door.url(way.path()))

    routes = face.doorway.pages("methods")
    everywhere(routes, "/account/sign-in", methods, "GET")
    everywhere(routes, "/account/sign-in", unlink, "POST")
    everywhere(routes, "/account/sign-in/passkeys/new", new_passkey, "GET")
    everywhere(routes, "/account/sign-in/passkeys/new", add_passkey, "POST")
    everywhere(routes, "/account/sign-in/passkeys/options", options, "POST")
    everywhere(routes, "/account/sign-in/passkeys/<passkey_id>", passkey, "GET")
    everywhere(routes, "/account/sign-in/passkeys/<passkey_id>", change_passkey, "POST")
    everywhere(routes, "/account/sign-in/app", app, "GET")
    everywhere(routes, "/account/sign-in/app", change_app, "POST")
    everywhere(routes, "/account/sign-in/codes", codes, "GET")
    everywhere(routes, "/account/sign-in/codes", renew_codes, "POST")
    everywhere(routes, "/account/sign-in/password", password, "GET")
    everywhere(routes, "/account/sign-in/password", change_password, "POST")
    return routes


def said(wrong: NotChanged | None) -> str | None:
    return None if wrong is None else views.wrong(wrong.reason, errors.language(request))


def answered(html: str, wrong: NotChanged | None, *, script: bool = False) -> Response:
    status = 200 if wrong is None else 429 if wrong.wait else 400
    response = respond.page(html, status, script=script)
    if wrong is not None and wrong.wait:
        response.headers["Retry-After"] = str(wrong.wait)
    return response
