"""VAULT, in the browser: whoever finishes connecting an account is who began, where and with whom they began."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from tests.documents import Authority
from tests.lab import ACME, ISSUER, Browser, Lab, Page, assert_page, race
from tests.vault.steps import Setting, leads_to, setting, words


@pytest.fixture
def vault(lab: Lab, tmp_path: Path) -> Iterator[Setting]:
    with setting(lab, Authority(tmp_path)) as found:
        yield found


def refused(vault: Setting, page: TestResponse, reason: str, status: int = 400, *, said: str) -> None:
    """The page that says why, its record, and nothing that is stored for anybody or was redeemed."""
    text = words(page, status)
    assert said in text and "Your connections" in text and "Set-Cookie" not in page.headers
    record = vault.lab.last("connection.refused")
    assert (record["outcome"], record["reason"]) == ("denied", reason), record
    assert vault.lab.rows("vault_connection") == 0
    assert vault.forge.forms("/token") == [] and vault.wiki.forms("/token") == []


FOREIGN = "This was not begun by you here"


def connects(vault: Setting, browser: Browser, came: dict[str, str], door: str = "") -> None:
    """The same with nothing wrong."""
    page = vault.back(browser, came, door=door)
    assert "is connected, with the account octo" in words(page)
    assert vault.lab.rows("vault_connection") == 1


@pytest.mark.attack("VAULT-01")
def test_a_callback_that_somebody_else_sends_connects_nothing_for_either(vault: Setting) -> None:
    mallory, victim = vault.signed_in("bob"), vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(mallory))
    refused(vault, vault.back(victim, came), "provider_visit_unknown", said=FOREIGN)
    connects(vault, mallory, came)


@pytest.mark.attack("VAULT-01")
def test_a_link_to_the_provider_that_somebody_else_sends_connects_nothing_for_either(vault: Setting) -> None:
    """The victim allows it there, with an account of theirs; what comes back is of no visit that they began."""
    mallory, victim = vault.signed_in("bob"), vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(mallory), "the victim's")
    refused(vault, vault.back(victim, came), "provider_visit_unknown", said=FOREIGN)
    assert vault.lab.rows("vault_connection") == 0


@pytest.mark.attack("VAULT-01")
@pytest.mark.parametrize("user", ["bob", None])
def test_another_person_or_nobody_in_the_same_browser_does_not_finish(
    vault: Setting, user: str | None
) -> None:
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser))
    sign_out = browser.get("/logout")
    browser.submit(Page.of(sign_out), decision="sign_out")
    if user is not None:
        vault.signed_in(user, browser)
    reason = "login_required" if user is None else "provider_visit_unknown"
    refused(vault, vault.back(browser, came), reason, said=FOREIGN)
    connects(vault, *_again(vault))


@pytest.mark.attack("VAULT-01")
def test_a_browser_without_a_session_does_not_finish(vault: Setting) -> None:
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser))
    refused(vault, vault.back(vault.lab.browser(), came), "login_required", said=FOREIGN)
    connects(vault, browser, came)


@pytest.mark.attack("VAULT-01")
def test_a_second_session_of_the_same_person_does_not_finish(vault: Setting) -> None:
    first, second = vault.signed_in("alice"), vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(first))
    refused(vault, vault.back(second, came), "provider_visit_unknown", said=FOREIGN)
    connects(vault, first, came)


@pytest.mark.attack("VAULT-01")
@pytest.mark.parametrize("state", [None, "", "forged", "s" * 8000, "\N{SNOWMAN}"])
def test_a_state_that_is_none_of_ours_is_refused(vault: Setting, state: str | None) -> None:
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser))
    wrong = {name: value for name, value in (came | {"state": state}).items() if value is not None}
    refused(vault, vault.back(browser, wrong), "provider_visit_unknown", said=FOREIGN)
    connects(vault, browser, came)


@pytest.mark.attack("VAULT-01")
def test_an_answer_counts_once_even_when_it_comes_many_times_at_once(vault: Setting) -> None:
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser))
    cookie = browser.http.get_cookie("__Host-broker", domain="as.example")
    assert cookie is not None

    def arrive(_: int) -> int:
        other = vault.lab.browser()
        other.http.set_cookie("__Host-broker", cookie.value, domain="as.example", secure=True, path="/")
        return vault.back(other, came).status_code

    assert sorted(race(6, arrive)) == [200, 400, 400, 400, 400, 400]
    assert len(vault.forge.forms("/token")) == 1 and vault.lab.rows("vault_connection") == 1


@pytest.mark.attack("VAULT-01")
def test_a_code_of_another_visit_is_good_for_nothing_in_this_one(vault: Setting) -> None:
    """An account slipped in: the code belongs to the verifier of the visit that it was given for."""
    mallory, victim = vault.signed_in("bob"), vault.signed_in("alice")
    theirs = vault.forge.visit(vault.begin(mallory), "mallory's")
    came = vault.forge.visit(vault.begin(victim))
    page = vault.back(victim, came | {"code": theirs["code"]})
    assert "We could not believe that answer" in words(page, 400)
    assert vault.lab.last("connection.refused")["reason"] == "provider_answer_invalid"
    assert vault.lab.rows("vault_connection") == 0
    connects(vault, *_again(vault))


@pytest.mark.attack("VAULT-01")
def test_an_answer_that_comes_too_late_connects_nothing(vault: Setting) -> None:
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser))
    vault.lab.clock.advance(600)
    refused(vault, vault.back(browser, came), "provider_visit_unknown", said=FOREIGN)
    connects(vault, browser, vault.forge.visit(vault.begin(browser)))


@pytest.mark.attack("VAULT-01")
def test_nobody_is_sent_out_by_another_site_or_by_a_form_of_another_session(vault: Setting) -> None:
    alice, bob = vault.signed_in("alice"), vault.signed_in("bob")
    page, theirs = Page.of(vault.page(alice)), Page.of(vault.page(bob))
    answers = [
        alice.submit(page, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, do="connect"),
        alice.submit(page, do="connect", csrf=theirs.values("csrf")),
        alice.submit(page, do="connect", csrf=None),
        alice.submit(Page.of(vault.page(alice, "wiki")), do="connect", csrf=page.values("csrf")),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert vault.lab.rows("vault_visit") == 0
    assert leads_to(alice.submit(page, do="connect")).startswith(vault.forge.origin)


@pytest.mark.attack("VAULT-02")
def test_what_belongs_to_one_system_is_nothing_at_the_callback_of_another(vault: Setting) -> None:
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser))
    refused(vault, vault.back(browser, came, "wiki"), "provider_visit_unknown", said=FOREIGN)
    connects(vault, browser, came)


@pytest.mark.attack("VAULT-02")
def test_what_was_begun_at_one_door_does_not_end_at_another(vault: Setting) -> None:
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser))
    refused(vault, vault.back(browser, came, door="/t/acme"), "provider_visit_unknown", said=FOREIGN)
    connects(vault, browser, came)


@pytest.mark.attack("VAULT-02")
def test_every_system_and_door_has_a_callback_of_its_own_and_a_state_that_knows_its_tenant(
    vault: Setting,
) -> None:
    browser = vault.signed_in("both")
    urls = [
        vault.begin(browser, "forge", "acme"),
        vault.begin(browser, "wiki", "acme"),
        vault.begin(browser, "forge", "acme", "/t/acme"),
    ]
    callbacks = [parse_qs(urlsplit(url).query)["redirect_uri"][0] for url in urls]
    assert callbacks == [
        f"{ISSUER}/connections/forge/callback",
        f"{ISSUER}/connections/wiki/callback",
        f"{ACME}/connections/forge/callback",
    ]
    other = vault.forge.visit(vault.begin(browser, "forge", "globex"))
    assert_page(vault.back(browser, other), 200)
    [connection] = vault.lab.broker.vault.connections.of("both", ("acme", "globex"))
    assert (connection.resource_id, connection.tenant) == ("forge", "globex")


@pytest.mark.attack("VAULT-03")
@pytest.mark.parametrize("iss", [None, "https://wiki.example", "", "https://forge.example"])
def test_an_answer_of_another_issuer_is_not_redeemed(vault: Setting, iss: str | None) -> None:
    vault.lab.change(
        lambda tx: vault.lab.broker.changes.put_resource(
            tx, vault.resource("forge", vault.forge, issuer=vault.forge.origin)
        )
    )
    browser = vault.signed_in("alice")
    came = vault.forge.visit(vault.begin(browser), **({} if iss is None else {"iss": iss}))
    said = "We could not believe that answer"
    refused(vault, vault.back(browser, came), "provider_mismatch", said=said)
    vault.forge.says_issuer = True
    connects(vault, browser, vault.forge.visit(vault.begin(browser)))


@pytest.mark.attack("VAULT-03")
def test_an_honest_providers_code_is_never_sent_to_another_providers_token_endpoint(vault: Setting) -> None:
    """The hostile one sends the browser on to the honest one, with its own state, to be sent the code."""
    browser = vault.signed_in("alice")
    hostile, honest = vault.begin(browser, "wiki"), vault.begin(browser, "forge")
    state = parse_qs(urlsplit(hostile).query)["state"][0]
    came = vault.forge.visit(honest) | {"state": state}
    refused(vault, vault.back(browser, came, "forge"), "provider_visit_unknown", said=FOREIGN)
    assert vault.wiki.asked == []


@pytest.mark.attack("VAULT-16")
def test_disconnecting_erases_revokes_and_ends_what_servers_get(vault: Setting) -> None:
    browser, token = vault.signed_in("alice"), vault.call()
    vault.connect(browser)
    given = vault.released(token).json["access_token"]
    assert vault.forge.works(given)
    page = words(vault.disconnect(browser))
    assert "Forge is disconnected" in page
    vault.lab.broker.tend()
    assert not vault.forge.works(given) and vault.forge.forms("/revoke") != []
    answer = vault.released(token)
    vault.lab.refused(answer, 400, "interaction_required", "connection_missing")
    assert given.encode() not in vault.lab.dump()
    facts = [record["fact"] for record in vault.lab.facts() if str(record["fact"]).startswith("connection.")]
    assert facts[:2] == ["connection.made", "connection.ended"]


def _again(vault: Setting) -> tuple[Browser, dict[str, str]]:
    browser = vault.signed_in("alice")
    return browser, vault.forge.visit(vault.begin(browser))
