"""AUTHZ: what an authorization request may say, and where its answer may go."""

import base64
import json
import re
import socket
import time
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from werkzeug.test import TestResponse

from broker.identity.clients.model import Client, Registered
from tests.lab import (
    ACME,
    CALLBACK,
    ISSUER,
    TICKETS,
    Browser,
    Lab,
    Page,
    assert_page,
    landed,
)

USER_GRANTS = ("authorization_code", "refresh_token")
EVIL = "https://evil.example/cb"


def turned_away(lab: Lab, response: TestResponse, reason: str, status: int = 400) -> str:
    """A page and a record, and no code nor anything begun."""
    text = assert_page(response, status)
    assert "Set-Cookie" not in response.headers
    assert lab.rows("authorization_code") == lab.rows("authorization_request") == 0
    records = lab.facts("authorization.refused")
    assert records and records[-1]["reason"] == reason and records[-1]["outcome"] == "denied"
    return text


def sent_back(
    lab: Lab, response: TestResponse, error: str, reason: str, state: str | None = "st4te"
) -> dict[str, str]:
    """A redirect to the client with the error, its issuer and state, and a record, and nothing begun."""
    arrived = landed(response)
    assert arrived["error"] == error and "code" not in arrived
    assert arrived["iss"] == ISSUER and arrived.get("state") == state
    assert response.headers["Location"].startswith(CALLBACK)
    assert lab.rows("authorization_code") == lab.rows("authorization_request") == 0
    records = lab.facts("authorization.refused")
    assert records and records[-1]["reason"] == reason
    return arrived


def asked(lab: Lab, *more: tuple[str, str], door: str = "", **changes: str | None) -> TestResponse:
    """The answer to an authorization request with some parameters changed and some added."""
    return lab.http().get(
        lab.authorize_url(door=door, **changes) + ("&" + urlencode(more) if more else ""),
        base_url=ISSUER,
        headers={"Accept": "text/html"},
    )


def begins(response: TestResponse, door: str = ISSUER) -> None:
    """The request was accepted: the browser goes on to consent."""
    assert response.status_code == 303
    assert re.fullmatch(re.escape(door) + r"/consent\?request=[\w-]{40,}", response.headers["Location"])


@pytest.mark.attack("AUTHZ-01")
@pytest.mark.parametrize(
    "client_id", [None, "", "nobody", "desk-app ", "DESK-APP", "tickets-server\r\nX: y", "<script>"]
)
def test_a_request_of_an_unknown_client_is_never_redirected(lab: Lab, client_id: str | None) -> None:
    text = turned_away(lab, asked(lab, client_id=client_id, redirect_uri=EVIL), "client_unknown")
    assert f'href="{EVIL}' not in text and "evil.example" not in text and "<script>" not in text


@pytest.mark.attack("AUTHZ-01")
def test_a_client_of_another_tenant_is_unknown_at_this_door(lab: Lab) -> None:
    turned_away(lab, asked(lab, client_id="web-app", door="/t/globex"), "client_unknown")
    begins(asked(lab, client_id="web-app", door="/t/acme"), ACME)


@pytest.mark.attack("AUTHZ-01")
def test_a_request_of_a_known_client_begins(lab: Lab) -> None:
    begins(asked(lab))
    assert lab.rows("authorization_request") == 1 and lab.facts("authorization.refused") == []


@pytest.mark.attack("AUTHZ-02")
@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/other",
        "https://client.example/cb/",
        "https://client.example/cb/../evil",
        "https://client.example/CB",
        "https://client.example/",
        "https://client.example",
        "http://client.example/cb",
        "https://client.example:443/cb",
        "https://client.example:8443/cb",
        "https://CLIENT.example/cb",
        "https://client.example.evil.example/cb",
        "https://client.example@evil.example/cb",
        "https://sub.client.example/cb",
        "https://client.example/cb%2f",
        "https://client.example/c%62",
        "//client.example/cb",
        "/cb",
        "javascript:alert(1)",
        EVIL,
    ],
)
@pytest.mark.requirement("MCP-AS-18")
def test_an_unregistered_redirect_uri_gets_a_page_and_no_code(lab: Lab, uri: str) -> None:
    text = turned_away(lab, asked(lab, redirect_uri=uri), "redirect_uri_mismatch")
    assert f'href="{uri}' not in text
    begins(asked(lab))


