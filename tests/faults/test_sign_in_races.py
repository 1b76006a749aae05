"""OWASP ASVS V6.3.1: guesses at a password that are sent at once are counted before they are compared."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.identity.users.password import Passwords
from tests.faults.crowd import MANY
from tests.lab import Browser, Lab, Page, race

LIMIT = 10


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that was compared with a stored one."""
    seen: list[str] = []
    verify = Passwords.verify

    def noted(self: Passwords, stored: str | None, password: str) -> bool:
        seen.append(password)
        return verify(self, stored, password)

    monkeypatch.setattr(Passwords, "verify", noted)
    return seen


@pytest.fixture(params=["one", "two"])
def replicas(
    request: pytest.FixtureRequest,
    make_lab: Callable[..., Lab],
    counters: dict[str, object],
    tmp_path: Path,
) -> Iterator[list[Lab]]:
    """One broker, or two that count in Redis."""
    limits = {"account_failures_per_minute": LIMIT, "failures_per_minute": 2 * MANY}
    if request.param == "one":
        yield [make_lab(**limits)]
        return
    if not counters:
        prefix = f"t{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}:"
        limits |= {"redis_url": request.getfixturevalue("redis_url"), "redis_prefix": prefix}
    first = make_lab(**limits)
    second = first.replica()
    yield [first, second]
    second.broker.close()


def asked(lab: Lab, source: str) -> tuple[Browser, Page]:
    """A browser there that is asked who it is."""
    browser = lab.browser(source)
    return browser, Page.of(browser.get(lab.authorize_url()))


def answered(form: tuple[Browser, Page], password: str) -> int:
    browser, page = form
    return browser.submit(page, username="alice", password=password).status_code


@pytest.mark.attack("CONC-20")
def test_of_64_wrong_passwords_at_once_all_are_counted_and_ten_compared(
    replicas: list[Lab], compared: list[str]
) -> None:
    """A broker that finds Redis too slow counts for itself for a while; then the race is run again elsewhere."""
    lab = replicas[0]
    for attempt in range(30):
        lab.clock.advance(2)
        source = f"198.51.100.{attempt}"
        forms = [asked(replicas[number % len(replicas)], source) for number in range(MANY)]
        failures = [one.broker.world.ephemeral.failures for one in replicas]
        compared.clear()
        answers = Counter(race(MANY, lambda number, forms=forms: answered(forms[number], f"guess {number}")))
        if failures == [one.broker.world.ephemeral.failures for one in replicas]:
            break
    else:
        pytest.fail("Redis never kept up")
    assert answers == {401: LIMIT, 429: MANY - LIMIT} and len(compared) == LIMIT
    hits = lab.broker.world.ephemeral.seen("sign-in", f"{source} alice", 60, lab.clock.now())
    assert hits.count == MANY
    for one in replicas:
        assert answered(asked(one, source), "correct horse battery staple") == 429, "nor is the right one"
        assert answered(asked(one, "203.0.113.99"), "correct horse battery staple") == 200
    assert len(compared) == LIMIT + len(replicas)
    lab.clock.advance(60)
    assert answered(asked(replicas[-1], source), "correct horse battery staple") == 200
