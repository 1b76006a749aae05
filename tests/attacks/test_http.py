"""Requests that are too much, malformed or lie about themselves: the HTTP cases of the table."""

import importlib
import json
import pkgutil
import re
import time
from collections.abc import Callable
from functools import partial

import pytest
from werkzeug.test import TestResponse

from tests.lab import ISSUER, TICKETS, Lab, assert_refused, basic

FORM = "application/x-www-form-urlencoded"
MEGA = 1_000_000


@pytest.mark.attack("HTTP-01")
@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
def test_bodies_are_bounded(lab: Lab, path: str) -> None:
    before = lab.state()
    assert_refused(lab.post(path, b"a=" + b"x" * 10 * MEGA, basic("nightly")), 413, "invalid_request")
    assert_refused(lab.post(path, b"a=1&" * 100_000, basic("nightly")), 413, "invalid_request")
    assert_refused(
        lab.post(path, b"&".join(b"a%d=1" % i for i in range(65)), basic("nightly")), 400, "invalid_request"
    )
    assert_refused(lab.post(path, b"a=" + b"x" * 9000, basic("nightly")), 400, "invalid_request")
    assert_refused(lab.post(path, b"x" * 200 + b"=1", basic("nightly")), 400, "invalid_request")
    assert lab.state() == before
    assert lab.client_credentials().status_code == 200


class _Chunks:
    """A body without a length that never ends; counts how much of it was read."""

    def __init__(self) -> None:
        self.served = 0

    def read(self, size: int = -1) -> bytes:
        size = 65536 if size < 0 else size
        self.served += size
        assert self.served < 4 * MEGA, "the server reads on and on"
        return b"x" * size

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


@pytest.mark.attack("HTTP-01")
@pytest.mark.parametrize(
    ("path", "kind"), [("/token", FORM), ("/register", "application/json"), ("/login", FORM)]
)
def test_a_body_in_chunks_is_bounded_too(lab: Lab, path: str, kind: str) -> None:
    body = _Chunks()
    response = lab.http().post(
        path,
        base_url=ISSUER,
        content_type=kind,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    assert response.status_code in (400, 413)
    assert body.served <= 2 * 65536 + 2


@pytest.mark.attack("HTTP-01")
def test_multipart_is_no_form_of_ours(lab: Lab) -> None:
    for path in ("/token", "/introspect", "/revoke"):
        response = lab.http().post(
            path,
            base_url=ISSUER,
            data={"grant_type": "client_credentials"},
            content_type="multipart/form-data; boundary=x",
            headers=basic("nightly"),
        )
        lab.refused(response, 400, "invalid_request", "malformed")
    assert not lab.facts("token.issued")


@pytest.mark.attack("HTTP-01")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"grant_type=client_credentials&grant_type=client_credentials", "repeated_parameter"),
        (b"grant_type=client_credentials&grant_type=", "repeated_parameter"),
        (b"grant_type=client_credentials&scope=a%00b", "malformed"),
        (b"grant_type=client_credentials&scope=%ff", "malformed"),
        (b"grant_type=client_credentials&scope=\xff", "malformed"),
        (b"grant_type=client_credentials&scope=" + b"x" * 8193, "too_large"),
    ],
)
def test_a_malformed_form_is_refused_and_recorded(lab: Lab, body: bytes, reason: str) -> None:
    before = lab.state()
    lab.refused(lab.post("/token", body, basic("nightly")), 400, "invalid_request", reason)
    lab.refused(
        lab.post("/introspect", b"token=x&" + body, basic("tickets-server")), 400, "invalid_request", reason
    )
    lab.refused(lab.post("/revoke", b"token=x&" + body, basic("nightly")), 400, "invalid_request", reason)
    assert lab.state() == before
    assert lab.client_credentials().status_code == 200


@pytest.mark.attack("HTTP-01")
def test_the_query_string_of_the_back_channel_is_not_read(lab: Lab) -> None:
    lab.refused(
        lab.post("/token?grant_type=client_credentials", "", basic("nightly")),
        400,
        "invalid_request",
        "parameter_missing",
    )
    assert lab.post("/token?scope=refunds:write", "grant_type=client_credentials", basic("nightly")).json[
        "scope"
    ] == ("tickets:read")
    token = lab.tokens()["access_token"]
    assert_refused(
        lab.post(f"/introspect?token={token}", "", basic("tickets-server")), 400, "invalid_request"
    )
    assert_refused(lab.post(f"/revoke?token={token}", "client_id=desk-app"), 400, "invalid_request")
    assert lab.active(token)


