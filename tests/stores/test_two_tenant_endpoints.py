"""Every endpoint with two tenants: what belongs to the other one is answered like what never was.

Each walk sends one value three times: the other tenant's, one that never was, and the caller's own. The first
two are answered alike, without a word of the other tenant; the third is answered differently, or the walk
would prove nothing. On PostgreSQL the doors are walked once more with row-level security alone: every statement is
executed as if it were the server's.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

import pytest
from sqlalchemy import Executable
from werkzeug.test import TestResponse

from broker.estate.model import Edge, Impact, Registration, Resource, ResourceKind, Scope, Tool
from broker.identity.clients.model import Client, Registered
from broker.identity.federation.links import link_id
from broker.identity.federation.model import Identity, Provider
from broker.identity.tenants.model import Tenant
from broker.identity.users.credentials import store as credentials
from broker.identity.users.credentials.model import Passkey
from broker.identity.users.model import Membership, User
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from tests.engines import Engine
from tests.lab import (
    ACCESS_TOKEN,
    CALLBACK,
    CRM,
    DEVICE,
    EXCHANGE,
    ISSUER,
    PASSWORD,
    Browser,
    Lab,
    Page,
    basic,
    claims,
)
from tests.lab import make as make_lab

CANARY = "zanzibar"
SECRET = {tenant: f"mcpb_cs_{tenant}-" + "x" * 43 for tenant in ("acme", "globex")}
WAYS = {
    "root-sqlite": ("", "sqlite_engine", False),
    "root-postgresql": ("", "postgres_engine", False),
    "doors-sqlite": ("/t/acme", "sqlite_engine", False),
    "doors-postgresql": ("/t/acme", "postgres_engine", False),
    "doors-postgresql-unscoped": ("/t/acme", "postgres_engine", True),
}
"""Where Acme sends from, on which engine, and whether row-level security is the only wall."""


def _populate(tx: Transaction, lab: Lab) -> None:
    """The same things for both tenants; what is Globex's says so in every name."""
    rooms = lab.broker
    rooms.tenants.put(tx, Tenant("globex", f"{CANARY} Ltd", device=True))
    for tenant, person, word in (("acme", "alan", "plain"), ("globex", "gwen", CANARY)):
        rooms.people.put(
            tx, User(person, f"{word} person", f"{person}@{word}.example", (Membership(tenant),))
        )
        rooms.people.set_password(tx, person, rooms.people.hash(PASSWORD))
        app = Client(
            f"{word}-app",
            f"{word} app",
            tenant,
            "client_secret_basic",
            Registered.ADMIN,
            (f"https://{word}.example/cb",),
            ("authorization_code", "refresh_token", "client_credentials", DEVICE),
            ("openid", "x:read"),
        )
        server = Client(
            f"{word}-server",
            word,
            tenant,
            "client_secret_basic",
            Registered.RESOURCE,
            grant_types=(EXCHANGE,),
        )
        for client in (app, server):
            rooms.clients.put(tx, client)
            rooms.clients.set_secret(tx, client, SECRET[tenant])
        rooms.changes.put_resource(
            tx,
            Resource(
                f"{word}-mcp",
                ResourceKind.MCP,
                f"https://{word}.example/mcp",
                f"{word} resource",
                (tenant,),
                client_id=f"{word}-server",
                publish=False,
                scopes=(Scope("x:read", f"{word} scope"),),
                tools=(Tool("close", ("x:read",), Impact.REVERSIBLE_WRITE),),
            ),
        )


