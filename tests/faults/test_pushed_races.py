"""RFC 9126 section 7.3, RFC 8628 section 3.5: 64 answers at once to what can be answered once."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.assertions import JWT_BEARER, Signer
from tests.faults.crowd import MANY, Crowd, statuses
from tests.faults.test_races_many import FEW, counted, sound
from tests.faults.test_races_many import crowd as crowd
from tests.lab import ISSUER, Browser, Lab, Page
from tests.proofs import Holder
from tests.pushing import address, asked, pushed

PAGES = 8
pytestmark = pytest.mark.timeout(240)
Post = tuple[str, tuple[object, ...], dict[str, object]]


def answering(browser: Browser, page: Page, decision: str = "allow") -> Post:
    """The form of a page as this browser sends it."""
    assert page.action is not None
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in browser.http._cookies.values())
    headers = {"Cookie": cookies, "Origin": ISSUER, "Sec-Fetch-Site": "same-origin"}
    fields = [*page.fields, ("decision", decision)]
    return ("post", (page.action.removeprefix(ISSUER), fields, headers), {})


@pytest.fixture
def here(crowd: Callable[..., Crowd]) -> Iterator[tuple[Crowd, Lab]]:
    """A crowd, and a broker of this process over the same database."""
    many = crowd(pushed_requests_per_minute=1_000_000)
    lab = many.lab()
    yield many, lab
    lab.broker.close()


@pytest.mark.requirement("RFC9126-07")
def test_of_64_answers_to_one_pushed_request_one_gets_a_code(here: tuple[Crowd, Lab]) -> None:
    """The request_uri was opened eight times before, and each page is sent eight times."""
    many, lab = here
    for _ in range(FEW):
        uri, browser = pushed(lab, prompt="consent"), lab.browser()
        first = browser.sign_in(browser.get(address(uri)))
        pages = [first, *(browser.get(address(uri)) for _ in range(PAGES - 1))]
        answers = many.race(*(answering(browser, Page.of(page)) for page in pages))
        assert len(answers) == MANY and statuses(answers)[303] >= 1 and max(statuses(answers)) < 500
    facts = sound(many)
    assert len(counted(facts, "request.pushed", "id")) == FEW
    for fact in ("consent.granted", "code.issued"):
        assert list(counted(facts, fact, "grant_id").values()) == [1] * FEW, fact


def test_of_64_pushes_with_one_assertion_one_is_kept(here: tuple[Crowd, Lab]) -> None:
    many, lab = here
    signer = Signer(lab).registered()
    for _ in range(FEW):
        form = {
            **asked(lab, "signer"),
            "client_assertion": signer.assertion(),
            "client_assertion_type": JWT_BEARER,
        }
        answers = many.race(("post", ("/par", form), {}))
        assert statuses(answers) == {201: 1, 401: MANY - 1}
    assert counted(sound(many), "request.pushed", "client") == {("signer",): FEW}


def test_of_64_pushes_with_one_proof_one_is_kept(here: tuple[Crowd, Lab]) -> None:
    many, lab = here
    holder = Holder()
    form, headers = lab._as("web-app", dict(asked(lab)))
    for _ in range(FEW):
        proof = {"DPoP": holder.proof(f"{ISSUER}/par", time.time())}
        answers = many.race(("post", ("/par", form, headers | proof), {}))
        assert statuses(answers) == {201: 1, 400: MANY - 1}
        assert {answer.body.get("error") for answer in answers} == {None, "invalid_dpop_proof"}


def test_64_pushes_are_64_requests(here: tuple[Crowd, Lab]) -> None:
    many, lab = here
    answers = many.race(("post", ("/par", *lab._as("web-app", dict(asked(lab)))), {}))
    assert statuses(answers) == {201: MANY}
    assert len({answer.body["request_uri"] for answer in answers}) == MANY


@pytest.mark.attack("CONC-10")
def test_a_device_that_is_allowed_and_refused_at_once_has_one_answer(here: tuple[Crowd, Lab]) -> None:
    many, lab = here
    approved = 0
    for done in range(FEW):
        begun = lab.device().json
        browsers = [lab.browser(), lab.browser()]
        pages = [Page.of(lab.device_question(begun["user_code"], "alice", browser)) for browser in browsers]
        answers = many.race(
            answering(browsers[0], pages[0], "allow"), answering(browsers[1], pages[1], "deny")
        )
        assert statuses(answers)[200] == 1, "one form was the answer, and the others came too late"
        assert max(statuses(answers)) < 500
        ended = [*lab.facts("device.approved"), *lab.facts("device.denied")]
        assert len(ended) == len({record["change"]["device"] for record in ended}) == done + 1
        polled = lab.poll(begun["device_code"])
        if len(lab.facts("device.approved")) > approved:
            assert polled.status_code == 200 and "access_token" in polled.json
            approved += 1
        else:
            assert polled.status_code == 400 and polled.json["error"] == "access_denied"
    assert sum(counted(sound(many), "token.issued", "client").values()) == approved
