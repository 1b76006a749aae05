"""OWASP ASVS V8.2: whom a tenant's own provider vouches for sees and ends at the account what that provider made."""

import re

from tests.account.test_apps import words
from tests.federation.steps import Setting
from tests.lab import Browser, Page, assert_page

OWN = {"tenant": "acme", "accounts": "linked"}
PATH = "/t/acme/account"


def buttons(browser: Browser) -> list[str]:
    text = assert_page(browser.get(f"{PATH}/sessions"), 200)
    return re.findall(r'name="end" value="([^"]+)"', text)


def vouched(fed: Setting, count: int = 1) -> tuple[Browser, list[Browser]]:
    """Where alice signed in by herself, and browsers for which acme's provider vouches."""
    fed.apply(fed.provider(**OWN))
    own = fed.lab.browser()
    fed.link(own, door="/t/acme")
    found = [fed.lab.browser() for _ in range(count)]
    for browser in found:
        fed.sign_in(browser, door="/t/acme")
    return own, found


def test_such_a_session_sees_and_ends_only_those_of_the_same_provider(fed: Setting) -> None:
    own, [mine, other] = vouched(fed, 2)
    ids = {one.session.provider: one.session.id for one in fed.lab.broker.sessions.of("alice")}
    assert len(buttons(own)) == 3 and len(buttons(mine)) == 2
    assert ids[None] not in buttons(mine)
    page = Page.of(mine.get(f"{PATH}/sessions"))
    assert "That session was over already." in words(mine.submit(page, end=ids[None]))
    assert "1 session was ended." in words(mine.submit(page, end="others"))
    assert b'name="password"' in other.get(PATH).data
    assert b'name="password"' not in own.get(PATH).data
    assert buttons(own)[-1] == "others" and buttons(mine) == []


def test_such_a_session_does_not_see_how_else_the_person_signs_in(fed: Setting) -> None:
    own, [mine] = vouched(fed)
    assert "You have a password." in words(own.get(f"{PATH}/sign-in"))
    page = words(mine.get(f"{PATH}/sign-in"))
    assert "good for that organization only" in page and "Corporate account" in page
    for word in ("password.", "passkey", "app", "What changed"):
        assert word not in page.split("good for that")[1].split("Sign out")[0], word
    assert "Ways to sign in password" in words(own.get(PATH))
    assert "Ways to sign in password" not in words(mine.get(PATH))
