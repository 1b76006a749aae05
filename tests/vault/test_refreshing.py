"""RFC 6749 section 6: one refresh at a time, and nothing is lost by a provider's trouble."""

import threading
from dataclasses import replace

import pytest

from broker.protocol.errors import OAuthError
from broker.runtime.database import Unavailable
from broker.vault.model import Connection, State
from broker.vault.refreshing import _OF_ONE
from tests.documents import outside
from tests.lab import race
from tests.vault.steps import Setting

MANY = 16


def connection(vault: Setting) -> Connection:
    [found] = vault.lab.broker.vault.connections.every()
    return found


@pytest.fixture
def due(vault: Setting) -> Setting:
    """Connected, and the access token has ended."""
    vault.connect(vault.signed_in())
    vault.lab.clock.advance(3600)
    return vault


def test_a_token_near_its_end_is_refreshed_first_and_the_new_one_is_kept(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    first = vault.released().json["access_token"]
    vault.lab.clock.advance(3539)
    assert vault.released().json["access_token"] == first
    vault.lab.clock.advance(1)
    second = vault.released().json
    assert second["access_token"] != first and second["expires_in"] == 3600
    assert vault.released().json["access_token"] == second["access_token"]
    assert vault.forge.refreshes == 1 and connection(vault).version == 2
    assert [record["fact"] for record in vault.lab.facts() if "connection" in str(record["fact"])] == [
        "connection.made",
        "connection.refreshed",
    ]


def test_a_provider_that_gives_no_new_refresh_token_keeps_the_old_one_good(due: Setting) -> None:
    due.forge.rotates = False
    for _ in range(3):
        assert due.released().status_code == 200
        due.lab.clock.advance(3600)
    assert due.forge.refreshes == 3


def test_a_provider_that_rotates_and_gives_no_new_one_has_ended_with_this_access_token(due: Setting) -> None:
    """The old one is void there: it is neither kept nor shown again."""
    forge = due.resource("forge", due.forge, method="client_secret_basic")
    changed = replace(forge, vault=replace(forge.vault, provider="atlassian"))
    due.lab.change(lambda tx: due.lab.broker.changes.put_resource(tx, changed))
    due.forge.rotates = False
    assert due.released().status_code == 200 and not connection(due).refreshable
    due.lab.clock.advance(3540)
    assert due.released().status_code == 200, "for as long as it lasts"
    due.lab.clock.advance(60)
    due.lab.refused(due.released(), 400, "interaction_required", "connection_broken")
    assert due.forge.refreshes == 1


def test_one_slow_provider_stops_no_other_ones_refreshes(due: Setting) -> None:
    """Nor more of its own than a few at once."""
    refreshing, asking = due.lab.broker.vault.refreshing, threading.Barrier(_OF_ONE + 1)
    done = threading.Event()

    def slow(*_: object) -> None:
        asking.wait(30)
        assert done.wait(30)

    def refresh(number: int, resource: str = "forge") -> None:
        one = replace(connection(due), id=f"con-{number}", resource_id=resource)
        refreshing.refresh(one, None)

    refreshing._in_turn = slow
    slowly = [threading.Thread(target=refresh, args=(number,)) for number in range(_OF_ONE)]
    try:
        for thread in slowly:
            thread.start()
        asking.wait(30)
        refreshing._in_turn = lambda *_: None
        with pytest.raises(OAuthError, match="temporarily_unavailable") as refused:
            refresh(_OF_ONE)
        assert refused.value.retry_after == 1
        refresh(_OF_ONE, "wiki")
    finally:
        done.set()
        for thread in slowly:
            thread.join()
    refresh(_OF_ONE)


@pytest.mark.attack("VAULT-12")
def test_many_calls_at_once_at_two_replicas_cost_one_refresh_and_all_get_the_new_token(due: Setting) -> None:
    calls = due.call()
    with outside(due.lab, due.lab.broker.egress) as replica, due.forge.holding() as held:
        there = Setting(replica, due.forge, due.wiki)
        started, polled, pause = threading.Barrier(2 * MANY + 1), threading.Event(), threading.Event()

        def wait(_: float) -> None:
            """The replica that does not ask sees that another does."""
            polled.set()
            pause.wait(0.01)

        for broker in (due.lab.broker, replica.broker):
            broker.vault.refreshing._wait = wait

        def release(index: int) -> object:
            started.wait()
            return (due if index % 2 else there).released(calls).json.get("access_token")

        def let_go() -> None:
            started.wait()
            held.wait_for(1)
            assert polled.wait(30)
            held.release()

        threading.Thread(target=let_go).start()
        tokens = race(2 * MANY, release)
    assert due.forge.refreshes == 1 and due.forge.reused == []
    assert len(set(tokens)) == 1 and due.forge.works(str(tokens[0]))
    assert connection(due).version == 2
    assert len(due.lab.facts("connection.refreshed")) == 1


@pytest.mark.attack("VAULT-12")
def test_the_new_refresh_token_is_committed_before_the_access_token_is_handed_on(due: Setting) -> None:
    call, renew = due.call(), due.lab.broker.vault.refreshing._keep

    def failing(*given: object) -> None:
        with due.lab.database_down():
            renew(*given)

    due.lab.broker.vault.refreshing._keep = failing
    try:
        answer = due.released(call)
    finally:
        del due.lab.broker.vault.refreshing._keep
    assert answer.status_code == 503 and b"upstream-access" not in answer.data
    assert due.lab.rows("vault_release") == 0


def test_a_commit_that_fails_once_is_tried_again_with_what_is_in_hand(due: Setting) -> None:
    call, database = due.call(), due.lab.broker.world.database
    write, left = database.write, [2]

    def flaky(work: object, *given: object, **named: object) -> object:
        if left[0] and "_keep" in getattr(work, "__qualname__", ""):
            left[0] -= 1
            raise Unavailable("gone")
        return write(work, *given, **named)

    database.write = flaky
    try:
        assert due.released(call).status_code == 200
    finally:
        del database.write
    assert left == [0] and due.forge.refreshes == 1


@pytest.mark.attack("VAULT-14")
@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_provider_in_trouble_loses_nothing_and_is_asked_again_with_growing_pauses(
    due: Setting, status: int
) -> None:
    before = connection(due)
    due.forge.answers["/token"] = (status, {}, b'{"error": "invalid_grant"}')
    asked = len(due.forge.forms("/token"))
    for pause in (5, 10, 20):
        answer = due.released()
        due.lab.refused(answer, 503, "temporarily_unavailable", "provider_unavailable")
        assert int(answer.headers["Retry-After"]) == pause + 1
        asked += 1
        assert len(due.forge.forms("/token")) == asked
        due.lab.clock.advance(pause - 1)
        assert due.released().status_code == 503 and len(due.forge.forms("/token")) == asked
        due.lab.clock.advance(1)
    now = connection(due)
    assert (now.state, now.version, now.failures) == (State.CONNECTED, before.version, 3)
    del due.forge.answers["/token"]
    assert due.released().status_code == 200
    assert (connection(due).failures, due.forge.reused) == (0, [])


@pytest.mark.attack("VAULT-14")
def test_while_the_token_of_now_lasts_a_provider_in_trouble_is_no_trouble(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    vault.lab.clock.advance(3550)
    vault.forge.answers["/token"] = (503, {}, b"")
    answer = vault.released()
    assert (answer.status_code, answer.json["expires_in"]) == (200, 50)
    vault.lab.clock.advance(51)
    assert vault.released().status_code == 503


@pytest.mark.attack("VAULT-14")
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"access_token": 7}', b'{"access_token": "a", "token_type": "mac"}']
)
def test_an_answer_that_is_none_loses_nothing(due: Setting, body: bytes) -> None:
    due.forge.answers["/token"] = (200, {"Content-Type": "application/json"}, body)
    due.lab.refused(due.released(), 503, "temporarily_unavailable", "provider_unavailable")
    assert connection(due).state is State.CONNECTED


