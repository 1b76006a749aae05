"""OWASP ASVS V7.4.3: a new password ends what the old one began, whichever of the two is committed first."""

import threading

import pytest

from broker.cli.local import origin_of
from broker.identity.sessions.sessions import Sessions
from broker.identity.users import store
from broker.identity.users.model import User
from broker.identity.users.own import NotChanged
from broker.identity.users.password import Passwords
from broker.identity.users.ways_in import WaysIn
from broker.protocol.errors import Reason
from broker.runtime.database import Transaction
from tests.faults.beside import meanwhile
from tests.lab import PASSWORD, Lab, Page

OLD, NEW, OTHER = PASSWORD, "an unheard of sentence", "another such sentence"


def outdate(lab: Lab) -> None:
    """Give alice a hash that her next sign-in renews."""
    older = Passwords(16, 1).hash(OLD)
    lab.broker.world.database.write(lambda tx: store.set_password_hash(tx, "alice", older))


def offered(lab: Lab) -> str:
    return lab.broker.signing_in.new_passwords.offer_reset("alice", origin_of(lab.broker))


def reset(lab: Lab, secret: str) -> None:
    lab.broker.signing_in.new_passwords.reset(secret, NEW, None, origin_of(lab.broker))


def sign_in(lab: Lab) -> int:
    browser = lab.browser()
    page = Page.of(browser.get(lab.authorize_url()))
    return browser.submit(page, username="alice", password=OLD).status_code


def signed_in_with(lab: Lab, password: str) -> bool:
    kept = lab.broker.world.database.read(lambda tx: store.password_hash(tx, "alice"))
    return Passwords(8, 1).verify(kept, password)


@pytest.mark.attack("LOGIN-08")
@pytest.mark.parametrize("outdated", [False, True])
def test_a_sign_in_that_was_first_does_not_outlive_the_reset_beside_it(
    crowded: Lab, monkeypatch: pytest.MonkeyPatch, outdated: bool
) -> None:
    if outdated:
        outdate(crowded)
    secret, needed = offered(crowded), WaysIn.needed
    beside: list[threading.Thread] = []

    def slow(self: WaysIn, tx: Transaction, user: User, demanded: tuple[str, ...]) -> str:
        """The old password was found right, and nothing of that is committed yet."""
        beside.append(meanwhile(crowded, lambda: reset(crowded, secret)))
        return needed(self, tx, user, demanded)

    monkeypatch.setattr(WaysIn, "needed", slow)
    assert sign_in(crowded) == 200
    beside[0].join()
    assert len(beside) == 1 and not crowded.broker.sessions.open()
    assert signed_in_with(crowded, NEW)


@pytest.mark.attack("LOGIN-08")
@pytest.mark.parametrize("what", ["sign-in", "renewal", "change"])
def test_what_waits_for_a_reset_finds_the_old_password_wrong_or_its_session_ended(
    crowded: Lab, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "renewal":
        outdate(crowded)
    if what == "change":
        assert sign_in(crowded) == 200
    mine = next((session for session, _ in crowded.broker.sessions.open()), None)
    answers: list[object] = []
    beside: list[threading.Thread] = []

    def work() -> None:
        try:
            if mine is None:
                answers.append(sign_in(crowded))
            else:
                change = crowded.broker.signing_in.new_passwords.change
                answers.append(change(mine, OLD, OTHER, origin_of(crowded.broker)))
        except NotChanged as error:
            answers.append(error.reason)

    secret, end_all = offered(crowded), Sessions.end_all

    def slow(self: Sessions, tx: Transaction, user_id: str) -> None:
        """The new password is set, and not committed yet."""
        beside.append(meanwhile(crowded, work))
        end_all(self, tx, user_id)

    monkeypatch.setattr(Sessions, "end_all", slow)
    reset(crowded, secret)
    beside[0].join()
    assert answers == [Reason.SIGN_IN_STALE if what == "change" else 401]
    assert signed_in_with(crowded, NEW) and not crowded.broker.sessions.open()