@pytest.mark.attack("AUTHZ-05")
@pytest.mark.requirement("MCP-AS-17")
def test_query_and_fragment_of_a_redirect_uri_are_compared_exactly(lab: Lab) -> None:
    with_query = "https://query.example/cb?a=1"
    lab.put_client(Client("query-app", "Query", None, "none", Registered.ADMIN, (with_query,), USER_GRANTS))
    for uri in (
        CALLBACK + "?x=1",
        CALLBACK + "#x",
        CALLBACK + "#",
        CALLBACK + "?",
        CALLBACK + "&a=1",
        CALLBACK + ";a=1",
    ):
        turned_away(lab, asked(lab, redirect_uri=uri), "redirect_uri_mismatch")
        lab.clock.advance(60)
    for query in ("?a=2", "?a=1&b=2", "?a=1&", "?A=1", "", "?", "?a=%31", "?a=1#"):
        uri = "https://query.example/cb" + query
        turned_away(lab, asked(lab, client_id="query-app", redirect_uri=uri), "redirect_uri_mismatch")
        lab.clock.advance(60)
    browser = lab.browser()
    page = lab.consent_page(browser=browser, client_id="query-app", redirect_uri=with_query)
    location = browser.allow(page).headers["Location"]
    assert location.startswith(with_query + "&code=")
    assert [name for name, _ in parse_qsl(urlsplit(location).query)] == ["a", "code", "iss", "state"]


@pytest.mark.attack("AUTHZ-07")
@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost/cb",
        "http://localhost:8080/cb",
        "http://127.0.0.1:8080/other",
        "http://127.0.0.1:8080/cb/",
        "http://127.0.0.1:8080/cb?x=1",
        "http://127.0.0.1:8080/cb#x",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://127.0.0.1:8080@evil.example/cb",
        "http://[::1]:8080/cb",
        "http://127.1:8080/cb",
        "http://127.0.1:8080/cb",
        "http://2130706433:8080/cb",
        "http://0x7f000001/cb",
        "http://0177.0.0.1/cb",
        "http://127.0.0.2:8080/cb",
        "http://127.0.0.1.:8080/cb",
        "http://0.0.0.0:8080/cb",
        "https://127.0.0.1:8080/cb",
        "https://127.0.0.1/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:+80/cb",
        "http://127.0.0.1:80:80/cb",
        "http://127.0.0.1:\u0661/cb",
        "http://127.0.0.1\\@evil.example/cb",
        "http:/127.0.0.1/cb",
    ],
)
def test_on_loopback_nothing_but_the_port_may_differ(lab: Lab, uri: str) -> None:
    turned_away(lab, asked(lab, client_id="local-app", redirect_uri=uri), "redirect_uri_mismatch")


@pytest.mark.attack("AUTHZ-07")
@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/cb",
        "http://127.0.0.1:1/cb",
        "http://127.0.0.1:51004/cb",
        "http://127.0.0.1:65535/cb",
    ],
)
def test_on_loopback_any_port_is_accepted_and_answered(lab: Lab, uri: str) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, client_id="local-app", redirect_uri=uri)
    response = browser.allow(page)
    assert response.headers["Location"].startswith(uri + "?code=")
    assert lab.redeem(landed(response)["code"], "local-app", redirect_uri=uri).status_code == 200


@pytest.mark.attack("AUTHZ-07")
@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_another_loopback_host_is_accepted_when_that_very_form_is_registered(lab: Lab, host: str) -> None:
    lab.put_client(
        Client(
            "here",
            "Here",
            None,
            "none",
            Registered.ADMIN,
            (f"http://{host}/cb",),
            USER_GRANTS,
            application_type="native",
        )
    )
    begins(asked(lab, client_id="here", redirect_uri=f"http://{host}:8080/cb"))
    answer = asked(lab, client_id="here", redirect_uri="http://127.0.0.1:8080/cb")
    assert_page(answer, 400)


