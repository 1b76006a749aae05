"""LOGIN: strangers lock nobody out, links set one password once, and ways in change only after a fresh sign-in."""

import hashlib
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from broker.cli.local import origin_of
from broker.identity.users.model import Membership, User
from tests.authenticator import Authenticator
from tests.lab import ISSUER, PASSWORD, Browser, Lab, Page, assert_page
from tests.people import (
    SIGN_IN,
    add_passkey,
    app_secret,
    by_password,
    code,
    hammer,
    is_code_page,
    is_password_page,
    is_verify_page,
    signed_in,
    use_passkey,
    with_app,
    with_passkey,
)

NEW = "quite another phrase of mine"


def is_consent(page: TestResponse) -> bool:
    return b'value="allow"' in page.data


@pytest.mark.attack("LOGIN-07")
@pytest.mark.parametrize("role", ["admin", "member"])
def test_who_signed_in_here_before_gets_in_while_strangers_hammer(lab: Lab, role: str) -> None:
    person = User("alice", "Alice", "alice@example.com", (Membership("acme", (role,)),))
    lab.change(lambda tx: lab.broker.people.put(tx, person))
    mine = lab.browser()
    assert is_consent(mine.sign_in(mine.get(lab.authorize_url())))
    mine.http.delete_cookie("__Host-broker", domain="as.example")  # closed and opened again
    hammer(lab)
    stranger = lab.browser("192.0.2.77")
    held = stranger.sign_in(stranger.get(lab.authorize_url()))
    assert held.status_code == 429 and int(held.headers["Retry-After"]) <= 3601
    assert is_consent(mine.sign_in(mine.get(lab.authorize_url())))
    bob = lab.browser("192.0.2.77")
    assert is_consent(bob.sign_in(bob.get(lab.authorize_url()), "bob"))


@pytest.mark.attack("LOGIN-07")
def test_a_known_browser_gets_in_from_the_strangers_own_address(lab: Lab) -> None:
    mine, neighbour = lab.browser(), lab.browser()
    assert is_consent(mine.sign_in(mine.get(lab.authorize_url())))
    page = Page.of(neighbour.get(lab.authorize_url()))
    for number in range(lab.broker.settings.failures_per_minute + 1):
        last = neighbour.submit(page, username=f"user{number}", password="a wrong guess")
    assert last.status_code == 429
    lab.clock.advance(1)
    assert is_consent(mine.sign_in(mine.get(lab.authorize_url(prompt="login"))))


