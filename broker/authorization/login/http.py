"""OWASP ASVS V6, HTML forms without JavaScript but for passkeys: /login and its steps, under every door."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.authorization.interaction import Interactions
from broker.authorization.login import views
from broker.authorization.login.arrival import Arrival, Arrivals
from broker.authorization.login.way import Way
from broker.authorization.views import form_action
from broker.estate.estate import Estate
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.identity.users.assembly import SigningIn
from broker.identity.users.sign_in import NotSignedIn, SignedIn
from broker.identity.users.steps import Half
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.world import World
from broker.web import errors, form, respond
from broker.web.doorway import Doorway, everywhere
from broker.web.manners import Manners

Token = Callable[[str], str]
Providers = Callable[[Door, Way, Token], tuple[tuple[str, str], ...]]
"""(label, path) of the identity providers that may vouch at this door instead; the token is this browser's (CSRF)."""
_STATUS = {"password": 401, "code": 401, "passkey": 400, "step": 400}


@dataclass(frozen=True, slots=True)
class Login:
    """The verbs behind the pages."""

    interactions: Interactions
    signing_in: SigningIn
    sessions: Sessions
    world: World
    estate: Callable[[], Estate]
    manners: Manners
    doorway: Doorway[Door]
    providers: Providers = lambda door, way, token: ()


def blueprint(behind: Login) -> Blueprint:
    cookie, known, csrf = behind.manners.cookie, behind.manners.known, behind.manners.csrf
    doorway, signing_in = behind.doorway, behind.signing_in
    arrivals = Arrivals(behind.interactions, behind.sessions, behind.world.clock)

    def arrive(door: Door, origin: Origin, sent: Parameters) -> Arrival:
        way, browser = Way.read(sent), cookie.read(request)
        if request.method == "POST":
            csrf.check(request, browser, way.key(), sent.get("csrf"))
        return arrivals.at(door, way, browser, known.read(request), origin)

    def told(arrival: Arrival) -> views.Told:
        browser = arrival.visit.browser or behind.world.entropy.secret()
        return views.Told(
            behind.interactions.about(arrival.door, arrival.asked) if arrival.asked else None,
            arrival.door,
            arrival.way,
            behind.estate().doors.name(arrival.door, behind.manners.server_name),
            browser,
            csrf.token(browser, arrival.way.key()),
            signing_in.ways_in.offers_passkeys,
            behind.providers(arrival.door, arrival.way, lambda about: csrf.token(browser, about)),
            errors.language(request, arrival.asked.ui_locales if arrival.asked else None),
        )

    def shown(arrival: Arrival, html: str, browser: str, refused: NotSignedIn | None) -> Response:
        status = 200
        if refused is not None:
            status = 429 if refused.wait else _STATUS[refused.what]
        action = form_action(arrival.asked) if arrival.asked else ""
        response = respond.page(html, status, action, script=signing_in.ways_in.offers_passkeys)
        if not arrival.visit.browser:
            cookie.write(response, browser)
        if refused is not None and refused.wait:
            response.headers["Retry-After"] = str(refused.wait)
        return response

    def first_page(arrival: Arrival, username: str = "", refused: NotSignedIn | None = None) -> Response:
        about = told(arrival)
        fixed = arrival.visit.demand.user
        hint = username or (arrival.asked.login_hint if arrival.asked else None) or ""
        html = views.sign_in(about, fixed or hint, locked=fixed is not None, refused=refused)
        return shown(arrival, html, about.browser, refused)

    def second_page(arrival: Arrival, half: Half, refused: NotSignedIn | None = None) -> Response:
        about = told(arrival)
        return shown(arrival, views.verify(about, half, refused=refused), about.browser, refused)

    def step(arrival: Arrival, refused: NotSignedIn) -> Response:
        """The page of the step that failed; the first one when there is nothing left to add to."""
        half = signing_in.sign_in.half(arrival.visit)
        return second_page(arrival, half, refused) if half else first_page(arrival, refused=refused)

    def onward(arrival: Arrival, result: SignedIn) -> Response:
        if arrival.visit.browser:
            behind.interactions.follow(arrival.visit.browser, result.cookie)
        response = respond.redirect(arrival.door.url(arrival.way.onward()))
        return known.write(cookie.write(response, result.cookie), result.familiar)

    def login(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        with doorway.recorded(door, origin):
            arrival = arrive(door, origin, form.query(request))
        visit, way = arrival.visit, arrival.way
        if way.to and visit.demand.met_by(visit.session):
            return respond.redirect(door.url(way.onward()))
        half = signing_in.sign_in.half(visit)
        if half is not None and half.session_id is not None:
            return respond.redirect(door.url(way.path("/verify")))
        return first_page(arrival)

    def password(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        with doorway.recorded(door, origin):
            sent = form.body(request)
            arrival = arrive(door, origin, sent)
        username = sent.get("username") or ""
        result = signing_in.sign_in.by_password(username, sent.get("password") or "", arrival.visit)
        if isinstance(result, NotSignedIn):
            return first_page(arrival, username, result)
        if isinstance(result, Half):
            return respond.redirect(door.url(arrival.way.path("/verify")))
        return onward(arrival, result)

    def verify(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        with doorway.recorded(door, origin):
            arrival = arrive(door, origin, form.query(request))
        half = signing_in.sign_in.half(arrival.visit)
        if half is None:
            return respond.redirect(door.url(arrival.way.path()))
        return second_page(arrival, half)

    def code(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        with doorway.recorded(door, origin):
            sent = form.body(request)
            arrival = arrive(door, origin, sent)
        result = signing_in.sign_in.by_code(sent.get("code") or "", arrival.visit)
        return step(arrival, result) if isinstance(result, NotSignedIn) else onward(arrival, result)

    def passkey(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        with doorway.recorded(door, origin):
            sent = form.body(request)
            arrival = arrive(door, origin, sent)
        missing = sent.get("step") == "verify"
        credential = sent.get("credential") or ""
        result = signing_in.sign_in.by_passkey(credential, arrival.visit, missing=missing)
        if isinstance(result, NotSignedIn):
            return step(arrival, result) if missing else first_page(arrival, refused=result)
        return onward(arrival, result)

    def options(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        try:
            with doorway.recorded(door, origin):
                arrival = arrive(door, origin, form.body(request))
                behind.interactions.admit(origin)
                found = signing_in.ways_in.request(arrival.visit.browser)
                if found is None:
                    raise _not_offered()
        except OAuthError as error:
            return respond.refusal(error)
        return respond.json_body(found)

    routes = doorway.pages("login")
    everywhere(routes, "/login", login, "GET")
    everywhere(routes, "/login", password, "POST")
    everywhere(routes, "/login/verify", verify, "GET")
    everywhere(routes, "/login/verify", code, "POST")
    everywhere(routes, "/login/passkey", passkey, "POST")
    everywhere(routes, "/login/passkey/options", options, "POST")
    return routes


def _not_offered() -> OAuthError:
    return OAuthError(
        "invalid_request", "Passkeys are not offered here.", Reason.PASSKEY_INVALID, redirectable=False
    )