@pytest.mark.attack("AUTHZ-08")
def test_a_client_with_two_redirect_uris_must_say_which(lab: Lab) -> None:
    turned_away(lab, asked(lab, client_id="two-uris", redirect_uri=None), "redirect_uri_mismatch")
    begins(asked(lab, client_id="two-uris", redirect_uri="https://client.example/cb2"))


@pytest.mark.attack("AUTHZ-08")
def test_a_client_with_one_redirect_uri_may_leave_it_out(lab: Lab) -> None:
    browser = lab.browser()
    response = browser.allow(lab.consent_page(browser=browser, redirect_uri=None))
    assert response.headers["Location"].startswith(CALLBACK + "?code=")


@pytest.mark.attack("AUTHZ-09")
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("client_id", "two-uris", "client_unknown"),
        ("client_id", "desk-app", "client_unknown"),
        ("redirect_uri", EVIL, "redirect_uri_mismatch"),
        ("redirect_uri", CALLBACK, "redirect_uri_mismatch"),
        ("redirect_uri", "", "redirect_uri_mismatch"),
    ],
)
def test_a_repeated_client_or_redirect_uri_is_never_redirected(
    lab: Lab, name: str, value: str, reason: str
) -> None:
    turned_away(lab, asked(lab, (name, value)), reason)


@pytest.mark.attack("AUTHZ-09")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scope", "tickets:write"),
        ("scope", "tickets:read"),
        ("code_challenge", "A" * 43),
        ("code_challenge_method", "S256"),
        ("response_type", "code"),
        ("response_type", "token"),
        ("prompt", "none"),
        ("nonce", "n"),
    ],
)
def test_another_repeated_parameter_goes_back_as_an_error(lab: Lab, name: str, value: str) -> None:
    again = (
        [(name, value)]
        if name in ("scope", "code_challenge", "code_challenge_method", "response_type")
        else [(name, value)] * 2
    )
    sent_back(lab, asked(lab, *again), "invalid_request", "repeated_parameter")


@pytest.mark.attack("AUTHZ-09")
@pytest.mark.parametrize("value", ["other", "st4te", ""])
def test_a_repeated_state_is_an_error_that_neither_value_wins(lab: Lab, value: str) -> None:
    sent_back(lab, asked(lab, ("state", value)), "invalid_request", "repeated_parameter", state=None)


@pytest.mark.attack("AUTHZ-09")
@pytest.mark.parametrize("value", ["https://mcp2.example/mcp", TICKETS])
def test_two_resources_are_one_too_many(lab: Lab, value: str) -> None:
    sent_back(lab, asked(lab, ("resource", value)), "invalid_request", "resource_repeated")


@pytest.mark.attack("AUTHZ-11")
@pytest.mark.parametrize(
    "mode",
    [
        "fragment",
        "web_message",
        "jwt",
        "query.jwt",
        "fragment.jwt",
        "form_post.jwt",
        "rubbish",
        "QUERY",
        "query fragment",
    ],
)
def test_a_response_mode_that_is_not_offered_goes_back_in_the_query(lab: Lab, mode: str) -> None:
    response = asked(lab, response_mode=mode)
    sent_back(lab, response, "invalid_request", "parameter_not_supported")
    assert "#" not in response.headers["Location"]
    assert lab.get("/.well-known/oauth-authorization-server").json["response_modes_supported"] == [
        "query",
        "form_post",
    ]


@pytest.mark.attack("AUTHZ-11")
@pytest.mark.parametrize("mode", ["query", "", None])
def test_the_query_is_served(lab: Lab, mode: str | None) -> None:
    begins(asked(lab, response_mode=mode))


