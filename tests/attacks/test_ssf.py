"""Signing out, and what clients are told of it: SSF cases of the table that this server offers something for."""

from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import jwt
import pytest

from broker.authorization.logout.notices import WAITS
from broker.guard.verifier import TokenRefused, Verifier
from broker.runtime.egress import Egress
from tests import openid
from tests.lab import ACME, ISSUER, TICKETS, Lab, Page, assert_page, assert_refused, claims
from tests.openid import AFTER, EVENT, RP, Ear, Login


@pytest.fixture
def ear() -> Iterator[Ear]:
    found = Ear()
    yield found
    found.close()


@pytest.fixture
def got(lab: Lab, ear: Ear) -> Login:
    """Signed in at a client that wants to be told."""
    ear.reached_from(lab)
    openid.add(lab, logout_uri=ear.url)
    return openid.login(lab)


def told(lab: Lab, seconds: float = 0.0) -> None:
    """So much later, the notices that are due are sent."""
    lab.clock.advance(seconds)
    lab.broker.logout_notices.deliver()


@pytest.mark.attack("SSF-01")
@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", f"{AFTER}?next=x", f"{AFTER}/", AFTER.upper(), AFTER.replace("https", "http")],
)
def test_nobody_is_sent_where_the_client_did_not_register(lab: Lab, got: Login, address: str) -> None:
    text = assert_page(got.logout(post_logout_redirect_uri=address), 400)
    assert "redirect_uri_mismatch" in text and got.signed_in
    record = lab.last("logout.refused")
    assert (record["outcome"], record["reason"]) == ("denied", "redirect_uri_mismatch")
    assert got.logout().headers["Location"] == f"{AFTER}?state=st4te"


@pytest.mark.attack("SSF-01")
def test_without_a_hint_or_with_state_alone_the_person_is_asked_and_stays_here(got: Login) -> None:
    for page in (
        got.logout(id_token_hint=None),
        got.logout(id_token_hint=None, post_logout_redirect_uri=None),
    ):
        assert "Sign out of" in assert_page(page, 200) and got.signed_in
        done = got.browser.submit(Page.of(page), decision="stay")
        assert "still signed in" in assert_page(done, 200) and got.signed_in
    page = got.logout(id_token_hint=None)
    assert "You are signed out" in assert_page(got.browser.submit(Page.of(page), decision="sign_out"), 200)
    assert not got.signed_in


def broken(lab: Lab, got: Login) -> dict[str, str]:
    said, head = claims(got.id_token), got.id_token.split(".")[0]
    elsewhere = openid.login(lab, door="/t/acme").id_token
    return {
        "no token": "bad",
        "changed": got.id_token[:-6] + ("AAAAAA" if got.id_token[-6:] != "AAAAAA" else "BBBBBB"),
        "unsigned": f"{head}.{got.id_token.split('.')[1]}.",
        "shared secret": jwt.encode(said, "s" * 32, algorithm="HS256"),
        "an access token": got.tokens["access_token"],
        "a logout token": lab.signed({**said, "events": {EVENT: {}}}, typ="logout+jwt"),
        "of another door": elsewhere,
        "another issuer inside": lab.signed({**said, "iss": ACME}, typ="JWT"),
        "several audiences": lab.signed({**said, "aud": [RP, "desk-app"]}, typ="JWT"),
    }


@pytest.mark.attack("SSF-01")
@pytest.mark.requirement("OIDC-RPL-05")
def test_a_hint_that_is_no_id_token_of_this_door_ends_nothing(lab: Lab, got: Login) -> None:
    for name, hint in broken(lab, got).items():
        text = assert_page(got.logout(id_token_hint=hint), 400)
        assert "hint_invalid" in text, name
    assert got.signed_in
    lab.clock.advance(3600)  # a true one counts however old it is
    assert got.logout().status_code == 303 and not got.signed_in


