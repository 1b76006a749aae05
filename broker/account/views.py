"""OWASP ASVS V7.5.2: what the pages of an account show, from the nouns that the verbs hand over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from broker.account import agent
from broker.account.model import App, System
from broker.authorization.views import call_lines
from broker.estate.estate import Estate
from broker.identity.clients.documents.rules import client_host
from broker.identity.clients.model import Client, Registered
from broker.identity.sessions.model import Seen, Session
from broker.protocol import acr, redirect_uri
from broker.web import account_pages, texts
from broker.web.account_pages import AppLine, SessionLine
from broker.web.pages import DownstreamLine, ScopeLine

Origin = Literal["admin", "dynamic", "document", "gone"]
_ORIGINS: dict[Registered, Origin] = {Registered.DYNAMIC: "dynamic", Registered.DOCUMENT: "document"}
_HOW = {acr.PASSWORD: "password", acr.MFA: "mfa", acr.PASSKEY: "passkey"}


class Around(TypedDict):
    """The fields of `AccountPage`, the same for every page of one visit."""

    base: str
    connections: str
    approvals: str
    door_name: str
    user_name: str
    user_id: str
    sign_out: str
    sign_out_csrf: str
    lang: str


@dataclass(frozen=True, slots=True)
class Sending:
    """Where a page's form is sent, with its token."""

    action: str
    csrf: str


def overview(
    around: Around,
    tenants: Sequence[str],
    apps: Sequence[App],
    connected: int,
    sessions: Sequence[Seen],
    ways: Sequence[str],
) -> str:
    return account_pages.overview(
        account_pages.OverviewView(
            tenants=tuple(tenants),
            apps=len(apps),
            connected=connected,
            sessions=len(sessions),
            ways=tuple(ways),
            **around,
        )
    )


def apps(around: Around, found: Sequence[App]) -> str:
    return account_pages.apps(
        account_pages.AppsView(apps=tuple(_line(app, around["base"]) for app in found), **around)
    )


def app(around: Around, found: App, estate: Estate, form: Sending) -> str:
    return account_pages.app(
        account_pages.AppView(
            app=_line(found, around["base"]),
            client_id=found.newest.client_id,
            resource_uri=found.resource.uri if found.resource else "",
            scopes=_scopes(found, around["lang"]),
            downstream=tuple(_system(estate, found, system) for system in found.downstream),
            times=len({grant.consent_id for grant in found.grants}),
            stays_until=found.stays_until,
            ended=found.ended,
            action=form.action,
            csrf=form.csrf,
            calls=call_lines(found.resource, found.details) if found.resource else (),
            chooses=bool(found.tenants),
            chosen_tenant=estate.doors.tenants[found.chosen].name if found.chosen else None,
            **around,
        )
    )


def app_tenant(around: Around, found: App, estate: Estate, form: Sending) -> str:
    return account_pages.app_tenant(
        account_pages.AppTenantView(
            app=_line(found, around["base"]),
            tenants=tuple((name, estate.doors.tenants[name].name) for name in found.tenants),
            chosen=found.chosen,
            action=form.action,
            csrf=form.csrf,
            **around,
        )
    )


def sessions(
    around: Around, found: Sequence[Seen], mine: Session, form: Sending, ended: int | None = None
) -> str:
    lang = around["lang"]
    return account_pages.sessions(
        account_pages.SessionsView(
            sessions=tuple(
                SessionLine(
                    seen.session.id,
                    browser(seen.agent, lang),
                    seen.source or "",
                    seen.agent or "",
                    how(seen.session, lang),
                    seen.session.auth_time,
                    seen.seen_at,
                    seen.session.id == mine.id,
                )
                for seen in sorted(found, key=lambda seen: seen.session.id != mine.id)
            ),
            action=form.action,
            csrf=form.csrf,
            ended=ended,
            **around,
        )
    )


def browser(sent: str | None, lang: str) -> str:
    """Which browser it is, in words."""
    name, system = agent.browser(sent or ""), agent.system(sent or "")
    if name is None:
        return texts.say("account.session.browser.unknown", lang)
    return texts.say("account.session.browser", lang).format(browser=name, system=system) if system else name


def how(session: Session, lang: str) -> str:
    """How the person signed in, in words."""
    if session.provider is not None:
        return texts.say("account.how.provider", lang).format(provider=session.provider)
    kind = _HOW.get(session.acr)
    return texts.say(f"account.how.{kind}", lang) if kind else " ".join(session.amr)


def _line(app: App, base: str) -> AppLine:
    client = app.client
    kind, host = _place(client)
    return AppLine(
        client.name if client else app.newest.client_id,
        _ORIGINS.get(client.registered, "admin") if client else "gone",
        kind,
        host,
        app.resource.name if app.resource else app.newest.resource_id,
        app.tenant_name,
        app.since,
        app.last_used_at,
        f"{base}/apps/{app.id}",
    )


def _place(client: Client | None) -> tuple[Literal["web", "loopback", "app"] | None, str]:
    """Where a client is: the host of its document, or where its codes go."""
    if client is None:
        return None, ""
    if host := client_host(client):
        return "web", host
    if not client.redirect_uris:
        return None, ""
    destination = redirect_uri.destination(client.redirect_uris[0])
    return destination.kind, destination.host


def _scopes(app: App, lang: str) -> tuple[ScopeLine, ...]:
    described = {scope.name: scope.description for scope in app.resource.scopes} if app.resource else {}
    who = tuple(
        ScopeLine(name, texts.say(f"consent.identity.{name}", lang), "identity") for name in app.identity
    )
    rest = (name for name in app.scopes if name not in app.identity)
    return who + tuple(ScopeLine(name, described.get(name) or name, "other") for name in rest)


def _system(estate: Estate, app: App, system: System) -> DownstreamLine:
    known = estate.resources
    by: tuple[str, ...] = ()
    if system.sources != (app.newest.resource_id,):
        by = tuple(known[source].name if source in known else source for source in system.sources)
    resource = known.get(system.id)
    if resource is None:
        return DownstreamLine(system.id, "", system.scopes, by)
    described = {scope.name: scope.description for scope in resource.scopes}
    scopes = tuple(described.get(name) or name for name in system.scopes)
    return DownstreamLine(resource.name, resource.uri, scopes, by)