@pytest.mark.attack("AUTHZ-12")
@pytest.mark.parametrize("client_id", ["desk-app", "web-app"])
@pytest.mark.parametrize("method", ["S256", "plain", None])
@pytest.mark.requirement("MCP-AS-01")
def test_there_is_no_code_without_a_challenge(lab: Lab, client_id: str, method: str | None) -> None:
    for challenge in (None, ""):
        response = asked(lab, client_id=client_id, code_challenge=challenge, code_challenge_method=method)
        sent_back(lab, response, "invalid_request", "pkce_missing")


@pytest.mark.attack("AUTHZ-12")
@pytest.mark.parametrize(
    "challenge", ["A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "+", "A" * 42 + "\n", "A" * 128]
)
def test_a_challenge_that_no_sha256_can_be_is_none(lab: Lab, challenge: str) -> None:
    sent_back(lab, asked(lab, code_challenge=challenge), "invalid_request", "pkce_method")


@pytest.mark.attack("AUTHZ-14")
@pytest.mark.parametrize(
    "method", ["plain", None, "", "s256", "S256 ", " S256", "S512", "none", "S256,plain", "\uff33256"]
)
def test_s256_is_the_only_challenge_method(lab: Lab, method: str | None) -> None:
    sent_back(lab, asked(lab, code_challenge_method=method), "invalid_request", "pkce_method")
    begins(asked(lab))


STATES = {
    "markup": '"><script>alert(1)</script><img src=x onerror=alert(1)>',
    "quotes": "'\"`{{7*7}}${7*7}<%=7*7%>",
    "line breaks": "a\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "2 kB": "s" * 2048,
    "unicode": "\u202etxt.\U0001f600\u0000"[:-1] + "é&=#?%",
}


@pytest.mark.attack("AUTHZ-16")
@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_the_state_is_data_and_comes_back_whole(lab: Lab, state: str) -> None:
    browser = lab.browser()
    first = browser.get(lab.authorize_url(state=state))
    consent = browser.sign_in(first)
    for page in (first, consent):
        text = assert_page(page, 200)
        assert "<script>" not in text and "<img src=x" not in text
    response = browser.allow(consent)
    assert landed(response)["state"] == state
    location = response.headers["Location"]
    assert location.isascii() and not re.search(r"[\s<>\"']", location)
    assert location.endswith("&state=" + quote(state, safe=""))
    assert "Set-Cookie" not in response.headers


@pytest.mark.attack("AUTHZ-16")
@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_the_state_comes_back_whole_with_an_error(lab: Lab, state: str) -> None:
    sent_back(
        lab, asked(lab, state=state, code_challenge=None), "invalid_request", "pkce_missing", state=state
    )


@pytest.mark.attack("AUTHZ-16")
def test_a_state_of_16_kilobytes_is_turned_away(lab: Lab) -> None:
    answer = asked(lab, state="s" * 16384)
    assert answer.status_code in (400, 413, 414) and "Location" not in answer.headers
    turned_away(lab, answer, "too_large", answer.status_code)


@pytest.mark.attack("AUTHZ-18")
@pytest.mark.parametrize(
    "resource",
    [
        "https://unknown.example/",
        "mcp1.example",
        "mcp1.example/mcp",
        "//mcp1.example/mcp",
        "/mcp",
        TICKETS + "#f",
        TICKETS + "#",
        "ftp://mcp1.example/mcp",
        "",
        "https://mcp1.example/MCP",
        "https://mcp1.example/mcp/x",
        "https://mcp1.example/mcp//",
        "https://mcp1.example/mcp?x=1",
        "https://mcp1.example/mcp?",
        "https://mcp1.example/%6dcp",
        "https://mcp1.example:8443/mcp",
        "http://mcp1.example/mcp",
        "https://user@mcp1.example/mcp",
        "https://mcp1.example/./mcp",
        TICKETS + " ",
        f"{TICKETS} https://mcp2.example/mcp",
        "tickets",
        "urn:tickets",
        "\u202e" + TICKETS,
    ],
)
def test_an_unknown_or_malformed_resource_is_an_invalid_target(lab: Lab, resource: str) -> None:
    sent_back(lab, asked(lab, resource=resource), "invalid_target", "resource_unknown")


@pytest.mark.attack("AUTHZ-18")
@pytest.mark.parametrize("resource", [TICKETS, "HTTPS://MCP1.example:443/mcp", TICKETS + "/", None])
@pytest.mark.requirement("MCP-AS-25")
def test_the_registered_resource_is_found_and_named_as_registered(lab: Lab, resource: str | None) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, resource=resource)
    assert TICKETS in page.get_data(as_text=True)
    assert "code" in landed(browser.allow(page))