def cheap(act: Callable[[], object], seconds: float) -> bool:
    """Whether it takes less of this thread's time, once in five: what runs away always does, a busy machine not."""
    for _ in range(5):
        began = time.thread_time()
        act()
        if time.thread_time() - began < seconds:
            return True
    return False


def _json_bombs() -> dict[str, bytes]:
    return {
        "nested lists": b"[" * 10_000,
        "nested lists, closed": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        "just below the parser's limit": b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
        "a million keys": b"{" + b",".join(b'"%d":1' % i for i in range(MEGA)) + b"}",
        "as many keys as fit": b"{" + b",".join(b'"%d":1' % i for i in range(6000)) + b"}",
        "a number of 1 MB": b'{"a":' + b"9" * MEGA + b"}",
        "a number of 60 kB": b'{"a":' + b"9" * 60_000 + b"}",
        "a number of 4000 digits": b'{"a":' + b"9" * 4000 + b"}",
        "a float beyond any": b'{"a":1e999999}',
        "one key over and over": b"{" + b'"redirect_uris":[],' * 3000 + b'"a":1}',
        "colliding numbers": b'{"redirect_uris":['
        + b",".join(b"%d" % (i << 61) for i in range(2500))
        + b"]}",
        "escapes": b'{"client_name":"' + b"\\u0061" * 10_000 + b'"}',
    }


@pytest.mark.attack("HTTP-05")
@pytest.mark.parametrize("bomb", _json_bombs())
def test_json_cannot_exhaust_the_parser(lab: Lab, bomb: str) -> None:
    body, before = _json_bombs()[bomb], lab.state()
    answers: list[TestResponse] = []

    def register() -> None:
        answers.append(
            lab.http().post("/register", base_url=ISSUER, data=body, content_type="application/json")
        )

    assert cheap(register, 0.2)
    response = answers[-1]
    assert response.status_code in (400, 413), response.get_data(as_text=True)
    assert response.json["error"] in ("invalid_client_metadata", "invalid_redirect_uri", "invalid_request")
    assert lab.state() == before
    assert lab.register().status_code == 201