@pytest.mark.attack("LOGIN-07")
def test_a_passkey_gets_in_from_anywhere(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    hammer(lab)
    browser = lab.browser("198.51.100.3")
    page = browser.get(lab.authorize_url())
    assert browser.submit(Page.of(page), username="alice", password=PASSWORD).status_code == 429
    assert is_consent(use_passkey(browser, page, authenticator))


@pytest.mark.attack("LOGIN-07")
def test_being_known_is_no_licence_to_guess(lab: Lab) -> None:
    mine = lab.browser()
    mine.sign_in(mine.get(lab.authorize_url()))
    lab.clock.advance(1)
    page = mine.get(lab.authorize_url(prompt="login"))
    limit = lab.broker.settings.account_failures_per_minute
    answers = [mine.sign_in(page, password="a wrong guess").status_code for _ in range(limit + 1)]
    assert answers == [401] * limit + [429]
    assert mine.sign_in(page).status_code == 429  # the right one too


def known_cookie(browser: Browser) -> str:
    found = browser.http.get_cookie("__Host-broker-known", domain="as.example")
    assert found is not None
    return found.value


@pytest.mark.attack("LOGIN-07")
@pytest.mark.parametrize("case", ["of somebody else", "made up", "changed", "too old", "empty"])
def test_a_browser_is_known_for_its_own_person_only(lab: Lab, case: str) -> None:
    mine = lab.browser()
    mine.sign_in(mine.get(lab.authorize_url()), "bob" if case == "of somebody else" else "alice")
    value = known_cookie(mine)
    assert "alice" not in value and "bob" not in value
    if case == "too old":
        lab.clock.advance(181 * 86400)
    value = {
        "made up": "a" * 22 + ".1-" + "b" * 22,
        "changed": value[:-1] + ("0" if value[-1] != "0" else "1"),
        "empty": "....",
    }.get(case, value)
    hammer(lab)
    stranger = lab.browser("192.0.2.77")
    stranger.http.set_cookie("__Host-broker-known", value, domain="as.example", secure=True)
    assert stranger.sign_in(stranger.get(lab.authorize_url())).status_code == 429


@pytest.mark.attack("LOGIN-07")
def test_a_browser_knows_the_last_people_who_used_it(lab: Lab) -> None:
    shared = lab.browser()
    for user in ("alice", "bob", "alice"):
        lab.clock.advance(1)
        shared.sign_in(shared.get(lab.authorize_url(prompt="login")), user)
    hammer(lab)
    hammer(lab, "bob")
    for user in ("alice", "bob"):
        lab.clock.advance(1)
        assert is_consent(shared.sign_in(shared.get(lab.authorize_url(prompt="login")), user))


@pytest.mark.attack("LOGIN-06")
def test_a_source_that_is_told_to_wait_makes_no_further_keys_with_further_names(lab: Lab) -> None:
    source, limit = "192.0.2.77", lab.broker.settings.failures_per_minute
    browser = lab.browser(source)
    page = Page.of(browser.get(lab.authorize_url()))

    def counted(name: str) -> int:
        return lab.broker.world.ephemeral.seen("sign-in", f"{source} {name}", 60, lab.clock.now()).count

    answers = [
        browser.submit(page, username=f"guess{number}", password="a wrong guess").status_code
        for number in range(limit + 3)
    ]
    assert answers == [401] * limit + [429] * 3
    assert [counted(f"guess{number}") for number in range(limit + 3)] == [1] * limit + [0] * 3


def link(lab: Lab, user: str = "alice") -> str:
    """The path of a fresh reset link."""
    secret = lab.broker.signing_in.new_passwords.offer_reset(user, origin_of(lab.broker))
    return f"/login/reset?token={secret}"


def set_new(browser: Browser, path: str, password: str = NEW) -> TestResponse:
    return browser.submit(Page.of(browser.get(path)), password=password)


def dead(lab: Lab, browser: Browser, path: str, reason: str = "reset_unknown") -> None:
    """The link shows no form, and sets nothing."""
    before = lab.table("user_account")
    assert_page(browser.get(path), 403)
    assert lab.last("credential.refused")["reason"] == reason
    assert lab.table("user_account") == before


@pytest.mark.attack("LOGIN-11")
def test_a_reset_link_sets_a_password_once(lab: Lab) -> None:
    mine = signed_in(lab)
    path, browser = link(lab), lab.browser()
    page = Page.of(browser.get(path))
    assert page.response.headers["Referrer-Policy"] == "same-origin"
    assert b"<a " not in page.response.data, "nothing on the page leads elsewhere"
    done = browser.submit(page, password=NEW)
    assert done.status_code == 200 and b"Your password is set" in done.data
    assert is_password_page(browser.get("/account")), "it signs nobody in"
    assert is_password_page(mine.get("/account")), "it ends every session"
    assert by_password(lab, password=PASSWORD)[1].status_code == 401
    assert is_consent(by_password(lab, password=NEW)[1])
    for again in (browser, lab.browser()):
        dead(lab, again, path)
    assert_page(browser.submit(page, password="and one more phrase"), 403)
    assert lab.last("password.changed")["subject"] == "alice"


@pytest.mark.attack("LOGIN-11")
def test_a_reset_link_ends_what_the_old_password_let_in_and_nobody_elses(lab: Lab) -> None:
    tokens, theirs = lab.tokens(), lab.tokens(user="bob")
    path = link(lab)
    assert lab.active(tokens["access_token"]), "a link that nobody used ends nothing"
    set_new(lab.browser(), path)
    assert not lab.active(tokens["access_token"]) and lab.active(theirs["access_token"])
    assert lab.refresh(tokens["refresh_token"]).status_code == 400
    assert lab.last("grant.revoked")["subject"] == "alice"


@pytest.mark.attack("LOGIN-11")
@pytest.mark.parametrize(("seconds", "good"), [(899, True), (900, False)])
def test_a_reset_link_lasts_a_quarter_of_an_hour(lab: Lab, seconds: int, good: bool) -> None:
    path, browser = link(lab), lab.browser()
    page = Page.of(browser.get(path))
    lab.clock.advance(seconds)
    assert browser.submit(page, password=NEW).status_code == (200 if good else 403)
    assert is_consent(by_password(lab, password=NEW)[1]) is good


@pytest.mark.attack("LOGIN-11")
@pytest.mark.parametrize("change", ["address", "password", "own password", "another link", "deleted"])
def test_a_reset_link_dies_with_what_it_was_made_for(lab: Lab, change: str) -> None:
    path, browser = link(lab), lab.browser()
    page = Page.of(browser.get(path))
    if change == "address":
        person = User("alice", "Alice", "somebody@else.example", (Membership("acme", ("member",)),))
        lab.change(lambda tx: lab.broker.people.put(tx, person))
    elif change == "password":
        lab.set_password("alice", "what the administrator chose")
    elif change == "own password":
        signed_in(lab)
        [(session, _)] = lab.broker.sessions.open()
        change_own = lab.broker.signing_in.new_passwords.change
        change_own(session, PASSWORD, "what alice chose herself", origin_of(lab.broker))
    elif change == "another link":
        assert lab.browser().get(link(lab)).status_code == 200
    else:
        lab.change(lambda tx: lab.broker.people.remove(tx, "alice"))
    assert_page(browser.submit(page, password=NEW), 403)
    dead(lab, browser, path)
    assert by_password(lab, password=NEW)[1].status_code == 401


@pytest.mark.attack("LOGIN-11")
def test_a_reset_link_is_kept_as_a_hash_and_is_for_its_user(lab: Lab) -> None:
    path = link(lab)
    secret = path.partition("=")[2]
    assert secret.startswith("mcpb_pr_") and len(secret) > 50
    assert secret.encode() not in lab.dump()
    assert hashlib.sha256(secret.encode()).hexdigest().encode() not in lab.dump()  # bound to more than itself
    browser = lab.browser()
    page = Page.of(browser.get(path))
    assert browser.submit(page, password=NEW, username="bob", user="bob").status_code == 200
    assert is_consent(by_password(lab, "bob")[1]) and is_consent(by_password(lab, password=NEW)[1])


@pytest.mark.attack("LOGIN-11")
def test_a_poisoned_host_gets_no_link_and_no_page(lab: Lab) -> None:
    path = link(lab)
    for header in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}):
        answer = lab.http().get(path, base_url=ISSUER, headers={**header, "Accept": "text/html"})
        assert b"evil.example" not in answer.data
        assert answer.status_code == (400 if "Host" in header else 200)


