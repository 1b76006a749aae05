"""PAR: who may push a request, what is kept of it, and what comes of a request_uri."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Tenant
from tests.assertions import JWT_BEARER, Signer
from tests.lab import (
    CALLBACK,
    ISSUER,
    NOTES,
    TICKETS,
    Lab,
    Page,
    assert_page,
    assert_refused,
    basic,
    claims,
    landed,
    warned,
)
from tests.proofs import Holder
from tests.pushing import PREFIX, address, arrives, asked, proof_for, push, pushed

KEY, OTHER = Holder(), Holder()


def refused(lab: Lab, answer: object, status: int, error: str, reason: str) -> None:
    """The refusal, its record, and nothing stored."""
    before = lab.rows("pushed_request")
    lab.refused(answer, status, error, reason, "request.refused")
    assert lab.rows("pushed_request") == before == 0


def turned_away(lab: Lab, url: str, reason: str) -> None:
    """A page and a record, and nothing begun."""
    answer = lab.http().get(url, base_url=ISSUER, headers={"Accept": "text/html"})
    assert_page(answer, 400)
    assert "Set-Cookie" not in answer.headers
    assert lab.last("authorization.refused")["reason"] == reason
    assert lab.rows("authorization_code") == 0


@pytest.mark.attack("PAR-01")
@pytest.mark.requirement("RFC9126-01")
def test_only_who_proves_to_be_the_client_pushes_for_it(lab: Lab) -> None:
    form = asked(lab)
    for headers in ({}, basic("web-app", "wrong-" + "x" * 40), basic("other-app", "wrong-" + "x" * 40)):
        refused(
            lab,
            lab.post("/par", form, headers),
            401,
            "invalid_client",
            "client_authentication_failed" if headers else "client_method_mismatch",
        )
    refused(lab, lab.post("/par", {}, {}), 401, "invalid_client", "client_unknown")
    assert_refused(lab.post("/par", form, basic("other-app")), 400, "invalid_request")
    assert lab.post("/par", form, basic("web-app")).status_code == 201


@pytest.mark.attack("PAR-01")
def test_every_way_to_authenticate_at_the_token_endpoint_works_here(lab: Lab) -> None:
    signer = Signer(lab).registered()
    assertion = {"client_assertion": signer.assertion(), "client_assertion_type": JWT_BEARER}
    answers = [
        push(lab, "web-app"),
        push(lab, "post-app"),
        push(lab, "desk-app"),
        lab.post("/par", {**asked(lab, "signer"), **assertion}),
    ]
    assert [answer.status_code for answer in answers] == [201] * 4
    again = lab.post("/par", {**asked(lab, "signer"), **assertion})
    lab.refused(again, 401, "invalid_client", "client_assertion_replayed", "request.refused")
    assert [record["client"] for record in lab.facts("request.pushed")] == [
        "web-app",
        "post-app",
        "desk-app",
        "signer",
    ]


@pytest.mark.attack("PAR-02")
@pytest.mark.requirement("RFC9126-02")
@pytest.mark.parametrize("uri", ["urn:x", PREFIX + "x", "https://client.example/request", ""])
def test_a_request_uri_is_not_pushed(lab: Lab, uri: str) -> None:
    form = {**asked(lab), "request_uri": uri}
    answer = lab.post("/par", form, basic("web-app"))
    refused(lab, answer, 400, "invalid_request", "parameter_not_supported")
    own = pushed(lab)
    lab.refused(
        lab.post("/par", {**asked(lab), "request_uri": own}, basic("web-app")),
        400,
        "invalid_request",
        "parameter_not_supported",
        "request.refused",
    )
    assert lab.rows("pushed_request") == 1


@pytest.mark.attack("PAR-03")
@pytest.mark.requirement("RFC9126-07")
@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_a_request_uri_completes_one_flow(lab: Lab, door: str) -> None:
    uri = pushed(lab, door=door)
    arrived = arrives(lab, uri, door=door)
    assert arrived["state"] == "st4te" and arrived["iss"] == ISSUER + door
    assert lab.redeem(arrived["code"], "web-app", door).status_code == 200
    for _ in range(2):
        answer = lab.browser().get(address(uri, door=door))
        assert_page(answer, 400)
        assert lab.last("authorization.refused")["reason"] == "request_uri_used"
    assert lab.rows("authorization_code") == 1


@pytest.mark.attack("PAR-03")
def test_a_request_uri_may_be_opened_again_before_it_is_answered(lab: Lab) -> None:
    uri, browser = pushed(lab), lab.browser()
    first = browser.sign_in(browser.get(address(uri)))
    second = browser.get(address(uri))
    assert "code" in landed(browser.allow(second))
    assert_page(browser.allow(first), 400)
    assert lab.last("authorization.refused")["reason"] == "request_uri_used"
    assert lab.rows("authorization_code") == lab.rows("access_grant") == 1


@pytest.mark.attack("PAR-03")
def test_a_refusal_spends_the_request_uri_too(lab: Lab) -> None:
    uri, browser = pushed(lab), lab.browser()
    page = browser.sign_in(browser.get(address(uri)))
    assert landed(browser.submit(Page.of(page), decision="deny"))["error"] == "access_denied"
    assert_page(browser.get(address(uri)), 400)


@pytest.mark.attack("PAR-03")
def test_a_remembered_consent_spends_the_request_uri_too(lab: Lab) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    uri = pushed(lab)
    assert "code" in landed(browser.get(address(uri)))
    assert_page(browser.get(address(uri)), 400)


@pytest.mark.attack("PAR-03")
@pytest.mark.requirement("RFC9126-04")
def test_a_request_uri_that_was_not_opened_in_time_is_over(lab: Lab) -> None:
    answer = push(lab)
    assert 60 <= answer.json["expires_in"] <= 90
    uri = answer.json["request_uri"]
    lab.clock.advance(answer.json["expires_in"] - 1)
    browser = lab.browser()
    page = browser.get(address(uri))
    lab.clock.advance(1)
    assert_page(lab.browser().get(address(uri)), 400)
    assert lab.last("authorization.refused")["reason"] == "request_uri_expired"
    lab.clock.advance(300)
    lab.broker.sweep()
    assert "code" in landed(browser.allow(browser.sign_in(page))), "who opened it in time has time to answer"
    lab.clock.advance(600)
    lab.broker.sweep()
    assert lab.rows("pushed_request") == 0


@pytest.mark.attack("PAR-05")
@pytest.mark.requirement("RFC9126-05")
def test_a_request_uri_is_its_clients_alone(lab: Lab) -> None:
    uri = pushed(lab)
    for other in ("other-app", "desk-app"):
        turned_away(lab, address(uri, other), "request_uri_unknown")
        assert lab.last("authorization.refused")["detail"] == "another client's"
    turned_away(lab, address(uri, None), "request_uri_unknown")
    turned_away(lab, address(uri) + "&client_id=other-app", "request_uri_unknown")
    turned_away(lab, address(uri) + f"&request_uri={uri}", "request_uri_unknown")
    assert "code" in arrives(lab, uri)


@pytest.mark.attack("PAR-05")
def test_a_request_uri_is_its_doors_alone(lab: Lab) -> None:
    root, own = pushed(lab), pushed(lab, door="/t/acme")
    turned_away(lab, address(root, door="/t/acme"), "request_uri_unknown")
    turned_away(lab, address(own), "request_uri_unknown")
    assert "code" in arrives(lab, root) and "code" in arrives(lab, own, door="/t/acme")


@pytest.mark.attack("PAR-06")
@pytest.mark.requirement("RFC9126-06")
def test_what_stands_beside_a_request_uri_counts_for_nothing(lab: Lab) -> None:
    beside = {
        "scope": "refunds:write",
        "redirect_uri": "https://evil.example/cb",
        "state": "x",
        "resource": NOTES,
        "code_challenge": "x" * 43,
        "prompt": "none",
        "response_mode": "form_post",
        "dpop_jkt": OTHER.jkt,
        "max_age": "0",
    }
    uri, browser = pushed(lab), lab.browser()
    page = browser.sign_in(browser.get(address(uri, **beside) + "&state=y"))
    assert b"evil.example" not in page.data and b"refunds:write" not in page.data
    answer = browser.allow(page)
    assert answer.headers["Location"].startswith(CALLBACK + "?")
    arrived = landed(answer)
    assert arrived["state"] == "st4te"
    token = lab.redeem(arrived["code"], "web-app")
    assert token.status_code == 200 and token.json["scope"] == "tickets:read"
    assert claims(token.json["access_token"])["aud"] == TICKETS


@pytest.mark.attack("PAR-07")
@pytest.mark.requirement("RFC9126-08")
def test_a_client_that_pushes_is_not_heard_otherwise(lab: Lab) -> None:
    lab.put_client(replace(lab.client("web-app"), pushed_only=True))
    arrived = landed(lab.browser().get(lab.authorize_url("web-app")))
    assert arrived["error"] == "invalid_request" and arrived["state"] == "st4te"
    assert lab.last("authorization.refused")["reason"] == "not_pushed"
    assert lab.rows("authorization_request") == 0
    assert "code" in arrives(lab, pushed(lab))
    assert lab.code("other-app")


@pytest.mark.attack("PAR-07")
@pytest.mark.parametrize(
    ("client_id", "door"), [("web-app", ""), ("web-app", "/t/acme"), ("desk-app", "/t/acme")]
)
def test_a_tenant_that_wants_requests_pushed_hears_no_others(lab: Lab, client_id: str, door: str) -> None:
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("acme", "Acme", pushed_only=True)))
    arrived = landed(lab.browser().get(lab.authorize_url(client_id, door)))
    assert (arrived["error"], arrived["iss"]) == ("invalid_request", ISSUER + door)
    assert lab.last("authorization.refused")["reason"] == "not_pushed"
    assert "code" in arrives(lab, pushed(lab, client_id, door=door), client_id, door=door)


@pytest.mark.attack("PAR-07")
def test_at_the_root_door_the_tenant_says_so_once_it_is_known(lab: Lab) -> None:
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("acme", "Acme", pushed_only=True)))
    browser = lab.browser()
    arrived = landed(browser.sign_in(browser.get(lab.authorize_url())))
    assert arrived["error"] == "invalid_request" and lab.rows("authorization_code") == 0
    assert lab.last("authorization.refused")["reason"] == "not_pushed"
    assert "code" in arrives(lab, pushed(lab, "desk-app"), "desk-app")
    files = {"resource": "https://globex.example/mcp", "scope": "g:read"}
    assert lab.code("desk-app", "vera", **files)


@pytest.mark.attack("PAR-07")
@pytest.mark.requirement("RFC9126-09")
def test_a_client_says_so_when_it_registers(lab: Lab) -> None:
    made = lab.register(require_pushed_authorization_requests=True)
    assert made.status_code == 201 and made.json["require_pushed_authorization_requests"] is True
    client_id = made.json["client_id"]
    assert warned(lab.browser().get(lab.authorize_url(client_id)))["error"] == "invalid_request"
    assert "code" in arrives(lab, pushed(lab, client_id), client_id)
    uri, token = made.json["registration_client_uri"], made.json["registration_access_token"]
    answer = lab.manage("PUT", uri, token, client_id=client_id)
    assert_refused(answer, 400, "invalid_client_metadata")
    assert "require_pushed_authorization_requests" not in lab.register().json
    for value in ("true", 1, []):
        answer = lab.register(require_pushed_authorization_requests=value)
        assert_refused(answer, 400, "invalid_client_metadata")


@pytest.mark.attack("PAR-08")
@pytest.mark.requirement("RFC9126-03")
def test_the_endpoint_has_one_method_and_a_size(lab: Lab) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD"):
        answer = lab.http().open("/par", method=method, base_url=ISSUER)
        assert answer.status_code == 405 and "POST" in answer.headers["Allow"]
        assert "GET" not in answer.headers["Allow"]
    big = {**asked(lab), "state": "s" * (1024 * 1024)}
    answer = lab.post("/par", big, basic("web-app"))
    refused(lab, answer, 413, "invalid_request", "too_large")
    answer = lab.http().post("/par", base_url=ISSUER, json=asked(lab), headers=basic("web-app"))
    refused(lab, answer, 400, "invalid_request", "malformed")
    query = lab.http().post("/par?" + address("x"), base_url=ISSUER, headers=basic("web-app"))
    refused(lab, query, 400, "invalid_request", "malformed")
    form = [*asked(lab).items(), ("scope", "refunds:write")]
    refused(lab, lab.post("/par", form, basic("web-app")), 400, "invalid_request", "repeated_parameter")
    assert push(lab).status_code == 201


@pytest.mark.attack("PAR-08")
@pytest.mark.requirement("RFC9126-03")
def test_one_source_pushes_so_many_and_no_more(lab: Lab) -> None:
    answers = [push(lab) for _ in range(200)]
    assert [answer.status_code for answer in answers] == [201] * 120 + [429] * 80
    lab.refused(answers[-1], 429, "temporarily_unavailable", "rate_limited", "request.refused")
    assert push(lab, source="203.0.113.8").status_code == 201
    assert lab.rows("pushed_request") == 121
    lab.clock.advance(61)
    assert push(lab).status_code == 201


@pytest.mark.attack("PAR-09")
@pytest.mark.requirement("RFC9126-04")
def test_a_request_uri_cannot_be_guessed(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(pushed_requests_per_minute=1000)
    answers = [push(lab) for _ in range(1000)]
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert {tuple(sorted(answer.json)) for answer in answers} == {("expires_in", "request_uri")}
    uris = [answer.json["request_uri"] for answer in answers]
    secrets = [uri.removeprefix(PREFIX) for uri in uris]
    assert len(set(uris)) == 1000 and all(uri.startswith(PREFIX) for uri in uris)
    assert {len(secret) for secret in secrets} == {43}, "256 bits in base64url"
    for place in range(42):  # every character but the last carries six bits
        assert len({secret[place] for secret in secrets}) > 40
    on_disk = lab.dump()
    assert not any(secret.encode() in on_disk for secret in secrets)


@pytest.mark.attack("PAR-10")
@pytest.mark.requirement("RFC9126-10")
@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"redirect_uri": "https://evil.example/cb"}, "invalid_request", "redirect_uri_mismatch"),
        ({"response_type": "token"}, "unsupported_response_type", "parameter_not_supported"),
        ({"response_type": None}, "invalid_request", "parameter_missing"),
        ({"response_mode": "fragment"}, "invalid_request", "parameter_not_supported"),
        ({"code_challenge": None}, "invalid_request", "pkce_missing"),
        ({"code_challenge_method": "plain"}, "invalid_request", "pkce_method"),
        ({"code_challenge_method": None}, "invalid_request", "pkce_method"),
        ({"code_challenge": "short"}, "invalid_request", "pkce_method"),
        ({"scope": "unknown"}, "invalid_scope", "scope_unknown"),
        ({"resource": "https://nobody.example/mcp"}, "invalid_target", "resource_unknown"),
        ({"prompt": "none login"}, "invalid_request", "parameter_not_supported"),
        ({"max_age": "-1"}, "invalid_request", "malformed"),
        ({"claims": "[]"}, "invalid_request", "malformed"),
        ({"id_token_hint": "x"}, "invalid_request", "hint_invalid"),
        ({"acr_values": "urn:x"}, "unmet_authentication_requirements", "authentication_unmet"),
        ({"request": "e30.e30."}, "request_not_supported", "parameter_not_supported"),
    ],
)
def test_a_request_is_judged_before_it_is_kept(
    lab: Lab, changes: dict[str, str | None], error: str, reason: str
) -> None:
    refused(lab, push(lab, **changes), 400, error, reason)
    assert push(lab).status_code == 201


@pytest.mark.attack("PAR-10")
def test_a_client_that_may_not_ask_for_codes_pushes_nothing(lab: Lab) -> None:
    refused(lab, push(lab, "nightly"), 400, "invalid_request", "redirect_uri_mismatch")
    lab.put_client(Client("mute", "Mute", None, "none", Registered.ADMIN, (CALLBACK,), ("refresh_token",)))
    refused(lab, push(lab, "mute"), 400, "unauthorized_client", "client_grant_type")


@pytest.mark.attack("PAR-11")
@pytest.mark.requirement("RFC9126-11")
def test_a_redirect_uri_that_was_removed_meanwhile_is_not_used(lab: Lab) -> None:
    uri = pushed(lab)
    kept = lab.client("web-app")
    lab.put_client(replace(kept, redirect_uris=("https://client.example/other",)))
    turned_away(lab, address(uri), "redirect_uri_mismatch")
    lab.put_client(kept)
    assert "code" in arrives(lab, uri)


@pytest.mark.attack("PAR-11")
@pytest.mark.parametrize(
    ("kind", "target", "door", "reason"),
    [
        ("client", "web-app", "", "client_off"),
        ("tenant", "acme", "/t/acme", "tenant_off"),
        ("everything", "*", "", "tenant_off"),
    ],
)
def test_what_is_off_by_then_stops_a_pushed_request(
    lab: Lab, kind: str, target: str, door: str, reason: str
) -> None:
    uri = pushed(lab, door=door)
    lab.switch(kind, target)
    turned_away(lab, address(uri, door=door), reason)
    assert push(lab, door=door).status_code in (400, 401)
    lab.lift(kind, target)
    assert "code" in arrives(lab, uri, door=door)


@pytest.mark.attack("PAR-11")
def test_a_client_or_scope_that_is_gone_stops_a_pushed_request(lab: Lab) -> None:
    uri, wide = pushed(lab, "desk-app"), pushed(lab, scope="customers:read")
    lab.change(lambda tx: lab.broker.clients.remove(tx, "desk-app"))
    turned_away(lab, address(uri, "desk-app"), "client_unknown")
    lab.put_client(replace(lab.client("web-app"), scopes=("tickets:read",)))
    assert landed(lab.browser().get(address(wide)))["error"] == "invalid_scope"


@pytest.mark.attack("PAR-12")
def test_a_refused_push_uses_nothing_up(lab: Lab) -> None:
    signer = Signer(lab).registered()
    form = {
        **asked(lab, "signer"),
        "client_assertion": signer.assertion(),
        "client_assertion_type": JWT_BEARER,
    }
    good = proof_for(lab, KEY)
    for wrong in ("x", proof_for(lab, KEY, "/token"), proof_for(lab, KEY, htm="GET")):
        answer = lab.post("/par", form, {"DPoP": wrong})
        refused(lab, answer, 400, "invalid_dpop_proof", "dpop_invalid")
    answer = lab.post("/par", {**form, "scope": "unknown"}, {"DPoP": good})
    refused(lab, answer, 400, "invalid_scope", "scope_unknown")
    assert lab.rows("spent") == 0
    assert lab.post("/par", form, {"DPoP": good}).status_code == 201
    assert lab.rows("spent") == 2
    answer = lab.post("/par", {**form, "client_assertion": signer.assertion()}, {"DPoP": good})
    lab.refused(answer, 400, "invalid_dpop_proof", "dpop_replayed", "request.refused")


@pytest.mark.attack("PAR-12")
def test_nothing_by_which_the_client_proved_itself_is_kept(lab: Lab) -> None:
    signer = Signer(lab).registered()
    assertion = signer.assertion()
    form = {
        **asked(lab, "signer"),
        "client_assertion": assertion,
        "client_assertion_type": JWT_BEARER,
        "login_hint": "alice@example.com",
    }
    assert lab.post("/par", form).status_code == 201
    ((*_, document, _expires, _spent),) = lab.table("pushed_request")
    assert (
        assertion not in str(document) and "client_assertion" not in json.loads(str(document))["parameters"]
    )
    assert "alice@example.com" in str(document)
