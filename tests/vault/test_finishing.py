"""Law 6: what is over when a person comes back from a provider, or ends while it is asked, connects nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lab import Page
from tests.vault.steps import Setting


def leave(vault: Setting) -> None:
    def work(tx: object) -> None:
        alice = vault.lab.broker.people.within(tx, "alice")
        vault.lab.broker.people.put(tx, replace(alice, memberships=()))

    vault.lab.change(work)


def unserved(vault: Setting) -> None:
    resource = replace(vault.resource("forge", vault.forge), tenants=("globex",))
    vault.lab.change(lambda tx: vault.lab.broker.changes.put_resource(tx, resource))


def signed_out(vault: Setting) -> None:
    vault.lab.change(lambda tx: vault.lab.broker.sessions.end_all(tx, "alice"))


OVER: dict[str, tuple[Callable[[Setting], object], str]] = {
    "tenant": (lambda vault: vault.lab.switch("tenant", "acme"), "tenant_off"),
    "user": (lambda vault: vault.lab.switch("user", "alice"), "user_off"),
    "resource": (lambda vault: vault.lab.switch("resource", "forge"), "resource_off"),
    "membership": (leave, "not_a_member"),
    "served": (unserved, "resource_unknown"),
    "session": (signed_out, "login_required"),
}


@pytest.mark.parametrize("what", OVER)
def test_what_ends_while_the_provider_is_asked_connects_nothing_and_is_given_back(
    vault: Setting, what: str
) -> None:
    browser, (end, reason) = vault.signed_in(), OVER[what]
    came = vault.forge.visit(vault.begin(browser))
    with vault.forge.holding() as held:
        asking = threading.Thread(target=lambda: vault.back(browser, came))
        asking.start()
        held.wait_for(1)
        end(vault)
        held.release()
        asking.join()
    assert vault.lab.last("connection.refused")["reason"] == reason
    assert vault.lab.broker.vault.connections.every() == []
    assert vault.forge.alive() == set()


@pytest.mark.parametrize("what", sorted(set(OVER) - {"session"}))
def test_what_is_over_sends_nobody_to_a_provider(vault: Setting, what: str) -> None:
    end, reason = OVER[what]
    browser = vault.signed_in()
    page = vault.page(browser)
    end(vault)
    answer = browser.submit(Page.of(page), do="connect")
    assert vault.forge.origin not in answer.get_data(as_text=True)
    assert vault.forge.asked == []
    assert vault.lab.broker.vault.connections.every() == []
    assert {record["reason"] for record in vault.lab.facts("connection.refused")} <= {reason}


def test_a_lifetime_counts_from_before_the_provider_was_asked(vault: Setting) -> None:
    browser = vault.signed_in()
    came, start = vault.forge.visit(vault.begin(browser)), vault.lab.clock.now()
    with vault.forge.holding() as held:
        asking = threading.Thread(target=lambda: vault.back(browser, came))
        asking.start()
        held.wait_for(1)
        vault.lab.clock.advance(2)
        held.release()
        asking.join()
    [connection] = vault.lab.broker.vault.connections.every()
    assert connection.expires_at == start + 3600
