"""OWASP ASVS V6.4, V7.5.1: the pages on which a person looks at and changes how they sign in."""

from dataclasses import dataclass

from markupsafe import Markup

from broker.web.account_pages import AccountPage
from broker.web.page import render


@dataclass(frozen=True, slots=True)
class PasskeyLine:
    """`synced`: it is kept by a provider and on several devices. `url`: of its page."""

    name: str
    created: float
    last_used: float | None
    synced: bool
    url: str


@dataclass(frozen=True, slots=True)
class LinkLine:
    """An account elsewhere with which the person signs in here."""

    id: str
    provider: str
    issuer: str
    since: float
    last_used: float | None


@dataclass(frozen=True, slots=True)
class ProviderLine:
    """A provider whose account could be linked. `url`: where that begins."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """Something that changed, in words."""

    text: str
    at: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsView(AccountPage):
    """`offers_passkeys`: not where the server's address is a number. `codes`: how many recovery codes are left.

    `partial`: this sign-in is good for one tenant, and nothing is shown but the link that it came by.
    """

    passkeys: tuple[PasskeyLine, ...]
    offers_passkeys: bool
    password: bool
    app: bool
    codes: int
    links: tuple[LinkLine, ...]
    providers: tuple[ProviderLine, ...]
    notices: tuple[NoticeLine, ...]
    action: str
    csrf: str
    error: str | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(AccountPage):
    """A page with one form. `error`: what was wrong with what was sent before, in words."""

    action: str
    csrf: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskeyView(Change):
    """`options`: where the script asks for a challenge. `name`: what is proposed."""

    options: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyView(Change):
    passkey: PasskeyLine


@dataclass(frozen=True, slots=True, kw_only=True)
class AppView(Change):
    """`enrolled`: there is one. `secret` and `picture` (an SVG) of one that is being set up; empty before."""

    enrolled: bool
    secret: str = ""
    address: str = ""
    picture: Markup | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodesView(Change):
    """`left`: how many are good. `codes`: new ones, shown this once. `possible`: they would stand in for something."""

    left: int
    possible: bool
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordView(Change):
    """`present`: there is one already. `done`: it was changed just now."""

    present: bool
    done: bool = False


def methods(view: MethodsView) -> str:
    return render("methods.html", view, here="methods")


def new_passkey(view: NewPasskeyView) -> str:
    return render("method_passkey_new.html", view, here="methods")


def passkey(view: PasskeyView) -> str:
    return render("method_passkey.html", view, here="methods")


def app(view: AppView) -> str:
    return render("method_app.html", view, here="methods")


def codes(view: CodesView) -> str:
    return render("method_codes.html", view, here="methods")


def password(view: PasswordView) -> str:
    return render("method_password.html", view, here="methods")
