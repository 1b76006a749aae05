"""Accounts elsewhere: what a person reads before they connect one, what they see of it, and how it ends."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.estate.model import Edge, EdgeConsent
from tests.documents import Authority
from tests.lab import ISSUER, Lab, Page
from tests.vault.steps import FORGE, Setting, leads_to, setting, words


@pytest.fixture
def vault(lab: Lab, tmp_path: Path) -> Iterator[Setting]:
    with setting(lab, Authority(tmp_path)) as found:
        yield found


def asked_scopes(url: str) -> list[str]:
    return parse_qs(urlsplit(url).query).get("scope", [""])[0].split()


def test_the_list_is_linked_from_the_account_and_shows_what_can_be_connected(vault: Setting) -> None:
    browser = vault.signed_in()
    account = browser.get("/account").text
    assert f'href="{ISSUER}/connections"' in account and "No account elsewhere is connected." in account
    page = browser.get("/connections")
    assert words(page).count("not connected") == 2 and "/connections/forge?tenant=acme" in page.text
    vault.connect(browser)
    text = words(browser.get("/connections"))
    assert "octo" in text and "Read your repositories" in text and text.count("not connected") == 1
    assert "1 account elsewhere is connected." in browser.get("/account").text


def test_without_such_systems_nothing_leads_there(lab: Lab) -> None:
    browser = lab.browser()
    browser.sign_in(browser.get("/account"))
    assert "/connections" not in browser.get("/account").text
    assert "There is no system here" in words(browser.get("/connections"))


def test_the_page_says_where_it_leads_who_uses_it_and_what_is_asked(vault: Setting) -> None:
    browser = vault.signed_in()
    text = words(vault.page(browser))
    for said in (
        "Connect Forge",
        "Go to forge.example",
        "Ticket desk",
        "To open an issue for each ticket",
        "Read your repositories",
        FORGE,
        "Alice",
    ):
        assert said in text, said
    assert asked_scopes(vault.begin(browser)) == ["repo:read"]
    assert asked_scopes(vault.begin(browser, scope=["repo:write", "repo:read"])) == [
        "repo:write",
        "repo:read",
    ]
    assert asked_scopes(vault.begin(browser, scope=["repo:read", "admin"])) == ["repo:read"]


def test_who_ticks_nothing_is_told_so_and_goes_nowhere(vault: Setting) -> None:
    browser = vault.signed_in()
    page = words(browser.submit(Page.of(vault.page(browser)), do="connect", scope=None), 400)
    assert "Tick at least one line." in page and vault.lab.rows("vault_visit") == 0


def test_whoever_is_sent_there_signs_in_first_and_comes_back_to_the_page(vault: Setting) -> None:
    browser = vault.lab.browser()
    page = browser.sign_in(vault.page(browser, tenant="globex"), "both")
    words(page)
    assert page.request.full_path == "/connections/forge?tenant=globex"
    assert leads_to(browser.submit(Page.of(page), do="connect")).startswith(vault.forge.origin)


def test_at_the_root_door_the_organization_is_chosen_where_none_is_named(vault: Setting) -> None:
    browser = vault.signed_in("both")
    page = vault.page(browser, tenant=None)
    assert "You belong to several organizations." in words(page)
    assert all(f"/connections/forge?tenant={tenant}" in page.text for tenant in ("acme", "globex"))
    alone = vault.signed_in("alice")
    assert "Connect Forge" in words(vault.page(alone, tenant=None))


def test_at_a_tenants_door_only_its_own_are_there(vault: Setting) -> None:
    browser = vault.signed_in("both", door="/t/globex")
    text = words(browser.get("/t/globex/connections"))
    assert text.count("not connected") == 2
    assert vault.page(browser, tenant="acme", door="/t/globex").status_code == 404
    vault.connect(browser, tenant="globex", door="/t/globex")
    assert "octo" in browser.get("/t/globex/connections").text
    assert (
        vault.page(vault.signed_in("ivan", door="/t/initech"), tenant=None, door="/t/initech").status_code
        == 404
    )


@pytest.mark.parametrize(
    "path",
    [
        "/connections/nothing?tenant=acme",
        "/connections/tickets?tenant=acme",
        "/connections/forge?tenant=initech",
        "/connections/forge?tenant=globex",
        "/connections/forge?tenant=nobody",
        "/connections/forge%00?tenant=acme",
        "/connections/%2e%2e%2faccount?tenant=acme",
        "/connections/" + "f" * 4000,
    ],
)
def test_what_is_not_theirs_is_what_never_was(vault: Setting, path: str) -> None:
    browser = vault.signed_in()
    words(browser.get(path), 404)
    assert browser.post(path, [("do", "connect"), ("tenant", "acme")]).status_code in (403, 404)


@pytest.mark.parametrize("path", ["/connections/forge", "/connections", "/connections/forge/callback"])
@pytest.mark.parametrize("query", ["tenant=acme&tenant=globex", "tenant=%00", "tenant=%FF", "open=%00"])
def test_malformed_requests_are_refused_as_pages(vault: Setting, path: str, query: str) -> None:
    words(vault.signed_in().get(f"{path}?{query}"), 400)


def test_saying_no_there_changes_nothing(vault: Setting) -> None:
    browser = vault.signed_in()
    page = vault.back(browser, vault.forge.visit(vault.begin(browser), deny=True))
    assert "Nothing was connected" in words(page, 403) and "Your connections" in page.text
    assert vault.lab.rows("vault_connection") == 0
    assert vault.lab.last("connection.refused")["reason"] == "provider_refused"


DOWN = {
    "error": (500, {}, b"boom"),
    "garbage": (200, {}, b"\xff"),
    "redirect": (302, {"Location": "/x"}, b""),
}


@pytest.mark.parametrize("name", DOWN)
def test_a_system_that_does_not_answer_can_be_tried_again(vault: Setting, name: str) -> None:
    browser = vault.signed_in()
    vault.forge.answers["/token"] = DOWN[name]
    page = vault.back(browser, vault.forge.visit(vault.begin(browser)))
    assert "The other system does not answer" in words(page, 503)
    vault.forge.answers.clear()
    assert "is connected" in words(vault.connect(browser))


def test_a_system_that_gives_less_or_more_is_named_with_it(vault: Setting) -> None:
    browser = vault.signed_in()
    vault.forge.wider = "admin:all"
    text = words(vault.connect(browser, scope=["repo:read"]))
    assert "gave more than was asked for: admin:all" in text


def test_connecting_again_takes_the_new_account(vault: Setting) -> None:
    browser = vault.signed_in()
    vault.connect(browser)
    assert "with the account hexa" in words(vault.connect(browser, "hexa"))
    assert vault.lab.rows("vault_connection") == 1


def test_what_the_system_does_not_take_any_more_wants_to_be_connected_again(vault: Setting) -> None:
    browser, token = vault.signed_in(), vault.call()
    vault.forge.lifetime = 30  # so short that it is renewed at each use
    vault.connect(browser)
    vault.forge.forget()
    assert vault.released(token).json["error"] == "interaction_required"
    assert "Connect Forge again" in words(vault.page(browser))
    assert "connect it again" in browser.get("/connections").text
    vault.forge.lifetime = 3600
    vault.connect(browser)
    assert vault.released(token).status_code == 200


def test_what_a_server_waits_for_is_ticked_also_behind_the_sign_in(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    both = vault.call(scope="tickets:read tickets:write")
    told = vault.released(both).json
    assert told["error"] == "interaction_required"
    browser = vault.lab.browser()
    page = browser.sign_in(browser.get(told["interaction_uri"].removeprefix(ISSUER)))
    assert Page.of(page).values("scope") == ["repo:read", "repo:write"]
    answer = browser.submit(Page.of(page), do="connect")
    vault.back(browser, vault.forge.visit(leads_to(answer)))
    assert vault.released(both).json["scope"] == "repo:read repo:write"


@pytest.mark.requirement("ELICIT-06")
def test_the_address_that_a_server_is_told_leads_to_the_page(vault: Setting) -> None:
    told = vault.released().json
    assert told["error"] == "interaction_required"
    browser = vault.lab.browser()
    page = browser.sign_in(browser.get(told["interaction_uri"].removeprefix(ISSUER)))
    assert "Connect Forge" in words(page)
    answer = browser.submit(Page.of(page), do="connect")
    vault.back(browser, vault.forge.visit(leads_to(answer)))
    assert vault.forge.works(vault.released().json["access_token"])


@pytest.mark.requirement("ELICIT-07")
def test_an_address_that_reaches_somebody_else_is_refused_also_behind_the_sign_in(vault: Setting) -> None:
    """A person who is sent another's link would connect an account that the server never gets to use."""
    uri = vault.released().json["interaction_uri"].removeprefix(ISSUER)
    signed_in, later = vault.signed_in("both"), vault.lab.browser()
    for page in (signed_in.get(uri), later.sign_in(later.get(uri), "both")):
        assert "This link is for another account" in words(page, 403)
    assert vault.lab.last("authorization.refused")["reason"] == "connection_foreign"
    forged = uri[:-1] + ("A" if uri[-1] != "A" else "B")
    alice = vault.signed_in("alice")
    assert "This link is for another account" in words(alice.get(forged), 403)
    assert "Connect Forge" in words(alice.get(uri))
    assert vault.lab.rows("vault_visit") == 0