@dataclass
class Side:
    """One tenant: its people, its client, its server, and a browser that is signed in."""

    lab: Lab
    tenant: str
    word: str
    person: str
    door: str
    browser: Browser = field(init=False)
    registration: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.browser = self.lab.browser()

    @property
    def app(self) -> str:
        return f"{self.word}-app"

    @property
    def redirect_uri(self) -> str:
        return f"https://{self.word}.example/cb"

    @property
    def resource(self) -> str:
        return f"https://{self.word}.example/mcp"

    @property
    def edge(self) -> Edge:
        return Edge(f"{self.word}-mcp", "crm", {"x:read": ("crm:read",)})

    def headers(self, kind: str = "app") -> dict[str, str]:
        return basic(f"{self.word}-{kind}", SECRET[self.tenant])

    def asking(self, **changes: str | None) -> dict[str, str | None]:
        return {
            "client_id": self.app,
            "redirect_uri": self.redirect_uri,
            "resource": self.resource,
            "scope": "x:read",
            "door": self.door,
            **changes,
        }

    def code(self) -> str:
        return self.lab.code(user=self.person, browser=self.browser, **self.asking())

    def redeem(self, code: str) -> TestResponse:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": "v" * 43,
        }
        return self.lab.post(f"{self.door}/token", form, self.headers())

    def tokens(self) -> dict[str, str]:
        response = self.redeem(self.code())
        assert response.status_code == 200, response.get_data(as_text=True)
        return dict(response.json)

    def told(self) -> dict[str, str]:
        """What the client gets that asks who its user is."""
        asked = self.asking(scope="openid", resource=None)
        code = self.lab.code(user=self.person, browser=self.browser, **asked)
        return dict(self.redeem(code).json)

    def page(self) -> Page:
        """A consent page that waits for an answer."""
        return Page.of(self.lab.consent_page(self.person, self.browser, **self.asking(prompt="consent")))

    def request(self) -> str:
        [found] = self.page().values("request")
        return found

    def device(self) -> dict[str, str]:
        """A device that waits for its person."""
        form = {"scope": "x:read", "resource": self.resource}
        made = self.lab.post(f"{self.door}/device_authorization", form, self.headers())
        assert made.status_code == 200, made.get_data(as_text=True)
        return dict(made.json)

    def user_code(self) -> str:
        self.tokens()
        return self.device()["user_code"]

    def device_code(self) -> str:
        """One whose person has answered."""
        made = self.device()
        browser = self.lab.browser()
        done = browser.allow(self.lab.device_question(made["user_code"], self.person, browser, self.door))
        assert done.status_code == 200, done.get_data(as_text=True)
        return made["device_code"]

    def pushed(self) -> str:
        """The request_uri of a request that its client pushed."""
        asked = self.asking(prompt="consent")
        form = dict(_pairs(self.lab.authorize_url(**asked)))
        answer = self.lab.post(f"{self.door}/par", form, self.headers())
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return str(answer.json["request_uri"])

    def grant(self) -> str:
        """A grant that has not seen the edge which its resource has by now."""
        self.tokens()
        self.lab.change(lambda tx: self.lab.broker.changes.put_edge(tx, self.edge))
        return str(self.lab.last("code.issued")["grant_id"])

    def register(self) -> str:
        """The id of a client that registered itself at its door."""
        made = self.lab.register(self.door, client_name=f"{self.word} client")
        assert made.status_code == 201
        self.registration = made.json
        return self.registration["client_id"]

    def management(self) -> str:
        """The token with which such a client is managed."""
        self.register()
        return self.registration["registration_access_token"]

    def app_of_a_person(self) -> str:
        """The id under which its person sees the app."""
        self.tokens()
        return str(self.lab.last("code.issued")["grant_id"])

    def session(self) -> str:
        """The id of its person's session."""
        self.tokens()
        return [one.id for one, _ in self.lab.broker.sessions.open() if one.user_id == self.person][-1]

    def passkey(self) -> str:
        """The id of a passkey of its person."""
        made = Passkey(f"pk_{self.word}", self.person, self.word, "h", "k", self.word, 0, True, True, (), 0.0)
        self.lab.change(lambda tx: credentials.add_passkey(tx, made))
        return made.id

    def linked(self) -> str:
        """The id of the link of its person to an account at a provider of its own."""
        provider = Provider("idp", "idp", "https://idp.example", "broker", tenant=self.tenant)
        identity = Identity("https://idp.example", self.word, {}, "", (), None)
        links, origin = self.lab.broker.federation.links, Origin("req", "203.0.113.7", ISSUER)
        self.lab.change(lambda tx: links.add(tx, provider, identity, self.person, origin))
        return link_id(self.tenant, identity.issuer, identity.subject)

    def provider(self) -> str:
        """The id of a provider of its own, which cannot be reached."""
        made = Provider(f"{self.word}-idp", self.word, "https://127.0.0.1:1", "broker", tenant=self.tenant)
        self.lab.change(lambda tx: self.lab.broker.providers.put(tx, made))
        return made.id

    def system(self) -> str:
        """The id of a system of its own that people can connect."""
        uri, made = f"https://api.{self.word}.example", f"{self.word}-forge"
        there = Registration("generic", "broker", f"{uri}/authorize", f"{uri}/token")
        resource = Resource(
            made, ResourceKind.VAULT, uri, made, (self.tenant,), scopes=(Scope("repo", "Read"),), vault=there
        )
        self.lab.change(lambda tx: self.lab.broker.changes.put_resource(tx, resource))
        return made

    def on_the_way(self) -> str:
        """The state of a visit that its person began there."""
        self.tokens()
        page = self.browser.get(f"{self.door}/connections/{self.system()}?tenant={self.tenant}")
        found = re.search(r"[?&;]state=([\w-]+)", self.browser.submit(Page.of(page), do="connect").text)
        assert found is not None
        return found[1]

    def subject_token(self) -> str:
        """A token that could be exchanged once its user allowed it."""
        token = self.tokens()["access_token"]
        self.lab.change(lambda tx: self.lab.broker.changes.put_edge(tx, self.edge))
        return token

    def decision(self) -> str:
        """The id of a decision that let a call of its server through."""
        asked = _asked(self.tokens()["access_token"])
        answer = self.lab.send(f"{self.door}/access/v1/evaluation", asked, "", self.headers("server"))
        assert answer.json["decision"] is True, answer.json
        return str(answer.json["context"]["decision_id"])

    def offered(self) -> str:
        """The binding token of a call of its server that its user has to allow first."""
        asked = _asked(self.tokens()["access_token"])
        asked |= {"action": {"name": "tools/call"}, "context": {"idempotency_key": "k"}}
        asked |= {"resource": {"type": "tool", "id": "close"}}
        answer = self.lab.send(f"{self.door}/access/v1/evaluation", asked, "", self.headers("server"))
        return str(answer.json["context"]["access_request"]["binding_token"])

    def approval(self) -> str:
        """The id of the same."""
        self.offered()
        return str(self.lab.last("decision.made")["approval"])

    def refreshes(self, token: str) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return self.lab.post(f"{self.door}/token", form, self.headers())

    def active(self, token: str) -> bool:
        answer = self.lab.post(f"{self.door}/introspect", {"token": token}, self.headers("server"))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return bool(answer.json["active"])


