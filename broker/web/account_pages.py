"""OAuth 2.1 section 7.9, OWASP ASVS V7.5.2: the pages on which a person sees and takes back what is theirs.

Moments are seconds since 1970; templates show them as days or minutes in UTC.
"""

from dataclasses import dataclass
from typing import Literal

from broker.web.calls import CallLine
from broker.web.page import Page, render
from broker.web.pages import DownstreamLine, ScopeLine


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage(Page):
    """What is around every page of an account. `base`: its address. `sign_out_csrf`: of the form that signs out.

    `connections`: the address of those, empty where nothing can be connected; `approvals`: where nothing is approved.
    """

    base: str
    connections: str
    approvals: str = ""
    door_name: str
    user_name: str
    user_id: str
    sign_out: str
    sign_out_csrf: str


@dataclass(frozen=True, slots=True)
class AppLine:
    """A client and what it was allowed. `host`: where it is, None when only its claim is known; `url`: its page."""

    name: str
    origin: Literal["admin", "dynamic", "document", "gone"]
    kind: Literal["web", "loopback", "app"] | None
    host: str
    resource: str
    tenant: str
    since: float
    last_used: float | None
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewView(AccountPage):
    """`tenants`: names. `ways`: how the person can sign in, in words. `connected`: how many accounts elsewhere."""

    tenants: tuple[str, ...]
    apps: int
    connected: int
    sessions: int
    ways: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppsView(AccountPage):
    apps: tuple[AppLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppView(AccountPage):
    """`times`: how often it was allowed. `stays_until`: None when it has to ask again.

    `calls`: all that it may call; empty where that is not narrowed. `chooses`: whether there are several tenants in
    which it could work; `chosen_tenant`: the name of the chosen one, None when the person will be asked.
    """

    app: AppLine
    client_id: str
    resource_uri: str
    scopes: tuple[ScopeLine, ...]
    downstream: tuple[DownstreamLine, ...]
    times: int
    stays_until: float | None
    ended: bool
    action: str
    csrf: str
    calls: tuple[CallLine, ...] = ()
    chooses: bool = False
    chosen_tenant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppTenantView(AccountPage):
    """`tenants`: (id, name). `chosen`: an id, None when the person will be asked."""

    app: AppLine
    tenants: tuple[tuple[str, str], ...]
    chosen: str | None
    action: str
    csrf: str


@dataclass(frozen=True, slots=True)
class SessionLine:
    """`browser`: what it calls itself, in words. `how`: how the person signed in, in words. `agent`: as it was sent."""

    id: str
    browser: str
    source: str
    agent: str
    how: str
    started: float
    seen: float
    this: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsView(AccountPage):
    """`ended`: how many were ended just now, None when the page is only looked at."""

    sessions: tuple[SessionLine, ...]
    action: str
    csrf: str
    ended: int | None = None


def overview(view: OverviewView) -> str:
    return render("account_overview.html", view, here="overview")


def apps(view: AppsView) -> str:
    return render("account_apps.html", view, here="apps")


def app(view: AppView) -> str:
    return render("account_app.html", view, here="apps")


def app_tenant(view: AppTenantView) -> str:
    return render("account_app_tenant.html", view, here="apps")


def sessions(view: SessionsView) -> str:
    return render("account_sessions.html", view, here="sessions")
