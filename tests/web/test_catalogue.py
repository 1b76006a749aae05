"""WCAG 2.2 success criterion 3.1.2: every text comes from the catalogue of the person's language, on every page."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import pytest

from broker.web import pages, sign_in_pages, sign_out_page, texts
from tests.lab import ISSUER, PASSWORD, Lab, Page
from tests.web import samples, test_pages, test_sign_in_pages, test_sign_out_page

SPOKEN = {"alt", "aria-label", "placeholder", "title"}
NAMES = {"MCP token broker", "· MCP token broker"}
"""What is the same in every language."""

VIEWS: dict[str, tuple[Callable[..., str], object]] = {
    "sign in": (pages.sign_in, test_sign_in_pages.AGAIN),
    "verify": (sign_in_pages.verify, test_sign_in_pages.VERIFY),
    "reset": (sign_in_pages.reset, test_sign_in_pages.RESET),
    "sign out": (sign_out_page.sign_out, test_sign_out_page.VIEW),
    "consent": (pages.consent, replace(test_pages.CONSENT, duration="", stays="")),
    "consent, many": (pages.consent, replace(test_pages.MANY, duration="", stays="")),
    "done": (pages.done, test_pages.DONE),
    "home": (pages.home, test_pages.HOME),
    "form post": (
        pages.form_post,
        pages.FormPostView(action="https://desk.example/cb", host="desk.example", fields=(("code", "c"),)),
    ),
    "leaving": (
        pages.leaving,
        pages.LeavingView(host="desk.example", url="https://desk.example/cb", details=(("error", "e"),)),
    ),
    **samples.VIEWS,
}


@pytest.fixture(autouse=True)
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A language whose every text stands in brackets that no other text has."""
    other = {key: f"⟦{text}⟧" for key, text in texts.ENGLISH.items()}
    monkeypatch.setattr(texts, "CATALOGUES", {"en": texts.ENGLISH, "xx": other})


class Said(HTMLParser):
    """`loose`: what a person can read or hear of a page that is in no brackets; dates apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loose: list[str] = []
        self._depth = 0
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("time", "code", "svg"):
            self._inside.append(tag)
        for name, value in attrs:
            if name in SPOKEN and value and not value.startswith("⟦"):
                self.loose.append(value)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        kept = ""
        for letter in data:
            self._depth += (letter == "⟦") - (letter == "⟧")
            kept += letter if self._depth == 0 and letter != "⟧" else " "
        if not self._inside:
            self.loose += [" ".join(one.split()) for one in kept.split("  ") if any(map(str.isalpha, one))]


def given(value: object) -> Iterator[str]:
    """Every text that a view was given: it is somebody's name for something."""
    if isinstance(value, str):
        yield " ".join(value.split())
    elif isinstance(value, tuple):
        for one in value:
            yield from given(one)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from given(getattr(value, field.name))


@pytest.mark.parametrize("name", VIEWS)
def test_a_page_says_nothing_that_is_not_in_the_catalogue(name: str) -> None:
    render, view = VIEWS[name]
    html = render(replace(view, lang="xx"))  # type: ignore[type-var]  # every view is a dataclass
    assert '<html lang="xx">' in html and "⟦" in html
    names = NAMES | set(given(view))
    left = [one for one in Said(html).loose if one.strip("“”") not in names]
    assert left == []


def test_the_home_page_and_the_last_one_speak_the_browsers_language(lab: Lab) -> None:
    for path in ("/", "/t/acme"):
        page = lab.get(path, **{"Accept-Language": "xx"}).get_data(as_text=True)
        assert '<html lang="xx">' in page and "⟦" in page
    browser, code = lab.browser(), lab.device().json["user_code"]
    asked = browser.sign_in(lab.type_code(code, browser))
    done = browser.submit(Page.of(asked), {"Accept-Language": "xx"}, decision="deny").get_data(as_text=True)
    assert f"⟦{texts.ENGLISH['done.refused.title']}⟧" in done and '<html lang="xx">' in done


@pytest.mark.parametrize(
    ("password", "why"),
    [("short", "short"), ("p" * 1025, "long"), ("password123", "common"), ("alicealice", "around")],
)
def test_why_a_password_is_refused_is_said_in_the_browsers_language(
    lab: Lab, password: str, why: str
) -> None:
    browser = lab.browser()
    browser.sign_in(browser.get("/account"))
    page = Page.of(browser.get("/account/sign-in/password"))
    answer = browser.submit(page, {"Accept-Language": "xx"}, old=PASSWORD, password=password, again=password)
    assert answer.status_code == 400 and answer.request.base_url.startswith(ISSUER)
    assert f"⟦{texts.ENGLISH[f'reset.error.{why}']}⟧" in answer.get_data(as_text=True)
