"""LOGIN: who is signed in, in which browser, for how long."""

from collections.abc import Callable

import pytest
from argon2 import PasswordHasher
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from broker.identity.users import store
from broker.identity.users.model import Membership, User
from broker.identity.users.password import Passwords
from broker.runtime.database import Transaction
from broker.settings import Settings
from tests.lab import ISSUER, PASSWORD, Browser, Lab, Page, assert_page

COOKIE = "__Host-broker"


def cookie_of(browser: Browser) -> str:
    found = browser.http.get_cookie(COOKIE, domain="as.example")
    assert found is not None
    return found.value


def with_cookie(lab: Lab, value: str) -> Browser:
    browser = lab.browser()
    browser.http.set_cookie(COOKIE, value, domain="as.example", secure=True)
    return browser


def is_sign_in(response: TestResponse) -> bool:
    return b'name="password"' in response.data


def stored(lab: Lab, user: str = "alice") -> str:
    found = lab.broker.world.database.read(lambda tx: store.password_hash(tx, user))
    assert found is not None
    return found


def set_password(lab: Lab, hashed: str, user: str = "alice") -> None:
    lab.broker.world.database.write(lambda tx: lab.broker.people.set_password(tx, user, hashed))


def attempt(lab: Lab, user: str, password: str, source: str = "203.0.113.7", **headers: str) -> TestResponse:
    browser = lab.browser(source)
    page = browser.get(lab.authorize_url())
    return browser.submit(Page.of(page), headers, username=user, password=password)