@pytest.mark.attack("SSF-01")
@pytest.mark.requirement("OIDC-RPL-05")
def test_a_hint_with_another_clients_name_beside_it_is_refused(lab: Lab, got: Login) -> None:
    openid.add(lab, "rp-two")
    assert "hint_invalid" in assert_page(got.logout(client_id="rp-two"), 400)
    assert "client_unknown" in assert_page(got.logout(id_token_hint=None, client_id="nobody"), 400)
    assert got.signed_in
    assert got.logout(client_id=RP).status_code == 303


@pytest.mark.attack("SSF-01")
def test_a_true_hint_of_another_person_or_another_sign_in_needs_the_persons_word(
    lab: Lab, got: Login
) -> None:
    others = {"bob": openid.login(lab, user="bob"), "alice elsewhere": openid.login(lab)}
    for name, other in others.items():
        page = got.logout(id_token_hint=other.id_token)
        assert "Sign out of" in assert_page(page, 200), name
        assert got.signed_in and other.signed_in, name
    gone = got.browser.submit(Page.of(page), decision="sign_out")
    assert gone.headers["Location"] == f"{AFTER}?state=st4te"
    assert not got.signed_in and all(other.signed_in for other in others.values())


@pytest.mark.attack("SSF-01")
@pytest.mark.parametrize("registered", ["by itself", "by an administrator"])
def test_a_client_that_vouches_for_itself_sends_nobody_on_unseen(lab: Lab, registered: str) -> None:
    openid.add(lab, client := RP)
    if itself := registered == "by itself":
        client = str(lab.register(post_logout_redirect_uris=[AFTER]).json["client_id"])
    onward = f"{AFTER}?state=st4te"
    own, other = openid.login(lab, client), openid.login(lab, client, user="bob")
    asked = own.logout(id_token_hint=other.id_token)
    said = own.browser.submit(Page.of(asked), decision="sign_out")
    strangers = Login(lab, lab.browser(), other.tokens)
    for left in (said, own.logout(), strangers.logout()):
        if itself:
            text = assert_page(left, 200)
            assert "Nobody here has checked that site" in text and "client.example" in text
            assert "You are signed out" in text and f'href="{onward}"' in text
            assert "could not connect" not in text and "<details" not in text
        else:
            assert (left.status_code, left.headers["Location"]) == (303, onward)
    assert not own.signed_in and other.signed_in
    left = other.logout()  # the very sign-in that ends here
    assert (left.status_code, left.headers["Location"]) == (303, onward) and not other.signed_in


@pytest.mark.attack("SSF-02")
@pytest.mark.requirement("OIDC-RPL-06")
def test_another_site_cannot_sign_anybody_out(lab: Lab, got: Login) -> None:
    evil = {"Sec-Fetch-Site": "cross-site", "Referer": "https://evil.example/"}
    for query in ("", f"?{urlencode({'client_id': RP, 'post_logout_redirect_uri': AFTER})}"):
        page = got.browser.get(f"/logout{query}", **evil)
        assert "Sign out of" in assert_page(page, 200) and got.signed_in
    fields = [(name, value) for name, value in Page.of(page).fields] + [("decision", "sign_out")]
    assert_page(got.browser.post("/logout", fields, Origin="https://evil.example"), 403)
    forged = [(name, "0" * 64 if name == "csrf" else value) for name, value in fields]
    assert_page(got.browser.post("/logout", forged), 403)
    other = openid.login(lab, user="bob")
    assert_page(other.browser.post("/logout", fields), 403)  # the form of another browser
    assert_page(got.browser.post("/logout", [*fields, ("state", "x")]), 403)  # the answer to another question
    assert got.signed_in and other.signed_in
    assert got.browser.post("/logout", fields).status_code == 303 and not got.signed_in


@pytest.mark.attack("SSF-03")
@pytest.mark.requirement("OIDC-BCL-02", "OIDC-BCL-03", "OIDC-BCL-04")
def test_a_logout_token_is_well_formed_and_each_is_another(lab: Lab, ear: Ear, got: Login) -> None:
    first_sid = got.said["sid"]
    got.logout()
    told(lab)
    again = openid.login(lab)
    again.logout()
    told(lab)
    first, second = (openid.verified(lab, token) for token in ear.heard)
    for token, said in zip(ear.heard, (first, second), strict=True):
        assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"
        assert set(said) == {"iss", "sub", "aud", "iat", "exp", "jti", "sid", "events"}
        assert said["events"] == {EVENT: {}} and said["exp"] - said["iat"] == 120
    assert first["jti"] != second["jti"] and first["sid"] == first_sid != second["sid"]
    record = lab.last("logout.delivered")
    assert (record["client"], record["subject"], record["outcome"]) == (RP, "alice", "allowed")


