"""OWASP ASVS V7.5, HTML forms without JavaScript: /account and what is below it, under every door."""

from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.account import views
from broker.account.apps import Apps
from broker.account.connections.mine import Mine
from broker.account.face import Face, Visit, gone, named_page
from broker.account.methods import views as method_views
from broker.identity.federation.room import Room as Federation
from broker.identity.sessions.model import Seen, Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.users.assembly import SigningIn
from broker.web import errors, respond
from broker.web.doorway import everywhere


@dataclass(frozen=True, slots=True)
class Account:
    """The verbs behind the pages."""

    face: Face
    apps: Apps
    mine: Mine
    sessions: Sessions
    signing_in: SigningIn
    federation: Federation


def blueprint(behind: Account) -> Blueprint:
    face, whole = behind.face, behind.signing_in.ways_in.whole

    @face.signed_in()
    def account(visit: Visit) -> Response:
        if (path := named_page(visit.form.get("page") or "")) is not None:
            return respond.redirect(visit.url(path))
        user, doors = visit.visitor.user, face.estate().doors
        tenants = [doors.tenants[name].name for name in user.tenants() if doors.serves(visit.door, name)]
        apps, around, lang = behind.apps.of(visit.door, user.id), face.around(visit), errors.language(request)
        ways = []
        if whole(visit.visitor.session.provider):
            factors, _ = behind.signing_in.ways_in.of(user.id)
            ways = method_views.ways(factors, behind.federation.links.good(user.id), lang)
        connected = behind.mine.connected(visit.door, visit.visitor)
        here = seen(visit.visitor.session)
        return respond.page(views.overview(around, tenants, apps, connected, here, ways))

    @face.signed_in("apps")
    def apps(visit: Visit) -> Response:
        return respond.page(views.apps(face.around(visit), behind.apps.of(visit.door, visit.visitor.user.id)))

    @face.signed_in("apps")
    def app(visit: Visit, app_id: str) -> Response:
        found = behind.apps.one(visit.door, visit.visitor.user.id, app_id)
        if found is None:
            return gone()
        form = face.sending(visit, f"/apps/{app_id}", f"app {app_id}")
        return respond.page(views.app(face.around(visit), found, face.estate(), form))

    @face.signed_in("apps")
    def remove(visit: Visit, app_id: str) -> Response:
        if behind.apps.one(visit.door, visit.visitor.user.id, app_id) is None:
            return gone()
        face.check(visit, f"app {app_id}")
        behind.apps.remove(visit.door, visit.visitor.user.id, app_id, visit.origin)
        return respond.redirect(visit.url(f"/apps/{app_id}"))

    @face.signed_in("apps")
    def tenant_of(visit: Visit, app_id: str) -> Response:
        found = behind.apps.one(visit.door, visit.visitor.user.id, app_id)
        if found is None or not found.tenants:
            return gone()
        form = face.sending(visit, f"/apps/{app_id}/tenant", f"tenant {app_id}")
        return respond.page(views.app_tenant(face.around(visit), found, face.estate(), form))

    @face.signed_in("apps")
    def choose(visit: Visit, app_id: str) -> Response:
        mine = visit.visitor.user.id
        found = behind.apps.one(visit.door, mine, app_id)
        if found is None or not found.tenants:
            return gone()
        face.check(visit, f"tenant {app_id}")
        if not behind.apps.choose(visit.door, mine, found, visit.form.get("tenant"), visit.origin):
            return gone()
        return respond.redirect(visit.url(f"/apps/{app_id}"))

    @face.signed_in("sessions")
    def sessions(visit: Visit) -> Response:
        return list_sessions(visit)

    @face.signed_in("sessions")
    def end(visit: Visit) -> Response:
        face.check(visit, "sessions")
        mine, which = visit.visitor.session, visit.form.require("end")
        if not whole(mine.provider):
            mine_too = [one.session.id for one in seen(mine)]
            ending = [one for one in mine_too if which == one or (which == "others" and one != mine.id)]
            ended = sum(behind.sessions.end_own(mine.user_id, one, visit.origin) for one in ending)
            return respond.redirect(visit.url()) if which == mine.id else list_sessions(visit, ended)
        if which == "others":
            return list_sessions(visit, behind.sessions.end_others(mine, visit.origin))
        ended = int(behind.sessions.end_own(mine.user_id, which, visit.origin))
        return respond.redirect(visit.url()) if which == mine.id else list_sessions(visit, ended)

    def list_sessions(visit: Visit, ended: int | None = None) -> Response:
        mine = visit.visitor.session
        form = face.sending(visit, "/sessions", "sessions")
        return respond.page(views.sessions(face.around(visit), seen(mine), mine, form, ended))

    def seen(mine: Session) -> list[Seen]:
        """The person's sessions; where a tenant's own provider vouches for them, those that it made."""
        found = behind.sessions.of(mine.user_id)
        return [one for one in found if whole(mine.provider) or one.session.provider == mine.provider]

    routes = face.doorway.pages("account")
    everywhere(routes, "/account", account, "GET")
    everywhere(routes, "/account/apps", apps, "GET")
    everywhere(routes, "/account/apps/<app_id>", app, "GET")
    everywhere(routes, "/account/apps/<app_id>", remove, "POST")
    everywhere(routes, "/account/apps/<app_id>/tenant", tenant_of, "GET")
    everywhere(routes, "/account/apps/<app_id>/tenant", choose, "POST")
    everywhere(routes, "/account/sessions", sessions, "GET")
    everywhere(routes, "/account/sessions", end, "POST")
    return routes
