"""What an authorization request may wish of sign-in, pages and the way back."""

import html
import json
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from broker.identity.clients.model import Client, Registered
from broker.protocol import acr
from broker.web import texts
from tests.lab import ACME, CALLBACK, ISSUER, START, Browser, Lab, Page, claims, landed

USER_GRANTS = ("authorization_code", "refresh_token")


def is_consent(response: TestResponse) -> bool:
    return response.status_code == 200 and b'value="allow"' in response.data


def is_sign_in(response: TestResponse) -> bool:
    return response.status_code == 200 and b'name="password"' in response.data


def signed_in(lab: Lab, user: str = "alice", client_id: str = "web-app") -> Browser:
    """A browser in which this user allowed web-app something, a moment ago."""
    browser = lab.browser()
    lab.code(client_id, user, browser)
    lab.clock.advance(1)
    return browser


def id_token(lab: Lab, door: str = "", typ: str = "JWT", **changes: object) -> str:
    """One of this door for web-app, or one that differs."""
    content = {
        "iss": ISSUER + door,
        "sub": "alice",
        "aud": "web-app",
        "iat": int(START) - 9000,
        "exp": int(START) - 8700,
        **changes,
    }
    return lab.signed(content, ISSUER + door, typ=typ)


# Sign-in


@pytest.mark.parametrize("age", ["0", "10", "1000000"])
def test_a_sign_in_older_than_max_age_is_repeated(lab: Lab, age: str) -> None:
    browser = signed_in(lab)
    lab.clock.advance(9)
    page = browser.get(lab.authorize_url("web-app", max_age=age))
    assert is_sign_in(page) == (age == "0")
    if age == "0":
        assert "code" in landed(browser.sign_in(page))


@pytest.mark.parametrize("age", ["-1", "abc", "1.5", "+1", " 1", "1e3", "0x1", "٣", "9" * 10])
def test_a_max_age_that_is_no_number_is_refused(lab: Lab, age: str) -> None:
    arrived = landed(lab.browser().get(lab.authorize_url(max_age=age)))
    assert (arrived["error"], arrived["state"], arrived["iss"]) == ("invalid_request", "st4te", ISSUER)
    assert lab.last("authorization.refused")["reason"] == "malformed"
    assert is_sign_in(lab.browser().get(lab.authorize_url(max_age="")))


def test_a_class_that_is_known_here_is_wished_for_among_others(lab: Lab) -> None:
    asked = f"urn:other {acr.PASSWORD} 0"
    assert claims(lab.tokens(acr_values=asked)["access_token"])["acr"] == acr.PASSWORD


def test_classes_that_nobody_here_has_go_back_at_once(lab: Lab) -> None:
    arrived = landed(lab.browser().get(lab.authorize_url(acr_values="urn:other phr")))
    assert (arrived["error"], arrived["iss"]) == ("unmet_authentication_requirements", ISSUER)
    assert lab.last("authorization.refused")["reason"] == "authentication_unmet"


@pytest.mark.parametrize("door", ["", "/t/acme"])
@pytest.mark.parametrize("essential", [False, True])
def test_a_class_that_the_user_cannot_reach_goes_back_after_sign_in(
    lab: Lab, door: str, essential: bool
) -> None:
    wish = {"id_token": {"acr": {"essential": True, "values": [acr.PASSKEY]}}}
    changes = {"claims": json.dumps(wish)} if essential else {"acr_values": acr.PASSKEY}
    browser = lab.browser()
    page = browser.get(lab.authorize_url("web-app", door, **changes))
    assert is_sign_in(page), "who comes is not known yet"
    arrived = landed(browser.sign_in(page))
    assert (arrived["error"], arrived["iss"]) == ("unmet_authentication_requirements", ISSUER + door)
    assert arrived["state"] == "st4te"
    record = lab.last("authorization.refused")
    assert (record["reason"], record["subject"]) == ("authentication_unmet", "alice")
    silent = landed(browser.get(lab.authorize_url("web-app", door, prompt="none", **changes)))
    assert silent["error"] == "unmet_authentication_requirements"


def test_an_acr_that_is_not_essential_is_only_a_wish(lab: Lab) -> None:
    wish = {"id_token": {"acr": {"values": [acr.PASSKEY]}}, "userinfo": {"name": None}}
    assert lab.code("web-app", claims=json.dumps(wish))


@pytest.mark.parametrize("given", ["[]", "1", "{", '"x"', "null", '{"a":1,"a":2}', "[" * 4000, "{}x"])
def test_claims_that_are_no_object_are_refused(lab: Lab, given: str) -> None:
    assert landed(lab.browser().get(lab.authorize_url(claims=given)))["error"] == "invalid_request"
    assert lab.last("authorization.refused")["reason"] == "malformed"


@pytest.mark.parametrize(
    "given",
    [
        "{}",
        '{"userinfo":{"given_name":{"essential":true}},"id_token":{"auth_time":{"essential":true}}}',
        '{"id_token":null}',
        '{"id_token":{"acr":null}}',
        '{"id_token":{"acr":{"essential":true}}}',
        '{"id_token":{"acr":{"essential":true,"values":"x"}}}',
        '{"id_token":[]}',
    ],
)
def test_claims_that_mean_nothing_here_change_nothing(lab: Lab, given: str) -> None:
    assert lab.code("web-app", claims=given)