@pytest.mark.attack("AUTHZ-20")
def test_another_tenants_resource_looks_like_no_resource(lab: Lab) -> None:
    answers = []
    for resource in ("https://globex.example/mcp", "https://nobody.example/mcp"):
        arrived = landed(asked(lab, door="/t/acme", resource=resource, scope="g:read"))
        answers.append(arrived)
    assert answers[0] == answers[1] and answers[0]["error"] == "invalid_target" and answers[0]["iss"] == ACME
    records = lab.facts("authorization.refused")
    assert [record["reason"] for record in records] == ["resource_unknown"] * 2
    assert all(record.get("resource") is None for record in records)
    begins(
        asked(lab, door="/t/globex", resource="https://globex.example/mcp", scope="g:read"),
        ISSUER + "/t/globex",
    )


@pytest.mark.attack("AUTHZ-21")
def test_an_unsigned_request_object_has_no_say(lab: Lab) -> None:
    def part(members: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()

    inside = {
        "iss": "desk-app",
        "client_id": "desk-app",
        "redirect_uri": EVIL,
        "state": "inner",
        "response_type": "code",
    }
    for request in (f"{part({'alg': 'none'})}.{part(inside)}.", "rubbish", "{}"):
        response = asked(lab, request=request)
        sent_back(lab, response, "request_not_supported", "parameter_not_supported")
        assert "evil" not in response.headers["Location"] and "inner" not in response.headers["Location"]
    turned_away(lab, asked(lab, request="x", redirect_uri=EVIL), "redirect_uri_mismatch")
    assert lab.get("/.well-known/openid-configuration").json["request_parameter_supported"] is False


@pytest.mark.attack("AUTHZ-22")
def test_a_request_uri_is_never_fetched(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)
        port = canary.getsockname()[1]
        for uri in (
            f"http://127.0.0.1:{port}/object",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "urn:ietf:params:oauth:request-uri:x",
        ):
            sent_back(
                lab, asked(lab, request_uri=uri), "request_uri_not_supported", "parameter_not_supported"
            )
        unknown = asked(lab, request_uri="urn:ietf:params:oauth:request_uri:x")
        turned_away(lab, unknown, "request_uri_unknown")
        with pytest.raises(BlockingIOError):
            canary.accept()
    assert lab.get("/.well-known/openid-configuration").json["request_uri_parameter_supported"] is False


@pytest.mark.attack("AUTHZ-30")
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_head_and_options_change_nothing(lab: Lab, method: str) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    tables = (
        "authorization_code",
        "authorization_request",
        "access_grant",
        "browser_session",
        "audit_record",
    )
    before, cookies = {table: lab.rows(table) for table in tables}, str(browser.http._cookies)
    lab.clock.advance(90)
    seen = lab.broker.sessions.open()
    for path in (lab.authorize_url("web-app"), "/login", "/consent", "/consent?grant=x"):
        answer = browser.http.open(path, base_url=ISSUER, method=method, headers={"Accept": "text/html"})
        assert answer.status_code in (200, 204, 405) and "Location" not in answer.headers
        assert "Set-Cookie" not in answer.headers
    assert {table: lab.rows(table) for table in tables} == before
    assert str(browser.http._cookies) == cookies and lab.broker.sessions.open() == seen
    assert "code" in landed(browser.get(lab.authorize_url("web-app")))
    assert lab.rows("authorization_code") == before["authorization_code"] + 1


@pytest.mark.attack("AUTHZ-32")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ui_locales", "../../../../etc/passwd"),
        ("ui_locales", "/etc/passwd\r\nX: y"),
        ("ui_locales", "de-" * 500),
        ("login_hint", "<svg onload=alert(1)>"),
        ("login_hint", '"{{ 7777*7777 }}'),
        ("display", "<x>\"'"),
        ("claims_locales", "../x"),
    ],
)
def test_hints_for_display_are_inert(lab: Lab, name: str, value: str) -> None:
    browser = lab.browser()
    page = browser.get(
        lab.authorize_url(**{name: value}), **{"Accept-Language": "../../etc/passwd, <x>;q=9, *"}
    )
    text = assert_page(page, 200)
    assert value not in text and "root:" not in text and "<svg" not in text and "60481729" not in text
    assert "code" in landed(browser.allow(browser.sign_in(page)))


