"""A provider that is wrong, slow or away; every answer is a page with its reason, and the person can try again."""

import json
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from broker.identity.federation import signed
from tests.federation.scripted import CLIENT
from tests.federation.steps import Setting, address
from tests.federation.test_sign_in import CREATES, consents, refused
from tests.lab import assert_page


@pytest.fixture
def corp(fed: Setting) -> Setting:
    fed.apply(fed.provider(**CREATES))
    return fed


def again(fed: Setting, browser, page) -> None:
    """The page leads back to the sign-in that still waits, and another visit works."""
    assert "Back to sign-in" in page.text
    fed.idp.answers.clear()
    fed.lab.clock.advance(31)
    assert consents(fed.sign_in(browser))


DOWN = {
    "error 500": (500, {}, b"boom"),
    "error 429": (429, {}, b"slow down"),
    "redirect": (302, {"Location": "https://idp.example/elsewhere"}, b""),
    "too large": (200, {}, b" " * (1024 * 1024 + 1)),
    "registered wrongly": (401, {}, json.dumps({"error": "invalid_client"}).encode()),
}


@pytest.mark.parametrize("name", DOWN)
def test_a_token_endpoint_that_cannot_be_used_is_told_as_such(corp: Setting, name: str) -> None:
    browser = corp.lab.browser()
    url = corp.begin(browser)
    corp.idp.answers["/token"] = DOWN[name]
    page = corp.back(browser, corp.idp.visit(url))
    record = refused(corp, page, 503, "provider_unavailable")
    assert str(record["detail"]).startswith("token endpoint") and page.headers["Retry-After"]
    again(corp, browser, page)


