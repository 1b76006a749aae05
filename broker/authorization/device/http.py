"""RFC 8628 sections 3.1 and 3.3, HTML forms without JavaScript: /device_authorization and /device under every door."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, request

from broker.authorization.device import rules
from broker.authorization.device.entry import Entry
from broker.authorization.device.start import Start
from broker.authorization.login.way import Way
from broker.estate.estate import Estate
from broker.identity.clients.authentication.http import Desk
from broker.identity.clients.authentication.model import Attempt
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.entropy import Entropy
from broker.web import device_pages, errors, form, respond, texts
from broker.web.doorway import Doorway, everywhere
from broker.web.manners import Manners

_ABOUT = "device"
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class DeviceFace:
    """The verbs behind the endpoint and the page."""

    start: Start
    entry: Entry
    sessions: Sessions
    estate: Callable[[], Estate]
    entropy: Entropy
    manners: Manners
    doorway: Doorway[Door]


def blueprint(behind: DeviceFace, desk: Desk) -> Blueprint:
    cookie, csrf, doorway = behind.manners.cookie, behind.manners.csrf, behind.doorway

    def begin(door: Door, attempt: Attempt, origin: Origin) -> Response:
        started = behind.start.begin(door, attempt, origin)
        page = door.url("/device")
        body = {
            "device_code": started.device_code,
            "user_code": started.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?{urlencode({'user_code': started.user_code})}",
            "expires_in": started.expires_in,
            "interval": started.interval,
        }
        nonce = {"DPoP-Nonce": started.dpop_nonce} if started.dpop_nonce else None
        return respond.json_body(body, headers=nonce)

    def device(tenant: str | None = None) -> Response:
        door, origin = doorway.open_at(tenant)
        if not behind.estate().doors.devices_at(door):
            abort(404)
        with doorway.recorded(door, origin):
            parameters = form.body(request) if request.method == "POST" else form.query(request)
            if request.method == "POST":
                csrf.check(request, cookie.read(request), _ABOUT, parameters.get("csrf"))
        typed = parameters.get("user_code")
        if typed is None:
            return code_page(door)
        if request.method != "POST" and not csrf.ours(
            request
        ):  # what another site has typed counts for nobody
            return code_page(door, typed[:_LONGEST])
        return entered(door, origin, typed)

    def entered(door: Door, origin: Origin, typed: str) -> Response:
        """To the question itself, which is as far as a link leads too: the answer is a form."""
        browser = cookie.read(request) or behind.entropy.secret()
        try:
            begun = behind.entry.enter(door, typed, browser, behind.sessions.current(browser), origin)
        except OAuthError as error:
            if error.reason is not Reason.USER_CODE_WRONG:
                raise
            return code_page(door, typed[:_LONGEST], wrong=True)
        if begun is None:
            return respond.redirect(door.url(Way(to="device", about=rules.folded(typed)).path()))
        response = respond.redirect(door.url(f"/consent?request={begun.request.id}"))
        return response if cookie.read(request) == begun.cookie else cookie.write(response, begun.cookie)

    def code_page(door: Door, typed: str = "", *, wrong: bool = False) -> Response:
        browser, lang = cookie.read(request), errors.language(request)
        kept = browser or behind.entropy.secret()
        view = device_pages.DeviceView(
            door_name=behind.estate().doors.name(door, behind.manners.server_name),
            action=door.url("/device"),
            csrf=csrf.token(kept, _ABOUT),
            user_code=typed,
            error=texts.say("device.error.wrong", lang) if wrong else None,
            lang=lang,
        )
        response = respond.page(device_pages.device(view), 400 if wrong else 200)
        return response if browser else cookie.write(response, kept)

    routes = doorway.pages("device")
    everywhere(routes, "/device", device, "GET", "POST")
    desk.mount(routes, "/device_authorization", begin, behind.start.unreadable, pages=False)
    return routes