@dataclass
class Two:
    """Acme, which sends, and Globex, whose things it sends; both at the root, or each behind its own door."""

    lab: Lab
    ours: Side
    theirs: Side

    @property
    def door(self) -> str:
        return self.ours.door


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def two(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    behind, name, unscoped = request.param
    engine: Engine = request.getfixturevalue(name)
    lab = make_lab(tmp_path, engine)
    lab.change(lambda tx: _populate(tx, lab))
    if unscoped:
        monkeypatch.setattr(Transaction, "execute", _unscoped)
    yield Two(
        lab,
        Side(lab, "acme", "plain", "alan", "/t/acme" if behind else ""),
        Side(lab, "globex", CANARY, "gwen", "/t/globex" if behind else ""),
    )
    lab.broker.close()
    engine.drop(lab.broker.settings.database)


def _unscoped(tx: Transaction, statement: Executable, **values: object) -> object:
    """As the statement would be executed if the application forgot the wall in it."""
    return tx.connection.execute(statement, {**values, "wall": None} if "wall" in values else values)


def said(response: TestResponse, value: str) -> tuple[object, ...]:
    """An answer without what every answer has of its own and without the value that was sent."""
    text = response.get_data(as_text=True)
    headers = {
        name: text
        for name, text in response.headers.items()
        if name not in ("Date", "Content-Length", "X-Request-Id", "Set-Cookie")
    }
    seen = f"{headers} {text}"
    for form in {value, quote(value), quote(value, safe=""), quote_plus(value)}:
        seen = seen.replace(form, "VALUE")
    seen = re.sub(r"\b(req|dyn|dec|mcpb_[a-z]+)_[\w-]+|nonce-[\w-]+", "ID", seen)
    return response.status_code, re.sub(r'("client_id(?:_issued_at)?":)("[^"]+"|[0-9]+)', r"\1ID", seen)


# What is sent, of each kind: the other's or the caller's own, and one that never was.


def tampered(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[::-1]}"


RANDOM: dict[str, Callable[[str], str]] = {
    "access": tampered,
    "plain": lambda value: re.sub(r"[A-Za-z0-9](?=[A-Za-z0-9]{0,12}$)", "q", value),
    "app": lambda _: "nobody-app",
    "uri": lambda _: "https://nobody.example/mcp",
    "origin": lambda _: "https://nobody.example",
}


@dataclass(frozen=True, slots=True)
class Walk:
    """`rule`: of which endpoint, without its door; `make`: the value of a side; `send`: by Acme, at its door."""

    rule: str
    method: str
    name: str
    make: Callable[[Side], str]
    send: Callable[[Two, str], TestResponse]
    random: str = "plain"
    doors_only: bool = False


def _form(path: str, kind: str, **fields: str) -> Callable[[Two, str], TestResponse]:
    """A form with the value in place of `VALUE`, from a confidential client of Acme's."""

    def send(two: Two, value: str) -> TestResponse:
        form = {name: value if text == "VALUE" else text for name, text in fields.items()}
        return two.lab.post(two.door + path, form, two.ours.headers(kind))

    return send


def _asked(token: str, uri: str | None = None) -> dict[str, object]:
    """A question that a server of any kind can ask."""
    properties = {} if uri is None else {"resource": uri}
    return {
        "subject": {"type": "token", "id": token},
        "action": {"name": "resources/read"},
        "resource": {"type": "resource", "id": "file:///a", "properties": properties},
    }


def _json(path: str, body: Callable[[Two, str], object]) -> Callable[[Two, str], TestResponse]:
    """JSON from Acme's server."""

    def send(two: Two, value: str) -> TestResponse:
        return two.lab.send(two.door + path, body(two, value), "", two.ours.headers("server"))

    return send


def _server(method: str, path: str) -> Callable[[Two, str], TestResponse]:
    """From Acme's server, about the thing in the path."""
    return lambda two, value: two.lab.http().open(
        two.door + path.replace("VALUE", value),
        method=method,
        base_url=ISSUER,
        headers=two.ours.headers("server"),
        json={} if method == "POST" else None,
    )


def _credentials(path: str, **fields: str) -> Callable[[Two, str], TestResponse]:
    """A client's true name and secret."""

    def send(two: Two, value: str) -> TestResponse:
        secret = SECRET["globex" if CANARY in value else "acme"]
        return two.lab.post(two.door + path, fields, basic(value, secret))

    return send


def _upstream(step: str) -> Callable[[Two, str], TestResponse]:
    """A step of a sign-in at the provider of this id, with everything else right."""

    def send(two: Two, value: str) -> TestResponse:
        [asked] = two.ours.page().values("request")
        cookie = two.ours.browser.http.get_cookie("__Host-broker", domain="as.example")
        assert cookie is not None
        about = f"link {value}" if step == "/link" else f"upstream {value} {asked}"
        csrf = two.lab.broker.manners.csrf.token(cookie.value, about)
        query = {"": {"request": asked, "csrf": csrf}, "/link": {"csrf": csrf}}
        sent = query.get(step, {"state": "x", "code": "y"})
        return two.ours.browser.get(f"{two.door}/login/upstream/{value}{step}?{urlencode(sent)}")

    return send


def _redeem(two: Two, value: str) -> TestResponse:
    return two.ours.redeem(value)


def _authorize(method: str, *named: str) -> Callable[[Two, str], TestResponse]:
    def send(two: Two, value: str) -> TestResponse:
        changes = dict.fromkeys(named, value)
        if "client_id" in named and CANARY in value:
            changes["redirect_uri"] = two.theirs.redirect_uri
        url = two.lab.authorize_url(**two.ours.asking(**changes))
        browser = two.ours.browser
        if method == "POST":
            return browser.post(url.split("?")[0], [*_pairs(url)])
        return browser.get(url)

    return send


def _pairs(url: str) -> list[tuple[str, str]]:
    return parse_qsl(url.split("?", 1)[1])


def _push(name: str) -> Callable[[Two, str], TestResponse]:
    def send(two: Two, value: str) -> TestResponse:
        form = dict(_pairs(two.lab.authorize_url(**two.ours.asking(**{name: value}))))
        return two.lab.post(f"{two.door}/par", form, two.ours.headers())

    return send


def _open(method: str) -> Callable[[Two, str], TestResponse]:
    """With the value as request_uri."""

    def send(two: Two, value: str) -> TestResponse:
        pairs = [("client_id", two.ours.app), ("request_uri", value)]
        browser, path = two.ours.browser, f"{two.door}/authorize"
        return browser.post(path, pairs) if method == "POST" else browser.get(f"{path}?{urlencode(pairs)}")

    return send


def _visit(path: str, name: str) -> Callable[[Two, str], TestResponse]:
    return lambda two, value: two.ours.browser.get(f"{two.door}{path}?{name}={value}")


def _log_in(path: str, **fields: str) -> Callable[[Two, str], TestResponse]:
    """With a form that is right in everything but in whose request it is about."""

    def send(two: Two, value: str) -> TestResponse:
        browser, manners = two.ours.browser, two.lab.broker.manners
        cookie = browser.http.get_cookie(manners.cookie.name, domain="as.example")
        assert cookie is not None
        sent = {"request": value, "csrf": manners.csrf.token(cookie.value, value), **fields}
        return browser.post(f"{two.door}{path}", [*sent.items()])

    return send


def _own_page(path: str, about: str, name: str = "", **fields: str) -> Callable[[Two, str], TestResponse]:
    """A form of an account, right in everything but in whose thing it is about; `VALUE` stands in path and `about`."""

    def send(two: Two, value: str) -> TestResponse:
        two.ours.tokens()
        browser, manners = two.ours.browser, two.lab.broker.manners
        cookie = browser.http.get_cookie("__Host-broker", domain="as.example")
        assert cookie is not None
        sent = {"csrf": manners.csrf.token(cookie.value, about.replace("VALUE", value)), **fields}
        sent |= {name: value} if name else {}
        return browser.post(two.door + path.replace("VALUE", value), [*sent.items()])

    return send


def _look(path: str) -> Callable[[Two, str], TestResponse]:
    return lambda two, value: two.ours.browser.get(two.door + path.replace("VALUE", value))


def _who(method: str) -> Callable[[Two, str], TestResponse]:
    return lambda two, value: two.lab.http().open(
        f"{two.door}/userinfo",
        method=method,
        base_url=ISSUER,
        headers={"Authorization": f"Bearer {value}"},
    )


def _leave(method: str, name: str) -> Callable[[Two, str], TestResponse]:
    def send(two: Two, value: str) -> TestResponse:
        browser, path = two.ours.browser, f"{two.door}/logout"
        if method == "POST":
            return browser.post(path, [(name, value)])
        return browser.get(f"{path}?{urlencode({name: value})}")

    return send


def _decide(two: Two, value: str) -> TestResponse:
    """The form of a question of one's own, sent about another request."""
    fields = {**dict(two.ours.page().fields), "request": value, "decision": "deny"}
    return two.ours.browser.post(f"{two.door}/consent", [*fields.items()])


def _type_code(two: Two, value: str) -> TestResponse:
    return two.lab.type_code(value, two.ours.browser, two.door)


def _preflight(path: str) -> Callable[[Two, str], TestResponse]:
    return lambda two, value: two.lab.http().options(
        two.door + path,
        base_url=ISSUER,
        headers={"Origin": value, "Access-Control-Request-Method": "POST"},
    )


def _register(two: Two, value: str) -> TestResponse:
    return two.lab.register(two.door, client_id=value, software_id=value, redirect_uris=[CALLBACK])


def _manage(method: str) -> Callable[[Two, str], TestResponse]:
    """Whatever client is named, with the token of Acme's."""

    def send(two: Two, value: str) -> TestResponse:
        token = two.ours.registration["registration_access_token"]
        return two.lab.manage(method, f"{two.door}/register/{value}", token, client_id=value)

    return send


def _held(two: Two, value: str) -> TestResponse:
    """At Acme's door, the client that the token is of."""
    made = two.theirs.registration
    if made["registration_access_token"] != value:
        made = two.ours.registration
    return two.lab.manage("GET", f"{two.door}/register/{made['client_id']}", value)


APP, ORIGIN = (lambda side: side.app), (lambda side: f"https://{side.word}.example")
TOKEN, REFRESH = (lambda side: side.tokens()["access_token"]), (lambda side: side.tokens()["refresh_token"])
WHO, HINT = (lambda side: side.told()["access_token"]), (lambda side: side.told()["id_token"])
CREDENTIALS = {"grant_type": "client_credentials"}

WALKS = (
    Walk("/token", "POST", "code", Side.code, _redeem),
    Walk(
        "/token",
        "POST",
        "refresh token",
        REFRESH,
        _form("/token", "app", grant_type="refresh_token", refresh_token="VALUE"),
    ),
    Walk(
        "/token",
        "POST",
        "subject token",
        Side.subject_token,
        _form(
            "/token",
            "server",
            grant_type=EXCHANGE,
            subject_token="VALUE",
            subject_token_type=ACCESS_TOKEN,
            resource=CRM,
        ),
        "access",
    ),
    Walk("/token", "POST", "client", APP, _credentials("/token", **CREDENTIALS), "app", True),
    Walk(
        "/token",
        "POST",
        "device code",
        Side.device_code,
        _form("/token", "app", grant_type=DEVICE, device_code="VALUE"),
    ),
    Walk(
        "/device_authorization",
        "POST",
        "client",
        APP,
        _credentials("/device_authorization", resource="https://plain.example/mcp"),
        "app",
        True,
    ),
    Walk(
        "/device_authorization",
        "POST",
        "resource",
        lambda side: side.resource,
        _form("/device_authorization", "app", resource="VALUE", scope="x:read"),
        "uri",
        True,
    ),
    Walk("/device", "GET", "user code", Side.user_code, _visit("/device", "user_code")),
    Walk("/device", "POST", "user code", Side.user_code, _type_code),
    Walk("/introspect", "POST", "token", TOKEN, _form("/introspect", "server", token="VALUE"), "access"),
    Walk(
        "/introspect",
        "POST",
        "client",
        lambda side: f"{side.word}-server",
        _credentials("/introspect", token="x"),
        "app",
        True,
    ),
    Walk("/revoke", "POST", "refresh token", REFRESH, _form("/revoke", "app", token="VALUE")),
    Walk("/revoke", "POST", "access token", TOKEN, _form("/revoke", "app", token="VALUE"), "access"),
    Walk("/revoke", "POST", "client", APP, _credentials("/revoke", token="x"), "app", True),
    *(
        Walk("/authorize", method, name, make, _authorize(method, name), random, True)
        for method in ("GET", "POST")
        for name, make, random in (("client_id", APP, "app"), ("resource", lambda side: side.resource, "uri"))
    ),
    *(Walk("/authorize", method, "request_uri", Side.pushed, _open(method)) for method in ("GET", "POST")),
    Walk("/par", "POST", "client", APP, _credentials("/par", response_type="code"), "app", True),
    Walk("/par", "POST", "resource", lambda side: side.resource, _push("resource"), "uri", True),
    Walk("/par", "POST", "redirect_uri", lambda side: side.redirect_uri, _push("redirect_uri"), "uri"),
    Walk("/par", "OPTIONS", "origin", ORIGIN, _preflight("/par"), "origin", True),
    Walk("/login", "GET", "request", Side.request, _visit("/login", "request")),
    Walk("/login", "POST", "request", Side.request, _log_in("/login", username="alan", password=PASSWORD)),
    Walk("/login/verify", "GET", "request", Side.request, _visit("/login/verify", "request")),
    Walk("/login/verify", "POST", "request", Side.request, _log_in("/login/verify", code="000000")),
    Walk("/login/passkey", "POST", "request", Side.request, _log_in("/login/passkey", credential="{}")),
    Walk("/login/passkey/options", "POST", "request", Side.request, _log_in("/login/passkey/options")),
    *(
        Walk(f"/login/upstream/<provider>{step}", "GET", "provider", Side.provider, send, "plain", True)
        for step, send in (
            ("", _upstream("")),
            ("/link", _upstream("/link")),
            ("/callback", _upstream("/callback")),
        )
    ),
    Walk("/consent", "GET", "request", Side.request, _visit("/consent", "request")),
    Walk("/consent", "GET", "grant", Side.grant, _visit("/consent", "grant")),
    Walk("/consent", "POST", "request", Side.request, _decide),
    *(
        Walk("/userinfo", method, "access token", WHO, _who(method), "access", True)
        for method in ("GET", "POST")
    ),
    Walk("/userinfo", "OPTIONS", "origin", ORIGIN, _preflight("/userinfo"), "origin", True),
    *(
        Walk("/logout", method, name, make, _leave(method, name), random, True)
        for method in ("GET", "POST")
        for name, make, random in (("id_token_hint", HINT, "access"), ("client_id", APP, "app"))
    ),
    Walk("/register", "POST", "client", APP, _register, "app"),
    Walk("/account/apps/<app_id>", "GET", "app", Side.app_of_a_person, _look("/account/apps/VALUE")),
    Walk(
        "/account/apps/<app_id>",
        "POST",
        "app",
        Side.app_of_a_person,
        _own_page("/account/apps/VALUE", "app VALUE"),
    ),
    Walk(
        "/account/apps/<app_id>/tenant",
        "GET",
        "app",
        Side.app_of_a_person,
        _look("/account/apps/VALUE/tenant"),
    ),
    Walk(
        "/account/apps/<app_id>/tenant",
        "POST",
        "app",
        Side.app_of_a_person,
        _own_page("/account/apps/VALUE/tenant", "tenant VALUE", "tenant"),
    ),
    Walk(
        "/account/sessions",
        "POST",
        "session",
        Side.session,
        _own_page("/account/sessions", "sessions", "end"),
    ),
    Walk("/account/sign-in", "POST", "link", Side.linked, _own_page("/account/sign-in", "links", "unlink")),
    Walk(
        "/account/sign-in/passkeys/<passkey_id>",
        "GET",
        "passkey",
        Side.passkey,
        _look("/account/sign-in/passkeys/VALUE"),
    ),
    Walk(
        "/account/sign-in/passkeys/<passkey_id>",
        "POST",
        "passkey",
        Side.passkey,
        _own_page("/account/sign-in/passkeys/VALUE", "passkey VALUE", do="remove"),
    ),
    Walk("/connections", "GET", "system", Side.system, _look("/connections?open=VALUE~~~")),
    Walk("/connections/<resource_id>", "GET", "system", Side.system, _look("/connections/VALUE")),
    Walk(
        "/connections/<resource_id>",
        "POST",
        "system",
        Side.system,
        _own_page("/connections/VALUE", "connection VALUE~acme", do="connect", tenant="acme", scope="repo"),
    ),
    Walk(
        "/connections/<resource_id>/callback",
        "GET",
        "system",
        Side.system,
        _look("/connections/VALUE/callback?state=x&code=y"),
    ),
    Walk(
        "/connections/<resource_id>/callback",
        "GET",
        "state",
        Side.on_the_way,
        _look("/connections/plain-forge/callback?error=access_denied&state=VALUE"),
    ),
    *(
        Walk(
            f"/access/v1/{path}",
            "POST",
            "access token",
            lambda side: side.tokens()["access_token"],
            _json(f"/access/v1/{path}", lambda _, value: _asked(value)),
            "access",
        )
        for path in ("evaluation", "evaluations")
    ),
    Walk(
        "/access/v1/evaluation",
        "POST",
        "resource",
        lambda side: side.resource,
        _json("/access/v1/evaluation", lambda two, value: _asked(two.ours.tokens()["access_token"], value)),
        "uri",
    ),
    Walk(
        "/access/v1/outcomes",
        "POST",
        "decision",
        Side.decision,
        _json("/access/v1/outcomes", lambda _, value: {"decision_id": value, "status": "ok"}),
    ),
    Walk(
        "/access/v1/outcomes",
        "POST",
        "jti",
        lambda side: str(claims(side.tokens()["access_token"])["jti"]),
        _json(
            "/access/v1/outcomes",
            lambda _, value: {"calls": [{"jti": value, "tool": "x", "status": "ok"}]},
        ),
    ),
    *(
        Walk(
            "/access/v1/catalogue/<resource_id>",
            method,
            "resource",
            lambda side: f"{side.word}-mcp",
            _server(method, "/access/v1/catalogue/VALUE"),
        )
        for method in ("GET", "POST")
    ),
    Walk(
        "/access/v1/requests",
        "POST",
        "binding token",
        Side.offered,
        _json("/access/v1/requests", lambda _, value: {"denial": {"binding_token": value}}),
        "access",
    ),
    *(
        Walk(f"/access/v1/requests/{rule}", method, "approval", Side.approval, _server(method, path))
        for rule, method, path in (
            ("<approval_id>", "GET", "/access/v1/requests/VALUE"),
            ("<approval_id>", "DELETE", "/access/v1/requests/VALUE"),
            ("<approval_id>/cancel", "POST", "/access/v1/requests/VALUE/cancel"),
        )
    ),
    Walk("/approvals/<approval_id>", "GET", "approval", Side.approval, _look("/approvals/VALUE")),
    Walk(
        "/approvals/<approval_id>",
        "POST",
        "approval",
        Side.approval,
        _own_page("/approvals/VALUE", "approval VALUE", decision="withdraw"),
    ),
    Walk("/token", "OPTIONS", "origin", ORIGIN, _preflight("/token"), "origin", True),
    Walk("/revoke", "OPTIONS", "origin", ORIGIN, _preflight("/revoke"), "origin", True),
    Walk("/register", "OPTIONS", "origin", ORIGIN, _preflight("/register"), "origin"),
    *(
        Walk("/register/<client_id>", method, "client", Side.register, _manage(method), "app")
        for method in ("GET", "PUT", "DELETE")
    ),
    Walk("/register/<client_id>", "GET", "holder", Side.management, _held, "plain", True),
    Walk("/register/<client_id>", "OPTIONS", "origin", ORIGIN, _preflight("/register/x"), "origin"),
)
# What even the caller's own value does not change: the answer is the same for everybody.
SAME_FOR_ALL = {("/revoke", "refresh token"), ("/revoke", "access token"), ("/register", "client")}
SAME_FOR_ALL |= {("/register", "origin"), ("/register/<client_id>", "origin")}
SAME_FOR_ALL |= {("/connections/<resource_id>/callback", "system")}  # there is no visit to any of them
SAME_FOR_ALL |= {("/account/apps/<app_id>/tenant", "app")}  # who is of one tenant has nothing to choose
NAMED = {
    "/",
    "/healthz",
    "/readyz",
    "/jwks",
    "/.well-known/authzen-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource/r/<name>",
    "/static/<name>",
    "/login/reset",
}
"""Endpoints that take nothing of a tenant's but the public name of a door or resource; or a secret of a person's."""
OWN = {
    f"/account{page}"
    for page in ("", "/apps", "/sessions", "/sign-in", "/sign-in/app", "/sign-in/codes", "/sign-in/password")
} | {"/account/sign-in/passkeys/new", "/account/sign-in/passkeys/options", "/connections", "/approvals"}
"""Endpoints for whoever is signed in, which take the name of nothing; where one does, it is walked too."""


def normal(rule: str) -> str:
    """The rule without its door, as the walks name it."""
    found = re.sub(r"^/t/<\w+>|/t/<\w+>$", "", rule) or "/"
    return re.sub(r"^/static/\w+/", "/static/", found)


@pytest.mark.attack("TENANT-01")
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: f"{walk.method} {walk.rule} {walk.name}")
def test_what_is_anothers_is_answered_like_what_never_was(
    two: Two, walk: Walk, request: pytest.FixtureRequest
) -> None:
    if walk.doors_only and not two.door:
        pytest.skip("the root is the door of both")
    two.ours.tokens()
    theirs, own = walk.make(two.theirs), walk.make(two.ours)
    random = RANDOM[walk.random](theirs)
    assert random != theirs and random != own
    answers = []
    for value in (theirs, random, own):
        answers.append(said(walk.send(two, value), value))
        two.lab.clock.advance(0.001)
    assert answers[0] == answers[1]
    if (walk.rule, walk.name) in SAME_FOR_ALL:
        assert answers[2] == answers[1]
    else:
        assert answers[2] != answers[1]
    assert CANARY not in str(answers[0]).replace(theirs, "")