@pytest.mark.attack("AUTHZ-33")
@pytest.mark.parametrize(
    ("kind", "target", "door", "reason"),
    [
        ("client", "desk-app", "", "client_off"),
        ("client", "desk-app", "/t/acme", "client_off"),
        ("tenant", "acme", "/t/acme", "tenant_off"),
        ("resource", "tickets", "", "resource_off"),
    ],
)
@pytest.mark.parametrize("moment", ["before sign-in", "before consent"])
def test_a_switch_thrown_in_the_middle_of_a_sign_in_is_obeyed(
    lab: Lab, kind: str, target: str, door: str, reason: str, moment: str
) -> None:
    browser = lab.browser()
    page = browser.get(lab.authorize_url(door=door))
    if moment == "before consent":
        page = browser.sign_in(page)
        lab.switch(kind, target)
        answer = browser.allow(page)
    else:
        lab.switch(kind, target)
        answer = browser.sign_in(page)
    assert lab.rows("authorization_code") == lab.rows("access_grant") == 0
    if kind == "tenant" and moment == "before sign-in":  # its door takes no sign-in at all
        assert_page(answer, 403)
        assert lab.facts()[-1]["reason"] == reason and lab.facts("session.started") == []
    else:
        assert_page(answer, 400)
        record = lab.facts("authorization.refused")[-1]
        assert (record["reason"], record["subject"], record["client"]) == (reason, "alice", "desk-app")
    lab.lift(kind, target)
    assert lab.code(door=door)


@pytest.mark.attack("AUTHZ-33")
def test_everything_switched_off_in_the_middle_ends_every_sign_in(lab: Lab) -> None:
    browser, other = lab.browser(), lab.browser()
    before_sign_in, before_consent = browser.get(lab.authorize_url()), lab.consent_page(browser=other)
    lab.switch("everything", "*")
    assert_page(browser.sign_in(before_sign_in), 401)
    assert lab.facts("session.refused")[-1]["reason"] == "everything_off"
    assert_page(other.allow(before_consent), 400)
    assert lab.facts("authorization.refused")[-1]["reason"] == "everything_off"
    assert lab.rows("authorization_code") == lab.rows("access_grant") == 0