def _patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    found: dict[str, re.Pattern[str] | re.Pattern[bytes]] = {}
    for name in ("broker", "keys", "wellknown"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".cli" in module.name or "__main__" in module.name:
                continue
            for member, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    found[f"{module.name}.{member}"] = value
    return found


def _worst_strings() -> list[str]:
    size = 20_000
    atoms = (
        "a",
        "0",
        "-",
        "_",
        ".",
        "/",
        "%",
        "=",
        ":",
        " ",
        "A.",
        "a-",
        "%a",
        "a:",
        "ey",
        "//",
        "é",
        "\\",
        '"',
    )
    heads = (
        "",
        "https://",
        "http://[",
        "http://localhost",
        "http://127.0.0.1:",
        "eyAAAAAAAAAA.",
        "mcpb_cs_",
        "basic ",
        "a:",
    )
    return [
        head + atom * (size // len(atom)) + tail
        for head in heads
        for atom in atoms
        for tail in ("", "!", "\n", "\0")
    ]


_SEARCHED = {
    "broker.guard.jwks._MAX_AGE",
    "broker.protocol.challenge._UNFIT",
    "broker.runtime.log._SECRET_NAMES",
    "broker.runtime.log._SECRET_SHAPES",
}
"""Patterns that look anywhere in a text; all others are tied to its beginning."""


@pytest.mark.attack("HTTP-06")
def test_no_pattern_runs_away() -> None:
    patterns, worst = _patterns(), _worst_strings()
    assert len(patterns) >= 8
    for name, pattern in patterns.items():
        for text in worst:
            subject = text.encode() if isinstance(pattern.pattern, bytes) else text
            searched = (pattern.search,) if name in _SEARCHED else ()
            for verb in (pattern.fullmatch, pattern.match, *searched):
                # Text or bytes, as the pattern is.
                assert cheap(partial(verb, subject), 0.05), (name, text[:40], len(text))  # type: ignore[arg-type]


class _Broken(Exception):
    """A fault nobody foresaw, with a text that nobody outside may read."""


def _boom(*_: object, **__: object) -> None:
    raise _Broken("SELECT secret FROM /broker/vault WHERE token = 'eyJhbGciOi'")


@pytest.mark.attack("HTTP-07")
@pytest.mark.parametrize(
    ("layer", "target"),
    [
        ("store", "broker.identity.clients.store.get"),
        ("store within the unit of work", "broker.audit.store.add"),
        ("verb", "broker.tokens.pipeline.Pipeline._mint"),
        ("verb before the database", "broker.tokens.grants.client_credentials.ClientCredentials.verify"),
        ("mint", "broker.tokens.mint.access.mint"),
        ("face", "broker.web.form.body"),
        ("rendering", "broker.tokens.http.respond.json_body"),
        ("estate", "broker.estate.estate.Estate.by_uri"),
    ],
)
def test_an_internal_error_tells_nothing(
    lab: Lab, layer: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lab.state()
    with monkeypatch.context() as patched:
        if layer == "rendering":
            from broker.web import respond

            patched.setattr("broker.tokens.http.respond.json_body", _once(_boom, respond.json_body))
        else:
            patched.setattr(target, _boom)
        response = lab.client_credentials(resource=TICKETS)
    assert response.status_code == 500 and response.is_json
    assert set(response.json) == {"error", "request_id"} and response.json["error"] == "server_error"
    assert response.json["request_id"].startswith("req_")
    assert response.headers["Cache-Control"] == "no-store"
    for word in ("Traceback", "SELECT", "sqlite", "/broker", ".py", "_Broken", "eyJ", "vault"):
        assert word not in response.get_data(as_text=True)
    if layer != "rendering":
        assert lab.state() == before and not lab.facts("token.issued")
    assert lab.client_credentials(resource=TICKETS).status_code == 200


def _once(first: Callable[..., object], then: Callable[..., object]) -> Callable[..., object]:
    calls = iter((first,))
    return lambda *args, **kwargs: next(calls, then)(*args, **kwargs)


@pytest.mark.attack("HTTP-07")
def test_a_person_gets_a_page_that_tells_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("broker.identity.clients.store.get", _boom)
        page = lab.browser().get(lab.authorize_url())
    assert page.status_code == 500 and page.content_type == "text/html; charset=utf-8"
    for word in ("Traceback", "SELECT", "sqlite", "_Broken", "eyJ", "vault", ".py"):
        assert word not in page.get_data(as_text=True)
    assert "req_" in page.get_data(as_text=True)
    assert lab.browser().get(lab.authorize_url()).status_code == 200


@pytest.mark.attack("HTTP-10")
@pytest.mark.parametrize(
    "kind", ["text/plain", FORM, "application/jwt", "application/json+x", "", "multipart/form-data"]
)
def test_a_json_endpoint_takes_json(lab: Lab, kind: str) -> None:
    body = json.dumps({"redirect_uris": ["https://client.example/cb"]})
    before = lab.state()
    response = lab.http().post("/register", base_url=ISSUER, data=body, content_type=kind)
    lab.refused(response, 400, "invalid_client_metadata", "malformed", "client.refused")
    assert lab.state() == before
    for good in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        assert lab.http().post("/register", base_url=ISSUER, data=body, content_type=good).status_code == 201


@pytest.mark.attack("HTTP-10")
@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
def test_a_form_endpoint_takes_a_form(lab: Lab, path: str) -> None:
    token = lab.tokens()["access_token"]
    fields = {"grant_type": "client_credentials", "token": token}
    client = basic("tickets-server" if path == "/introspect" else "nightly")
    before = lab.state()
    for kind in ("application/json", "text/plain", "", "application/x-www-form-urlencoded2"):
        response = lab.http().post(
            path, base_url=ISSUER, data=json.dumps(fields), content_type=kind, headers=client
        )
        lab.refused(response, 400, "invalid_request", "malformed")
    assert lab.state() == before
    good = lab.http().post(
        path, base_url=ISSUER, data=fields, content_type=f"{FORM}; charset=UTF-8", headers=client
    )
    assert good.status_code == 200


@pytest.mark.attack("HTTP-10")
def test_other_methods_are_not_taken(lab: Lab) -> None:
    for path in ("/token", "/introspect", "/revoke", "/register"):
        for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE"):
            response = lab.http().open(path, method=method, base_url=ISSUER, headers=basic("nightly"))
            assert response.status_code == 405 and "POST" in response.headers["Allow"]
    assert not lab.facts("token.issued")


WRONG = {"grant_type": "client_credentials"}
LIES = (
    {"X-Forwarded-For": "192.0.2.%d"},
    {"Forwarded": "for=192.0.2.%d"},
    {"X-Real-IP": "192.0.2.%d"},
    {"True-Client-IP": "192.0.2.%d"},
    {"CF-Connecting-IP": "192.0.2.%d"},
    {"X-Client-IP": "192.0.2.%d"},
)


@pytest.mark.attack("HTTP-12")
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: next(iter(lie)))
def test_a_forged_address_does_not_get_round_a_limit(
    make_lab: Callable[..., Lab], lie: dict[str, str]
) -> None:
    lab = make_lab(failures_per_minute=5)
    for number in range(5):
        headers = {**basic("nightly", "x" * 43), **{name: value % number for name, value in lie.items()}}
        assert_refused(lab.post("/token", WRONG, headers), 401, "invalid_client")
    headers = {**basic("nightly", "x" * 43), **{name: value % 99 for name, value in lie.items()}}
    assert_refused(lab.post("/token", WRONG, headers), 429, "temporarily_unavailable")
    assert {record["source"] for record in lab.facts("token.refused")} == {"203.0.113.7"}
    assert lab.post("/token", WRONG, basic("nightly"), "203.0.113.8").status_code == 200


@pytest.mark.attack("HTTP-12")
def test_moving_within_a_household_or_changing_the_client_does_not_help(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(failures_per_minute=5)
    sources = [f"2001:db8:1:2:{i}::{i}" for i in range(8)]
    names = ["nightly", "web-app", "other-app", "nobody", "x" * 300, "nightly", "nightly", "nightly"]
    answers = [
        lab.post("/token", WRONG, basic(name, "x" * 43), source).status_code
        for name, source in zip(names, sources, strict=True)
    ]
    assert answers == [401] * 5 + [429] * 3
    assert lab.post("/token", WRONG, basic("nightly"), "2001:db8:1:3::1").status_code == 200
    mapped = [
        lab.post("/token", WRONG, basic("nightly", "x" * 43), s).status_code for s in ["203.0.113.50"] * 5
    ]
    assert mapped == [401] * 5
    assert lab.post("/token", WRONG, basic("nightly"), "::ffff:203.0.113.50").status_code == 429


@pytest.mark.attack("HTTP-12")
def test_leaving_out_what_is_counted_gives_nothing_to_guess_with(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(failures_per_minute=5)
    for _ in range(6):
        assert_refused(lab.post("/token", WRONG, source=""), 401, "invalid_client")
        assert_refused(
            lab.post("/token", {**WRONG, "client_secret": "x" * 43}, source=""), 400, "invalid_request"
        )
    answers = [lab.post("/token", WRONG, basic("nightly", "x" * 43), "").status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]


@pytest.mark.attack("HTTP-12")
def test_a_trusted_proxy_is_believed_for_its_last_hop_and_nobody_else(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(failures_per_minute=5, trusted_proxies=("10.0.0.0/8",))

    def wrong(peer: str, forwarded: str) -> int:
        headers = {**basic("nightly", "x" * 43), "X-Forwarded-For": forwarded}
        return lab.post("/token", WRONG, headers, peer).status_code

    assert [wrong("10.0.0.1", f"192.0.2.{i}, 198.51.100.5") for i in range(6)] == [401] * 5 + [429]
    assert lab.facts("token.refused")[-1]["source"] == "198.51.100.5"
    assert wrong("10.0.0.1", "198.51.100.5, 198.51.100.6") == 401
    assert wrong("10.0.0.1", "198.51.100.5, 10.9.9.9") == 429
    assert [wrong("203.0.113.9", f"192.0.2.{i}") for i in range(6)] == [401] * 5 + [429]


@pytest.mark.attack("HTTP-12")
def test_the_limit_on_foreign_tokens_goes_by_client(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(inactive_introspections_per_minute=3)
    token = lab.tokens()["access_token"]
    for number in range(3):
        source = f"192.0.2.{number}"
        answer = lab.post("/introspect", {"token": f"guess{number}"}, basic("tickets-server"), source)
        assert answer.json == {"active": False}
    refused = lab.post("/introspect", {"token": token}, basic("tickets-server"), "192.0.2.99")
    lab.refused(refused, 429, "temporarily_unavailable", "rate_limited")
    through = lab.introspect(token, door="/t/acme")
    lab.refused(through, 429, "temporarily_unavailable", "rate_limited")
    assert not lab.active(token, "notes-server")
    lab.clock.advance(60)
    assert lab.active(token)
