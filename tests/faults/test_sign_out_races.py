"""Law 6: nothing is minted of a sign-in once its end was answered, also where units of work run side by side."""

import threading

import pytest

from broker.identity.sessions.sessions import Sessions
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.tokens.standing import Standing, Standings
from tests.faults.beside import meanwhile
from tests.lab import Lab


def sign_out(lab: Lab) -> None:
    for session, _ in lab.broker.sessions.open():
        assert lab.broker.sessions.end_by_id(session.id)


@pytest.mark.attack("EXCH-21")
def test_a_sign_out_beside_an_exchange_answers_after_it(
    crowded: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, of = crowded.tokens("no-refresh")["access_token"], Standings.of
    beside: list[threading.Thread] = []

    def slow(self: Standings, *asked: object, **how: bool) -> Standing:
        """The sign-in was found to go on, and nothing is minted yet."""
        found = of(self, *asked, **how)
        if not beside:
            beside.append(meanwhile(crowded, lambda: sign_out(crowded)))
            assert beside[0].is_alive(), "the sign-out answered, and an exchange is about to mint"
        return found

    monkeypatch.setattr(Standings, "of", slow)
    assert crowded.exchange(subject).status_code == 200
    beside[0].join()
    assert not crowded.broker.sessions.open()
    crowded.refused(crowded.exchange(subject), 400, "invalid_request", "session_over")


@pytest.mark.attack("EXCH-21")
def test_an_exchange_beside_a_sign_out_waits_for_it_and_mints_nothing(
    crowded: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, ended = crowded.tokens("no-refresh")["access_token"], Sessions._ended
    statuses: list[int] = []
    beside: list[threading.Thread] = []

    def slow(self: Sessions, tx: Transaction, session: str, user: str, origin: Origin | None) -> None:
        """The session was ended, and that is not committed yet."""
        beside.append(meanwhile(crowded, lambda: statuses.append(crowded.exchange(subject).status_code)))
        ended(self, tx, session, user, origin)

    monkeypatch.setattr(Sessions, "_ended", slow)
    sign_out(crowded)
    beside[0].join()
    assert statuses == [400] and crowded.last("token.refused")["reason"] == "session_over"


@pytest.mark.attack("EXCH-21")
def test_what_may_stay_connected_does_not_hold_a_sign_out_up(
    crowded: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, of = crowded.tokens()["access_token"], Standings.of

    def slow(self: Standings, *asked: object, **how: bool) -> Standing:
        found = of(self, *asked, **how)
        signing_out = threading.Thread(target=sign_out, args=(crowded,))
        signing_out.start()
        signing_out.join(30)
        assert not signing_out.is_alive(), "the sign-out waits for what may go on without its session"
        return found

    monkeypatch.setattr(Standings, "of", slow)
    assert crowded.exchange(subject).status_code == 200 and not crowded.broker.sessions.open()
