"""Which clients are told of which end of a sign-in, and which are not."""

from collections.abc import Callable, Iterator

import pytest

from tests import openid
from tests.lab import ISSUER, TICKETS, Lab, Page, claims, race
from tests.openid import RP, Ear, Login


@pytest.fixture
def ear() -> Iterator[Ear]:
    found = Ear()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def client(lab: Lab, ear: Ear) -> None:
    ear.reached_from(lab)
    openid.add(lab, logout_uri=ear.url)


def told(lab: Lab, ear: Ear) -> list[dict[str, object]]:
    """What the client heard since it was last asked."""
    lab.broker.logout_notices.deliver()
    heard, ear.heard = ear.heard, []
    return [openid.verified(lab, token) for token in heard]


def _reset(lab: Lab, _: Login) -> None:
    hashed = lab.broker.people.hash("another password, as long")
    lab.change(lambda tx: lab.broker.people.set_password(tx, "alice", hashed))


ENDS: dict[str, Callable[[Lab, Login], object]] = {
    "signed out by a client": lambda _, got: got.logout(),
    "ended by an administrator": lambda lab, got: lab.broker.sessions.end_by_id(str(got.said["sid"])),
    "password reset": _reset,
    "removed": lambda lab, _: lab.change(lambda tx: lab.broker.people.remove(tx, "alice")),
    "another person in the same browser": lambda lab, got: got.browser.sign_in(
        got.browser.get(openid.ask(lab, prompt="login")), "bob"
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_however_a_sign_in_ends_its_clients_are_told(lab: Lab, ear: Ear, end: str) -> None:
    got = openid.login(lab)
    sid = got.said["sid"]
    assert told(lab, ear) == []
    lab.clock.advance(1)
    ENDS[end](lab, got)
    (said,) = told(lab, ear)
    assert (said["sub"], said["sid"]) == ("alice", sid)
    assert told(lab, ear) == []


def test_the_notice_is_stored_with_the_end_or_there_is_no_end(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    with lab.without_table("logout_notice"):
        assert got.logout().status_code == 503
    assert got.signed_in and told(lab, ear) == []
    assert got.logout().status_code == 303
    assert len(told(lab, ear)) == 1


def test_signing_in_again_in_the_same_browser_is_no_end(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    lab.clock.advance(1)
    again = openid.login(lab, browser=got.browser, prompt="login")
    assert again.said["sid"] == claims(got.id_token)["sid"]
    assert again.said["auth_time"] > claims(got.id_token)["auth_time"]
    assert told(lab, ear) == []
    again.logout()
    (said,) = told(lab, ear)
    assert said["sid"] == again.said["sid"]


def test_a_session_that_only_grew_old_is_nobodys_news(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    lab.clock.advance(lab.broker.settings.session_absolute + 1)
    assert not got.signed_in
    lab.broker.sweep()
    assert told(lab, ear) == []


def test_only_clients_that_learned_of_the_sign_in_there_are_told(lab: Lab, ear: Ear) -> None:
    openid.add(lab, "rp-quiet")
    openid.add(lab, "rp-no-openid", logout_uri=ear.url)
    openid.add(lab, "rp-elsewhere", logout_uri=ear.url)
    got = openid.login(lab)
    openid.login(lab, "rp-quiet", browser=got.browser)
    openid.login(lab, "rp-no-openid", browser=got.browser, scope="tickets:read", resource=TICKETS)
    openid.login(lab, "rp-elsewhere")
    openid.login(lab, browser=got.browser, prompt="consent")  # the same client twice is told once
    got.logout()
    assert [said["aud"] for said in told(lab, ear)] == [RP]


def test_every_door_through_which_a_client_learned_tells_it_in_its_own_name(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    openid.login(lab, browser=got.browser, door="/t/acme")
    got.logout()
    lab.broker.logout_notices.deliver()
    doors = [str(claims(token)["iss"]).removeprefix(ISSUER) for token in ear.heard]
    assert sorted(doors) == ["", "/t/acme"]
    for door, token in zip(doors, ear.heard, strict=True):
        assert openid.verified(lab, token, door=door)["sub"] == "alice"


def test_a_client_that_takes_no_notice_any_more_is_given_up(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    got.logout()
    openid.add(lab)
    assert told(lab, ear) == [] and lab.last("logout.failed")["client"] == RP
    assert lab.rows("logout_notice") == 0


def test_two_that_deliver_at_once_tell_once(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    got.logout()
    race(8, lambda _: lab.broker.logout_notices.deliver())
    assert len(ear.heard) == 1 and len(lab.facts("logout.delivered")) == 1


def test_whoever_died_at_the_last_attempt_leaves_an_end_behind(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    got.logout()
    lab.sql("UPDATE logout_notice SET attempts = 6")
    assert told(lab, ear) == [] and lab.last("logout.failed")["reason"] == "logout_undelivered"
    assert lab.rows("logout_notice") == 0


def test_a_client_that_is_dead_holds_up_no_other_whatever_it_has_waiting(lab: Lab, ear: Ear) -> None:
    dead = Ear()
    dead.status = 500
    try:
        openid.add(lab, "rp-dead", logout_uri=dead.url)
        first, other = openid.login(lab, "rp-dead"), openid.login(lab)
        first.logout()
        lab.sql("UPDATE logout_notice SET next_at = next_at - 5")
        for number in range(150):
            lab.sql(
                "INSERT INTO logout_notice SELECT ?, tenant, door, client_id, user_id, sid, attempts, next_at"
                " FROM logout_notice WHERE id LIKE 'out_%' AND client_id = 'rp-dead' LIMIT 1",
                f"out-{number}",
            )
        other.logout()
        assert [said["aud"] for said in told(lab, ear)] == [RP]
        assert told(lab, ear) == [] and len(dead.heard) == 1, "and it is asked once for all that waits"
        lab.clock.advance(10)
        assert told(lab, ear) == [] and len(dead.heard) == 2
    finally:
        dead.close()


def test_a_logout_token_is_signed_as_the_clients_id_tokens_are(lab: Lab, ear: Ear) -> None:
    openid.add(lab, logout_uri=ear.url, id_token_alg="EdDSA")
    got = openid.login(lab)
    got.logout()
    (said,) = told(lab, ear)
    assert said["sub"] == "alice"


def test_what_the_user_let_a_client_keep_outlives_the_sign_in(lab: Lab) -> None:
    got = openid.login(lab)
    got.logout()
    assert lab.refresh(got.tokens["refresh_token"], RP).status_code == 200


def test_signing_out_is_asked_for_by_the_person_too(lab: Lab, ear: Ear) -> None:
    """Who opens the page without a client is asked, and goes nowhere."""
    got = openid.login(lab)
    page = got.browser.get("/logout")
    assert b"Sign out of" in page.data
    done = got.browser.submit(Page.of(page), decision="sign_out")
    assert b"You are signed out" in done.data and not got.signed_in
    assert len(told(lab, ear)) == 1
    assert b"You are signed out" in got.browser.get("/logout").data


def test_a_client_that_is_named_is_gone_to_once_the_person_agreed(lab: Lab) -> None:
    got = openid.login(lab)
    page = got.logout(id_token_hint=None, client_id=RP)
    text = page.get_data(as_text=True)
    assert "Relying party" in text and "client.example" in text
    assert "form-action 'self' https:" in page.headers["Content-Security-Policy"]
    left = got.browser.submit(Page.of(page), decision="sign_out")
    assert left.headers["Location"] == f"{openid.AFTER}?state=st4te" and not got.signed_in
    again = got.logout(id_token_hint=None, client_id=RP)
    assert "Location" not in again.headers, "nobody is there whose word it could be"
    assert got.logout().headers["Location"] == f"{openid.AFTER}?state=st4te"
