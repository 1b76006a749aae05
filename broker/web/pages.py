"""OAuth 2.1 section 7.9 (consent phishing), MCP security best practices: the pages that a person sees.

One frozen view and one function per page; a function returns a whole HTML document. What clients say of
themselves is shown only through the functions of `display`.
"""

from dataclasses import dataclass
from typing import Final, Literal

from broker.web import texts
from broker.web.calls import CallLine
from broker.web.device_pages import DeviceNotice
from broker.web.page import STATIC_BASE, Page, render

RADIO_LIMIT: Final = 6  # more tenants than this become a drop-down list


@dataclass(frozen=True, slots=True)
class PasskeyForm:
    """A form that `passkey.js` fills: `kind` of ceremony; `options`: where the challenge comes from.

    `fields` are hidden ones, (name, value); the answer goes to `action` as the field `credential`.
    """

    kind: Literal["get", "create"]
    action: str
    options: str
    csrf: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInView(Page):
    """`door_name`: tenant or server. `fields`: hidden fields, (name, value), which say where signing in leads.

    `providers`: (label, path) of the identity providers that may vouch for the person instead. `passkey`: None where
    passkeys are not offered. `locked`: whose sign-in it is is settled. `again`: they are signed in, and prove it anew.

    `client_host`: of a client known by a document; it stands for the name.
    """

    door_name: str
    action: str
    csrf: str
    fields: tuple[tuple[str, str], ...] = ()
    providers: tuple[tuple[str, str], ...] = ()
    passkey: PasskeyForm | None = None
    locked: bool = False
    again: bool = False
    client_name: str | None = None
    client_host: str = ""
    client_verified: bool = False
    username: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ScopeLine:
    """`optional`: has a ticked box; the others are only listed. `already`: allowed before."""

    name: str
    description: str
    group: Literal["identity", "read", "change", "other"]
    optional: bool = True
    already: bool = False


@dataclass(frozen=True, slots=True)
class DownstreamLine:
    """A system that the server may reach for the user; `scopes` are descriptions in words.

    `by`: which servers reach it, where it is not the one that is asked about alone.
    """

    name: str
    uri: str
    scopes: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentView(Page):
    """`request`: value of the hidden field. `destination_host`: host, or the scheme when the kind is `app`.

    `client_host`: of a client known by a document, which alone is certain; `elsewhere`: credentials leave that host;
    `only_local`: the client is nowhere but on machines like the user's.

    `tenants`: (id, name) to choose from, empty when the tenant is known; `chosen_tenant`: the one that is chosen so
    far; `other_tenant_url`: where to choose another than the known one. `duration`: as `duration()` says it,
    `stays`: the same, of how long `offline` lasts. `only_who`: the client asks who the user is, and for no server.
    `allowed_on`: date in words of an earlier consent that this one extends, None the first time. `calls`: the only ones
    that are asked for, where there are any. `device`: who waits for the answer, where it is not a page or app that the
    browser goes back to.
    """

    action: str
    csrf: str
    request: str
    client_id: str
    client_name: str
    client_origin: Literal["admin", "dynamic", "document"]
    destination_kind: Literal["web", "loopback", "app"]
    destination_host: str
    user_name: str
    user_id: str
    resource_name: str
    resource_uri: str
    scopes: tuple[ScopeLine, ...]
    duration: str
    client_host: str = ""
    elsewhere: bool = False
    only_local: bool = False
    only_who: bool = False
    tenant_name: str | None = None
    tenants: tuple[tuple[str, str], ...] = ()
    chosen_tenant: str | None = None
    other_tenant_url: str | None = None
    offline: bool = False
    stays: str = ""
    downstream: tuple[DownstreamLine, ...] = ()
    allowed_on: str | None = None
    other_account_url: str | None = None
    account_url: str | None = None
    device: DeviceNotice | None = None
    calls: tuple[CallLine, ...] = ()
    error: str | None = None


Problem = Literal[
    "unknown_client", "redirect_uri", "malformed", "expired", "other_browser", "form",
    "no_access", "too_many", "not_found", "unavailable", "internal", "client_document", "client_distrusted",
    "user_code", "provider_down", "provider_refused", "provider_answer", "not_linked", "linked_elsewhere",
    "reset", "reset_foreign",
    "connection_refused", "connection_down", "connection_answer", "connection_foreign", "connection_off",
    "connection_other", "approver", "approver_program",
]  # fmt: skip
BackTo = Literal["sign_in", "connections", "approvals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView(Page):
    """`what` happened, `fix`: who must do what. `details`: (label, value) for developers, never a link.

    `back`: the path of the page, named by `back_to`, on which another way can be tried.
    """

    title: str
    what: str
    fix: str
    request_id: str
    details: tuple[tuple[str, str], ...] = ()
    back: str = ""
    back_to: BackTo = "sign_in"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneView(Page):
    kind: Literal["signed_out", "signed_in", "finished", "extended", "connected", "refused", "password_set"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPostView(Page):
    """`action`: the client's registered address, on `host`; `fields`: what it is told, (name, value)."""

    action: str
    host: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavingView(Page):
    """`url`: the client's registered address, on `host`, with the answer in it unless that is in `fields` of a form.

    `kind`: what the person comes from, an app that was refused or having signed out.
    """

    kind: Literal["refused", "signed_out"] = "refused"
    host: str
    url: str
    fields: tuple[tuple[str, str], ...] = ()
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView(Page):
    """`links`: (label, path of this server) to the metadata documents of the door. `account`: where people start."""

    door_name: str
    issuer: str
    account: str
    links: tuple[tuple[str, str], ...] = ()


def problem(
    kind: Problem,
    *,
    request_id: str,
    details: tuple[tuple[str, str], ...] = (),
    back: str = "",
    back_to: BackTo = "sign_in",
    lang: str = "en",
    static_base: str = STATIC_BASE,
) -> ErrorView:
    """The error page for a known kind of problem, in the catalogue's words."""
    words = texts.CATALOGUES[texts.choose(lang)]
    title, what, fix = (words[f"problem.{kind}.{part}"] for part in ("title", "what", "fix"))
    return ErrorView(
        title=title,
        what=what,
        fix=fix,
        request_id=request_id,
        details=details,
        back=back,
        back_to=back_to,
        lang=lang,
        static_base=static_base,
    )


def sign_in(view: SignInView) -> str:
    return render("sign_in.html", view)


def consent(view: ConsentView) -> str:
    groups = [(g, [s for s in view.scopes if s.group == g]) for g in ("identity", "read", "change", "other")]
    added = sum(not scope.already for scope in view.scopes)
    return render(
        "consent.html",
        view,
        groups=[g for g in groups if g[1]],
        added=added,
        radios=len(view.tenants) <= RADIO_LIMIT,
    )


def error(view: ErrorView) -> str:
    return render("error.html", view)


def done(view: DoneView) -> str:
    return render("done.html", view)


def form_post(view: FormPostView) -> str:
    return render("form_post.html", view)


def leaving(view: LeavingView) -> str:
    return render("leaving.html", view)


def home(view: HomeView) -> str:
    return render("home.html", view)
