"""RFC 7009: no token is left alive at a provider that nobody here knows of, unless the evidence says so."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
from werkzeug.test import TestResponse

from broker.runtime.database import Conflict, Transaction, Unavailable, Unknown
from broker.vault.farewells.farewells import WAITS
from broker.vault.model import Tokens
from tests.lab import Browser, Page
from tests.vault.steps import Setting


def during_a_refresh(vault: Setting, work: Callable[[Browser], object]) -> None:
    """What a person does while the provider is asked for new tokens of theirs."""
    vault.lab.clock.advance(3600)
    call, browser = vault.call(), vault.signed_in()
    with vault.forge.holding() as held:
        asking = threading.Thread(target=lambda: vault.released(call))
        asking.start()
        held.wait_for(1)
        work(browser)
        held.release()
        asking.join()


def outlived(vault: Setting) -> list[tuple[object, object]]:
    """(why, until when) of what the evidence says is still alive."""
    changes = [record["change"] for record in vault.lab.facts("connection.outlived")]
    return [(change["why"], change["alive_until"]) for change in changes]  # type: ignore[index]


@pytest.mark.parametrize("rotates", [True, False])
def test_tokens_that_come_when_their_connection_has_ended_are_taken_back(
    vault: Setting, rotates: bool
) -> None:
    vault.forge.ends_grants, vault.forge.rotates = False, rotates
    vault.connect(vault.signed_in())
    [grant] = vault.forge.grants
    ended = set(grant.access)  # by itself
    during_a_refresh(vault, vault.disconnect)
    assert vault.forge.refreshes == 1 and len(vault.forge.alive() - ended) == 2
    vault.lab.broker.vault.tend()
    assert vault.forge.alive() == ended and vault.lab.rows("vault_farewell") == 0


def test_tokens_that_come_late_and_cannot_be_taken_back_are_said_to_be_alive(vault: Setting) -> None:
    vault.without_revocation()
    vault.connect(vault.signed_in())
    during_a_refresh(vault, vault.disconnect)
    assert outlived(vault)[-1] == ("replaced while refreshed", "2027-01-15T10:00:00Z")


def test_tokens_that_come_late_leave_those_of_another_account_alone(vault: Setting) -> None:
    vault.connect(vault.signed_in(), "octo")

    def reconnect(browser: Browser) -> None:
        held = vault.forge._holds.pop("/token")  # the visit is not held up
        vault.connect(browser, "hexa")
        vault.forge._holds["/token"] = held

    during_a_refresh(vault, reconnect)
    vault.lab.broker.vault.tend()
    old, new = vault.forge.grants
    assert old.over and not new.over and vault.released().status_code == 200
    assert vault.forge.works(vault.released().json["access_token"])


def test_what_a_commit_kept_whose_answer_was_lost_is_not_taken_back(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    vault.lab.clock.advance(3600)
    call, database = vault.call(), vault.lab.broker.world.database
    write, left = database.write, [1]

    def losing(work: object, *given: object, **named: object) -> object:
        done = write(work, *given, **named)
        if left[0] and "_keep" in getattr(work, "__qualname__", ""):
            left[0] -= 1
            raise Unknown("gone")
        return done

    database.write = losing
    try:
        assert vault.released(call).status_code == 200
    finally:
        del database.write
    assert left == [0] and vault.lab.rows("vault_farewell") == 0 and outlived(vault) == []


def test_another_account_takes_back_what_the_first_one_allowed_and_ends_its_releases(vault: Setting) -> None:
    vault.connect(vault.signed_in(), "octo")
    token = vault.released().json["access_token"]
    vault.connect(vault.signed_in(), "hexa")
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token) and vault.forge.grants[0].over and not vault.forge.grants[1].over
    [connection] = vault.lab.broker.vault.connections.every()
    [release] = vault.lab.broker.vault.releases.of(connection.id)
    assert release.withdrawn and vault.released().status_code == 200


def test_less_for_the_same_account_takes_back_the_token_that_could_do_more(vault: Setting) -> None:
    vault.forge.ends_grants = False
    vault.connect(vault.signed_in(), scope=["repo:read", "repo:write"])
    token = vault.forge.grants[0].access.copy().pop()
    vault.connect(vault.signed_in(), scope=["repo:read"])
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token) and len(vault.forge.forms("/revoke")) == 1


def test_the_same_account_again_is_not_taken_back_from_and_the_evidence_says_what_lives_on(
    vault: Setting,
) -> None:
    vault.connect(vault.signed_in())
    token = vault.released().json["access_token"]
    vault.lab.clock.advance(60)
    vault.connect(vault.signed_in())
    vault.lab.broker.vault.tend()
    assert vault.forge.forms("/revoke") == []
    assert outlived(vault) == [("replaced by another visit", "2027-01-15T09:00:00Z")]
    vault.disconnect(vault.signed_in())
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token)
    assert outlived(vault)[1:] == [("by its user, after newer ones", "2027-01-15T09:00:00Z")]
    [older] = vault.lab.broker.vault.releases.of(
        str(vault.lab.last("connection.ended")["change"]["connection"])
    )  # type: ignore[index]
    assert older.ended_at is not None and not older.withdrawn


def test_what_is_removed_from_the_estate_is_told_with_what_was_known_of_it(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    token = vault.released().json["access_token"]

    def remove(tx: Transaction) -> None:
        vault.lab.broker.vault.connections.end_all(tx, "the resource was removed", resource_id="forge")
        vault.lab.broker.vault.credentials.set(tx, "forge", None)
        vault.lab.broker.changes.remove_edge(tx, "tickets", "forge")
        vault.lab.broker.changes.remove_edge(tx, "files", "forge")
        vault.lab.broker.changes.remove_resource(tx, "forge")

    vault.lab.change(remove)
    vault.lab.broker.vault.tend()
    assert vault.forge.forms("/revoke") != [] and not vault.forge.works(token)
    assert outlived(vault) == [] and vault.lab.rows("vault_farewell") == 0


def test_a_secret_that_does_not_open_for_a_while_loses_no_farewell(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    token = vault.released().json["access_token"]
    vault.disconnect(vault.signed_in())
    [secret] = [row[1] for row in vault.lab.table("vault_client") if row[0] == "forge"]
    vault.lab.sql("UPDATE vault_client SET secret = ? WHERE resource_id = 'forge'", b"of another key")
    for _ in range(3):
        vault.lab.broker.vault.tend()
        vault.lab.clock.advance(WAITS[2])
    assert vault.lab.rows("vault_farewell") == 2 and vault.forge.forms("/revoke") == []
    vault.lab.sql("UPDATE vault_client SET secret = ? WHERE resource_id = 'forge'", secret)
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token) and vault.lab.rows("vault_farewell") == 0


def test_a_secret_that_never_opens_is_said_to_be_why(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    vault.disconnect(vault.signed_in())
    vault.lab.sql("UPDATE vault_client SET secret = ?", b"of another key")
    for _ in range(len(WAITS) + 1):
        vault.lab.broker.vault.tend()
        vault.lab.clock.advance(WAITS[-1])
    assert vault.lab.rows("vault_farewell") == 0
    reasons = {record["reason"] for record in vault.lab.facts("connection.outlived")}
    assert "connection_unreadable" in reasons


def test_tokens_that_do_not_open_when_they_end_are_said_to_be_alive(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    vault.lab.sql("UPDATE vault_connection SET data_key = ?", b"of another key")
    vault.disconnect(vault.signed_in())
    assert outlived(vault) == [("by its user", "2027-01-15T09:00:00Z")]


def test_a_provider_that_is_dead_holds_up_no_other_whatever_it_has_waiting(vault: Setting) -> None:
    for provider in (vault.forge, vault.wiki):
        provider.ends_grants = False
    vault.connect(vault.signed_in())
    vault.forge.revokes = False
    [connection] = vault.lab.broker.vault.connections.every()
    queue, waiting = vault.lab.broker.vault.farewells.queue, 150

    def many(tx: Transaction) -> None:
        for _ in range(waiting):
            assert queue(tx, connection, Tokens("old"), "test", access_only=True)

    vault.lab.broker.world.database.write(many)
    browser = vault.signed_in()
    vault.back(browser, vault.wiki.visit(vault.begin(browser, "wiki")), "wiki")
    browser.submit(Page.of(vault.page(browser, "wiki")), do="disconnect")
    vault.lab.broker.vault.tend()
    assert len(vault.wiki.forms("/revoke")) == 2 and vault.wiki.alive() == set()
    assert len(vault.forge.forms("/revoke")) == 1, "and it is asked once for all that waits for it"
    vault.lab.broker.vault.tend()
    assert len(vault.forge.forms("/revoke")) == 1
    counted = [row[8] for row in vault.lab.table("vault_farewell")]
    assert sorted(counted, key=str) == [0] * (waiting - 1) + [1]


def visited(vault: Setting, work: Callable[[], AbstractContextManager[object]]) -> TestResponse:
    """Back from the provider, which gives tokens, while the matter stands as `work` makes it."""
    browser = vault.signed_in()
    came = vault.forge.visit(vault.begin(browser))
    with work():
        return vault.back(browser, came)


def test_tokens_of_nobody_are_given_back(vault: Setting) -> None:
    """Whose account it is could not be asked."""
    vault.forge.answers["/account"] = (500, {}, b"")
    answer = visited(vault, nullcontext)
    assert answer.status_code == 503 and vault.lab.rows("vault_connection") == 0
    assert vault.lab.last("connection.refused")["reason"] == "provider_unavailable"
    assert len(vault.forge.grants) == 1 and vault.forge.alive() == set()


@pytest.mark.parametrize(
    ("error", "given_back"), [(Unavailable("gone"), True), (Conflict(), True), (Unknown("gone"), False)]
)
def test_tokens_that_cannot_be_kept_are_given_back_unless_they_may_be_kept(
    vault: Setting, error: Exception, given_back: bool
) -> None:
    @contextmanager
    def failing() -> Iterator[None]:
        database = vault.lab.broker.world.database
        write = database.write

        def fail(work: object, *given: object, **named: object) -> object:
            if "Making" in getattr(work, "__qualname__", ""):
                raise error
            return write(work, *given, **named)

        database.write = fail
        try:
            yield
        finally:
            del database.write

    assert visited(vault, failing).status_code == 503
    assert len(vault.forge.grants) == 1 and (vault.forge.alive() == set()) is given_back


def test_the_trace_of_a_release_tells_that_its_provider_could_not_be_told_after_all(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    assert vault.released().status_code == 200
    txn = str(vault.lab.last("token.released")["txn"])
    assert vault.lab.trace(txn)[-1]["fact"] == "token.released"
    vault.forge.revokes = False
    vault.disconnect(vault.signed_in())
    for _ in range(2 * len(WAITS) + 2):
        vault.lab.broker.vault.tend()
        vault.lab.clock.advance(WAITS[-1])
    facts = [step["fact"] for step in vault.lab.trace(txn)]
    assert facts[-3:] == ["connection.ended", "connection.outlived", "connection.outlived"]
    vault.connect(vault.signed_in("bob"))
    vault.disconnect(vault.signed_in("bob"))
    assert len(vault.lab.trace(txn)) == len(facts)
