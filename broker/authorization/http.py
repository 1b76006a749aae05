"""RFC 6749 section 3.1, HTML forms without JavaScript: /authorize and /consent under every door."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.authorization import views
from broker.authorization.authorize import Authorize
from broker.authorization.consent import Answer, Consent, Incomplete
from broker.authorization.interaction import Begun, Interactions
from broker.authorization.login.way import Way
from broker.authorization.model import AuthorizationRequest, Leave
from broker.authorization.wishes import FORM_POST
from broker.estate.estate import Estate
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.protocol import redirect_uri
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters, RepeatedParameter
from broker.web import errors, form, pages, respond
from broker.web.doorway import Doorway, everywhere
from broker.web.manners import Manners


@dataclass(frozen=True, slots=True)
class FrontChannel:
    """The verbs behind the pages."""

    authorize: Authorize
    interactions: Interactions
    consent: Consent
    sessions: Sessions
    estate: Callable[[], Estate]
    manners: Manners
    doorway: Doorway[Door]
    grant_lifetime: float


def blueprint(front: FrontChannel) -> Blueprint:
    cookie, csrf, doorway = front.manners.cookie, front.manners.csrf, front.doorway

    def begun(door: Door, result: Begun) -> Response:
        response = respond.redirect(door.url(f"/consent?request={result.request.id}"))
        return response if cookie.read(request) == result.cookie else cookie.write(response, result.cookie)

    def asked_for(door: Door, parameters: Parameters) -> tuple[AuthorizationRequest, str]:
        browser = cookie.read(request)
        return front.interactions.pending(door, parameters.get("request") or "", browser), browser or ""

    def authorize(tenant: str | None = None) -> Response:
        door, origin = doorway.at(tenant)
        repeated: frozenset[str] = frozenset()
        with doorway.recorded(door, origin):
            try:
                parameters = form.body(request) if request.method == "POST" else form.query(request)
            except RepeatedParameter as error:
                parameters, repeated = error.parameters, error.names
        if request.method == "POST" and cookie.read(request) is None:
            # From another site the browser keeps our cookie back; on the visit that follows it sends it.
            return respond.redirect(f"{door.url('/authorize')}?{parameters.encoded()}")
        result = front.authorize.begin(door, parameters, repeated, cookie.read(request), origin)
        return begun(door, result) if isinstance(result, Begun) else leave(result)

    def consent(tenant: str | None = None) -> Response:
        door, origin = doorway.at(tenant)
        with doorway.recorded(door, origin):
            parameters = form.query(request)
            if (grant_id := parameters.get("grant")) is not None:
                return begun(door, front.interactions.extend(door, grant_id, cookie.read(request), origin))
            asked, browser = asked_for(door, parameters)
        return next_page(door, origin, asked, browser, choosing=parameters.get("choose") == "tenant")

    def next_page(
        door: Door,
        origin: Origin,
        asked: AuthorizationRequest,
        browser: str,
        wrong: str | None = None,
        *,
        choosing: bool = False,
    ) -> Response:
        """`choosing`: the person wants to see all their tenants, whatever they chose before."""
        session = front.sessions.current(browser)
        answering = choosing or wrong is not None
        next_ = front.consent.visit(door, asked, browser, session, origin, answering=answering)
        if next_ is None:
            return respond.redirect(door.url(f"/login?request={asked.id}"))
        if isinstance(next_, Leave):
            return leave(next_)
        html = views.consent(
            next_,
            front.estate(),
            action=door.url("/consent"),
            account=door.url("/account"),
            other_account=door.url(Way(asked.id, again=True).path()),
            other_tenant="" if choosing else door.url(f"/consent?request={asked.id}&choose=tenant"),
            csrf=csrf.token(browser, next_.fingerprint),
            stays=front.grant_lifetime,
            wrong=wrong,
            lang=errors.language(request, asked.ui_locales),
        )
        return respond.page(html, 400 if wrong else 200, views.form_action(asked))

    def decision(tenant: str | None = None) -> Response:
        door, origin = doorway.at(tenant)
        with doorway.recorded(door, origin):
            csrf.same_site(request)
            parameters = form.body(request, repeatable={"scope"})
            asked, browser = asked_for(door, parameters)
        session = front.sessions.current(browser)
        question = front.consent.visit(door, asked, browser, session, origin, answering=True)
        if isinstance(question, Leave):
            return leave(question)
        if question is None or session is None:
            return respond.redirect(door.url(f"/login?request={asked.id}"))
        with doorway.recorded(door, origin):
            csrf.check(request, browser, question.fingerprint, parameters.get("csrf"))
        answer = Answer(
            parameters.get("decision") == "allow",
            frozenset(parameters.all("scope")),
            parameters.get("tenant"),
        )
        try:
            return leave(front.consent.decide(door, question, browser, session, answer, origin))
        except Incomplete as wrong:
            choosing = wrong.field == "tenant" or answer.tenant is not None
            return next_page(door, origin, asked, browser, wrong.field, choosing=choosing)

    routes = doorway.pages("authorization")
    everywhere(routes, "/authorize", authorize, "GET", "POST")
    everywhere(routes, "/consent", consent, "GET")
    everywhere(routes, "/consent", decision, "POST")
    return routes


def leave(to: Leave) -> Response:
    """To the client by redirect or by its form; where there is none to go to, a page that says it is done."""
    if to.unchecked:
        return unchecked(to)
    if to.redirect_uri and to.mode == FORM_POST:
        html = pages.form_post(
            pages.FormPostView(
                action=to.redirect_uri,
                host=redirect_uri.destination(to.redirect_uri).host,
                fields=to.parameters,
                lang=errors.language(request),
            )
        )
        return respond.passing_on(html, redirect_uri.source_expression(to.redirect_uri))
    if to.redirect_uri:
        return respond.redirect(redirect_uri.with_parameters(to.redirect_uri, to.parameters))
    kind = to.device or ("extended" if to.extended else "finished")
    return respond.page(pages.done(pages.DoneView(kind=kind, lang=errors.language(request))))


def unchecked(to: Leave) -> Response:
    """A page that names where the way back leads, before anybody goes it; its form or link carries the answer."""
    posts, said = to.mode == FORM_POST, dict(to.parameters)
    html = pages.leaving(
        pages.LeavingView(
            host=redirect_uri.destination(to.redirect_uri).host,
            url=to.redirect_uri if posts else redirect_uri.with_parameters(to.redirect_uri, to.parameters),
            fields=to.parameters if posts else (),
            details=(("error", said["error"]), ("error_description", said["error_description"])),
            lang=errors.language(request),
        )
    )
    return respond.passing_on(html, redirect_uri.source_expression(to.redirect_uri))
