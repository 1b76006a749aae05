"""Connecting an account elsewhere with a real browser that runs no scripts: there, back, used, and ended."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Callback
from tests.browser.walks import connect, sign_in, somebody
from tests.vault.real import Pair, pair

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("vault")) as found:
        yield found


def asks_there(page: Page, vault: Pair, answer: str = "Allow there") -> None:
    """From the page of the system to its provider, and back with an answer."""
    page.get_by_role("button", name="Go to 127.0.0.1").click()
    page.wait_for_url(f"{vault.forge.origin}/authorize?*")
    page.get_by_role("button", name=answer).click()


def test_an_account_is_connected_used_and_disconnected(
    page: Page, chromium: Browser, vault: Pair, callback: Callback
) -> None:
    call = connect(page, vault.broker, callback, "alice", scope="tickets:read")["access_token"]
    waiting = vault.released(call).json()
    assert waiting["error"] == "interaction_required"
    with somebody(chromium) as person:  # whom the client sends there is not signed in in that browser
        person.goto(waiting["interaction_uri"])
        sign_in(person, "alice")
        expect(person.get_by_role("heading", level=1)).to_have_text("Connect Forge")
        expect(person.get_by_text("To open an issue for each ticket")).to_be_visible()
        expect(person.get_by_role("checkbox", name="Read your repositories")).to_be_checked()
        expect(person.get_by_role("checkbox", name="Change your repositories")).not_to_be_checked()
        asks_there(person, vault)
        expect(person.get_by_role("status")).to_contain_text("Forge is connected, with the account octo.")
    given = vault.released(call).json()["access_token"]
    assert vault.forge.works(given)
    page.goto(f"{vault.broker.issuer}/account")
    tabs = [link.bounding_box() for link in page.get_by_role("navigation").get_by_role("link").all()]
    assert len(tabs) == 6 and len({tab["y"] for tab in tabs if tab}) == 1, "in one row where there is room"
    page.get_by_role("navigation").get_by_role("link", name="Connections").click()
    expect(page.get_by_text("working")).to_be_visible()
    page.get_by_role("link", name="Forge").click()
    with vault.forge.holding("/revoke") as held:
        page.get_by_role("button", name="Disconnect Forge").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Forge is disconnected")
        refused = vault.released(call)
        assert (refused.status_code, refused.json()["error"]) == (400, "interaction_required")
        held.wait_for()
    page.get_by_role("link", name="Back to your connections").click()
    expect(page.get_by_text("not connected")).to_be_visible()


def test_a_person_who_says_no_there_finds_the_way_back(page: Page, vault: Pair) -> None:
    page.goto(f"{vault.broker.issuer}/connections/forge")
    sign_in(page, "kim")
    asks_there(page, vault, "Refuse there")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing was connected")
    page.get_by_role("link", name="Your connections").click()
    page.get_by_role("link", name="Forge").click()
    asks_there(page, vault)
    expect(page.get_by_role("status")).to_contain_text("Forge is connected")


def test_what_another_person_began_is_not_finished_here(page: Page, chromium: Browser, vault: Pair) -> None:
    with somebody(chromium) as mallory:
        mallory.goto(f"{vault.broker.issuer}/connections/forge")
        sign_in(mallory, "sam")
        mallory.get_by_role("button", name="Go to 127.0.0.1").click()
        mallory.wait_for_url(f"{vault.forge.origin}/authorize?*")
        link = mallory.url
    page.goto(f"{vault.broker.issuer}/connections")
    sign_in(page, "rita")
    page.goto(link)
    page.get_by_role("button", name="Allow there").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This was not begun by you here")
    page.goto(f"{vault.broker.issuer}/connections")
    expect(page.get_by_text("not connected")).to_be_visible()