@pytest.mark.attack("LOGIN-11")
@pytest.mark.parametrize("token", ["", "x", "mcpb_pr_" + "A" * 43, "\u00e9" * 40])
def test_what_is_no_token_is_answered_like_a_spent_one(lab: Lab, token: str) -> None:
    path = link(lab)
    set_new(lab.browser(), path)
    answers = [lab.browser().get("/login/reset") for _ in range(1)]
    answers += [lab.browser().get(where) for where in (path, f"/login/reset?token={token}")]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.get_data(as_text=True).split("Request ID")[0] for answer in answers}) == 1


@pytest.mark.attack("LOGIN-11")
@pytest.mark.parametrize("password", ["short", "password1234", "Alice1234", "qwertyuiop"])
def test_a_password_that_is_not_fit_is_not_set_and_leaves_the_link(lab: Lab, password: str) -> None:
    path, browser = link(lab), lab.browser()
    answer = set_new(browser, path, password)
    assert answer.status_code == 400 and b"cannot be used" in answer.data
    assert browser.submit(Page.of(answer), password=NEW).status_code == 200


@pytest.mark.attack("LOGIN-12")
def test_a_link_opened_where_somebody_else_is_signed_in_does_nothing(lab: Lab) -> None:
    path = link(lab)
    bob = signed_in(lab, "bob")
    dead(lab, bob, path, "reset_foreign")
    # Begun before bob signed in, and sent after it.
    browser = lab.browser()
    page = Page.of(browser.get(path))
    signed_in(lab, "bob", browser)
    assert_page(browser.submit(page, password=NEW), 403)
    alice = signed_in(lab)
    assert set_new(alice, path).status_code == 200


