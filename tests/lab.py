"""A broker in a test: real rooms over a real SQLite file, the faces called through WSGI, and a clock that is moved."""

import base64
import hashlib
import html
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from broker import app as composition
from broker import schema
from broker.admin.estate_file import parse, read_yaml
from broker.admin.load import judged
from broker.audit import trace
from broker.cli.local import apply_of, credentials_of, origin_of
from broker.denials.model import Kind, Target
from broker.estate.model import Edge, EdgeConsent, Impact, Resource, ResourceKind, Scope, Stage, Tool
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Tenant
from broker.identity.users.model import Membership, User
from broker.runtime.database import Transaction, Unavailable, bump
from broker.runtime.entropy import SystemEntropy
from broker.settings import Settings
from keys.sealed import KeyEncryptionKey
from tests import warm as warm
from tests.engines import Engine

ISSUER = "https://as.example"
ACME = ISSUER + "/t/acme"
GLOBEX = ISSUER + "/t/globex"
INITECH = ISSUER + "/t/initech"
TICKETS = "https://mcp1.example/mcp"
NOTES = "https://mcp2.example/mcp"
FILES = "https://files.example/mcp"
CRM = "https://crm.internal.example"
LEDGER = "https://ledger.internal.example"
PASSWORD = "correct horse battery staple"
SECRETS = {
    name: f"mcpb_cs_{name}-" + "s" * 40
    for name in (
        "web-app",
        "other-app",
        "post-app",
        "nightly",
        "tickets-server",
        "notes-server",
        "files-server",
        "crm-server",
        "box",
        "other-box",
    )
}
CALLBACK = "https://client.example/cb"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
START = 1_800_000_000.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: float = START) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: list[tuple[str, str]] = []
        self.unticked: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form" and values.get("id") == "primary":
            self._inside, self.action = True, values.get("action")
        elif tag == "input" and self._inside and values.get("name"):
            kind = values.get("type", "text")
            if kind in ("checkbox", "radio") and "checked" not in values:
                return
            self.fields.append((values["name"] or "", values.get("value") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


@dataclass
class Page:
    """A page with its primary form, as a browser without JavaScript would see it."""

    response: TestResponse
    action: str | None
    fields: list[tuple[str, str]]

    @classmethod
    def of(cls, response: TestResponse) -> "Page":
        parser = _Forms()
        parser.feed(response.get_data(as_text=True))
        return cls(response, parser.action, parser.fields)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


class Browser:
    """One person's browser: keeps cookies, follows redirects of this server, stops at the client's."""

    def __init__(self, lab: "Lab", source: str = "203.0.113.7") -> None:
        self.lab, self.source = lab, source
        self.http: FlaskClient = lab.app.test_client()

    def get(self, url: str, **headers: str) -> TestResponse:
        return self._follow(
            self.http.get(url, base_url=ISSUER, headers=_html(headers), environ_base=self._peer())
        )

    def post(self, url: str, fields: list[tuple[str, str]], **headers: str) -> TestResponse:
        response = self.http.post(
            url,
            base_url=ISSUER,
            data=urlencode(fields),
            content_type="application/x-www-form-urlencoded",
            headers=_html({"Origin": ISSUER, "Sec-Fetch-Site": "same-origin", **headers}),
            environ_base=self._peer(),
        )
        return self._follow(response)

    def submit(
        self, page: Page, headers: dict[str, str] | None = None, **changes: str | list[str] | None
    ) -> TestResponse:
        """Send the primary form with some fields set, several values, or (None) left out."""
        fields = [(name, value) for name, value in page.fields if name not in changes]
        for name, value in changes.items():
            if value is not None:
                fields += [(name, item) for item in ([value] if isinstance(value, str) else value)]
        assert page.action is not None, page.response.get_data(as_text=True)[:2000]
        return self.post(page.action.removeprefix(ISSUER), fields, **(headers or {}))

    def sign_in(self, response: TestResponse, user: str = "alice", password: str = PASSWORD) -> TestResponse:
        return self.submit(Page.of(response), username=user, password=password)

    def allow(self, response: TestResponse, **changes: str | list[str] | None) -> TestResponse:
        return self.submit(Page.of(response), decision="allow", **changes)

    def _peer(self) -> dict[str, str]:
        return {"REMOTE_ADDR": self.source}

    def _follow(self, response: TestResponse) -> TestResponse:
        while response.status_code in (302, 303) and response.headers["Location"].startswith(ISSUER + "/"):
            path = response.headers["Location"].removeprefix(ISSUER)
            response = self.http.get(path, base_url=ISSUER, headers=_html({}), environ_base=self._peer())
        return response


def _html(headers: dict[str, str]) -> dict[str, str]:
    return {"Accept": "text/html,application/xhtml+xml", **headers}


def landed(response: TestResponse) -> dict[str, str]:
    """The parameters with which the browser arrived at the client; each exactly once."""
    assert response.status_code == 303, (response.status_code, response.get_data(as_text=True)[:3000])
    found = parse_qs(urlsplit(response.headers["Location"]).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), found
    return {name: values[0] for name, values in found.items()}


def warned(response: TestResponse) -> dict[str, str]:
    """The parameters that the browser would arrive with, on the page that first names an unchecked site."""
    text = response.get_data(as_text=True)
    found = re.search(r'<a class="button" href="([^"]+)"', text)
    assert (response.status_code, "Location" in response.headers) == (200, False) and found, text[:3000]
    return dict(parse_qsl(urlsplit(html.unescape(found[1])).query))


def claims(token: str) -> dict[str, object]:
    """The claims, unverified."""
    payload = token.split(".")[1]
    decoded: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


def header(token: str) -> dict[str, object]:
    part = token.split(".")[0]
    decoded: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def basic(client_id: str, secret: str | None = None) -> dict[str, str]:
    pair = f"{client_id}:{SECRETS[client_id] if secret is None else secret}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def assert_refused(response: TestResponse, status: int, error: str) -> None:
    """The answer that every refusal of an API gives: the code, no secret, no cookie, nothing cacheable."""
    text = response.get_data(as_text=True)
    assert response.status_code == status, (response.status_code, text)
    assert response.is_json and response.json["error"] == error, text
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    for word in ('"access_token"', "Traceback", "SELECT", "sqlite", "/broker/"):
        assert word not in text
    if status == 429 or status == 503:
        assert int(response.headers["Retry-After"]) >= 1


@dataclass
class Lab:
    """The broker under test and everything a case needs to ask of it."""

    broker: composition.Broker
    clock: Clock
    folder: Path
    engine: Engine
    app: object = field(init=False)

    def __post_init__(self) -> None:
        self.app = composition.create_app(self.broker)

    # Requests

    def http(self) -> FlaskClient:
        """A client without cookies."""
        return self.app.test_client(use_cookies=False)

    def browser(self, source: str = "203.0.113.7") -> Browser:
        return Browser(self, source)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.http().get(path, base_url=ISSUER, headers=headers)

    def post(
        self,
        path: str,
        form: dict[str, str] | list[tuple[str, str]] | str | bytes,
        headers: dict[str, str] | None = None,
        source: str = "203.0.113.7",
    ) -> TestResponse:
        """A form to an API, as a client would send it."""
        data = form if isinstance(form, (str, bytes)) else urlencode(form)
        return self.http().post(
            path,
            base_url=ISSUER,
            data=data,
            content_type="application/x-www-form-urlencoded",
            headers=headers or {},
            environ_base={"REMOTE_ADDR": source},
        )

    def send(
        self, path: str, body: object, client_id: str, headers: dict[str, str] | None = None
    ) -> TestResponse:
        """JSON to an API, as this client, or with these headers."""
        sent = basic(client_id) if headers is None else headers
        return self.http().post(path, base_url=ISSUER, json=body, headers=sent)

    def register(self, door: str = "", source: str = "203.0.113.7", **metadata: object) -> TestResponse:
        document = {"redirect_uris": [CALLBACK], "client_name": "Registered app", **metadata}
        return self.http().post(
            f"{door}/register", base_url=ISSUER, json=document, environ_base={"REMOTE_ADDR": source}
        )

    def manage(
        self, method: str, uri: str, token: str | None, source: str = "203.0.113.7", **metadata: object
    ) -> TestResponse:
        """RFC 7592 at the address `uri`; PUT with the metadata of `register` and what differs."""
        document = {"redirect_uris": [CALLBACK], "client_name": "Registered app", **metadata}
        return self.http().open(
            uri.removeprefix(ISSUER),
            method=method,
            base_url=ISSUER,
            json=document if method == "PUT" else None,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            environ_base={"REMOTE_ADDR": source},
        )

    # Flows

    def authorize_url(self, client_id: str = "desk-app", door: str = "", **changes: str | None) -> str:
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "state": "st4te",
            "resource": TICKETS,
            "scope": "tickets:read",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{door}/authorize?" + urlencode({k: v for k, v in parameters.items() if v is not None})

    def consent_page(
        self, user: str = "alice", browser: Browser | None = None, **changes: str | None
    ) -> TestResponse:
        """As far as the consent page, signed in."""
        browser = browser or self.browser()
        page = browser.get(self.authorize_url(**changes))
        if b'name="password"' in page.data:
            page = browser.sign_in(page, user)
        return page

    def code(
        self,
        client_id: str = "desk-app",
        user: str = "alice",
        browser: Browser | None = None,
        boxes: dict[str, str | list[str] | None] | None = None,
        **changes: str | None,
    ) -> str:
        """A fresh code: signed in and allowed."""
        browser = browser or self.browser()
        page = self.consent_page(user, browser, client_id=client_id, **changes)
        arrived = landed(page if page.status_code == 303 else browser.allow(page, **(boxes or {})))
        assert "code" in arrived, arrived
        return arrived["code"]

    def redeem(
        self, code: str, client_id: str = "desk-app", door: str = "", **changes: str | None
    ) -> TestResponse:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            "resource": TICKETS,
            **changes,
        }
        return self.post(f"{door}/token", *self._as(client_id, form))

    def tokens(
        self, client_id: str = "desk-app", user: str = "alice", door: str = "", **changes: str | None
    ) -> dict[str, str]:
        """The token response of a whole sign-in; `redirect_uri` and `resource` go to both endpoints."""
        code = self.code(client_id, user, door=door, **changes)
        both = {name: changes[name] for name in ("redirect_uri", "resource") if name in changes}
        response = self.redeem(code, client_id, door, **both)
        assert response.status_code == 200, response.get_data(as_text=True)
        return response.json

    def refresh(
        self, token: str, client_id: str = "desk-app", door: str = "", **changes: str | None
    ) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": token, **changes}
        return self.post(f"{door}/token", *self._as(client_id, form))

    def client_credentials(
        self, client_id: str = "nightly", door: str = "", **changes: str | None
    ) -> TestResponse:
        form = {"grant_type": "client_credentials", **changes}
        return self.post(f"{door}/token", *self._as(client_id, form))

    def device(
        self, client_id: str = "tv-app", door: str = "", source: str = "203.0.113.7", **changes: str | None
    ) -> TestResponse:
        """A device begins."""
        form: dict[str, str | None] = {"scope": "tickets:read", "resource": TICKETS, **changes}
        return self.post(f"{door}/device_authorization", *self._as(client_id, form), source)

    def poll(
        self, device_code: str, client_id: str = "tv-app", door: str = "", **changes: str | None
    ) -> TestResponse:
        form: dict[str, str | None] = {"grant_type": DEVICE, "device_code": device_code, **changes}
        return self.post(f"{door}/token", *self._as(client_id, form))

    def type_code(
        self, user_code: str, browser: Browser, door: str = "", **changes: str | list[str] | None
    ) -> TestResponse:
        """The page where a code is typed, sent."""
        page = Page.of(browser.get(f"{door}/device"))
        return browser.submit(page, **{"user_code": user_code, **changes})

    def device_question(
        self, user_code: str, user: str = "alice", browser: Browser | None = None, door: str = ""
    ) -> TestResponse:
        """As far as the consent page about a device, signed in."""
        browser = browser or self.browser()
        page = self.type_code(user_code, browser, door)
        return browser.sign_in(page, user) if b'name="password"' in page.data else page

    def answer(self, user_code: str, user: str = "alice", decision: str = "allow") -> TestResponse:
        """A person with a browser of their own, from the code to their answer."""
        browser = self.browser()
        question = self.device_question(user_code, user, browser)
        return browser.submit(Page.of(question), decision=decision)

    def connected(
        self, client_id: str = "tv-app", user: str = "alice", door: str = "", **changes: str | None
    ) -> str:
        """The device code of a device that its user connected."""
        begun = self.device(client_id, door, **changes)
        assert begun.status_code == 200, begun.get_data(as_text=True)
        browser = self.browser()
        done = browser.allow(self.device_question(begun.json["user_code"], user, browser, door))
        assert done.status_code == 200 and b"The device is connected" in done.data, done.get_data(
            as_text=True
        )
        code: str = begun.json["device_code"]
        return code

    def exchange(
        self, subject: str, client_id: str = "tickets-server", door: str = "", **changes: str | None
    ) -> TestResponse:
        form = {
            "grant_type": EXCHANGE,
            "subject_token": subject,
            "subject_token_type": ACCESS_TOKEN,
            "resource": CRM,
            **changes,
        }
        return self.post(f"{door}/token", *self._as(client_id, form))

    def introspect(
        self, token: str, client_id: str = "tickets-server", door: str = "", **changes: str | None
    ) -> TestResponse:
        return self.post(f"{door}/introspect", *self._as(client_id, {"token": token, **changes}))

    def active(self, token: str, client_id: str = "tickets-server", door: str = "") -> bool:
        answer = self.introspect(token, client_id, door)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        if not answer.json["active"]:
            assert answer.json == {"active": False}
        return bool(answer.json["active"])

    def revoke(
        self, token: str, client_id: str = "desk-app", door: str = "", **changes: str | None
    ) -> TestResponse:
        return self.post(f"{door}/revoke", *self._as(client_id, {"token": token, **changes}))

    def _as(self, client_id: str, form: dict[str, str | None]) -> tuple[dict[str, str], dict[str, str]]:
        """The form and headers with which this client authenticates; `dpop` is the header of that name."""
        sent = {name: value for name, value in form.items() if value is not None}
        proof = sent.pop("dpop", None)
        headers = {} if proof is None else {"DPoP": proof}
        if client_id == "post-app":
            return {**sent, "client_id": client_id, "client_secret": SECRETS[client_id]}, headers
        if client_id in SECRETS:
            return sent, basic(client_id) | headers
        return {"client_id": client_id, **sent}, headers

    # State

    def switch(self, kind: str, target: str) -> None:
        self.broker.switches.throw(Target(Kind(kind), target), "test")

    def lift(self, kind: str, target: str) -> None:
        assert self.broker.switches.lift(Target(Kind(kind), target), "test")

    def change(self, work: object) -> None:
        """Change the estate in one transaction (`work(tx)`), and let the broker see it."""

        def unit(tx: Transaction) -> None:
            work(tx)
            bump(tx, "estate")
            self.broker.prepare_keys(tx)

        self.broker.world.database.write(unit, throwing=True)
        self.broker.world.snapshots.refresh()

    def put_client(self, client: Client, secret: str | None = None) -> None:
        def work(tx: Transaction) -> None:
            self.broker.clients.put(tx, client)
            if secret:
                self.broker.clients.set_secret(tx, client, secret)

        self.change(work)

    def client(self, client_id: str) -> Client:
        found = self.broker.world.database.read(lambda tx: self.broker.clients.within(tx, client_id))
        assert found is not None
        return found

    def facts(self, fact: str | None = None, **filters: str) -> list[dict[str, object]]:
        """The audit records, oldest first."""
        found = trace.query(self.broker.world.database, fact=fact, most=10_000, **filters)
        return [record.members for record in reversed(found)]

    def trace(self, any_id: str) -> list[dict[str, object]]:
        return [record.members for record in trace.trace(self.broker.world.database, any_id)]

    def rows(self, table: str) -> int:
        return self.broker.world.database.read(
            lambda tx: tx.connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
        )

    def state(self) -> dict[str, list[str]]:
        """Every row of every table but the evidence: what an attack must leave as it was."""

        def read(tx: Transaction) -> dict[str, list[str]]:
            names = [table.name for metadata in schema.METADATA for table in metadata.sorted_tables]
            return {
                name: sorted(
                    repr(tuple(row)) for row in tx.connection.exec_driver_sql(f'SELECT * FROM "{name}"')
                )
                for name in names
                if not name.startswith("audit_")
            }

        return self.broker.world.database.read(read)

    def sql(self, statement: str, *values: object) -> int:
        """Run a statement behind the broker's back; how many rows it touched."""
        return self.engine.behind(self.broker.settings.database, statement, values)

    def signed(
        self, claims: dict[str, object], issuer: str = ISSUER, algorithm: str = "ES256", typ: str = "at+jwt"
    ) -> str:
        """A token that the broker never issued, signed by a door's true key."""
        return self.broker.door_keys.statement(issuer, algorithm, typ, claims)

    def refused(
        self, response: TestResponse, status: int, error: str, reason: str, fact: str = "token.refused"
    ) -> dict[str, object]:
        """The refusal as an answer, and its record: the newest of that fact, which this returns."""
        assert_refused(response, status, error)
        record = self.facts(fact)[-1]
        assert (record["outcome"], record["reason"]) == ("denied", reason), record
        return record

    def dump(self) -> bytes:
        """Everything on disk: the database, its log, the key file."""
        return self.engine.dump(self.broker.settings.database, self.folder)

    def last(self, fact: str) -> dict[str, object]:
        """The newest record of this fact."""
        return self.facts(fact)[-1]

    def table(self, name: str) -> list[tuple[object, ...]]:
        """Every row of a table, in a fixed order: what a case compares before and after."""
        return self.broker.world.database.read(
            lambda tx: sorted(
                (tuple(row) for row in tx.connection.exec_driver_sql(f"SELECT * FROM {name}")), key=repr
            )
        )

    @contextmanager
    def without_table(self, name: str) -> Iterator[None]:
        """While inside, whatever touches this table fails in the database itself."""
        self.sql(f"ALTER TABLE {name} RENAME TO {name}_away")
        try:
            yield
        finally:
            self.sql(f"ALTER TABLE {name}_away RENAME TO {name}")

    @contextmanager
    def throws(self) -> Iterator[list[bool]]:
        """While inside, one entry for each unit of work that all others have to wait for."""
        database, seen = self.broker.world.database, []
        write = database.write

        def watched(*given: object, throwing: bool = False) -> object:
            seen.extend([True] * throwing)
            return write(*given, throwing=throwing)

        database.write = watched
        try:
            yield seen
        finally:
            del database.write

    @contextmanager
    def database_down(self, *verbs: str) -> Iterator[None]:
        """While inside, `write` (or the verbs named) fails as a database does that went away."""

        def fail(*_: object, **__: object) -> object:
            raise Unavailable("gone")

        database = self.broker.world.database
        for verb in verbs or ("write",):
            setattr(database, verb, fail)
        try:
            yield
        finally:
            for verb in verbs or ("write",):
                delattr(database, verb)

    def set_password(self, user: str, password: str) -> None:
        """As an administrator does it: a new password, with what that ends."""
        credentials_of(self.broker).set_password(user, password, origin_of(self.broker))

    def apply(self, estate: str) -> None:
        """As an administrator does it: an estate file."""
        apply_of(self.broker).apply(judged(parse(read_yaml(estate)), self.folder), origin_of(self.broker))

    def replica(self) -> "Lab":
        """A second process on the same disk and clock; close its broker when done."""
        return Lab(
            composition.compose(self.broker.settings, clock=self.clock, kek=KEK),
            self.clock,
            self.folder,
            self.engine,
        )

    def restarted(self) -> "Lab":
        """A new process on the same disk: nothing in memory survives."""
        self.broker.close()
        return Lab(
            composition.compose(self.broker.settings, clock=self.clock, kek=KEK),
            self.clock,
            self.folder,
            self.engine,
        )


KEK = KeyEncryptionKey(b"k" * 32)


def make(folder: Path, engine: Engine, **settings: object) -> Lab:
    """A broker on a fresh, migrated database, with the estate below."""
    values: dict[str, object] = {
        "issuer": ISSUER,
        "data": folder,
        "database_url": engine.fresh(folder),
        "development": True,
        "argon2_memory_kib": 8,
        "argon2_iterations": 1,
        **settings,
    }
    clock = Clock()
    broker = composition.compose(Settings(**values), clock=clock, entropy=SystemEntropy(), kek=KEK)
    lab = Lab(broker, clock, folder, engine)
    lab.change(lambda tx: populate(tx, broker))
    return lab


def populate(tx: Transaction, broker: composition.Broker) -> None:
    """Two tenants at the root door and one behind its own alone; people, clients, servers, systems, edges."""
    for tenant in (
        Tenant("acme", "Acme", device=True),
        Tenant("globex", "Globex"),
        Tenant("initech", "Initech", root_door=False),
    ):
        broker.tenants.put(tx, tenant)
    people = {
        "alice": ("acme",),
        "bob": ("acme",),
        "vera": ("globex",),
        "both": ("acme", "globex"),
        "ivan": ("initech",),
    }
    hashed = broker.people.hash(PASSWORD)
    for name, tenants in people.items():
        memberships = tuple(Membership(tenant, ("member",)) for tenant in tenants)
        broker.people.put(tx, User(name, name.title(), f"{name}@example.com", memberships))
        broker.people.set_password(tx, name, hashed)
    user_grants = ("authorization_code", "refresh_token")
    for client in (
        Client("desk-app", "Desk App", None, "none", Registered.ADMIN, (CALLBACK,), user_grants),
        Client(
            "local-app",
            "Local App",
            None,
            "none",
            Registered.ADMIN,
            ("http://127.0.0.1/cb",),
            user_grants,
            application_type="native",
        ),
        Client(
            "two-uris",
            "Two",
            None,
            "none",
            Registered.ADMIN,
            (CALLBACK, "https://client.example/cb2"),
            user_grants,
        ),
        Client(
            "no-refresh", "No refresh", None, "none", Registered.ADMIN, (CALLBACK,), ("authorization_code",)
        ),
        Client(
            "web-app",
            "Web App",
            "acme",
            "client_secret_basic",
            Registered.ADMIN,
            (CALLBACK,),
            (*user_grants, "client_credentials"),
        ),
        Client(
            "other-app",
            "Other App",
            "acme",
            "client_secret_basic",
            Registered.ADMIN,
            (CALLBACK,),
            user_grants,
        ),
        Client(
            "post-app", "Post App", "acme", "client_secret_post", Registered.ADMIN, (CALLBACK,), user_grants
        ),
        Client(
            "tv-app",
            "TV App",
            None,
            "none",
            Registered.ADMIN,
            grant_types=(DEVICE, "refresh_token"),
            scopes=("tickets:read", "tickets:write", "files:read"),
        ),
        *(
            Client(
                name,
                name.title(),
                "acme",
                "client_secret_basic",
                Registered.ADMIN,
                grant_types=(DEVICE, "refresh_token"),
                scopes=("tickets:read",),
            )
            for name in ("box", "other-box")
        ),
        Client(
            "nightly",
            "Nightly job",
            "acme",
            "client_secret_basic",
            Registered.ADMIN,
            grant_types=("client_credentials",),
            scopes=("tickets:read",),
            resources=("tickets",),
        ),
    ):
        broker.clients.put(tx, client)
    for server, tenant in (
        ("tickets-server", "acme"),
        ("notes-server", "acme"),
        ("files-server", None),
        ("crm-server", None),
    ):
        broker.clients.put(
            tx,
            Client(
                server, server, tenant, "client_secret_basic", Registered.RESOURCE, grant_types=(EXCHANGE,)
            ),
        )
    for name, secret in SECRETS.items():
        known = broker.clients.within(tx, name)
        assert known is not None
        broker.clients.set_secret(tx, known, secret)
    for resource in resources():
        broker.changes.put_resource(tx, resource)
    for edge in (
        Edge("tickets", "crm", {"tickets:read": ("crm:read",), "tickets:write": ("crm:read", "crm:write")}),
        Edge("tickets", "notes", {"tickets:read": ("notes:read",)}, consent=EdgeConsent.ADMIN),
        Edge("notes", "crm", {"notes:read": ("crm:read",)}, consent=EdgeConsent.ADMIN),
        Edge("crm", "ledger", {"crm:read": ("ledger:read",)}, consent=EdgeConsent.ADMIN, depth=2),
        Edge("files", "crm", {"files:read": ("crm:read",)}),
    ):
        broker.changes.put_edge(tx, edge)


def resources() -> tuple[Resource, ...]:
    return (
        Resource(
            "tickets",
            ResourceKind.MCP,
            TICKETS,
            "Ticket desk",
            ("acme",),
            default=True,
            client_id="tickets-server",
            scopes=(
                Scope("tickets:read", "Read tickets", default=True),
                Scope("customers:read", "Read customer records"),
                Scope("tickets:write", "Change tickets", implies=("tickets:read",)),
                Scope("refunds:write", "Refund customers"),
            ),
            tools=(
                Tool("search_tickets", ("tickets:read",), Impact.READ),
                Tool("read_customer", ("customers:read",), Impact.SENSITIVE_READ),
                Tool("close_ticket", ("tickets:write",), Impact.REVERSIBLE_WRITE),
                Tool("refund", ("refunds:write",), Impact.EXTERNAL_WRITE),
            ),
        ),
        Resource(
            "notes",
            ResourceKind.MCP,
            NOTES,
            "Notes",
            ("acme",),
            client_id="notes-server",
            algorithm="EdDSA",
            scopes=(Scope("notes:read", "Read notes"),),
            stage=Stage.FULL,
        ),
        Resource(
            "files",
            ResourceKind.MCP,
            FILES,
            "Files",
            ("*",),
            client_id="files-server",
            scopes=(Scope("files:read", "Read files"),),
        ),
        Resource(
            "globex-only",
            ResourceKind.MCP,
            "https://globex.example/mcp",
            "Globex",
            ("globex",),
            scopes=(Scope("g:read", "Read"),),
        ),
        Resource(
            "crm",
            ResourceKind.DOWNSTREAM,
            CRM,
            "CRM",
            ("acme",),
            client_id="crm-server",
            publish=False,
            scopes=(Scope("crm:read", "Read the CRM"), Scope("crm:write", "Change the CRM")),
        ),
        Resource(
            "ledger",
            ResourceKind.DOWNSTREAM,
            LEDGER,
            "Ledger",
            ("acme",),
            publish=False,
            scopes=(Scope("ledger:read", ""),),
        ),
    )


def race(count: int, work: object) -> list[object]:
    """Run `work(i)` in `count` threads released together; what each returned or raised."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = work(index)
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def assert_page(response: TestResponse, status: int) -> str:
    """A page of this server for a person, which leads nowhere by itself; its text."""
    text = response.get_data(as_text=True)
    assert response.status_code == status, (response.status_code, text[:3000])
    assert response.mimetype == "text/html" and "Location" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    for word in ("Traceback", "SELECT", "sqlite", "/broker/"):
        assert word not in text
    return text
