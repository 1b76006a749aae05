"""A provider of a downstream system, on loopback: right in everything, until a test makes it wrong in one thing.

Nothing in it waits for time to pass: it is slow for as long as a test holds it.
"""

import base64
import hashlib
import html
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from tests.documents import Authority
from tests.vault.listening import Answer, Asked, Held, Listener

CLIENT = "broker at provider"
SECRET = "a secret: with +, % and ü"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Grant:
    """What one person allowed once; the tokens of it that work. `refresh` is the newest one."""

    account: str
    scope: str
    asked: dict[str, str]
    access: set[str] = field(default_factory=set)
    refresh: str | None = None
    rotated: set[str] = field(default_factory=set)
    over: bool = False


@dataclass
class Provider:
    """Over TLS under `authority` at the name `host`, or by plain http at 127.0.0.1 without.

    `rotates`: each refresh voids the token it was made with, and one that is presented again ends its grant.
    `lifetime`: of access tokens as told, None: not told. `style`: "form" answers form-encoded, with 200 for errors,
    scopes with commas. `answers` are whole answers by path, `lost` paths whose work is done and never answered, `wider`
    what is granted beyond what was asked. `revokes`: whether tokens can be revoked there, `ends_grants`: whether all of
    its grant goes with a token that is, or that one token alone. `says_issuer`: in redirects.
    """

    authority: Authority | None = None
    host: str = "provider.example"
    rotates: bool = True
    lifetime: int | None = 3600
    style: str = "json"
    refreshable: bool = True
    wider: str = ""
    revokes: bool = True
    ends_grants: bool = True
    says_issuer: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    refreshes: int = 0
    reused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock, self._number, self._codes, self._holds = threading.Lock(), 0, {}, {}
        context = None if self.authority is None else self.authority.leaf(self.host)
        self._listener = Listener(self.answer, context)
        self.port = self._listener.port

    @property
    def origin(self) -> str:
        return (
            f"http://127.0.0.1:{self.port}" if self.authority is None else f"https://{self.host}:{self.port}"
        )

    def close(self) -> None:
        for held in list(self._holds.values()):
            held.release()
        self._listener.close()

    # What a test does

    @contextmanager
    def holding(self, path: str = "/token") -> Iterator[Held]:
        """Inside, requests for `path` stop before they are looked at, until they are released."""
        held = self._holds[path] = Held()
        try:
            yield held
        finally:
            del self._holds[path]
            held.release()

    def visit(self, url: str, account: str = "octo", *, deny: bool = False, **more: str) -> dict[str, str]:
        """The person is asked there and answers: the parameters with which the browser is sent back."""
        assert url.startswith(f"{self.origin}/authorize?"), url
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT, asked
        told = {"state": asked["state"], **({"iss": self.origin} if self.says_issuer else {}), **more}
        if deny:
            return {"error": "access_denied", **told}
        with self._lock:
            code = self._new("code")
            scope = " ".join(word for word in (asked.get("scope", ""), self.wider) if word)
            self._codes[code] = Grant(account, scope, asked)
        return {"code": code, **told}

    def forms(self, path: str) -> list[dict[str, str]]:
        """What was sent to `path`, in order."""
        return [one.form for one in self.asked if one.path == path]

    def works(self, token: str) -> bool:
        """Whether an access token is good at the API there."""
        return self._of(token) is not None

    def alive(self) -> set[str]:
        """Every token that is good for something there."""
        with self._lock:
            kept = [one for one in self.grants if not one.over]
            return {token for one in kept for token in (*one.access, one.refresh) if token}

    def forget(self) -> None:
        """The person takes back there what they allowed: nothing works any more, and nobody is told."""
        with self._lock:
            for grant in self.grants:
                grant.access.clear()
                grant.over = True

    # What it answers

    def answer(self, asked: Asked) -> Answer | None:
        """None: the connection ends without an answer."""
        self.asked.append(asked)
        if (held := self._holds.get(asked.path)) is not None:
            held.stop_here()
        if asked.path in self.answers:
            return self.answers[asked.path]
        views = {
            "/authorize": self._authorize,
            "/token": self._token,
            "/revoke": self._revoke,
            "/account": self._account,
            "/api": self._account,
        }
        view = views.get(asked.path)
        answered = (404, {}, b"") if view is None else view(asked)
        return None if asked.path in self.lost else answered

    def _authorize(self, asked: Asked) -> Answer:
        """A page with two buttons; pressed, it leads back."""
        if "decision" not in asked.form:
            hidden = "".join(
                f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                for name, value in asked.form.items()
            )
            buttons = "".join(
                f'<button name="decision" value="{value}">{text}</button>'
                for value, text in (("allow", "Allow there"), ("deny", "Refuse there"))
            )
            page = (
                "<!doctype html><html lang=en><title>Provider</title><h1>The provider asks</h1>"
                f"<form>{hidden}{buttons}</form>"
            )
            return 200, {"Content-Type": "text/html; charset=utf-8"}, page.encode()
        form = {name: value for name, value in asked.form.items() if name != "decision"}
        told = self.visit(f"{self.origin}/authorize?{urlencode(form)}", deny=asked.form["decision"] == "deny")
        return 302, {"Location": f"{form['redirect_uri']}?{urlencode(told)}"}, b""

    def _token(self, asked: Asked) -> Answer:
        if not _knows(asked):
            return self._failed("invalid_client", 401)
        kinds = {"authorization_code": self._by_code, "refresh_token": self._by_refresh}
        grant_type = asked.form.get("grant_type", "")
        if grant_type not in kinds:
            return self._failed("unsupported_grant_type", 400)
        with self._lock:
            return kinds[grant_type](asked.form)

    def _by_code(self, form: dict[str, str]) -> Answer:
        grant = self._codes.pop(form.get("code", ""), None)
        if grant is None or form.get("redirect_uri") != grant.asked.get("redirect_uri"):
            return self._failed("invalid_grant", 400)
        if "code_challenge" in grant.asked:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != grant.asked["code_challenge"]:
                return self._failed("invalid_grant", 400)
        self.grants.append(grant)
        if self.refreshable:
            grant.refresh = self._new("refresh")
        return self._issued(grant, grant.refresh)

    def _by_refresh(self, form: dict[str, str]) -> Answer:
        presented = form.get("refresh_token", "")
        for grant in self.grants:
            if presented in grant.rotated:
                self.reused.append(presented)
                grant.access.clear()
                grant.over = True
        grant = next((one for one in self.grants if one.refresh == presented and not one.over), None)
        if grant is None:
            return self._failed("invalid_grant", 400)
        self.refreshes += 1
        if not self.rotates:
            return self._issued(grant, None)
        grant.rotated.add(presented)
        grant.refresh = self._new("refresh")
        return self._issued(grant, grant.refresh)

    def _issued(self, grant: Grant, refresh: str | None) -> Answer:
        token = self._new("access")
        grant.access.add(token)
        members: dict[str, object] = {"access_token": token, "token_type": "Bearer", "scope": grant.scope}
        members |= {} if refresh is None else {"refresh_token": refresh}
        members |= {} if self.lifetime is None else {"expires_in": self.lifetime}
        if self.style == "form":
            members["scope"] = grant.scope.replace(" ", ",")
        return self._said(members, 200)

    def _revoke(self, asked: Asked) -> Answer:
        """RFC 7009: the token, and all of its grant, or not."""
        if not self.revokes or not _knows(asked):
            return self._failed("invalid_client" if self.revokes else "temporarily_unavailable", 503)
        with self._lock:
            for grant in self.grants:
                token = asked.form.get("token", "")
                if token not in {*grant.access, grant.refresh}:
                    continue
                if self.ends_grants:
                    grant.access.clear()
                    grant.over = True
                grant.access.discard(token)
                grant.refresh = None if token == grant.refresh else grant.refresh
        return 200, {}, b""

    def _account(self, asked: Asked) -> Answer:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        grant = self._of(token) if scheme.lower() in ("bearer", "token") else None
        if grant is None:
            return _json({"message": "Bad credentials"}, 401)
        number = int.from_bytes(hashlib.sha256(grant.account.encode()).digest()[:4])
        return _json({"id": number, "login": grant.account, "email": f"{grant.account}@provider.example"})

    def _of(self, token: str) -> Grant | None:
        return next((one for one in self.grants if token in one.access and not one.over), None)

    def _new(self, kind: str) -> str:
        """A token that a search finds wherever it was left."""
        self._number += 1
        return f"upstream-{kind}-{self.port}-{self._number}"

    def _failed(self, error: str, status: int) -> Answer:
        members = {"error": error, "error_description": f"{error} it is"}
        return self._said(members, 200 if self.style == "form" else status)

    def _said(self, members: dict[str, object], status: int) -> Answer:
        if self.style == "form":
            return status, {"Content-Type": FORM}, urlencode(members).encode()
        return _json(members, status)


def _knows(asked: Asked) -> bool:
    """Whether our client proved itself, in the header or in the form; never in both."""
    scheme, _, pair = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        parts = base64.b64decode(pair).decode().split(":")
        return [unquote_plus(part) for part in parts] == [
            CLIENT,
            SECRET,
        ] and "client_secret" not in asked.form
    return (asked.form.get("client_id"), asked.form.get("client_secret")) == (CLIENT, SECRET)


def _json(members: object, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(members).encode()