@pytest.mark.attack("LOGIN-12")
def test_a_link_takes_no_factor_away(lab: Lab) -> None:
    secret, _ = with_app(lab)
    set_new(lab.browser(), link(lab))
    browser, page = by_password(lab, password=NEW)
    assert is_code_page(page)
    assert is_consent(browser.submit(Page.of(page), code=code(lab, secret)))


@pytest.mark.attack("LOGIN-12")
def test_a_link_needs_the_form_of_its_own_browser(lab: Lab) -> None:
    path, mine, other = link(lab), lab.browser(), lab.browser()
    page = Page.of(mine.get(path))
    other.get("/login?to=account")
    assert_page(other.submit(page, password=NEW), 403)
    assert_page(mine.submit(page, {"Origin": "https://evil.example"}, password=NEW), 403)
    assert mine.submit(page, password=NEW).status_code == 200


CHANGES: dict[str, tuple[str, dict[str, str]]] = {
    "a passkey": ("/passkeys/new", {"credential": "{}", "name": "Mine"}),
    "an app": ("/app", {"do": "begin"}),
    "no app": ("/app", {"do": "remove"}),
    "recovery codes": ("/codes", {}),
    "a password": ("/password", {"old": PASSWORD, "password": NEW, "again": NEW}),
}


@pytest.mark.attack("LOGIN-22")
@pytest.mark.parametrize("change", CHANGES)
def test_a_session_stolen_an_hour_ago_changes_nothing(make_lab: Callable[..., Lab], change: str) -> None:
    lab = make_lab(session_idle=7200)
    browser = signed_in(lab)
    path, fields = CHANGES[change]
    about = {"/passkeys/new": "passkey"}.get(path, path.strip("/"))
    token = lab.broker.manners.csrf.token(cookie(browser), about)
    before = {name: lab.table(name) for name in ("passkey", "totp", "recovery_code", "user_account")}
    lab.clock.advance(3600)
    answer = browser.get(f"{SIGN_IN}{path}")
    assert is_password_page(answer) and b"Show once more that it is you" in answer.data
    sent = browser.post(f"{SIGN_IN}{path}", [*fields.items(), ("csrf", token)])
    assert is_password_page(sent)
    assert {name: lab.table(name) for name in before} == before
    # Signed in again, the same person may.
    assert browser.submit(Page.of(answer), password=PASSWORD).status_code == 200
    assert not is_password_page(browser.get(f"{SIGN_IN}{path}"))