@pytest.mark.requirement("ELICIT-05")
def test_an_address_says_nothing_of_the_person_and_is_the_same_each_time(vault: Setting) -> None:
    first, second = (vault.released().json["interaction_uri"] for _ in range(2))
    assert first == second
    for word in ("alice", "octo", "upstream", "token", "Alice"):
        assert word not in first
    assert parse_qs(urlsplit(first).query).keys() == {"tenant", "scope", "for"}
    assert vault.released(vault.call("bob")).json["interaction_uri"] != first


def test_a_connection_whose_system_is_gone_can_still_be_ended(vault: Setting) -> None:
    browser = vault.signed_in()
    vault.connect(browser)
    vault.lab.change(lambda tx: vault.lab.broker.changes.remove_resource(tx, "forge"))
    text = words(browser.get("/connections"))
    assert "octo" in text and "forge" in text
    assert "Go to" not in words(vault.page(browser))
    assert "is disconnected" in words(vault.disconnect(browser))
    assert "octo" not in browser.get("/connections").text


def test_disconnecting_twice_ends_at_the_list(vault: Setting) -> None:
    browser = vault.signed_in()
    vault.connect(browser)
    page = Page.of(vault.page(browser))
    assert "Forge is disconnected" in words(browser.submit(page, do="disconnect"))
    assert browser.submit(page, do="disconnect").request.path == "/connections"


def test_an_edge_that_ended_or_releases_nothing_is_not_named(vault: Setting) -> None:
    ended = Edge(
        "tickets", "forge", {"tickets:read": ("repo:read",)}, consent=EdgeConsent.ADMIN, release=True
    )
    browser = vault.signed_in()
    past = replace(ended, expires_at=vault.lab.clock.now())
    vault.lab.change(lambda tx: vault.lab.broker.changes.put_edge(tx, past))
    text = words(vault.page(browser))
    assert "Ticket desk" not in text and "Files" in text
