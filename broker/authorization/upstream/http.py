"""OpenID Connect Core section 3.1.2, RFC 9207: /login/upstream/PROVIDER under every door, and one callback for each."""

from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from broker.authorization import rules
from broker.authorization.interaction import Interactions
from broker.authorization.login.way import Way
from broker.authorization.upstream import offers
from broker.identity.federation.federation import Linked, Refused
from broker.identity.federation.room import Room
from broker.identity.sessions.model import Demand
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.identity.users.sign_in import SignIn
from broker.identity.users.ways_in import WaysIn
from broker.protocol import parameters as reading
from broker.runtime.clock import Clock
from broker.web import errors, form, respond
from broker.web.doorway import Doorway, everywhere
from broker.web.manners import Manners

_TO_ACCOUNT = Way(to="account", about="sign-in")
_PROVE = Way(to="account", about="sign-in", fresh=True, again=True)


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """The verbs behind the addresses."""

    room: Room
    interactions: Interactions
    sessions: Sessions
    sign_in: SignIn
    ways_in: WaysIn
    clock: Clock
    manners: Manners
    doorway: Doorway[Door]


def blueprint(behind: UpstreamLogin) -> Blueprint:
    cookie, known, csrf = behind.manners.cookie, behind.manners.known, behind.manners.csrf
    doorway = behind.doorway

    def start(provider: str, tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        browser = cookie.read(request)
        with doorway.recorded(door, origin):
            query = form.query(request)
            way = Way.read(query)
            csrf.check(request, browser, offers.signing_in(provider, way), query.get("csrf"))
            asked = None if way.to else behind.interactions.pending(door, way.request_id, browser)
        demand = rules.demand(asked) if asked else way.demand(behind.clock.now())
        onward = urlencode(way.fields())
        url = behind.room.visits.begin(door, provider, browser or "", onward, demand, origin)
        return respond.redirect(url)

    def link(provider: str, tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        browser = cookie.read(request)
        with doorway.recorded(door, origin):
            csrf.check(request, browser, offers.linking(provider), form.query(request).get("csrf"))
        session = behind.sessions.current(browser)
        if session is None or behind.ways_in.stale(session):
            return respond.redirect(door.url(_PROVE.path()))
        onward = urlencode(_TO_ACCOUNT.fields())
        url = behind.room.visits.begin(door, provider, browser or "", onward, Demand(), origin, link=session)
        return respond.redirect(url)

    def callback(provider: str, tenant: str | None = None) -> Response:
        door, origin = doorway.at(tenant)  # who comes back is judged, and recorded, as somebody
        browser = cookie.read(request)
        with doorway.recorded(door, origin):
            query = form.query(request)
        result = behind.room.federation.finish(door, provider, query, browser, origin)
        if isinstance(result, Refused):
            return errors.refused(result.error, back=_back(door, result.onward))
        onward = door.url(_way(result.onward).onward())
        if isinstance(result, Linked):
            return respond.redirect(onward)
        behind.interactions.follow(browser or "", result.cookie)
        response = cookie.write(respond.redirect(onward), result.cookie)
        if not behind.ways_in.whole(result.session.provider):
            return response  # it would be allowed more guesses at a password that is not for its tenant alone
        return known.write(response, behind.sign_in.remembering(result.session.user_id, known.read(request)))

    routes = doorway.pages("upstream")
    everywhere(routes, "/login/upstream/<provider>", start, "GET")
    everywhere(routes, "/login/upstream/<provider>/link", link, "GET")
    everywhere(routes, "/login/upstream/<provider>/callback", callback, "GET")
    return routes


def _way(onward: str) -> Way:
    return Way.read(reading.parse(onward.encode()))


def _back(door: Door, onward: str | None) -> str:
    """Where another way to sign in is offered."""
    return "" if onward is None else door.url(_way(onward).path())