# Hints


@pytest.mark.parametrize(
    "hint", ["alice", "alice@example.com", '"><script>alert(1)</script>', "a" * 320, "&#34; onfocus=x"]
)
def test_a_login_hint_fills_the_username_in(lab: Lab, hint: str) -> None:
    page = lab.browser().get(lab.authorize_url(login_hint=hint))
    assert Page.of(page).values("username") == [hint]
    assert f'value="{html.escape(hint)}"'.replace("&quot;", "&#34;").encode() in page.data
    assert b"<script>alert" not in page.data


@pytest.mark.parametrize("hint", ["a" * 321, "a\nb", "a\x00b"[:1] + "\x1b", ""])
def test_a_hint_that_can_be_nobody_is_left_out(lab: Lab, hint: str) -> None:
    page = lab.browser().get(lab.authorize_url(login_hint=hint))
    assert is_sign_in(page) and Page.of(page).values("username") == [""]


def test_a_wished_language_is_spoken_where_it_is_known(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    german = {**texts.ENGLISH, "sign_in.username": "Benutzername", "consent.allow": "Erlauben"}
    monkeypatch.setitem(texts.CATALOGUES, "de", german)
    browser = lab.browser()
    page = browser.get(lab.authorize_url(ui_locales="xx de-CH en"))
    assert b'lang="de"' in page.data and b"Benutzername" in page.data
    page = browser.sign_in(page)
    assert is_consent(page) and b"Erlauben" in page.data
    for unknown in ("xx", "de" + "x" * 400, "<b>", "d" * 300):
        page = lab.browser().get(lab.authorize_url(ui_locales=unknown), **{"Accept-Language": "en"})
        assert is_sign_in(page) and b'lang="en"' in page.data


@pytest.mark.parametrize("display", ["page", "popup", "touch", "wap", "rubbish"])
def test_the_display_is_read_and_changes_nothing(lab: Lab, display: str) -> None:
    assert lab.code("web-app", display=display, claims_locales="de", registration="{}")


@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_an_id_token_of_this_door_names_the_user_even_when_it_is_over(lab: Lab, door: str) -> None:
    hint = id_token(lab, door)
    browser = signed_in(lab)
    lab.code("web-app", browser=browser, door=door)
    asked = lab.authorize_url("web-app", door, id_token_hint=hint, prompt="none")
    assert "code" in landed(browser.get(asked))
    assert "id_token_hint" not in str(lab.table("authorization_request"))


def test_with_another_user_signed_in_the_one_who_is_meant_signs_in(lab: Lab) -> None:
    browser = signed_in(lab, "bob")
    asked = {"id_token_hint": id_token(lab)}
    silent = landed(browser.get(lab.authorize_url("web-app", prompt="none", **asked)))
    assert silent["error"] == "login_required"
    page = browser.get(lab.authorize_url("web-app", **asked))
    assert is_sign_in(page)
    assert Page.of(page).values("username") == ["alice"]
    page = browser.sign_in(page, "bob")
    assert is_consent(page) and b"Alice" in page.data and b"Bob" not in page.data, (
        "nobody else can sign in here"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ACME},
        {"iss": "https://other.example"},
        {"aud": "other-app"},
        {"aud": ["web-app", "other-app"]},
        {"aud": None},
        {"sub": 7},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
    ],
)
def test_anything_but_our_id_token_for_this_client_is_no_hint(lab: Lab, changes: dict[str, object]) -> None:
    hint = id_token(lab, **changes)
    arrived = landed(lab.browser().get(lab.authorize_url("web-app", id_token_hint=hint)))
    assert arrived["error"] == "invalid_request"
    assert lab.last("authorization.refused")["reason"] == "hint_invalid"


@pytest.mark.parametrize("spoilt", ["signature", "other door", "rubbish", "access token"])
def test_what_this_door_did_not_sign_as_an_id_token_is_no_hint(lab: Lab, spoilt: str) -> None:
    hint = {
        "signature": lambda: id_token(lab)[:-6] + "AAAAAA",
        "other door": lambda: lab.signed(claims(id_token(lab)), ACME, typ="JWT"),
        "rubbish": lambda: "a.b.c",
        "access token": lambda: lab.tokens("web-app")["access_token"],
    }[spoilt]()
    arrived = landed(lab.browser().get(lab.authorize_url("web-app", id_token_hint=hint)))
    assert arrived["error"] == "invalid_request"


# Prompt


@pytest.mark.parametrize(
    "prompt", ["login", "select_account", "login consent", "consent login select_account"]
)
def test_a_prompt_for_sign_in_asks_for_it_although_somebody_is(lab: Lab, prompt: str) -> None:
    browser = signed_in(lab)
    page = browser.get(lab.authorize_url("web-app", prompt=prompt))
    assert is_sign_in(page)
    page = browser.sign_in(page)
    assert is_consent(page) == (prompt != "login")
    assert "code" in landed(page if page.status_code == 303 else browser.allow(page))


