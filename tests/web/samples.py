"""The pages of an account with something on each of them."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace

from markupsafe import Markup

from broker.web import account_pages, approval_pages, arguments, connection_pages, methods_pages
from broker.web.account_pages import AppLine, SessionLine
from broker.web.approval_pages import ApprovalLine, Asker, ExactLine
from broker.web.calls import CallLine
from broker.web.connection_pages import ChoiceLine, ConnectionLine, ServerLine
from broker.web.methods_pages import LinkLine, NoticeLine, PasskeyLine, ProviderLine
from broker.web.pages import DownstreamLine, ScopeLine

NOW = 1_800_000_000.0
AROUND = {
    "base": "/account",
    "connections": "/connections",
    "door_name": "Acme Corporation",
    "user_name": "Alice Example",
    "user_id": "alice",
    "sign_out": "/logout",
    "sign_out_csrf": "token-0",
}
CHANGE = {**AROUND, "action": "/account/sign-in", "csrf": "token-1", "error": "Wrong."}
APP = AppLine("Desk App", "admin", "web", "desk.example", "Ticket desk", "Acme", NOW, NOW, "/account/apps/g1")
UNUSED = AppLine("", "dynamic", "loopback", "", "Ticket desk", "Acme", NOW, None, "/account/apps/g2")
GONE = AppLine("gone-app", "gone", None, "", "Ticket desk", "Acme", NOW, None, "/account/apps/g3")
SESSION = SessionLine(
    "ses_1", "Firefox on Linux", "203.0.113.7", "Mozilla/5.0", "passkey", NOW, NOW, this=True
)
OTHER = SessionLine("ses_2", "An unknown browser", "", "", "password", NOW, NOW, this=False)
PASSKEY = PasskeyLine("Laptop", NOW, NOW, True, "/account/sign-in/passkeys/pk_1")
ELSEWHERE = "https://github.com/authorize?state=s&scope=repo"
SYSTEM = "https://api.github.com"
GITHUB = ConnectionLine("GitHub", SYSTEM, "Acme", "off", "/connections/github?tenant=acme")
CONNECTED = replace(GITHUB, health="good", account="octo", scopes=("Read issues",), since=NOW, last_used=NOW)
TROUBLED = replace(CONNECTED, health="trouble", last_used=None, until=NOW)
BROKEN = replace(CONNECTED, health="broken", scopes=())
NAMELESS = replace(CONNECTED, name="old-system", uri="", health="broken")
SERVERS = (ServerLine("Ticket desk", "https://tickets.example/mcp", "To file issues", ("Read issues",)),)
CHOICES = (ChoiceLine("repo", "Read issues", True, True), ChoiceLine("gist", "gist", True, False))
CONNECTING = {
    **AROUND,
    "host": "github.com",
    "tenant": "acme",
    "servers": SERVERS,
    "choices": CHOICES,
    "action": "/connections/github",
    "csrf": "token-1",
}
ASKED = ApprovalLine(
    "refund",
    "Ticket desk",
    Asker("desk-app", "Desk App", True),
    "Alice",
    "Acme",
    "external_write",
    "requested",
    NOW,
    NOW,
    "/approvals/apr_1",
)
OFFERED = replace(
    ASKED, state="offered", asker=Asker("dyn", "Some app", False), user="", impact="reversible_write"
)
APPROVED = replace(ASKED, state="approved", asker=Asker("gone-app", "", False))
STATES = tuple(replace(ASKED, state=one, until=None) for one in ("denied", "withdrawn", "expired", "spent"))
ANSWERING = {
    **AROUND,
    "approvals": "/approvals",
    "id": "apr_1",
    "line": ASKED,
    "resource_uri": "https://tickets.example/mcp",
    "user": ("Alice", "alice"),
    "through": ("tickets-server",),
    "because": (("mcp.tool.approval", ""),),
    "tool_says": "",
    "intent": "",
    "rows": arguments.rows({"amount": 5, "note": "x" * 300, "odd name": {"p\u0430y": [None, {}]}}),
    "left": "",
    "good_for": "",
    "quorum": 2,
    "voted": ("Bob",),
    "part": "approver",
    "action": "/approvals/apr_1",
    "csrf": "token-1",
    "exact": (ExactLine("digest", "d" * 64),),
}
SCOPES = (ScopeLine("tickets:read", "Read tickets", "other"), ScopeLine("x", "x", "other"))

VIEWS: dict[str, tuple[Callable[..., str], object]] = {
    "account": (
        account_pages.overview,
        account_pages.OverviewView(
            tenants=("Acme", "Globex"), apps=2, connected=1, sessions=1, ways=("password",), **AROUND
        ),
    ),
    "apps": (account_pages.apps, account_pages.AppsView(apps=(APP, UNUSED, GONE), **AROUND)),
    "no apps": (account_pages.apps, account_pages.AppsView(apps=(), **AROUND)),
    "app": (
        account_pages.app,
        account_pages.AppView(
            app=APP,
            client_id="desk-app",
            resource_uri="https://tickets.example/mcp",
            scopes=SCOPES,
            downstream=(DownstreamLine("CRM", "https://crm.internal.example", ("Read customers",)),),
            times=2,
            stays_until=NOW,
            ended=False,
            action="/account/apps/g1",
            csrf="token-1",
            calls=(CallLine("search", "read"),),
            chooses=True,
            chosen_tenant="Acme",
            **AROUND,
        ),
    ),
    "app tenant": (
        account_pages.app_tenant,
        account_pages.AppTenantView(
            app=APP,
            tenants=(("acme", "Acme"), ("globex", "Globex")),
            chosen="acme",
            action="/account/apps/g1/tenant",
            csrf="token-1",
            **AROUND,
        ),
    ),
    "app removed": (
        account_pages.app,
        account_pages.AppView(
            app=UNUSED,
            client_id="desk-app",
            resource_uri="",
            scopes=(),
            downstream=(),
            times=1,
            stays_until=None,
            ended=True,
            action="/account/apps/g1",
            csrf="token-1",
            **AROUND,
        ),
    ),
    "sessions": (
        account_pages.sessions,
        account_pages.SessionsView(
            sessions=(SESSION, OTHER), action="/account/sessions", csrf="token-1", ended=1, **AROUND
        ),
    ),
    "approvals": (
        approval_pages.approvals,
        approval_pages.ApprovalsView(
            waiting=(ASKED, OFFERED), asked=(APPROVED,), answered=STATES, **AROUND, approvals="/approvals"
        ),
    ),
    "no approvals": (
        approval_pages.approvals,
        approval_pages.ApprovalsView(**AROUND, approvals="/approvals"),
    ),
    "approval": (approval_pages.approval, approval_pages.ApprovalView(**ANSWERING, prove=True, stop=True)),
    "approval without a factor": (
        approval_pages.approval,
        approval_pages.ApprovalView(
            **{**ANSWERING, "voted": (), "user": None, "rows": ()},
            prove=True,
            factor_url="/account/sign-in",
            stop=True,
        ),
    ),
    "approval that others wait for": (
        approval_pages.approval,
        approval_pages.ApprovalView(**{**ANSWERING, "part": "voter"}),
    ),
    "approval asked": (
        approval_pages.approval,
        approval_pages.ApprovalView(**{**ANSWERING, "part": "asker", "line": OFFERED, "quorum": 1}),
    ),
    "approval given": (
        approval_pages.approval,
        approval_pages.ApprovalView(
            **{**ANSWERING, "part": "none", "line": APPROVED}, answered_by="Bob", answered_at=NOW
        ),
    ),
    **{
        f"approval {line.state}": (
            approval_pages.approval,
            approval_pages.ApprovalView(**{**ANSWERING, "part": "none", "line": line}, over=True),
        )
        for line in STATES
    },
    "connections": (
        connection_pages.connections,
        connection_pages.ConnectionsView(lines=(GITHUB, CONNECTED, TROUBLED, BROKEN, NAMELESS), **AROUND),
    ),
    "no connections": (connection_pages.connections, connection_pages.ConnectionsView(lines=(), **AROUND)),
    "connections, several": (
        connection_pages.connections,
        connection_pages.ConnectionsView(lines=(GITHUB, CONNECTED), choosing=True, **AROUND),
    ),
    "connect": (
        connection_pages.connection,
        connection_pages.ConnectionView(line=GITHUB, error=True, **CONNECTING),
    ),
    "connected": (
        connection_pages.connection,
        connection_pages.ConnectionView(
            line=CONNECTED, wider=("admin",), came=True, fewer=True, **CONNECTING
        ),
    ),
    "connection in trouble": (
        connection_pages.connection,
        connection_pages.ConnectionView(line=TROUBLED, **{**CONNECTING, "servers": ()}),
    ),
    "connect again": (
        connection_pages.connection,
        connection_pages.ConnectionView(line=BROKEN, **CONNECTING),
    ),
    "connection to nowhere": (
        connection_pages.connection,
        connection_pages.ConnectionView(
            line=NAMELESS, **{**CONNECTING, "host": "", "servers": (), "choices": ()}
        ),
    ),
    "on the way": (
        connection_pages.leaving,
        connection_pages.LeavingView(name="GitHub", host="github.com", url=ELSEWHERE, **AROUND),
    ),
    "disconnected": (
        connection_pages.ended,
        connection_pages.EndedView(name="GitHub", told=True, again="/connections/github", **AROUND),
    ),
    "disconnected, untold": (
        connection_pages.ended,
        connection_pages.EndedView(name="GitHub", told=False, again="/connections/github", **AROUND),
    ),
    "ways": (
        methods_pages.methods,
        methods_pages.MethodsView(
            passkeys=(PASSKEY,),
            offers_passkeys=True,
            password=True,
            app=True,
            codes=7,
            links=(LinkLine("l1", "Contoso", "https://login.contoso.example", NOW, None),),
            providers=(ProviderLine("Fabrikam", "/login/upstream/fabrikam/link"),),
            notices=(NoticeLine("An app was set up.", NOW, "203.0.113.7"),),
            **CHANGE,
        ),
    ),
    "new passkey": (
        methods_pages.new_passkey,
        methods_pages.NewPasskeyView(options="/o", name="Phone", **CHANGE),
    ),
    "passkey": (methods_pages.passkey, methods_pages.PasskeyView(passkey=PASSKEY, **CHANGE)),
    "app code": (methods_pages.app, methods_pages.AppView(enrolled=True, **CHANGE)),
    "app code, new": (
        methods_pages.app,
        methods_pages.AppView(
            enrolled=False,
            secret="JBSWY3DPEHPK3PXP",
            address="otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP",
            picture=Markup("<svg></svg>"),
            **CHANGE,
        ),
    ),
    "codes": (methods_pages.codes, methods_pages.CodesView(left=3, possible=True, **CHANGE)),
    "codes, shown": (
        methods_pages.codes,
        methods_pages.CodesView(left=0, possible=True, codes=("abcd-efgh-jkmn-pqrs",), **CHANGE),
    ),
    "password": (methods_pages.password, methods_pages.PasswordView(present=True, **CHANGE)),
}
READ = {
    "approvals",
    "no approvals",
    "approval that others wait for",
    "approval given",
    *(f"approval {line.state}" for line in STATES),
    *("account", "apps", "no apps", "app removed", "codes, shown"),
    *(
        "connections",
        "no connections",
        "connections, several",
        "on the way",
        "disconnected",
        "disconnected, untold",
    ),
}
FORMS = set(VIEWS) - READ
SCRIPTED = {"new passkey"}


CLOSED = {"lang", "static_base", "origin", "kind", "group", "impact", "health", "state", "part"}
"""Fields whose values are ours, or of a fixed list."""


def poisoned(view: object, evil: str) -> Iterator[tuple[str, object]]:
    """The view again and again, each time with every text in one of its fields hostile."""
    for field in fields(view):  # type: ignore[arg-type]  # every view is a dataclass
        value = getattr(view, field.name)
        other = _hostile(value, evil)
        if field.name not in CLOSED and other != value:
            yield field.name, replace(view, **{field.name: other})  # type: ignore[type-var]


def _hostile(value: object, evil: str) -> object:
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return evil
    if isinstance(value, tuple):
        return tuple(_hostile(one, evil) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        inner = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in CLOSED}
        return replace(value, **{name: _hostile(one, evil) for name, one in inner.items()})
    return value