@pytest.mark.attack("LOGIN-01")
def test_signing_in_gives_the_browser_another_id_and_the_old_one_is_dead(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.get(lab.authorize_url())
    anonymous, (request,) = cookie_of(browser), Page.of(page).values("request")
    browser.sign_in(page)
    first = cookie_of(browser)
    assert first != anonymous and len(first) >= 43
    assert_page(with_cookie(lab, anonymous).get(f"/consent?request={request}"), 400)
    assert is_sign_in(with_cookie(lab, anonymous).get(lab.authorize_url()))
    lab.clock.advance(1)
    browser.sign_in(browser.get(lab.authorize_url(prompt="login")))
    second = cookie_of(browser)
    assert second not in (first, anonymous)
    assert is_sign_in(with_cookie(lab, first).get(lab.authorize_url()))
    assert not is_sign_in(with_cookie(lab, second).get(lab.authorize_url()))
    assert len(lab.facts("session.started")) == 2 and len(lab.facts("session.ended")) == 1
    for value in (anonymous, first, second):
        assert value.encode() not in lab.dump()


@pytest.mark.attack("LOGIN-01")
def test_a_cookie_that_somebody_else_chose_never_becomes_a_session(lab: Lab) -> None:
    browser = with_cookie(lab, "chosen-by-an-attacker")
    page = browser.sign_in(browser.get(lab.authorize_url()))
    assert b'value="allow"' in page.data and cookie_of(browser) != "chosen-by-an-attacker"
    assert is_sign_in(with_cookie(lab, "chosen-by-an-attacker").get(lab.authorize_url()))


@pytest.mark.attack("LOGIN-01")
def test_a_failed_sign_in_changes_no_id(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.get(lab.authorize_url())
    before = cookie_of(browser)
    refused = browser.sign_in(page, password="wrong password")
    assert refused.status_code == 401 and "Set-Cookie" not in refused.headers and cookie_of(browser) == before
    assert lab.rows("browser_session") == 0


def set_cookies(lab: Lab, base: str, name: str) -> list[str]:
    """Every Set-Cookie of a whole sign-in at `base`."""
    http, found = lab.app.test_client(), []

    def seen(response: TestResponse) -> TestResponse:
        found.extend(response.headers.getlist("Set-Cookie"))
        return response

    begun = seen(http.get(lab.authorize_url(), base_url=base))
    path = begun.headers["Location"].removeprefix(base)
    to_login = seen(http.get(path, base_url=base))
    page = Page.of(seen(http.get(to_login.headers["Location"].removeprefix(base), base_url=base)))
    form = {
        "csrf": page.values("csrf")[0],
        "request": page.values("request")[0],
        "username": "alice",
        "password": PASSWORD,
    }
    signed_in = seen(http.post("/login", base_url=base, data=form, headers={"Origin": base}))
    assert signed_in.status_code == 303
    consent = Page.of(seen(http.get(path, base_url=base)))
    seen(http.post("/consent", base_url=base, data={**dict(consent.fields), "decision": "allow"}))
    seen(http.get("/", base_url=base))
    names = [list(parse_cookie(cookie.partition(";")[0])) for cookie in found]
    assert names == [[name], [name], [f"{name}-known"]]  # before signing in, after it, and to be known again
    return found


def attributes_of(cookie: str) -> set[str]:
    """All but how long it is kept."""
    found = {part.strip().lower() for part in cookie.split(";")[1:]}
    return {part for part in found if not part.startswith(("max-age=", "expires="))}


@pytest.mark.attack("LOGIN-02")
def test_cookies_are_locked_down(lab: Lab) -> None:
    for cookie in set_cookies(lab, ISSUER, COOKIE):
        assert attributes_of(cookie) == {"secure", "httponly", "path=/", "samesite=lax"}


@pytest.mark.attack("LOGIN-02")
def test_on_loopback_without_tls_the_cookie_has_its_plain_name(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(issuer="http://127.0.0.1:8400")
    for cookie in set_cookies(lab, "http://127.0.0.1:8400", "broker"):
        assert attributes_of(cookie) == {"httponly", "path=/", "samesite=lax"}


@pytest.mark.attack("LOGIN-04")
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://as.example"},
        {"Origin": "https://as.example.evil.example"},
        {"Origin": "https://sub.as.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ISSUER},
    ],
)
@pytest.mark.parametrize("form", ["/login", "/consent"])
def test_a_form_from_another_site_is_refused(lab: Lab, headers: dict[str, str], form: str) -> None:
    browser = lab.browser()
    page = Page.of(browser.get(lab.authorize_url()))
    if form == "/consent":
        page = Page.of(browser.submit(page, username="alice", password=PASSWORD))
    before = lab.rows("browser_session")
    changes = {"username": "bob", "password": PASSWORD} if form == "/login" else {"decision": "allow"}
    answer = browser.submit(page, headers, **changes)
    assert_page(answer, 403)
    assert "Set-Cookie" not in answer.headers
    assert lab.rows("browser_session") == before and lab.rows("authorization_code") == 0
    assert lab.facts("authorization.refused")[-1]["reason"] == "cross_site"
    assert browser.submit(page, **changes).status_code in (200, 303)


@pytest.mark.attack("LOGIN-04")
@pytest.mark.parametrize("token", [None, "", "0" * 64, "\u0661" * 64])
def test_a_sign_in_without_the_token_of_its_page_is_refused(lab: Lab, token: str | None) -> None:
    browser = lab.browser()
    page = Page.of(browser.get(lab.authorize_url()))
    answer = browser.submit(page, username="alice", password=PASSWORD, csrf=token)
    assert_page(answer, 403)
    assert lab.rows("browser_session") == 0 and lab.facts("authorization.refused")[-1]["reason"] == "csrf"
    assert b'value="allow"' in browser.submit(page, username="alice", password=PASSWORD).data


@pytest.mark.attack("LOGIN-04")
def test_the_attackers_own_page_signs_nobody_in_elsewhere(lab: Lab) -> None:
    attacker, victim = lab.browser(), lab.browser("192.0.2.9")
    page = Page.of(attacker.get(lab.authorize_url()))
    assert_page(
        victim.submit(page, {"Origin": "https://evil.example"}, username="bob", password=PASSWORD), 403
    )
    assert_page(victim.submit(page, username="bob", password=PASSWORD), 403)
    other = Page.of(victim.get(lab.authorize_url()))
    answer = victim.submit(page, username="bob", password=PASSWORD, request=other.values("request")[0])
    assert_page(answer, 403)
    assert lab.rows("browser_session") == 0


VARIANTS = [
    "alice",
    "Alice",
    "ALICE",
    " alice",
    "alice ",
    "\talice\t",
    "\uff41lice",
    "\uff21\uff2c\uff29\uff23\uff25",
    "aLiCe",
    "\u00a0alice",
]


@pytest.mark.attack("LOGIN-06")
def test_variants_of_one_name_and_invented_addresses_share_one_count(lab: Lab) -> None:
    limit = lab.broker.settings.account_failures_per_minute
    for index in range(limit):
        forged = {"X-Forwarded-For": f"198.51.100.{index}", "Forwarded": f"for=198.51.100.{index}"}
        answer = attempt(lab, VARIANTS[index % len(VARIANTS)], "wrong password", **forged)
        assert answer.status_code == 401 and is_sign_in(answer)
    for name in VARIANTS:
        answer = attempt(lab, name, PASSWORD, **{"X-Forwarded-For": "198.51.100.200"})
        assert (
            answer.status_code == 429 and is_sign_in(answer) and 1 <= int(answer.headers["Retry-After"]) <= 61
        )
    assert lab.rows("browser_session") == 0
    reasons = [record["reason"] for record in lab.facts("session.refused")]
    assert reasons[:limit] == ["password_wrong"] * limit
    assert attempt(lab, "bob", PASSWORD).status_code == 200
    assert attempt(lab, "alice", PASSWORD, "192.0.2.9").status_code == 200
    lab.clock.advance(61)
    assert attempt(lab, "alice", PASSWORD).status_code == 200


@pytest.mark.attack("LOGIN-06")
def test_guesses_spread_over_accounts_and_doors_count_together(lab: Lab) -> None:
    limit = lab.broker.settings.failures_per_minute
    for index in range(limit):
        door = ("", "/t/acme", "/t/globex")[index % 3]
        resource = "https://files.example/mcp"
        browser = lab.browser()
        page = browser.get(lab.authorize_url(door=door, resource=resource, scope="files:read"))
        answer = browser.sign_in(page, f"user{index}", "wrong password")
        assert answer.status_code == 401
    assert attempt(lab, "bob", PASSWORD).status_code == 429
    assert attempt(lab, "bob", PASSWORD, "192.0.2.9").status_code == 200


@pytest.mark.attack("LOGIN-06")
def test_guesses_on_the_way_to_a_device_an_app_and_the_account_count_together(lab: Lab) -> None:
    def ways(browser: Browser) -> list[Callable[[], TestResponse]]:
        code = lab.device().json["user_code"]
        return [
            lambda: lab.type_code(code, browser),
            lambda: browser.get(lab.authorize_url()),
            lambda: browser.get("/account"),
        ]

    def signs_in(way: int, user: str = "alice", password: str = PASSWORD) -> TestResponse:
        browser = lab.browser()
        page = ways(browser)[way]()
        assert is_sign_in(page)
        return browser.sign_in(page, user, password)

    for index in range(lab.broker.settings.account_failures_per_minute):
        assert signs_in(index % 3, password="wrong password").status_code == 401
    for way in range(3):
        answer = signs_in(way)
        assert answer.status_code == 429 and 1 <= int(answer.headers["Retry-After"]) <= 61
    assert lab.rows("browser_session") == 0
    assert signs_in(0, "bob").status_code == 200
    lab.clock.advance(61)
    for way in range(3):
        assert signs_in(way).status_code == 200


@pytest.mark.attack("LOGIN-06")
def test_neighbours_in_one_ipv6_network_share_the_count(lab: Lab) -> None:
    for index in range(lab.broker.settings.failures_per_minute):
        attempt(lab, f"user{index}", "wrong password", f"2001:db8:1:2::{index:x}")
    assert attempt(lab, "bob", PASSWORD, "2001:db8:1:2:ffff::1").status_code == 429
    assert attempt(lab, "bob", PASSWORD, "2001:db8:1:3::1").status_code == 200


@pytest.mark.attack("LOGIN-06")
def test_an_unknown_name_is_answered_like_a_wrong_password(lab: Lab) -> None:
    answers = []
    for name in ("alice", "nobody"):
        browser = lab.browser()
        page = Page.of(browser.get(lab.authorize_url()))
        answer = browser.submit(page, username=name, password="wrong password")
        text = answer.get_data(as_text=True).replace(name, "NAME")
        for value in (*page.values("csrf"), *page.values("request")):
            text = text.replace(value, "X")
        answers.append((answer.status_code, text))
    assert answers[0] == answers[1] and answers[0][0] == 401
    assert [record["reason"] for record in lab.facts("session.refused")] == ["password_wrong"] * 2


@pytest.mark.attack("LOGIN-06")
def test_every_kind_of_nobody_costs_as_much_as_a_wrong_password(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = User("sso", "Sso", "sso@example.com", (Membership("acme", ("member",)),))
    lab.change(lambda tx: lab.broker.people.put(tx, nameless))
    assert lab.broker.world.database.read(lambda tx: store.password_hash(tx, "sso")) is None
    lab.switch("user", "bob")
    done: list[str] = []
    compare, execute = PasswordHasher.verify, Transaction.execute

    def comparing(this: PasswordHasher, hashed: str, password: str) -> bool:
        done.append(hashed.rpartition("$")[0].rpartition("$")[0])  # the kind of hash, and what it costs
        return compare(this, hashed, password)

    def executing(this: Transaction, statement: object, *more: object, **values: object) -> object:
        done.append(str(statement))
        return execute(this, statement, *more, **values)

    costs = {}
    for index, name in enumerate(("alice", "nobody", "sso", "bob", "vera")):
        browser = lab.browser(f"192.0.2.{index}")
        page = Page.of(browser.get(lab.authorize_url(door="/t/acme")))
        with monkeypatch.context() as watched:
            watched.setattr(PasswordHasher, "verify", comparing)
            watched.setattr(Transaction, "execute", executing)
            done.clear()
            answer = browser.submit(page, username=name, password="wrong password")
        assert answer.status_code == 401 and is_sign_in(answer)
        costs[name] = list(done)
    assert len([one for one in costs["alice"] if one.startswith("$argon2id$v=19$m=8,t=1,p=1")]) == 1
    assert len(costs["alice"]) > 3, "the statements are seen"
    assert {name: cost for name, cost in costs.items() if cost != costs["alice"]} == {}


@pytest.mark.attack("LOGIN-08")
def test_a_password_is_stored_as_argon2id_with_its_own_salt(lab: Lab) -> None:
    hashes = [stored(lab, name) for name in ("alice", "bob")]
    for name in ("alice", "bob"):
        set_password(lab, lab.broker.people.hash(PASSWORD), name)
    hashes += [stored(lab, name) for name in ("alice", "bob")]
    assert all(value.startswith("$argon2id$v=19$m=") for value in hashes)
    assert (
        len({value.split("$")[4] for value in hashes[2:]}) == 2
        and len({value.split("$")[5] for value in hashes[2:]}) == 2
    )
    assert PASSWORD.encode() not in lab.dump()


@pytest.mark.attack("LOGIN-08")
def test_outside_development_the_cost_cannot_be_lowered(make_lab: Callable[..., Lab]) -> None:
    with pytest.raises(ValueError, match="argon2_memory_kib"):
        Settings(issuer=ISSUER, development=False, argon2_memory_kib=8)
    lab = make_lab(development=False, argon2_memory_kib=19 * 1024)
    assert "m=19456" in stored(lab) and attempt(lab, "alice", PASSWORD).status_code == 200


@pytest.mark.attack("LOGIN-08")
@pytest.mark.parametrize(
    "password",
    [
        "8 chars!",
        "p" * 72 + "after the limit of bcrypt",
        "p" * 200,
        "pass phrase with   spaces  ",
        "  leading and trailing  ",
        "Пароль-例え-🔑-пароль",
        "e\u0301\u0302 composed later",
        "a&b=c%41+plus",
        "p" * 1024,
    ],
)
def test_a_password_is_used_whole(lab: Lab, password: str) -> None:
    set_password(lab, lab.broker.people.hash(password))
    assert attempt(lab, "alice", password).status_code == 200
    for other in (
        password[:-1],
        password + "x",
        password.upper() if password.upper() != password else password.lower(),
        password[1:],
    ):
        assert attempt(lab, "alice", other).status_code == 401


@pytest.mark.attack("LOGIN-08")
def test_a_password_is_the_same_however_its_letters_are_composed(lab: Lab) -> None:
    set_password(lab, lab.broker.people.hash("caf\u00e9 au lait"))
    assert attempt(lab, "alice", "cafe\u0301 au lait").status_code == 200
    assert attempt(lab, "alice", "cafe au lait").status_code == 401


@pytest.mark.attack("LOGIN-08")
def test_nothing_is_cut_off_at_a_nul(lab: Lab) -> None:
    with pytest.raises(ValueError, match="NUL"):
        lab.broker.people.hash("secret word\0 and the rest")
    set_password(lab, lab.broker.people.hash("secret word"))
    for other in ("secret word\0", "secret word\0 and the rest", "\0secret word"):
        assert not lab.broker.people.password_matches("alice", other)
        assert_page(attempt(lab, "alice", other), 400)
    assert lab.rows("browser_session") == 0
    assert attempt(lab, "alice", "secret word").status_code == 200


@pytest.mark.attack("LOGIN-08")
@pytest.mark.parametrize("password", ["", "seven77", "p" * 1025, "\U0001f511" * 257])
def test_a_password_that_is_too_short_or_too_long_cannot_be_set(lab: Lab, password: str) -> None:
    with pytest.raises(ValueError, match="A password has at"):
        lab.broker.people.hash(password)


@pytest.mark.attack("LOGIN-08")
@pytest.mark.parametrize("length", [1025, 8192])
def test_an_endless_password_is_refused_without_a_fault(lab: Lab, length: int) -> None:
    assert attempt(lab, "alice", "p" * length).status_code == 401
    assert_page(attempt(lab, "alice", "p" * 20_000), 400)


@pytest.mark.attack("LOGIN-08")
def test_a_hash_of_other_costs_is_renewed_at_sign_in_and_only_then(lab: Lab) -> None:
    older = Passwords(16, 1).hash(PASSWORD)
    lab.broker.world.database.write(lambda tx: store.set_password_hash(tx, "alice", older))
    assert attempt(lab, "alice", "wrong password").status_code == 401 and stored(lab) == older
    assert attempt(lab, "alice", PASSWORD).status_code == 200
    renewed = stored(lab)
    assert "m=8,t=1" in renewed and renewed != older
    assert attempt(lab, "alice", PASSWORD).status_code == 200 and stored(lab) == renewed


@pytest.mark.attack("LOGIN-08")
def test_a_changed_password_ends_every_session(lab: Lab) -> None:
    browser = lab.browser()
    lab.consent_page(browser=browser)
    assert not is_sign_in(browser.get(lab.authorize_url()))
    set_password(lab, lab.broker.people.hash("another password"))
    assert is_sign_in(browser.get(lab.authorize_url()))
    assert len(lab.facts("session.ended")) == 1
    assert attempt(lab, "alice", PASSWORD).status_code == 401
    assert attempt(lab, "alice", "another password").status_code == 200


@pytest.mark.attack("LOGIN-09")
def test_a_session_that_was_ended_is_dead_with_its_cookie(lab: Lab) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    ((session, _),) = lab.broker.sessions.open()
    assert lab.broker.sessions.end_by_id(session.id) and not lab.broker.sessions.end_by_id(session.id)
    assert is_sign_in(browser.submit(page, decision="allow"))
    assert is_sign_in(browser.get(lab.authorize_url())) and lab.rows("authorization_code") == 0
    (record,) = lab.facts("session.ended")
    assert record["subject"] == "alice" and record["change"] == {"session": session.id}


@pytest.mark.attack("LOGIN-09")
def test_a_session_ends_when_nobody_visits(lab: Lab) -> None:
    browser, idle = lab.browser(), lab.broker.settings.session_idle
    lab.consent_page(browser=browser)
    for _ in range(3):
        lab.clock.advance(idle - 1)
        assert not is_sign_in(browser.get(lab.authorize_url()))
    lab.clock.advance(idle)
    assert is_sign_in(browser.get(lab.authorize_url()))


@pytest.mark.attack("LOGIN-09")
def test_a_session_ends_for_good_however_busy(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(session_idle=3600, session_absolute=4 * 3600)
    browser = lab.browser()
    lab.consent_page(browser=browser)
    for _ in range(3):
        lab.clock.advance(3599)
        assert not is_sign_in(browser.get(lab.authorize_url()))
    lab.clock.advance(3600 + 3)
    assert is_sign_in(browser.get(lab.authorize_url()))


@pytest.mark.attack("LOGIN-09")
@pytest.mark.parametrize("moment", ["the clock is set back", "a new process"])
def test_a_session_outlives_what_is_none_of_its_business(lab: Lab, moment: str) -> None:
    browser = lab.browser()
    lab.consent_page(browser=browser)
    if moment == "a new process":
        cookie, lab = cookie_of(browser), lab.restarted()
        browser = with_cookie(lab, cookie)
    else:
        lab.clock.advance(-300)
    assert not is_sign_in(browser.get(lab.authorize_url()))


@pytest.mark.attack("LOGIN-25")
def test_pages_of_a_session_are_not_cached(lab: Lab) -> None:
    browser = lab.browser()
    sign_in = browser.get(lab.authorize_url())
    consent = browser.sign_in(sign_in)
    answered = browser.submit(Page.of(consent), decision="allow")
    lab.clock.advance(1)
    pages = [
        sign_in,
        consent,
        browser.get("/consent?request=gone"),
        browser.sign_in(browser.get(lab.authorize_url(prompt="login")), password="wrong"),
    ]
    for page in pages:
        assert page.headers["Cache-Control"] == "no-store" and page.headers["Vary"] == "Cookie"
    assert answered.headers["Cache-Control"] == "no-store"
    for path in (lab.authorize_url(), "/login?request=gone", "/consent?request=gone"):
        answer = browser.http.get(path, base_url=ISSUER)
        assert answer.headers["Cache-Control"] == "no-store" and "ETag" not in answer.headers


@pytest.mark.attack("LOGIN-25")
def test_what_belongs_to_no_session_may_be_cached(lab: Lab) -> None:
    page = lab.browser().get(lab.authorize_url()).get_data(as_text=True)
    path = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    sheet = lab.get(path)
    assert (
        sheet.status_code == 200
        and sheet.headers["Cache-Control"].startswith("public")
        and "Set-Cookie" not in sheet.headers
    )