@pytest.mark.attack("LOGIN-22")
def test_the_way_to_prove_it_again_is_the_strongest(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    browser = signed_in(lab)  # by password alone
    page = browser.get(f"{SIGN_IN}/passkeys/new")
    assert is_verify_page(page) and b'name="code"' not in page.data
    assert use_passkey(browser, page, authenticator).status_code == 200
    assert add_passkey(browser, Authenticator(), "Phone").status_code == 200 and lab.rows("passkey") == 2
    lab.clock.advance(301)
    assert is_password_page(browser.get(f"{SIGN_IN}/passkeys/new"))


@pytest.mark.attack("LOGIN-22")
def test_an_attacker_with_the_password_cannot_add_a_factor_of_their_own(lab: Lab) -> None:
    with_app(lab)
    thief, page = by_password(lab)
    assert is_code_page(page)
    assert is_password_page(thief.get(f"{SIGN_IN}/passkeys/new")) and lab.rows("passkey") == 0


@pytest.mark.attack("LOGIN-22")
def test_the_person_is_told_and_other_browsers_have_to_sign_in_again(lab: Lab) -> None:
    elsewhere = signed_in(lab)
    browser = signed_in(lab)
    page = browser.submit(Page.of(browser.get(f"{SIGN_IN}/app")), do="begin")
    browser.submit(Page.of(page), do="confirm", code=code(lab, app_secret(page)))
    assert is_password_page(elsewhere.get("/account")) and not is_password_page(browser.get("/account"))
    told = [(notice.what, notice.kind) for notice in lab.broker.signing_in.ways_in.told("alice")]
    assert sorted(told) == [("credential.added", "recovery"), ("credential.added", "totp")]
    assert [record["change"] for record in lab.facts("credential.added")] == [
        {"kind": "totp"},
        {"kind": "recovery"},
    ]


@pytest.mark.attack("LOGIN-22")
def test_the_last_way_in_cannot_be_removed(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    lab.sql("UPDATE user_account SET password_hash = NULL WHERE id = 'alice'")
    browser = lab.browser()
    use_passkey(browser, browser.get("/account"), authenticator)
    ((passkey,),) = [lab.broker.signing_in.ways_in.of("alice")[1]]
    page = Page.of(browser.get(f"{SIGN_IN}/passkeys/{passkey.id}"))
    answer = browser.submit(page, do="remove")
    assert answer.status_code == 400 and lab.rows("passkey") == 1
    assert lab.last("credential.refused")["reason"] == "last_way_in"
    add_passkey(browser, Authenticator(), "Phone")
    assert browser.submit(page, do="remove").status_code == 200 and lab.rows("passkey") == 1


@pytest.mark.attack("LOGIN-22")
def test_the_passkeys_of_somebody_else_are_not_there(lab: Lab) -> None:
    with_passkey(lab, "bob")
    ((passkey,),) = [lab.broker.signing_in.ways_in.of("bob")[1]]
    browser = signed_in(lab)
    assert browser.get(f"{SIGN_IN}/passkeys/{passkey.id}").status_code == 404
    csrf = lab.broker.manners.csrf.token(cookie(browser), f"passkey {passkey.id}")
    for do in ("remove", "rename"):
        fields = [("csrf", csrf), ("do", do), ("name", "Mine now")]
        assert browser.post(f"{SIGN_IN}/passkeys/{passkey.id}", fields).status_code in (400, 404)
    assert lab.broker.signing_in.ways_in.of("bob")[1] == [passkey]


def cookie(browser: Browser) -> str:
    found = browser.http.get_cookie("__Host-broker", domain="as.example")
    assert found is not None
    return found.value


def test_a_changed_password_ends_the_other_sessions_and_the_reset_links(lab: Lab) -> None:
    elsewhere, browser, path = signed_in(lab), signed_in(lab), link(lab)
    page = Page.of(browser.get(f"{SIGN_IN}/password"))
    assert browser.submit(page, old="not it", password=NEW, again=NEW).status_code == 400
    assert (
        browser.submit(page, old=PASSWORD, password="password1234", again="password1234").status_code == 400
    )
    assert browser.submit(page, old=PASSWORD, password=NEW, again=NEW).status_code == 200
    assert is_password_page(elsewhere.get("/account")) and not is_password_page(browser.get("/account"))
    dead(lab, lab.browser(), path)
    assert is_consent(by_password(lab, password=NEW)[1])


@pytest.mark.parametrize(
    ("password", "fit"),
    [
        ("password", False),
        ("P@ssw0rd2024!", False),
        ("Sunshine99", False),
        ("aaaaaaaaaaaa", False),
        ("abcabcabcabc", False),
        ("12345678901", False),
        ("asdfghjkl", False),
        ("alice1234", False),
        ("alice@example.com", False),
        ("MCP token broker!", False),
        ("lantern orbit velvet 7", True),
        ("wG7#kPq2vZ", True),
        ("пароль из нескольких слов", True),
    ],
)
def test_what_is_tried_first_is_no_password(lab: Lab, password: str, fit: bool) -> None:
    judge, alice = lab.broker.signing_in.new_passwords.judge, lab.broker.people.get("alice")
    assert alice is not None
    if fit:
        judge(password, alice)
    else:
        with pytest.raises(ValueError, match="This password is"):
            judge(password, alice)
