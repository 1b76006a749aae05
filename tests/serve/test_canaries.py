"""Every flow with secrets that can be recognized: none is found where it has no business, in whatever writing."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus, unquote, urlencode

import pytest
import redis

from broker.audit.unknown import unknown
from tests import lab as labs
from tests.assertions import Signer
from tests.lab import CALLBACK, ISSUER, Lab, Page, basic, landed
from tests.proofs import Holder

PASSWORD = "canary-Password-7Q!ü"
WRONG = "canary-Wr0ng-Password"
MISTYPED = "canary-password-in-the-field-of-the-name"
SHAPELESS = "canary-that-nothing-tells-from-a-name"
VERIFIER = "canaryVerifier" + "v" * 40
FORM = "application/x-www-form-urlencoded"


def writings(secret: str) -> Iterator[bytes]:
    """A secret as it may be written down: as it is, quoted, in JSON, base64 at each offset, hex."""
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield quote(secret).encode()
    yield quote_plus(secret).encode()
    yield json.dumps(secret)[1:-1].encode()
    yield raw.hex().encode()
    yield repr(secret)[1:-1].encode()
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + raw)
        middle = whole[4 if offset else 0 : len(whole) // 4 * 4 - 4]
        yield middle
        yield middle.translate(bytes.maketrans(b"+/", b"-_"))


def finds(secret: str, text: bytes) -> bool:
    return any(writing in text for writing in writings(secret))


@dataclass(frozen=True)
class Answer:
    path: str
    status: int
    text: bytes


@dataclass
class Watch:
    """Every answer that the broker gave, and every secret with the addresses that may answer with it."""

    answers: list[Answer] = field(default_factory=list)
    secrets: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def wrap(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def watched(environ: Mapping[str, str], start: Callable[..., object]) -> Iterable[bytes]:
            told: list[tuple[str, object]] = []

            def begin(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
                told.append((status, headers))
                return start(status, headers, *rest)

            body = b"".join(application(environ, begin))
            status, headers = told[-1]
            text = body + b"\n" + json.dumps(headers).encode() + b"\n" + unquote(json.dumps(headers)).encode()
            self.answers.append(Answer(environ["PATH_INFO"], int(status.split()[0]), text))
            return [body]

        return watched

    def secret(self, value: str, *may_answer: str) -> str:
        assert len(value) >= 16, value
        self.secrets[value] = (*self.secrets.get(value, ()), *may_answer)
        return value

    def found_in(self, text: bytes) -> list[str]:
        return [secret for secret in self.secrets if finds(secret, text)]

    def misplaced(self) -> list[tuple[str, int, str]]:
        return [
            (answer.path, answer.status, secret)
            for answer in self.answers
            for secret, places in self.secrets.items()
            if not re.sub(r"^/t/[^/]+", "", answer.path).startswith(places or ("-",))
            and finds(secret, answer.text)
        ]


@pytest.fixture
def watch(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    lab.app.wsgi_app = made.wrap(lab.app.wsgi_app)
    monkeypatch.setattr(labs, "VERIFIER", made.secret(VERIFIER))
    for client, secret in labs.SECRETS.items():
        made.secret(secret)
        made.secret(basic(client)["Authorization"].removeprefix("Basic "))
    made.secret(PASSWORD)
    made.secret(WRONG)
    made.secret(MISTYPED, "/login")  # the form comes back as it was filled in
    made.secret(SHAPELESS, "/register")  # what it refuses, it names
    return made


def pkce() -> dict[str, str]:
    import hashlib

    digest = hashlib.sha256(VERIFIER.encode()).digest()
    return {"code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}


class Person:
    """A browser whose cookies and form tokens are secrets."""

    def __init__(self, lab: Lab, watch: Watch) -> None:
        self.lab, self.watch, self.browser = lab, watch, lab.browser()

    def seen(self, response: object) -> object:
        for value in Page.of(response).values("csrf"):
            self.watch.secret(value, "/login", "/consent", "/authorize")
        for cookie in self.browser.http._cookies.values():
            self.watch.secret(cookie.value, "/login", "/consent", "/authorize")
        return response

    def code(self, client: str, **changes: str | None) -> str:
        """As far as a code, with one wrong password on the way; the code counts as a secret."""
        page = self.seen(self.browser.get(self.lab.authorize_url(client, **pkce(), **changes)))
        if b'name="password"' in page.data:
            page = self.seen(self.browser.sign_in(page, "alice", WRONG))
            page = self.seen(self.browser.sign_in(page, MISTYPED, "x"))
            page = self.seen(self.browser.sign_in(page, "alice", PASSWORD))
        arrived = landed(page if page.status_code == 303 else self.seen(self.browser.allow(page)))
        self.seen(page)
        return self.watch.secret(arrived["code"], "/consent", "/authorize", "/login")


def took(watch: Watch, response: object) -> dict[str, str]:
    """A token response; its tokens are secrets, and of the access token its signature alone too."""
    assert response.status_code == 200, response.get_data(as_text=True)
    body: dict[str, str] = response.json
    watch.secret(body["access_token"], "/token")
    watch.secret(body["access_token"].rpartition(".")[2], "/token")
    if "refresh_token" in body:
        watch.secret(body["refresh_token"], "/token")
    return body


def walk(lab: Lab, watch: Watch) -> None:
    """Sign-in, consent, code, refresh, exchange, introspection, revocation, registration, and what goes wrong."""
    person = Person(lab, watch)
    for client in ("desk-app", "web-app", "post-app"):
        code = person.code(client)
        assert lab.redeem(code, client, code_verifier="w" * 43).status_code == 400
        code = person.code(client)
        tokens = took(watch, lab.redeem(code, client))
        assert lab.redeem(code, client).status_code == 400, "replayed: the grant ends"
        tokens = took(watch, lab.redeem(person.code(client), client))
        newer = took(watch, lab.refresh(tokens["refresh_token"], client))
        took(watch, lab.refresh(tokens["refresh_token"], client))
        exchanged = took(watch, lab.exchange(newer["access_token"]))
        assert lab.active(newer["access_token"]) and lab.active(exchanged["access_token"], "crm-server")
        assert not lab.active(newer["access_token"], "notes-server")
        assert not lab.active(newer["refresh_token"])
        lab.exchange(newer["access_token"], "notes-server")
        lab.exchange(newer["access_token"], actor_token=exchanged["access_token"], actor_token_type="x")
        lab.exchange(newer["access_token"], resource="https://unknown.example")
        assert lab.revoke(newer["refresh_token"], client).status_code == 200
        assert lab.refresh(newer["refresh_token"], client).status_code == 400
        lab.clock.advance(61)
    took(watch, lab.client_credentials())
    registered = lab.register(
        token_endpoint_auth_method="client_secret_basic", grant_types=["authorization_code", "refresh_token"]
    )
    assert registered.status_code == 201, registered.get_data(as_text=True)
    secret = watch.secret(registered.json["client_secret"], "/register")
    lab.post("/token", {"grant_type": "client_credentials"}, basic(registered.json["client_id"], secret))
    lab.post("/token", {"grant_type": "client_credentials"}, basic("nightly", secret))
    token, uri = (registered.json[f"registration_{name}"] for name in ("access_token", "client_uri"))
    watch.secret(token, "/register")
    for bearer in (token, token[:-1], secret):
        lab.manage("GET", uri, bearer)
        lab.manage("PUT", uri, bearer, client_id=registered.json["client_id"], client_secret=secret)
    proved(lab, watch)
    misplaced(lab, watch, token)
    assert lab.manage("DELETE", uri, token).status_code == 204


def proved(lab: Lab, watch: Watch) -> None:
    """Assertions and proofs, good ones, used ones and spoilt ones: each is good for a while to whoever has it."""
    signer, holder = Signer(lab).registered(), Holder()
    for claims in ({}, {"exp": 1}, {"aud": "https://elsewhere.example"}):
        assertion = watch.secret(signer.assertion(**claims))
        watch.secret(assertion.rpartition(".")[2])
        signer.asks(assertion)
        signer.asks(assertion)
        lab.post("/token", {"grant_type": "client_credentials", "client_id": assertion})
    for url in (f"{ISSUER}/token", "https://elsewhere.example"):
        proof = watch.secret(holder.proof(url, lab.clock.now()))
        watch.secret(proof.rpartition(".")[2])
        for _ in range(2):
            answer = lab.client_credentials(dpop=proof)
            if answer.status_code == 200:
                took(watch, answer)
        lab.post("/token", {"grant_type": "client_credentials", "client_id": proof})
    lab.clock.advance(61)


def misplaced(lab: Lab, watch: Watch, registration_token: str) -> None:
    """Secrets where a name belongs: nobody knows them, so the evidence has a hash of them."""
    grant = {"grant_type": "client_credentials"}
    before = len(lab.facts())
    assert lab.register(grant_types=[SHAPELESS]).status_code == 400
    assert unknown(SHAPELESS) in str(lab.facts()[before:])
    for value in (SHAPELESS, labs.SECRETS["nightly"], registration_token):
        for act in (
            lambda: lab.post("/token", grant, basic(value, "nightly")),
            lambda: lab.post("/token", {**grant, "client_id": value}),
            lambda: lab.post("/par", {"client_id": value}),
            lambda: lab.post("/device_authorization", {"client_id": value}),
            lambda: lab.post("/token", {"grant_type": value}, basic("nightly")),
            lambda: lab.http().get(f"/register/{value}", base_url=ISSUER),
            lambda: lab.browser().get(lab.authorize_url("desk-app", scope=value)),
            lambda: lab.browser().get(lab.authorize_url("desk-app", redirect_uri=value)),
        ):
            before = len(lab.facts())
            assert act().status_code in (303, 400, 401)
            assert unknown(value) in str(lab.facts()[before:]), "it leaves its record"
        for act in (
            lambda: lab.client_credentials(scope=value),
            lambda: lab.client_credentials(resource=value),
            lambda: lab.post("/introspect", {"token": "x"}, basic(value, "nightly")),
            lambda: lab.register(redirect_uris=[value]),
            lambda: lab.register(redirect_uris=[f"{value}://x"], token_endpoint_auth_method=value),
            lambda: lab.browser().get(lab.authorize_url(value)),
            lambda: lab.browser().get(lab.authorize_url(f"https://client.example/{value}")),
            lambda: lab.browser().get(lab.authorize_url("desk-app", redirect_uri=f"{CALLBACK}/{value}")),
            lambda: lab.browser().get(lab.authorize_url("desk-app", resource=value, prompt=value)),
        ):
            lab.clock.advance(61)
            assert act().status_code in (303, 400, 401)
        lab.clock.advance(61)


def malformed(lab: Lab, watch: Watch) -> None:
    """Secrets in places where they do not belong."""
    known = [*watch.secrets]
    secret = labs.SECRETS["nightly"]
    form = {"grant_type": "client_credentials", "client_id": "nightly", "client_secret": secret}
    lab.http().post("/token?" + urlencode(form), base_url=ISSUER, data="", content_type=FORM)
    lab.http().post("/token", base_url=ISSUER, json=form)
    lab.http().get("/token?" + urlencode(form), base_url=ISSUER)
    lab.post("/token", [*form.items(), ("client_secret", secret)])
    lab.post("/token", form, basic("nightly"))
    lab.post("/token", form, {"Authorization": f"Bearer {secret}"})
    lab.post("/token", form, {"Authorization": f"Basic {secret}"})
    lab.post("/token", urlencode(form).encode() + b"\xff")
    lab.post("/introspect", {"token": secret}, {"Authorization": f"Bearer {secret}"})
    lab.get("/jwks", Cookie=f"__Host-broker={PASSWORD.encode().hex()}", Authorization=f"Bearer {secret}")
    for value in known[-6:]:
        lab.refresh(value)
        lab.redeem(value, code_verifier=VERIFIER)
        lab.exchange(value)
        lab.introspect(value)
        lab.revoke(value)
        lab.clock.advance(61)
        browser = lab.browser()
        browser.get("/authorize?" + urlencode({"client_id": "desk-app", "request": value}))
        browser.get(f"/consent?request={quote(value)}")
        browser.get(lab.authorize_url("desk-app", code_verifier=value))
        browser.post("/login", [("username", "alice"), ("password", value), ("csrf", value)])
    lab.register(redirect_uris=[CALLBACK], client_secret=secret, software_statement=secret, jwks=secret)
    lab.http().post("/register", base_url=ISSUER, data=f'{{"client_secret": "{secret}"', content_type=FORM)


def broken(lab: Lab, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults while a secret is in hand: they name it in their message, as libraries do."""
    secret = labs.SECRETS["nightly"]

    def boom(*arguments: object, **named: object) -> None:
        raise RuntimeError(f"{secret} {PASSWORD} {arguments} {named}")

    for target in (
        "broker.tokens.mint.access.mint",
        "broker.tokens.families.Families.begin",
        "broker.audit.record.Recorder.record",
        "broker.identity.clients.clients.Clients.with_secrets",
        "broker.identity.users.password.Passwords.verify",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, boom)
            assert lab.client_credentials().status_code in (200, 500)
            browser = lab.browser()
            page = browser.get(lab.authorize_url("desk-app", **pkce()))
            if b'name="password"' in page.data:
                browser.sign_in(page, "alice", PASSWORD)
    with lab.database_down("write", "read"):
        assert lab.client_credentials().status_code == 503
    with lab.without_table("audit_record"):
        assert lab.client_credentials().status_code == 503


