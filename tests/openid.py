"""A relying party of OpenID Connect: what it asks, verifies and is told, with PyJWT and not the code under test."""

import base64
import hashlib
import http.server
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode

import jwt
from werkzeug.test import TestResponse

from broker.identity.clients.model import Client, Registered
from broker.runtime.egress import Egress
from tests.lab import CALLBACK, ISSUER, Browser, Lab, claims, landed

RP = "rp-app"
AFTER = "https://client.example/signed-out"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def add(lab: Lab, client_id: str = RP, **fields: object) -> None:
    """A public client that signs people in and out."""
    usual: dict[str, object] = {
        "redirect_uris": (CALLBACK,),
        "post_logout_redirect_uris": (AFTER,),
        "grant_types": ("authorization_code", "refresh_token"),
    }
    lab.put_client(
        Client(
            client_id,
            "Relying party",
            None,
            "none",
            Registered.ADMIN,
            **usual | fields,
        )
    )


def ask(lab: Lab, client_id: str = RP, door: str = "", **changes: str | None) -> str:
    """An authentication request for nothing but who the user is."""
    usual: dict[str, str | None] = {"scope": "openid profile email", "resource": None, "nonce": "n0nce"}
    return lab.authorize_url(client_id, door, **usual | changes)


@dataclass
class Login:
    """A user who signed in at the client: what the client got, and the browser that it happened in."""

    lab: Lab
    browser: Browser
    tokens: dict[str, str]
    door: str = ""

    @property
    def id_token(self) -> str:
        return self.tokens["id_token"]

    @property
    def said(self) -> dict[str, object]:
        return verified(self.lab, self.id_token, door=self.door)

    def logout(self, **changes: str | None) -> TestResponse:
        """The browser is sent to /logout by the client."""
        usual: dict[str, str | None] = {
            "id_token_hint": self.id_token,
            "post_logout_redirect_uri": AFTER,
            "state": "st4te",
        }
        asked = {name: value for name, value in (usual | changes).items() if value is not None}
        return self.browser.get(f"{self.door}/logout?{urlencode(asked)}")

    @property
    def signed_in(self) -> bool:
        """Whether the browser's session goes on."""
        url = ask(self.lab, door=self.door, prompt="none")
        return landed(self.browser.get(url)).get("error") != "login_required"


def login(
    lab: Lab,
    client_id: str = RP,
    user: str = "alice",
    browser: Browser | None = None,
    door: str = "",
    boxes: dict[str, str | list[str] | None] | None = None,
    **changes: str | None,
) -> Login:
    browser = browser or lab.browser()
    page = browser.get(ask(lab, client_id, door, **changes))
    if b'name="password"' in page.data:
        page = browser.sign_in(page, user)
    arrived = landed(page if page.status_code == 303 else browser.allow(page, **(boxes or {})))
    assert "code" in arrived, arrived
    answer = lab.redeem(arrived["code"], client_id, door, resource=None)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return Login(lab, browser, answer.json, door)


def verified(lab: Lab, token: str, client_id: str = RP, door: str = "") -> dict[str, object]:
    """The claims, if the token is signed by a published key of the door, for this client, and in its time."""
    keys = jwt.PyJWKSet.from_dict(lab.get(f"{door}/jwks").json)
    head = jwt.get_unverified_header(token)
    said: dict[str, object] = jwt.decode(
        token,
        keys[head["kid"]].key,
        algorithms=[head["alg"]],
        audience=client_id,
        issuer=ISSUER + door,
        options={"verify_exp": False, "verify_iat": False, "require": ["iss", "sub", "aud", "exp", "iat"]},
    )
    now = lab.clock.now()
    assert said["iat"] <= now < said["exp"]
    return said


def half_hash(token: str, digest: str = "sha256") -> str:
    """OpenID Connect Core section 3.1.3.6."""
    full = hashlib.new(digest, token.encode()).digest()
    return base64.urlsafe_b64encode(full[: len(full) // 2]).rstrip(b"=").decode()


def userinfo(lab: Lab, token: str | None, door: str = "", **headers: str) -> TestResponse:
    sent = headers if token is None else {"Authorization": f"Bearer {token}", **headers}
    return lab.get(f"{door}/userinfo", **sent)


def post_userinfo(lab: Lab, form: dict[str, str], **headers: str) -> TestResponse:
    return lab.post("/userinfo", form, headers)


@dataclass
class Ear:
    """The HTTP server at a client's back-channel address: `heard` has the logout token of each request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ear, self._more = self, threading.Condition()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
                ear.paths.append(self.path)
                with ear._more:
                    ear.heard += parse_qs(body)["logout_token"]
                    ear._more.notify_all()
                self.send_response(ear.status)
                for name, value in {"Content-Length": "0", **ear.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/logged-out"

    def wait(self, sid: object) -> str:
        """The token about this sign-in, from a broker that runs by itself."""

        def found() -> str | None:
            return next((token for token in self.heard if claims(token)["sid"] == sid), None)

        with self._more:
            token = self._more.wait_for(found, 30)
        assert token is not None, "nothing came"
        return token

    def reached_from(self, lab: Lab) -> None:
        """Let this lab's broker send to this machine."""
        lab.broker.logout_notices.egress = Egress(True, lab.clock)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