WRONG = {
    "invalid_grant": (400, {}, b'{"error":"invalid_grant","error_description":"\\u0000\\"<script>"}'),
    "error with forbidden characters": (400, {}, '{"error":"é"}'.encode()),
    "not JSON": (200, {}, b"<html>"),
    "a list": (200, {}, b"[]"),
    "a repeated member": (200, {}, b'{"id_token":"a","id_token":"b"}'),
    "nested deeply": (200, {}, b"[" * 100_000),
    "no id_token": (200, {}, b'{"access_token":"at","token_type":"Bearer"}'),
    "an id_token that is none": (200, {}, b'{"id_token":{"a":1}}'),
    "expires_in that is none": (200, {}, b'{"id_token":"x","expires_in":"soon"}'),
    "error as an object": (200, {}, b'{"error":{"a":1}}'),
    "403 with HTML": (403, {}, b"<html>"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_of_the_token_endpoint_that_says_nothing_signs_nobody_in(corp: Setting, name: str) -> None:
    browser = corp.lab.browser()
    url = corp.begin(browser)
    corp.idp.answers["/token"] = WRONG[name]
    page = corp.back(browser, corp.idp.visit(url))
    refused(corp, page, 400, "provider_answer_invalid")
    assert corp.lab.facts("session.started") == []
    again(corp, browser, page)


def test_a_slow_provider_is_left_after_its_time(corp: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = corp.lab.browser()
    url = corp.begin(browser)
    monkeypatch.setattr("broker.runtime.egress.SECONDS", 0.2)
    corp.idp.slow = threading.Event()
    page = corp.back(browser, corp.idp.visit(url))
    refused(corp, page, 503, "provider_unavailable")
    corp.idp.slow.set()
    corp.idp.slow = None
    again(corp, browser, page)


METADATA = {
    "another issuer": {"issuer": "https://evil.example"},
    "an issuer with a slash": {"issuer": "https://idp.example/"},
    "no issuer": {"issuer": None},
    "http token endpoint": {"token_endpoint": "http://idp.example/token"},
    "authorization endpoint with a fragment": {"authorization_endpoint": "https://idp.example/a#b"},
    "script as authorization endpoint": {"authorization_endpoint": "javascript:alert(1)"},
    "no jwks_uri": {"jwks_uri": None},
    "userinfo in an address": {"token_endpoint": "https://a:b@idp.example/token"},
}


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.requirement("OIDC-RP-01")
def test_metadata_that_is_not_the_providers_own_begins_no_visit(corp: Setting, name: str) -> None:
    browser = corp.lab.browser()
    page = corp.page(browser)
    corp.idp.metadata.update(METADATA[name])
    answer = browser.get(address(page).removeprefix("https://as.example"))
    record = refused(corp, answer, 503, "provider_unavailable")
    assert str(record["detail"]).startswith("metadata") and corp.lab.rows("federation_attempt") == 0


@pytest.mark.parametrize(
    "answer", [(500, {}, b""), (404, {}, b""), (200, {}, b"x" * 200_000), (200, {}, b"[]")]
)
def test_metadata_that_cannot_be_read_begins_no_visit(corp: Setting, answer: tuple[int, dict, bytes]) -> None:
    browser = corp.lab.browser()
    page = corp.page(browser)
    corp.idp.answers["/.well-known/openid-configuration"] = answer
    refused(corp, browser.get(address(page).removeprefix("https://as.example")), 503, "provider_unavailable")
    corp.idp.answers.clear()
    corp.lab.clock.advance(31)
    assert consents(corp.sign_in(browser))


def test_a_provider_that_is_down_leaves_the_password_way_open(corp: Setting) -> None:
    browser = corp.lab.browser()
    page = corp.page(browser)
    corp.idp.answers["/.well-known/openid-configuration"] = (500, {}, b"")
    assert_page(browser.get(address(page).removeprefix("https://as.example")), 503)
    assert consents(browser.sign_in(page))


@pytest.mark.parametrize("said", ["access_denied", "server_error", "<script>alert(1)</script>", "é" * 300])
def test_a_provider_that_says_no_is_told_and_nothing_else_is_lost(corp: Setting, said: str) -> None:
    browser = corp.lab.browser()
    came = corp.idp.visit(corp.begin(browser))
    page = corp.back(browser, {"error": said, "state": came["state"], "iss": came["iss"]})
    record = refused(corp, page, 400, "provider_refused")
    assert len(str(record.get("detail", ""))) <= 60 and "<script>" not in page.text
    again(corp, browser, page)


def test_a_new_key_of_the_provider_is_looked_up_once_it_signs(corp: Setting) -> None:
    assert consents(corp.sign_in(preferred_username="carol"))
    corp.idp.key, corp.idp.kid = ec.generate_private_key(ec.SECP256R1()), "k2"
    corp.lab.clock.advance(31)
    assert consents(corp.sign_in())
    assert corp.idp.seen.count("/jwks") == 2


def test_the_secret_is_sent_form_encoded_and_kept_sealed(corp: Setting) -> None:
    assert consents(corp.sign_in(preferred_username="carol")), "it has +, % and ü in it"
    assert b"a secret: with" not in corp.lab.dump()
    assert (
        corp.idp.forms[0]["grant_type"] == "authorization_code" and "client_secret" not in corp.idp.forms[0]
    )


def test_what_a_visit_needs_again_is_stored_nowhere(corp: Setting) -> None:
    browser = corp.lab.browser()
    came = corp.idp.visit(corp.begin(browser))
    corp.back(browser, came)
    dump = corp.lab.dump()
    for secret in (came["state"], corp.idp.forms[0]["code_verifier"]):
        assert secret.encode() not in dump


def test_a_visit_ends_after_ten_minutes_and_is_swept(corp: Setting) -> None:
    browser = corp.lab.browser()
    came = corp.idp.visit(corp.begin(browser))
    corp.lab.clock.advance(600)
    refused(corp, corp.back(browser, came), 400, "provider_visit_unknown")
    corp.lab.broker.sweep()
    assert corp.lab.rows("federation_attempt") == 0
    came = corp.idp.visit(corp.begin(browser))
    corp.lab.clock.advance(599)
    assert consents(corp.back(browser, came))


def test_an_unknown_provider_and_one_of_another_door_are_not_there(corp: Setting) -> None:
    corp.apply(corp.provider(**CREATES), corp.provider("acme-idp", tenant="acme"))
    for path in (
        "/login/upstream/never/callback",
        "/login/upstream/acme-idp/callback",
        "/t/globex/login/upstream/corp/callback",
    ):
        page = corp.lab.browser().get(f"{path}?state=x&code=y")
        assert_page(page, 404)
    assert corp.lab.last("session.refused")["reason"] == "provider_unknown"


@pytest.mark.parametrize(
    ("key_issuer", "good"),
    [
        (None, True),
        ("https://login.example/{tenantid}/v2.0", True),
        ("https://login.example/one/v2.0", True),
        ("https://login.example/two/v2.0", False),
        ("https://evil.example/{tenantid}/v2.0", False),
        (7, False),
    ],
)
def test_a_key_that_says_whose_it_is_signs_for_nobody_else(key_issuer: object, good: bool) -> None:
    entry = {} if key_issuer is None else {"issuer": key_issuer}
    assert signed._signs_for(entry, "https://login.example/one/v2.0") is good


def test_the_token_request_is_made_by_the_client_that_was_registered(corp: Setting) -> None:
    corp.sign_in(preferred_username="carol")
    assert CLIENT.startswith("broker") and len(corp.idp.forms) == 1
    assert corp.idp.forms[0]["redirect_uri"].endswith("/login/upstream/corp/callback")
