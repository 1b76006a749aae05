"""The page that asks whether to sign out."""

from dataclasses import fields, replace

import pytest

from broker.web.sign_out_page import SignOutView, sign_out

VIEW = SignOutView(
    door_name="Acme Corporation",
    action="/logout",
    csrf="token-1",
    user_id="alice",
    client_name="Desk App",
    destination="desk.example",
    fields=(("client_id", "desk-app"), ("state", "s")),
)
MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=y>"


def test_who_asks_and_where_the_browser_goes_is_said() -> None:
    html = sign_out(VIEW)
    for words in (
        "Sign out of",
        "Acme Corporation",
        "Desk App",
        "alice",
        "Afterwards you go to",
        "desk.example",
    ):
        assert words in html
    plain = sign_out(replace(VIEW, client_name=None, destination=None, fields=()))
    assert "A link or an app brought you here" in plain and "Afterwards" not in plain


def test_there_is_one_form_with_two_answers_and_nothing_inline() -> None:
    html = sign_out(VIEW)
    assert html.count("<form") == html.count('id="primary"') == 1
    assert html.count('name="decision"') == 2 and 'name="csrf" value="token-1"' in html
    assert "style=" not in html and "<script" not in html


@pytest.mark.parametrize("field", [field.name for field in fields(SignOutView)])
def test_markup_in_any_field_is_shown_as_text(field: str) -> None:
    value: object = ((MARKUP, MARKUP),) if field == "fields" else MARKUP
    assert "<script>alert" not in sign_out(replace(VIEW, **{field: value}))
