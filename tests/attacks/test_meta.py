"""META: what the server says of itself, and which addresses answer at all."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from tests.lab import ISSUER, Lab, Page, assert_refused, basic, claims, landed

FORMS = (
    "/.well-known/oauth-authorization-server{door}",
    "/.well-known/openid-configuration{door}",
    "{door}/.well-known/openid-configuration",
)
DISCOVERY = (
    "/.well-known/oauth-authorization-server",
    "/jwks",
    "/.well-known/oauth-protected-resource/r/tickets",
)
FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-For": "198.51.100.99",
    "Forwarded": "for=198.51.100.99;host=evil.example;proto=http",
    "X-Original-URI": "/evil",
    "X-Original-URL": "/evil",
    "X-Rewrite-URL": "/evil",
}


@pytest.mark.attack("META-01")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("door", ["", "/t/acme", "/t/initech"])
@pytest.mark.requirement("MCP-AS-02")
def test_every_form_of_discovery_names_the_issuer_it_was_asked_for(lab: Lab, form: str, door: str) -> None:
    answer = lab.get(form.format(door=door))
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    assert answer.json["issuer"] == ISSUER + door
    for name, value in answer.json.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert value.startswith(ISSUER + door + "/") and value.count("/t/") == (1 if door else 0)


@pytest.mark.attack("META-01")
@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_tenant_has_no_metadata_and_betrays_no_other(lab: Lab, form: str) -> None:
    answer = lab.get(form.format(door="/t/nobody"))
    assert answer.status_code == 404 and answer.json == {"error": "not_found"}
    assert answer.headers["Cache-Control"] == "no-store"
    for tenant in ("acme", "globex", "initech"):
        assert tenant not in answer.get_data(as_text=True)


@pytest.mark.attack("META-04")
@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_success_and_refusal_both_name_the_issuer_that_discovery_promises(lab: Lab, door: str) -> None:
    metadata = lab.get(f"/.well-known/oauth-authorization-server{door}").json
    assert metadata["authorization_response_iss_parameter_supported"] is True
    browser = lab.browser()
    allowed = landed(browser.allow(lab.consent_page(browser=browser, door=door)))
    assert set(allowed) == {"code", "iss", "state"} and allowed["iss"] == metadata["issuer"] == ISSUER + door
    page = lab.consent_page(browser=browser, door=door, prompt="consent")
    denied = landed(browser.submit(Page.of(page), decision="deny"))
    assert denied["error"] == "access_denied" and denied["iss"] == metadata["issuer"]
    refused = landed(browser.get(lab.authorize_url(door=door, code_challenge=None)))
    assert refused["error"] == "invalid_request" and refused["iss"] == metadata["issuer"]


@pytest.mark.attack("META-05")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:443",
        "as.example.evil.example",
        "as.example,evil.example",
        "as.example@evil.example",
        "",
    ],
)
@pytest.mark.parametrize("path", [*DISCOVERY, "/", "/authorize", "/t/acme/login"])
def test_a_foreign_host_is_refused_before_anything_is_read(lab: Lab, host: str, path: str) -> None:
    answer = lab.http().get(path, base_url=ISSUER, environ_overrides={"HTTP_HOST": host})
    assert answer.status_code in (400, 421)
    assert "Location" not in answer.headers and "Set-Cookie" not in answer.headers
    assert "evil" not in answer.get_data(as_text=True)


@pytest.mark.attack("META-05")
def test_the_configured_host_is_served(lab: Lab) -> None:
    for path in DISCOVERY:
        assert (
            lab.http().get(path, base_url=ISSUER, environ_overrides={"HTTP_HOST": "as.example"}).status_code
            == 200
        )


@pytest.mark.attack("META-06")
def test_forwarded_headers_of_an_unknown_peer_change_no_address(lab: Lab) -> None:
    for path in DISCOVERY:
        plain, forged = lab.get(path), lab.get(path, **FORGED)
        assert forged.status_code == 200 and forged.data == plain.data
    browser = lab.browser("192.0.2.44")
    page = browser.get(lab.authorize_url(), **FORGED)
    assert "evil" not in page.get_data(as_text=True)
    arrived = landed(browser.allow(browser.sign_in(page)))
    assert arrived["iss"] == ISSUER
    token = lab.redeem(arrived["code"]).json["access_token"]
    assert claims(token)["iss"] == ISSUER


@pytest.mark.attack("META-06")
def test_the_record_names_the_peer_and_not_what_it_says_of_itself(lab: Lab) -> None:
    form = {"grant_type": "client_credentials"}
    lab.post("/token", form, {**basic("nightly", "wrong" * 10), **FORGED}, source="192.0.2.44")
    lab.post("/token", form, {**basic("nightly"), **FORGED}, source="192.0.2.44")
    assert [record["source"] for record in lab.facts("token.refused")] == ["192.0.2.44"]
    assert [record["source"] for record in lab.facts("token.issued")] == ["192.0.2.44"]


@pytest.mark.attack("META-06")
def test_a_trusted_proxy_is_believed_about_its_own_peer_only(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(trusted_proxies=("10.0.0.0/8",))
    form, wrong = {"grant_type": "client_credentials"}, basic("nightly", "wrong" * 10)
    lab.post("/token", form, {**wrong, "X-Forwarded-For": "198.51.100.99, 192.0.2.44"}, source="10.1.2.3")
    lab.post("/token", form, {**wrong, "X-Forwarded-For": "198.51.100.99"}, source="192.0.2.45")
    assert [record["source"] for record in lab.facts("token.refused")] == ["192.0.2.44", "192.0.2.45"]


FORGOTTEN = (
    "/debug",
    "/console",
    "/console/",
    "/metrics",
    "/admin",
    "/admin/",
    "/admin/v1/clients",
    "/.env",
    "/.git/config",
    "/_debugbar",
    "/__debugger__",
    "/?__debugger__=yes&cmd=resource&f=debugger.js",
    "/swagger",
    "/docs",
    "/redoc",
    "/graphql",
    "/openapi.yaml",
    "/phpinfo.php",
    "/actuator",
    "/actuator/env",
    "/server-status",
    "/config",
    "/oauth/token",
    "/oauth2/token",
    "/oauth/authorize",
    "/oauth2/v1/authorize",
    "/o/authorize",
    "/as/token.oauth2",
    "/token.json",
    "/token~",
    "/authorize.bak",
    "/connect/register",
    "/registration",
    "/v1/token",
    "/oidc/token",
    "/.well-known/jwks.json",
    "/keys",
    "/static/",
    "/static/../settings.py",
    "/static",
    "/test",
    "/healthz/debug",
)


@pytest.mark.attack("META-07")
def test_no_forgotten_address_answers_in_production(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(development=False, argon2_memory_kib=19 * 1024)
    assert not lab.app.debug and not lab.app.testing
    for door in ("", "/t/acme"):
        for path in FORGOTTEN:
            answer = lab.get(door + path)
            if path.startswith("/?"):  # the framework's debugger would listen here
                assert b"debugger" not in answer.data.lower() and b"EVALEX" not in answer.data
                continue
            assert answer.status_code in (401, 403, 404), (door + path, answer.status_code)
            posted = lab.post(door + path, {"grant_type": "client_credentials"}, basic("nightly"))
            assert posted.status_code in (401, 403, 404, 405), (door + path, posted.status_code)
    assert lab.client_credentials().status_code == 200


@pytest.mark.attack("META-07")
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_internal_fault_shows_an_id_and_nothing_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("mcpb_secret_detail")

    monkeypatch.setattr(lab.broker.published, "_document", fault)
    answer = lab.get("/jwks", Accept=accept)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 500 and answer.headers["Cache-Control"] == "no-store"
    assert "req_" in text
    for word in ("mcpb_secret_detail", "RuntimeError", "Traceback", 'File "', "werkzeug"):
        assert word not in text


SPELLINGS = (
    "/token/", "/./token", "/x/../token", "/t/../token", "/t/acme/../../token", "/%2e/token",
    "/%2e%2e/token", "/token%2f", "/token/.", "/token;x=1", "/token;", "/TOKEN", "/Token", "/token\u00a0", "/token\0",
    "/tok\u212aen", "/token//", "\\token", "/token\\", "/t//token", "/t/acme//token", "/t/ACME/token", "/t/acme;/token",
    "/t/acme/token/", "/t/acme/../globex/token", "/t/./token", "/t/../t/acme/token", " /token", "/token ",
)  # fmt: skip


@pytest.mark.attack("META-08")
@pytest.mark.parametrize("path", SPELLINGS)
def test_another_spelling_of_the_token_endpoint_is_no_way_in(lab: Lab, path: str) -> None:
    raw = path.encode().decode("latin-1")
    for headers in ({}, basic("nightly", "wrong" * 10), basic("nightly")):
        answer = lab.http().post(
            "/token",
            base_url=ISSUER,
            data={"grant_type": "client_credentials"},
            headers=headers,
            environ_overrides={"PATH_INFO": raw},
        )
        assert answer.status_code in (400, 404, 405, 308), (path, answer.status_code)
        assert "access_token" not in answer.get_data(as_text=True)
    assert lab.facts("token.issued") == []


@pytest.mark.attack("META-08")
@pytest.mark.parametrize("path", ["//token", "///token", "/token?x=/admin", "/t/acme/token#/jwks"])
def test_a_spelling_that_is_the_same_address_meets_the_same_guards(lab: Lab, path: str) -> None:
    raw = path.partition("?")[0].partition("#")[0]

    def post(secret: str | None = None) -> TestResponse:
        return lab.http().post(
            "/token",
            base_url=ISSUER,
            data={"grant_type": "client_credentials"},
            headers=basic("nightly", secret),
            environ_overrides={"PATH_INFO": raw, "REMOTE_ADDR": "203.0.113.7"},
        )

    assert_refused(post("wrong" * 10), 401, "invalid_client")
    assert post().status_code == 200
    for _ in range(lab.broker.settings.failures_per_minute - 1):
        lab.post("/token", {"grant_type": "client_credentials"}, basic("nightly", "wrong" * 10))
    assert_refused(post("wrong" * 10), 429, "temporarily_unavailable")


@pytest.mark.attack("META-08")
@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_override_overrides_nothing(lab: Lab, header: str) -> None:
    answer = lab.get(
        "/token?grant_type=client_credentials&_method=POST", **{header: "POST"}, **basic("nightly")
    )
    assert answer.status_code == 405 and "access_token" not in answer.get_data(as_text=True)
    head = lab.http().get(lab.authorize_url(), base_url=ISSUER, headers={header: "HEAD"})
    assert head.status_code == 303
    posted = lab.post("/introspect", {"token": "x", "_method": "GET"}, {header: "GET"})
    assert posted.status_code == 401
    deleted = lab.post(
        "/token",
        {"grant_type": "client_credentials", "_method": "DELETE"},
        {**basic("nightly"), header: "DELETE"},
    )
    assert deleted.status_code == 200


@pytest.mark.attack("META-09")
@pytest.mark.parametrize("door", ["", "/t/acme", "/t/globex", "/t/initech"])
def test_the_key_set_shows_public_halves_only(lab: Lab, door: str) -> None:
    keys = lab.get(f"{door}/jwks").json["keys"]
    assert keys
    for key in keys:
        assert key["kid"] and key["alg"] in ("ES256", "EdDSA", "RS256", "PS256")
        assert key.get("use") == "sig" or key.get("key_ops") == ["verify"]
        assert key["kty"] in ("EC", "OKP", "RSA")
        assert not set(key) & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
    assert len({key["kid"] for key in keys}) == len(keys)


@pytest.mark.attack("META-09")
def test_no_two_doors_share_a_key(lab: Lab) -> None:
    kids = [
        key["kid"] for door in ("", "/t/acme", "/t/globex") for key in lab.get(f"{door}/jwks").json["keys"]
    ]
    assert len(set(kids)) == len(kids)


@pytest.mark.attack("META-10")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://client.example"])
@pytest.mark.parametrize("path", DISCOVERY)
def test_discovery_may_be_read_by_any_page_without_credentials(lab: Lab, origin: str, path: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    for answer in (lab.get(path, Origin=origin), lab.http().options(path, base_url=ISSUER, headers=asked)):
        assert answer.status_code in (200, 204)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.attack("META-10")
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://client.example.evil.example",
        "http://client.example",
        "https://client.example:8443",
    ],
)
@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/t/acme/token"])
def test_the_token_endpoint_may_not_be_read_by_a_strange_page(lab: Lab, origin: str, path: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for answer in (
        lab.http().options(path, base_url=ISSUER, headers=asked),
        lab.post(path, {"grant_type": "client_credentials"}, {"Origin": origin, **basic("nightly")}),
    ):
        assert not [name for name in answer.headers.keys() if name.lower().startswith("access-control-")]


@pytest.mark.attack("META-10")
@pytest.mark.parametrize("path", ["/token", "/revoke", "/t/acme/token"])
def test_the_token_endpoint_may_be_read_by_pages_of_a_registered_client(lab: Lab, path: str) -> None:
    asked = {"Origin": "https://client.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        lab.http().options(path, base_url=ISSUER, headers=asked),
        lab.post(path, {"grant_type": "authorization_code"}, {"Origin": "https://client.example"}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://client.example"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.attack("META-10")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://client.example"])
@pytest.mark.parametrize("path", ["/authorize", "/login", "/consent", "/admin/v1/clients", "/console", "/"])
def test_pages_and_server_apis_are_for_no_other_page(lab: Lab, origin: str, path: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    answers = (
        lab.http().options(path, base_url=ISSUER, headers=asked),
        lab.get(path, Origin=origin),
        lab.post(path, {"token": "x"}, {"Origin": origin}),
    )
    for answer in answers:
        assert answer.status_code < 500
        assert not [name for name in answer.headers.keys() if name.lower().startswith("access-control-")]


@pytest.mark.attack("META-12")
@pytest.mark.parametrize("path", DISCOVERY)
def test_discovery_may_be_cached_for_less_than_a_key_is_published_before_it_signs(
    lab: Lab, path: str
) -> None:
    answer = lab.get(path)
    cache = dict(part.strip().partition("=")[::2] for part in answer.headers["Cache-Control"].split(","))
    assert "public" in cache and 0 < int(cache["max-age"]) <= lab.broker.settings.key_publish_before
    assert "Cookie" not in answer.headers.get("Vary", "") and "Set-Cookie" not in answer.headers
    for etag in (answer.headers["ETag"], "W/" + answer.headers["ETag"], f'"other", {answer.headers["ETag"]}'):
        again = lab.get(path, **{"If-None-Match": etag})
        assert (
            again.status_code == 304 and again.data == b"" and again.headers["ETag"] == answer.headers["ETag"]
        )
    assert lab.get(path, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.attack("META-12")
@pytest.mark.parametrize("path", DISCOVERY)
def test_an_error_in_discovery_is_not_cached(lab: Lab, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(lab.broker.published, "_once", fault)
    answer = lab.get(path)
    assert answer.status_code == 500 and answer.headers["Cache-Control"] == "no-store"


@pytest.mark.attack("META-12")
def test_a_change_of_the_estate_changes_the_etag(lab: Lab) -> None:
    path = "/.well-known/oauth-protected-resource/r/tickets"
    before = lab.get(path).headers["ETag"]
    resource = lab.broker.estate().resources["tickets"]
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(resource, name="Renamed")))
    after = lab.get(path, **{"If-None-Match": before})
    assert after.status_code == 200 and after.json["resource_name"] == "Renamed"


@pytest.mark.attack("META-11")
@pytest.mark.requirement("MCP-AS-22")
def test_credentials_that_travelled_in_clear_are_refused_unread(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(trusted_proxies=("10.0.0.0/8",))
    form, clear = {"grant_type": "client_credentials"}, {"X-Forwarded-Proto": "http"}
    for secret in ("wrong" * 10, None):
        answer = lab.post("/token", form, {**basic("nightly", secret), **clear}, source="10.1.2.3")
        assert_refused(answer, 400, "invalid_request")
        assert "Location" not in answer.headers
    assert lab.facts("token.issued") == [] and lab.facts("token.refused") == []
    answer = lab.post("/token", form, {**basic("nightly"), "X-Forwarded-Proto": "https"}, source="10.1.2.3")
    assert answer.status_code == 200
    age = answer.headers["Strict-Transport-Security"].partition("max-age=")[2].partition(";")[0]
    assert int(age) >= 31536000
