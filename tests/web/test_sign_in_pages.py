"""WCAG 2.2, OWASP ASVS V3.4: the pages of signing in that have a script or come after the first."""

import re
from dataclasses import replace

import pytest

from broker.web import pages, sign_in_pages, texts
from broker.web.page import STATIC_BASE
from tests.web.test_pages import EVIL, SIGN_IN, Document

SCRIPT = f'<script src="{STATIC_BASE}/passkey.js" defer></script>'
ASK = pages.PasskeyForm("get", "/login/passkey", "/login/passkey/options", "token-1", (("request", "req-1"),))
VERIFY = sign_in_pages.VerifyView(
    action="/login/verify",
    csrf="token-1",
    fields=(("request", "req-1"),),
    user_name="Alice",
    user_id="alice",
    other_account="/login?request=req-1&again=1",
    passkey=ASK,
    by_app=True,
    by_recovery=True,
)
RESET = sign_in_pages.ResetView(
    action="/login/reset", csrf="token-1", token="t0ken", user_name="Alice", user_id="alice", least=8
)
AGAIN = replace(SIGN_IN, client_name=None, passkey=ASK, again=True, locked=True, username="alice")
PAGES = {
    "sign in": pages.sign_in(replace(SIGN_IN, passkey=ASK)),
    "sign in again": pages.sign_in(AGAIN),
    "verify": sign_in_pages.verify(replace(VERIFY, error=texts.say("sign_in.error.code"))),
    "verify by app": sign_in_pages.verify(replace(VERIFY, passkey=None, by_recovery=False)),
    "verify by recovery code": sign_in_pages.verify(replace(VERIFY, passkey=None, by_app=False)),
    "verify by passkey": sign_in_pages.verify(replace(VERIFY, by_app=False, by_recovery=False)),
    "reset": sign_in_pages.reset(RESET),
    "reset again": sign_in_pages.reset(replace(RESET, error=texts.say("reset.error.common"))),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_primary_form_labels_and_no_script_but_ours(name: str) -> None:
    html = PAGES[name]
    assert html.count("<script") == html.count(SCRIPT) == html.count("data-passkey=")
    document = Document(html)
    assert [f.get("id") for f in document.all("form") if f.get("id")] == ["primary"]
    assert all(form["method"] == "post" for form in document.all("form"))
    labelled = {label["for"] for label in document.all("label")}
    shown = [field for field in document.all("input") if field.get("type") != "hidden"]
    assert all(field["id"] in labelled for field in shown)
    ids = [attributes["id"] for _, attributes in document.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in document.tags:
        assert tag != "style" and "style" not in attributes
        for reference in ("for", "aria-labelledby", "aria-describedby"):
            assert set(attributes.get(reference, "").split()) <= set(ids)


@pytest.mark.parametrize("name", [name for name in PAGES if "passkey" in name or name.startswith("sign in")])
def test_without_scripts_the_page_says_so_and_the_button_is_not_there(name: str) -> None:
    (button,) = re.findall(r"<button [^>]*hidden>([^<]*)</button>", PAGES[name])
    assert button == "Sign in with a passkey"
    assert '<noscript><p class="hint">Passkeys need JavaScript' in PAGES[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("verify by app", "six digits that your authenticator app shows now."),
        ("verify", "or one of your recovery codes."),
        ("verify by recovery code", "One of your recovery codes."),
        ("verify by passkey", "No code can stand in for it."),
        ("sign in again", "Show once more that it is you."),
        ("reset", "At least 8 characters."),
    ],
)
def test_a_page_says_what_is_wanted(name: str, text: str) -> None:
    assert text in Document(PAGES[name]).text


def test_who_signs_in_again_cannot_be_another_by_mistake() -> None:
    (field,) = Document(PAGES["sign in again"]).named("username")
    assert field["value"] == "alice" and "readonly" in field


@pytest.mark.parametrize("field", ["user_name", "user_id", "error", "csrf", "action", "other_account"])
def test_markup_in_a_text_is_shown_as_text(field: str) -> None:
    html = sign_in_pages.verify(replace(VERIFY, passkey=None, **{field: EVIL}))
    assert "<script" not in html and EVIL not in html
    if field != "other_account":
        html = sign_in_pages.reset(replace(RESET, **{field: EVIL}))
        assert "<script" not in html and EVIL not in html
