"""People in a test who have more than a password: enrolled through their account pages, signing in step by step."""

import re
from html import unescape

import pyotp
from werkzeug.test import TestResponse

from tests.authenticator import Authenticator
from tests.lab import ISSUER, PASSWORD, Browser, Lab, Page

SIGN_IN = "/account/sign-in"
PASSKEY = "urn:mcp-token-broker:acr:passkey"
MFA = "urn:mcp-token-broker:acr:mfa"
ONE = "urn:mcp-token-broker:acr:password"


def signed_in(lab: Lab, user: str = "alice", browser: Browser | None = None, door: str = "") -> Browser:
    """A browser whose account page is open."""
    browser = browser or lab.browser()
    page = browser.get(f"{door}/account")
    if b'name="password"' in page.data:
        page = browser.sign_in(page, user)
    assert page.status_code == 200, page.get_data(as_text=True)
    return browser


def is_password_page(page: TestResponse) -> bool:
    return b'id="username"' in page.data and b'id="password"' in page.data


def is_code_page(page: TestResponse) -> bool:
    return b'autocomplete="one-time-code"' in page.data and b"Show that it is you" in page.data


def is_verify_page(page: TestResponse) -> bool:
    return b"Show that it is you" in page.data


def creation_options(browser: Browser, page: TestResponse) -> dict[str, object]:
    """What the page for a new passkey asks the browser for, as its script fetches it."""
    found = re.search(r'data-passkey="create" data-options="([^"]*)"', page.get_data(as_text=True))
    assert found is not None, page.get_data(as_text=True)[:2000]
    answer = browser.post(unescape(found[1]).removeprefix(ISSUER), Page.of(page).fields)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    options: dict[str, object] = answer.json
    return options


def passkey_form(page: TestResponse) -> tuple[str, list[tuple[str, str]]]:
    """The form of a passkey on a page of signing in: where its challenge comes from, and its hidden fields."""
    text = page.get_data(as_text=True)
    form = re.search(r'<form class="passkey".*?data-options="([^"]*)">(.*?)</form>', text, re.DOTALL)
    assert form is not None, text[:2000]
    fields = re.findall(r'name="([^"]*)" value="([^"]*)"', form[2])
    return unescape(form[1]), [(name, unescape(value)) for name, value in fields if name != "credential"]


def challenge(browser: Browser, page: TestResponse) -> dict[str, object]:
    """A fresh challenge for this page, as its script fetches it."""
    url, fields = passkey_form(page)
    answer = browser.post(url.removeprefix(ISSUER), fields, Accept="application/json")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    options: dict[str, object] = answer.json
    return options


def show_passkey(browser: Browser, page: TestResponse, credential: str) -> TestResponse:
    """Send what an authenticator answered with the page's form."""
    url, fields = passkey_form(page)
    path = url.removeprefix(ISSUER).removesuffix("/options")
    return browser.post(path, [*fields, ("credential", credential)])


def use_passkey(
    browser: Browser, page: TestResponse, authenticator: Authenticator, **said: object
) -> TestResponse:
    return show_passkey(browser, page, authenticator.get(challenge(browser, page), **said))


def add_passkey(
    browser: Browser, authenticator: Authenticator, name: str = "Laptop", **said: object
) -> TestResponse:
    """Through the account page of a freshly signed-in person."""
    page = browser.get(f"{SIGN_IN}/passkeys/new")
    credential = authenticator.create(creation_options(browser, page), **said)
    return browser.submit(Page.of(page), credential=credential, name=name)


def with_passkey(lab: Lab, user: str = "alice", authenticator: Authenticator | None = None) -> Authenticator:
    """A person's new passkey; the browser that made it is gone."""
    authenticator = authenticator or Authenticator()
    made = add_passkey(signed_in(lab, user), authenticator)
    assert made.status_code == 200 and b"Laptop" in made.data, made.get_data(as_text=True)
    return authenticator


def with_app(lab: Lab, user: str = "alice", browser: Browser | None = None) -> tuple[str, list[str]]:
    """A person's new authenticator app: its secret, and their recovery codes."""
    browser = browser or signed_in(lab, user)
    page = browser.submit(Page.of(browser.get(f"{SIGN_IN}/app")), do="begin")
    secret = app_secret(page)
    done = browser.submit(Page.of(page), do="confirm", code=code(lab, secret))
    assert done.status_code == 200, done.get_data(as_text=True)
    lab.clock.advance(60)  # the code that confirmed it, and those beside it, are spent
    return secret, recovery_codes(done)


def app_secret(page: TestResponse) -> str:
    found = re.search(r'<p class="secret"><code>(.*?)</code>', page.get_data(as_text=True), re.DOTALL)
    assert found is not None, page.get_data(as_text=True)[:3000]
    return re.sub(r"<[^>]*>|\s", "", found[1])


def recovery_codes(page: TestResponse) -> list[str]:
    return re.findall(r"<li><code>([a-z0-9-]+)</code></li>", page.get_data(as_text=True))


def code(lab: Lab, secret: str, steps: int = 0) -> str:
    """What the app shows now, or so many steps later."""
    return pyotp.TOTP(secret).at(int(lab.clock.now()) + 30 * steps)


def by_password(
    lab: Lab, user: str = "alice", password: str = PASSWORD, browser: Browser | None = None, **changes: str
) -> tuple[Browser, TestResponse]:
    """As far as the password gets in a fresh browser, on the way to an app."""
    browser = browser or lab.browser()
    return browser, browser.sign_in(browser.get(lab.authorize_url(**changes)), user, password)


def hammer(lab: Lab, user: str = "alice") -> None:
    """Strangers all over guess at one account until they are told to wait."""
    per_source = lab.broker.settings.account_failures_per_minute
    for number in range(lab.broker.settings.account_strangers_per_hour // per_source + 1):
        browser = lab.browser(f"198.51.100.{number}")
        page = Page.of(browser.get(lab.authorize_url()))
        for _ in range(per_source):
            answer = browser.submit(page, username=user, password="a wrong guess")
            if answer.status_code == 429:
                return
    raise AssertionError("nobody was told to wait")