@pytest.mark.parametrize("prompt", ["consent", "consent consent"])
def test_a_prompt_for_consent_asks_for_it_although_it_was_given(lab: Lab, prompt: str) -> None:
    browser = signed_in(lab)
    assert "code" in landed(browser.get(lab.authorize_url("web-app")))
    assert is_consent(browser.get(lab.authorize_url("web-app", prompt=prompt)))


def test_without_a_person_only_what_was_settled_is_answered(lab: Lab) -> None:
    asked = lab.authorize_url("web-app", prompt="none")
    assert landed(lab.browser().get(asked))["error"] == "login_required"
    browser = signed_in(lab)
    assert "code" in landed(browser.get(asked))
    wider = lab.authorize_url("web-app", prompt="none", scope="refunds:write")
    assert landed(browser.get(wider))["error"] == "consent_required"
    lab.clock.advance(60)
    stale = lab.authorize_url("web-app", prompt="none", max_age="10")
    assert landed(browser.get(stale))["error"] == "login_required"


@pytest.mark.parametrize(
    "prompt", ["none login", "none consent", "create", "LOGIN", "login,consent", "none none x"]
)
def test_a_prompt_that_makes_no_sense_is_refused(lab: Lab, prompt: str) -> None:
    assert landed(lab.browser().get(lab.authorize_url(prompt=prompt)))["error"] == "invalid_request"


# The way back


def posted(response: TestResponse) -> tuple[str | None, dict[str, str]]:
    """Where a page sends its form, and with what; each once."""
    assert response.status_code == 200, response.status_code
    page = Page.of(response)
    assert len(page.fields) == len(dict(page.fields))
    return page.action, dict(page.fields)


@pytest.mark.requirement("FORM-POST-01")
@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_an_answer_goes_back_by_form(lab: Lab, door: str) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, client_id="web-app", response_mode="form_post", door=door)
    action, fields = posted(browser.allow(page))
    assert action == CALLBACK and set(fields) == {"code", "iss", "state"}
    assert (fields["iss"], fields["state"]) == (ISSUER + door, "st4te")
    assert lab.redeem(fields["code"], "web-app", door).status_code == 200


def test_a_remembered_consent_goes_back_by_form_too(lab: Lab) -> None:
    browser = signed_in(lab)
    action, fields = posted(browser.get(lab.authorize_url("web-app", response_mode="form_post")))
    assert action == CALLBACK and "code" in fields


@pytest.mark.requirement("FORM-POST-01")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": "none"}, "login_required"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"max_age": "x"}, "invalid_request"),
    ],
)
def test_errors_go_back_by_form_too(lab: Lab, changes: dict[str, str | None], error: str) -> None:
    action, fields = posted(lab.browser().get(lab.authorize_url(response_mode="form_post", **changes)))
    assert action == CALLBACK
    assert fields.pop("error") == error and fields.pop("error_description")
    assert fields == {"iss": ISSUER, "state": "st4te"}


def test_a_refusal_goes_back_by_form_too(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, response_mode="form_post")
    _, fields = posted(browser.submit(Page.of(page), decision="deny"))
    assert fields["error"] == "access_denied" and fields["state"] == "st4te"


def test_no_form_goes_to_an_app(lab: Lab) -> None:
    uri = "com.example.app:/cb"
    lab.put_client(Client("app", "App", None, "none", Registered.ADMIN, (uri,), USER_GRANTS))
    answer = lab.browser().get(lab.authorize_url("app", redirect_uri=uri, response_mode="form_post"))
    assert answer.status_code == 303 and answer.headers["Location"].startswith(f"{uri}?error=invalid_request")


@pytest.mark.parametrize(
    ("uri", "policy"),
    [
        (CALLBACK, "form-action https://client.example/cb;"),
        ("https://client.example:8443/a/b?x=1&y=2", "form-action https://client.example:8443/a/b;"),
        ("http://127.0.0.1:5000/cb", "form-action http://127.0.0.1:5000/cb;"),
        ("http://[::1]:5000/cb", "form-action http:;"),
        ("https://client.example/a;b,c", "form-action https://client.example/a%3Bb%2Cc;"),
    ],
)
def test_the_form_can_go_to_the_registered_address_alone(lab: Lab, uri: str, policy: str) -> None:
    lab.put_client(Client("there", "There", None, "none", Registered.ADMIN, (uri,), USER_GRANTS))
    asked = lab.authorize_url("there", redirect_uri=uri, response_mode="form_post", prompt="none")
    answer = lab.browser().get(asked)
    assert posted(answer)[0] == uri
    assert policy in answer.headers["Content-Security-Policy"] + ";"


def test_a_long_nonce_and_state_come_back_unchanged(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    state, nonce = "s" * 4000, "n" * 1000
    browser = lab.browser()
    page = lab.consent_page(
        browser=browser, client_id="web-app", state=state, nonce=nonce, scope="openid tickets:read"
    )
    arrived = landed(browser.allow(page))
    assert arrived["state"] == state
    assert claims(lab.redeem(arrived["code"], "web-app").json["id_token"])["nonce"] == nonce
