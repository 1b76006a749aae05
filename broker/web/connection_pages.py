"""OAuth 2.1 section 7.9, OWASP ASVS V10.7: the pages on which people connect their accounts at other systems."""

from dataclasses import dataclass
from typing import Literal

from broker.web.account_pages import AccountPage
from broker.web.page import render

Health = Literal["off", "good", "trouble", "broken"]


@dataclass(frozen=True, slots=True)
class ConnectionLine:
    """A system, and the person's account there. `health` "off": none is connected; `scopes` are in words.

    `until`: when it ends by itself, None when it does not.
    """

    name: str
    uri: str
    tenant: str
    health: Health
    url: str
    account: str = ""
    scopes: tuple[str, ...] = ()
    since: float | None = None
    last_used: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class ServerLine:
    """A server that may use the account. `purpose`: in the administrator's words; `scopes`: in words."""

    name: str
    uri: str
    purpose: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChoiceLine:
    """Something that can be asked for there. `held`: it was given already."""

    name: str
    description: str
    ticked: bool
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsView(AccountPage):
    """`choosing`: one system, in several organizations."""

    lines: tuple[ConnectionLine, ...]
    choosing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView(AccountPage):
    """`host`: where the person is sent, empty where that is not possible any more. `tenant`: its id.

    `wider`: what was given beyond what was asked. `came`: the person comes back from there; `fewer`: with less than was
    asked for.
    """

    line: ConnectionLine
    host: str
    tenant: str
    servers: tuple[ServerLine, ...]
    choices: tuple[ChoiceLine, ...]
    action: str
    csrf: str
    wider: tuple[str, ...] = ()
    came: bool = False
    fewer: bool = False
    error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavingView(AccountPage):
    """On the way to another system at `host`, to which the page leads on by itself.

    What answers a form cannot redirect there: browsers hold all hosts on that way against the form's own policy.
    """

    name: str
    host: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedView(AccountPage):
    """`told`: whether the other system is told to take back what it gave."""

    name: str
    told: bool
    again: str


def connections(view: ConnectionsView) -> str:
    return render("connections.html", view, here="connections")


def connection(view: ConnectionView) -> str:
    return render("connection.html", view, here="connections")


def leaving(view: LeavingView) -> str:
    return render("connection_leaving.html", view, here="connections")


def ended(view: EndedView) -> str:
    return render("connection_ended.html", view, here="connections")