@pytest.mark.attack("SSF-03")
def test_a_redirect_of_the_client_is_not_followed(lab: Lab, ear: Ear, got: Login) -> None:
    ear.status, ear.headers = 302, {"Location": ear.url.replace("logged-out", "elsewhere")}
    got.logout()
    told(lab)
    assert ear.paths == ["/logged-out"]
    ear.status = 200
    told(lab, WAITS[0])
    assert ear.paths == ["/logged-out"] * 2 and lab.last("logout.delivered")


@pytest.mark.attack("SSF-03")
@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_client_that_is_down_is_tried_a_bounded_number_of_times_and_the_person_is_out_anyway(
    lab: Lab, ear: Ear, got: Login, status: int
) -> None:
    ear.status = status
    assert got.logout().headers["Location"] == f"{AFTER}?state=st4te"
    assert not got.signed_in
    for wait in (0.0, *WAITS):
        told(lab, wait - 1 if wait else 0.0)
        before = len(ear.heard)
        if wait:
            told(lab, 1.0)
            assert len(ear.heard) == before + 1
    assert len(ear.heard) == len(WAITS) + 1
    record = lab.last("logout.failed")
    assert (record["outcome"], record["reason"]) == ("denied", "logout_undelivered")
    told(lab, 10 * WAITS[-1])
    assert len(ear.heard) == len(WAITS) + 1 and lab.rows("logout_notice") == 0


@pytest.mark.attack("SSF-03")
def test_no_logout_token_goes_into_the_network_behind_the_server(lab: Lab, ear: Ear, got: Login) -> None:
    lab.broker.logout_notices.egress = Egress(False, lab.clock)
    got.logout()
    told(lab)
    assert ear.heard == [] and lab.last("logout.failed")["reason"] == "logout_undelivered"
    assert lab.rows("logout_notice") == 0


@pytest.mark.attack("SSF-03")
def test_a_client_that_hangs_does_not_keep_others_from_being_told(lab: Lab, ear: Ear, got: Login) -> None:
    openid.add(lab, "rp-two", logout_uri="http://127.0.0.1:1/closed")
    openid.login(lab, "rp-two", browser=got.browser)
    got.logout()
    told(lab)
    assert [openid.verified(lab, token)["aud"] for token in ear.heard] == [RP]
    assert lab.rows("logout_notice") == 1


@pytest.fixture
def logout_token(lab: Lab, ear: Ear, got: Login) -> str:
    got.logout()
    told(lab)
    return ear.heard[0]


def taken_as(lab: Lab) -> dict[str, Callable[[str], object]]:
    verifier = Verifier(
        {ISSUER: ["acme"]}, TICKETS, ("ES256",), lab.broker.door_keys, lab.clock.now, leeway=0.0
    )
    return {"guard": verifier.verify, "userinfo": lambda token: openid.userinfo(lab, token)}


@pytest.mark.attack("SSF-04")
def test_a_logout_token_opens_nothing(lab: Lab, logout_token: str) -> None:
    like_one = lab.signed({**claims(lab.tokens()["access_token"]), "events": {EVENT: {}}}, typ="logout+jwt")
    guard = taken_as(lab)["guard"]
    for token in (logout_token, like_one):
        with pytest.raises(TokenRefused):
            guard(token)
        assert lab.introspect(token).json == {"active": False}
        assert_refused(lab.exchange(token), 400, "invalid_request")
        assert openid.userinfo(lab, token).status_code == 401
        arrived = lab.browser().get(openid.ask(lab, prompt="none", id_token_hint=token))
        assert "error=" in arrived.headers["Location"]
    assert guard(lab.tokens()["access_token"])