@pytest.mark.attack("AUTHZ-33")
def test_a_user_switched_off_in_the_middle_gets_no_code(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.sign_in(browser.get(lab.authorize_url()))
    lab.switch("user", "alice")
    assert_page(browser.allow(page), 400)
    assert (
        lab.rows("authorization_code") == 0 and lab.facts("authorization.refused")[-1]["reason"] == "user_off"
    )
    assert lab.code(user="bob")


@pytest.mark.attack("AUTHZ-33")
def test_a_tenant_switched_off_in_the_middle_gets_no_code_at_the_root_door(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.sign_in(browser.get(lab.authorize_url()))
    lab.switch("tenant", "acme")
    answer = browser.allow(page)
    assert answer.status_code == 400 or landed(answer)["error"] == "access_denied"
    assert lab.rows("authorization_code") == lab.rows("access_grant") == 0


@pytest.mark.attack("AUTHZ-34")
@pytest.mark.parametrize(
    "query",
    [
        "code=x&iss=https://evil.example",
        "state=x",
        "a=1&iss=y",
        "error=x",
        "CODE=x",
        "c%6fde=x",
        "a=1;code=x&code",
    ],
)
def test_a_registered_uri_cannot_smuggle_response_parameters(lab: Lab, query: str) -> None:
    answer = lab.register(redirect_uris=["https://c.example/cb?" + query])
    assert answer.status_code == 400 and answer.json["error"] == "invalid_redirect_uri"
    assert lab.facts("client.refused")[-1]["reason"] == "redirect_uri_refused"
    honest = lab.register(redirect_uris=["https://c.example/cb?encode=x"])
    assert honest.status_code == 201
    browser = lab.browser()
    page = lab.consent_page(
        browser=browser, client_id=honest.json["client_id"], redirect_uri="https://c.example/cb?encode=x"
    )
    assert set(landed(browser.allow(page))) == {"encode", "code", "iss", "state"}


@pytest.mark.attack("AUTHZ-35")
@pytest.mark.parametrize(
    "flood",
    [
        "&".join(f"p{i}=1" for i in range(5000)),
        "&".join("a=1" for _ in range(5000)),
        "a=" + "x" * 1_000_000,
        "a" * 1_000_000,
        "&" * 1_000_000,
        "%" * 100_000,
    ],
    ids=["5000 names", "5000 times one", "1 MB value", "1 MB name", "1 MB of nothing", "percents"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_flood_of_parameters_is_turned_away_cheaply(lab: Lab, flood: str, method: str) -> None:
    valid = lab.authorize_url().partition("?")[2]

    def once() -> tuple[float, TestResponse]:
        begun = time.process_time()
        if method == "GET":
            answer = lab.http().get(
                "/authorize",
                base_url=ISSUER,
                headers={"Accept": "text/html"},
                query_string=f"{valid}&{flood}",
            )
        else:
            answer = lab.post("/authorize", f"{valid}&{flood}", {"Accept": "text/html"})
        return time.process_time() - begun, answer

    answers = [once() for _ in range(3)]
    for _, answer in answers:
        assert answer.status_code in (400, 413, 414) and "Location" not in answer.headers
    assert min(seconds for seconds, _ in answers) < 0.2
    assert lab.rows("authorization_request") == 0


@pytest.mark.attack("AUTHZ-36")
def test_a_session_of_another_tenants_user_leads_to_the_sign_in_page_of_this_door(lab: Lab) -> None:
    browser = lab.browser()
    signed_in = browser.sign_in(
        browser.get(
            lab.authorize_url(door="/t/globex", resource="https://globex.example/mcp", scope="g:read")
        ),
        "vera",
    )
    assert b'value="allow"' in signed_in.data
    page = browser.get(lab.authorize_url(door="/t/acme"))
    assert b'name="password"' in page.data and b"Acme" in page.data
    refused = browser.sign_in(page, "vera")
    assert refused.status_code == 401 and b'name="password"' in refused.data
    assert lab.facts("session.refused")[-1]["reason"] == "not_a_member"
    assert lab.rows("authorization_code") == lab.rows("access_grant") == 0
    assert "code" in landed(browser.allow(browser.sign_in(Page.of(refused).response, "alice")))


@pytest.mark.attack("AUTHZ-36")
def test_a_user_without_a_tenant_here_is_refused_at_the_root_door(lab: Lab) -> None:
    browser = lab.browser()
    answer = browser.sign_in(browser.get(lab.authorize_url()), "vera")
    assert landed(answer)["error"] == "access_denied"
    assert lab.rows("authorization_code") == lab.rows("access_grant") == 0
    record = lab.facts("authorization.refused")[-1]
    assert (record["reason"], record["subject"]) == ("not_a_member", "vera")


@pytest.mark.attack("AUTHZ-36")
def test_a_tenant_closed_at_the_root_door_is_not_chosen_there(lab: Lab) -> None:
    browser = Browser(lab)
    page = browser.sign_in(
        browser.get(lab.authorize_url(resource="https://files.example/mcp", scope="files:read")), "ivan"
    )
    assert landed(page)["error"] == "access_denied"
    assert lab.code(user="ivan", door="/t/initech", resource="https://files.example/mcp", scope="files:read")