def test_what_was_sent_by_another_tenant_is_still_good_for_its_own(two: Two) -> None:
    tokens, code, page = two.theirs.tokens(), two.theirs.code(), two.theirs.page()
    values = {"access": tokens["access_token"], "refresh": tokens["refresh_token"], "code": code}
    values |= {"request": page.values("request")[0], "grant": str(two.lab.last("code.issued")["grant_id"])}
    two.ours.tokens()
    for walk in WALKS:
        if walk.name in ("code", "request", "grant") or "token" in walk.name:
            kinds = [kind for kind in values if kind in walk.name]
            walk.send(two, values[kinds[0] if kinds else "access"])
            two.lab.clock.advance(0.001)
    assert two.theirs.active(values["access"])
    assert two.theirs.refreshes(values["refresh"]).status_code == 200
    assert two.theirs.redeem(values["code"]).status_code == 200
    answer = two.theirs.browser.submit(page, decision="allow")
    assert answer.status_code == 303 and "code=" in answer.headers["Location"]


def test_the_public_pages_of_one_door_do_not_speak_of_another_tenant(two: Two) -> None:
    two.ours.tokens()
    two.theirs.tokens()
    lab = two.lab
    for rule in lab.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        path = re.sub(r"<\w+>", "acme", str(rule))
        for method in ("GET", "OPTIONS"):
            answer = lab.http().open(path, method=method, base_url=ISSUER)
            assert CANARY not in f"{answer.headers}{answer.get_data(as_text=True)}", rule
    listed = lab.get("/t/globex").get_data(as_text=True)
    assert CANARY in listed, "its own door says its name"
    assert lab.get(f"/.well-known/oauth-protected-resource/r/{CANARY}-mcp").status_code == 404