@pytest.mark.attack("VAULT-14")
def test_a_grant_that_is_over_there_needs_its_user_and_the_provider_is_asked_no_more(due: Setting) -> None:
    due.forge.forget()
    answer = due.released()
    due.lab.refused(answer, 400, "interaction_required", "connection_broken")
    assert "/connections/forge?" in answer.json["interaction_uri"]
    assert connection(due).state is State.NEEDS_RECONNECT
    asked = len(due.forge.asked)
    assert due.released().status_code == 400 and len(due.forge.asked) == asked
    record = due.lab.last("connection.broken")
    assert (record["outcome"], record["reason"], record["downstream"]) == (
        "denied",
        "connection_broken",
        "forge",
    )
    due.connect(due.signed_in())
    assert due.released().status_code == 200


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_scope", "server_error"])
def test_what_is_wrong_with_our_registration_there_costs_no_user_a_connection(
    due: Setting, error: str
) -> None:
    due.forge.answers["/token"] = (
        400,
        {"Content-Type": "application/json"},
        b'{"error": "%s"}' % error.encode(),
    )
    due.lab.refused(due.released(), 503, "temporarily_unavailable", "provider_unavailable")
    assert connection(due).state is State.CONNECTED


def test_an_answer_that_was_lost_after_a_rotation_is_said_to_be_why(due: Setting) -> None:
    """What a crash in between leaves is the same: the old token, which the provider has voided."""
    due.forge.lost.add("/token")
    due.lab.refused(due.released(), 503, "temporarily_unavailable", "provider_unavailable")
    assert connection(due).state is State.CONNECTED and due.forge.refreshes == 1
    due.forge.lost.clear()
    due.lab.clock.advance(5)
    assert due.released().status_code == 400
    assert "after an answer that was lost" in str(due.lab.last("connection.broken")["detail"])


def test_who_dies_while_asking_holds_the_others_up_until_the_lease_is_over(due: Setting) -> None:
    """A process that claimed and asked nothing: the token is as good as it was."""
    now, found = due.lab.clock.now(), connection(due)
    due.lab.sql("UPDATE vault_connection SET refresher = 'dead', leased_until = ?", now + 30)
    waits: list[float] = []
    due.lab.broker.vault.refreshing._wait = waits.append
    answer = due.released()
    assert answer.status_code == 503 and len(waits) > 10 and due.forge.refreshes == 0
    due.lab.clock.advance(30)
    assert due.released().status_code == 200 and due.forge.refreshes == 1
    assert connection(due).version == found.version + 1


def test_a_slow_refresher_whose_lease_was_taken_over_still_keeps_what_it_got(due: Setting) -> None:
    call = due.call()
    with due.forge.holding() as held:
        answers: list[object] = []
        slow = threading.Thread(target=lambda: answers.append(due.released(call).status_code))
        slow.start()
        held.wait_for(1)
        due.lab.sql("UPDATE vault_connection SET refresher = 'another', leased_until = ?", 0)
        held.release()
        slow.join()
    assert answers == [200] and connection(due).version == 2