def counted(lab: Lab) -> bytes:
    """All that Redis keeps of this broker, where it counts there."""
    settings = lab.broker.settings
    if settings.redis_url is None:
        return b""
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        names = list(client.scan_iter(settings.redis_prefix + "*"))
        assert names
        return b"".join(name + repr(client.hgetall(name)).encode() for name in names)


def test_no_secret_is_where_it_has_no_business(
    lab: Lab, watch: Watch, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.set_password("alice", PASSWORD)
    walk(lab, watch)
    malformed(lab, watch)
    broken(lab, watch, monkeypatch)
    told = logged().encode()
    assert told.count(b'"event": "request"') >= len(watch.answers)
    assert told.count(b'"event": "fault"') >= 3, "the faults were provoked"
    assert watch.found_in(told) == []
    assert watch.found_in(lab.dump()) == []
    assert watch.found_in(counted(lab)) == []
    assert watch.misplaced() == []
    kinds = {answer.status for answer in watch.answers}
    assert {200, 201, 303, 400, 401, 500, 503} <= kinds


def test_the_search_finds_what_it_looks_for(lab: Lab, watch: Watch) -> None:
    secret = watch.secret("canary+/secret ü with spaces")
    for text in (
        secret,
        quote(secret),
        urlencode({"a": secret}),
        json.dumps({"a": secret}),
        f"Basic {base64.b64encode(f'nightly:{secret}'.encode()).decode()}",
        base64.urlsafe_b64encode(f"ab:{secret}".encode()).decode(),
        secret.encode().hex(),
    ):
        assert secret in watch.found_in(b"before " + text.encode() + b" after"), text
    assert watch.found_in(b"nothing here") == []
    page = lab.get("/jwks")
    watch.secret(page.json["keys"][0]["x"])
    assert [path for path, _, _ in watch.misplaced()] == ["/jwks"]