def test_the_pages_of_an_account_do_not_speak_of_another_tenant(two: Two) -> None:
    for side in (two.ours, two.theirs):
        for make in (Side.tokens, Side.linked, Side.passkey, Side.session, Side.system):
            make(side)
    for page in sorted(OWN - {"/account/sign-in/passkeys/options"}):
        assert CANARY not in two.ours.browser.get(two.door + page).get_data(as_text=True), page
    listed = two.theirs.browser.get(f"{two.theirs.door}/account/apps").get_data(as_text=True)
    assert CANARY in listed, "its own person sees it"


@pytest.mark.parametrize("two", [WAYS["doors-postgresql-unscoped"], WAYS["doors-sqlite"]], indirect=True)
def test_the_walk_without_scoping_meets_the_other_wall(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.theirs.tokens()
    theirs = str(two.lab.last("code.issued")["grant_id"])
    monkeypatch.setattr(Transaction, "execute", _unscoped)
    database, grants = two.lab.broker.world.database, two.lab.broker.grants
    walled = two.lab.broker.settings.database.startswith("postgresql")
    seen = database.read(lambda tx: grants.within(tx, theirs), "acme")
    assert (seen is None) is walled, "embedded, the application's scoping is the only wall"
    assert database.read(lambda tx: grants.within(tx, theirs), "globex") is not None


def test_every_endpoint_is_walked(two: Two) -> None:
    walked = {(walk.rule, walk.method) for walk in WALKS}
    missing = [
        f"{method} {rule}"
        for rule in two.lab.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
        if normal(str(rule)) not in NAMED | OWN and (normal(str(rule)), method) not in walked
        if not (method == "OPTIONS" and rule.provide_automatic_options)
    ]
    assert missing == []


def test_a_token_of_another_tenant_says_whose_it_is(two: Two) -> None:
    """The walks would prove nothing with tokens of one tenant."""
    assert [claims(side.tokens()["access_token"])["tenant"] for side in (two.ours, two.theirs)] == [
        "acme",
        "globex",
    ]
