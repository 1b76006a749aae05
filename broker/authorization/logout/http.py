"""OpenID Connect RP-Initiated Logout 1.0 section 2, HTML forms without JavaScript: /logout under every door."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.authorization import views
from broker.authorization.logout.departures import Departures
from broker.authorization.logout.model import Departure
from broker.estate.estate import Estate
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.protocol import redirect_uri
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.web import errors, form, pages, respond, sign_out_page
from broker.web.doorway import Doorway, everywhere
from broker.web.manners import Manners


@dataclass(frozen=True, slots=True)
class Logout:
    """The verbs behind the page."""

    departures: Departures
    sessions: Sessions
    estate: Callable[[], Estate]
    manners: Manners
    doorway: Doorway[Door]


def blueprint(behind: Logout) -> Blueprint:
    cookie, csrf, doorway = behind.manners.cookie, behind.manners.csrf, behind.doorway

    def logout(tenant: str | None = None) -> Response:
        door, origin = doorway.at(tenant)
        browser = cookie.read(request)
        with doorway.recorded(door, origin):
            parameters = form.body(request) if request.method == "POST" else form.query(request)
        answering = request.method == "POST" and parameters.get("csrf") is not None
        if request.method == "POST" and browser is None and not answering:
            # From another site the browser keeps our cookie back; on the visit that follows it sends it.
            return respond.redirect(f"{door.url('/logout')}?{parameters.encoded()}")
        session = behind.sessions.current(browser)
        departure = behind.departures.judge(door, parameters, session, origin)
        if session is None or not departure.ask:
            return gone(browser, departure, origin)
        if not answering:
            return question(door, browser or "", session, departure)
        with doorway.recorded(door, origin):
            csrf.check(request, browser, departure.about(session), parameters.get("csrf"))
        return decided(browser, departure, parameters, origin)

    def question(door: Door, browser: str, session: Session, departure: Departure) -> Response:
        uri = departure.redirect_uri
        html = sign_out_page.sign_out(
            sign_out_page.SignOutView(
                door_name=behind.estate().doors.name(door, behind.manners.server_name),
                action=door.url("/logout"),
                csrf=csrf.token(browser, departure.about(session)),
                user_id=session.user_id,
                client_name=departure.client_name,
                destination=redirect_uri.destination(uri).host if uri else None,
                fields=tuple((name, value) for name, value in departure.carried() if value is not None),
                lang=errors.language(request),
            )
        )
        return respond.page(html, form_action=views.leads_to(uri or ""))

    def decided(
        browser: str | None, departure: Departure, parameters: Parameters, origin: Origin
    ) -> Response:
        if parameters.get("decision") == "sign_out":
            return gone(browser, departure, origin)
        return respond.page(pages.done(pages.DoneView(kind="signed_in", lang=errors.language(request))))

    def gone(browser: str | None, departure: Departure, origin: Origin) -> Response:
        behind.departures.leave(browser, origin)
        if departure.redirect_uri is None:
            return respond.page(pages.done(pages.DoneView(kind="signed_out", lang=errors.language(request))))
        state = [] if departure.state is None else [("state", departure.state)]
        onward = redirect_uri.with_parameters(departure.redirect_uri, state)
        return unchecked(departure.redirect_uri, onward) if departure.unchecked else respond.redirect(onward)

    def unchecked(uri: str, onward: str) -> Response:
        host, lang = redirect_uri.destination(uri).host, errors.language(request)
        return respond.page(
            pages.leaving(pages.LeavingView(kind="signed_out", host=host, url=onward, lang=lang))
        )

    routes = doorway.pages("logout")
    everywhere(routes, "/logout", logout, "GET", "POST")
    return routes
