"""RFC 6749 section 4.1, HTML forms without JavaScript: /connections and what is below it, under every door."""

from collections.abc import Collection
from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.account.connections import views
from broker.account.connections.mine import Mine, Place
from broker.account.connections.wish import Wish
from broker.account.face import Face, Visit, gone
from broker.account.views import Sending
from broker.authorization.login.way import Way
from broker.estate import rules
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.clock import Clock
from broker.vault.room import Room as Vault
from broker.web import errors, form, respond
from broker.web.doorway import everywhere


@dataclass(frozen=True, slots=True)
class Connecting:
    """The verbs behind the pages."""

    face: Face
    mine: Mine
    vault: Vault
    clock: Clock


def blueprint(behind: Connecting) -> Blueprint:
    face, mine, vault = behind.face, behind.mine, behind.vault

    @face.signed_in(way=lambda sent: Way(to="connections"))
    def connections(visit: Visit) -> Response:
        wish = Wish.read(visit.form.get("open") or "")
        if wish is not None:
            return respond.redirect(visit.door.url(wish.path()))
        return respond.page(
            views.listed(face.around(visit), mine.places(visit.door, visit.visitor), estate())
        )

    @face.signed_in(way=Wish.way)
    def connection(visit: Visit, resource_id: str) -> Response:
        mark = visit.form.get("for")
        if mark is not None and not vault.whose.is_for(mark, visit.visitor.user.id):
            raise for_another()
        places = found(visit, resource_id, visit.form.get("tenant"))
        if not places:
            return gone()
        scope = visit.form.get("scope") or ""
        if len(places) > 1:
            html = views.listed(face.around(visit), places, estate(), choosing=True, scope=scope)
            return respond.page(html)
        ticked = views.wanted(places[0], scope.split())
        return shown(visit, places[0], ticked, came=visit.form.get("came"))

    @face.signed_in(way=Wish.way, repeatable={"scope"})
    def change(visit: Visit, resource_id: str) -> Response:
        places = found(visit, resource_id, visit.form.require("tenant"))
        if not places:
            return gone()
        [place] = places
        face.check(visit, about(place))
        if visit.form.require("do") == "disconnect":
            return disconnected(visit, place)
        if place.resource is None:
            return gone()
        offered = rules.offered(place.resource)
        chosen = [name for name in visit.form.all("scope") if name in offered]
        if offered and not chosen:
            return shown(visit, place, (), error=True)
        visitor = visit.visitor
        try:
            url = vault.visits.begin(
                visit.door,
                place.tenant,
                resource_id,
                tuple(chosen),
                visitor.cookie,
                visitor.session,
                visit.origin,
            )
        except OAuthError as error:
            return refused(visit.door, error)
        return respond.page(views.leaving(face.around(visit), place, url))

    def callback(resource_id: str, tenant: str | None = None) -> Response:
        door, origin = face.doorway.at(tenant)
        with face.doorway.recorded(door, origin):
            query, visitor = form.query(request), face.visitor(door)
        session = visitor.session if visitor else None
        try:
            came = vault.visits.finish(door, resource_id, query, face.browser(), session, origin)
        except OAuthError as error:
            return refused(door, error)
        place = Place(came.connection.resource_id, came.connection.tenant, None, None)
        url = views.address(door.url("/connections"), place)
        return respond.redirect(f"{url}&came={'fewer' if came.fewer else 'all'}")

    def disconnected(visit: Visit, place: Place) -> Response:
        connection = place.connection
        if connection is None:
            return respond.redirect(visit.door.url("/connections"))
        vault.connections.disconnect(visit.visitor.user.id, connection.id, visit.origin)
        return respond.page(views.ended(face.around(visit), place))

    def shown(
        visit: Visit, place: Place, ticked: Collection[str], *, came: str | None = None, error: bool = False
    ) -> Response:
        base = visit.door.url("/connections")
        action = views.address(base, place).partition("?")[0]
        html = views.one(
            face.around(visit),
            place,
            estate(),
            behind.clock.now(),
            Sending(action, face.token(visit, about(place))),
            ticked=ticked,
            came=came is not None,
            fewer=came == "fewer",
            error=error,
        )
        return respond.page(html, 400 if error else 200)

    def found(visit: Visit, resource_id: str, tenant: str | None) -> list[Place]:
        return mine.at(visit.door, visit.visitor, resource_id, tenant)

    estate = face.estate
    routes = face.doorway.pages("connections")
    everywhere(routes, "/connections", connections, "GET")
    everywhere(routes, "/connections/<resource_id>", connection, "GET")
    everywhere(routes, "/connections/<resource_id>", change, "POST")
    everywhere(routes, "/connections/<resource_id>/callback", callback, "GET")
    return routes


def for_another() -> OAuthError:
    """The person whom a server works for is somebody else: what they connect here would be of no use to it."""
    return OAuthError(
        "access_denied",
        "This page waits for another account.",
        Reason.CONNECTION_FOREIGN,
        redirectable=False,
    )


def refused(door: Door, error: OAuthError) -> Response:
    """A refusal that a verb has recorded, with the way back to the list."""
    return errors.refused(error, door.url("/connections"), "connections")


def about(place: Place) -> str:
    """What the form of a system's page is about, for its CSRF token."""
    return f"connection {place.key}"
