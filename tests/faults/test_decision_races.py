"""64 decisions at once on one idempotency key, from two processes: one call goes ahead, and one outcome is its."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.deciding import post, question, scoped
from tests.faults.crowd import MANY, Answer, Crowd, statuses
from tests.faults.test_races_many import FEW, sound
from tests.faults.test_races_many import crowd as crowd
from tests.lab import Lab

pytestmark = pytest.mark.timeout(240)
Post = tuple[str, tuple[object, ...], dict[str, object]]


def asking(path: str, body: object) -> Post:
    """A request of the ticket desk's server to an address below /access/v1."""
    return ("send", (f"/access/v1/{path}", body, "tickets-server"), {})


def answered(answers: list[Answer]) -> Counter[str]:
    """How often which reason, or `permit`."""
    contexts = [(answer.body["decision"], answer.body["context"]) for answer in answers]
    return Counter("permit" if yes else str(context["reason"]) for yes, context in contexts)


@pytest.fixture
def here(crowd: Callable[..., Crowd]) -> Iterator[tuple[Crowd, Lab]]:
    many = crowd(repeats_per_txn=1_000_000)
    lab = many.lab()
    yield many, lab
    lab.broker.close()


def test_of_64_calls_with_one_key_one_goes_ahead(here: tuple[Crowd, Lab]) -> None:
    many, lab = here
    permits = []
    for number in range(FEW):
        token = scoped(lab, "tickets:read")
        asked = question(token, arguments={"n": 1}, idempotency_key=f"k{number}")
        answers = many.race(asking("evaluation", asked))
        assert statuses(answers) == {200: MANY}
        told = answered(answers)
        assert told == {"permit": 1, "in_progress": MANY - 1}, told
        (permit,) = [answer.body["context"]["decision_id"] for answer in answers if answer.body["decision"]]
        earlier = {a.body["context"]["earlier"] for a in answers if not a.body["decision"]}
        assert earlier == {permit}
        permits.append(permit)
        report = {"decision_id": permit, "status": "ok", "downstream_request_id": f"d{number}"}
        said = many.race(asking("outcomes", report))
        assert statuses(said) == {200: MANY}
        assert Counter(bool(answer.body["recorded"]) for answer in said) == {True: 1, False: MANY - 1}
        later = many.race(asking("evaluation", asked))
        assert answered(later) == {"duplicate": MANY}
        assert {answer.body["context"]["outcome"]["downstream_request_id"] for answer in later} == {
            f"d{number}"
        }
    sound(many)
    made = [record["decision"] for record in lab.facts("decision.made", outcome="allowed")]
    assert made == permits, "one record for each permit"
    assert [record["decision"] for record in lab.facts("outcome.reported")] == permits


def test_of_64_different_calls_with_one_key_one_goes_ahead(here: tuple[Crowd, Lab]) -> None:
    many, lab = here
    token = scoped(lab, "tickets:read")
    asked = [question(token, arguments={"n": number}, idempotency_key="k") for number in range(MANY)]
    answers = many.race(*(asking("evaluation", one) for one in asked))
    assert answered(answers) == {"permit": 1, "idempotency_mismatch": MANY - 1}


def test_of_64_outcomes_that_differ_one_counts(here: tuple[Crowd, Lab]) -> None:
    many, lab = here
    asked = question(scoped(lab, "tickets:read"), idempotency_key="k")
    decision = post(lab, "evaluation", asked).json["context"]["decision_id"]
    reports = [{"decision_id": decision, "status": "ok", "cost": number} for number in range(MANY)]
    answers = many.race(*(asking("outcomes", one) for one in reports))
    assert statuses(answers) == {200: 1, 409: MANY - 1}
    assert len(lab.facts("outcome.reported")) == 1


def test_after_a_switch_has_answered_nothing_is_permitted(here: tuple[Crowd, Lab]) -> None:
    """Law 6."""
    many, lab = here
    token = scoped(lab, "tickets:read")
    asks = [asking("evaluation", question(token, arguments={"n": number})) for number in range(MANY - 1)]
    answers = many.race(("switch", ("tool", "tickets/search_tickets"), {}), *asks)
    told = answered(answers)
    assert set(told) <= {"permit", "switched_off"}
    thrown = lab.last("switch.thrown")
    late = [
        record for record in lab.facts("decision.made", outcome="allowed") if record["time"] > thrown["time"]
    ]
    assert late == [], "its record would have to stand before that of the throw"
    assert post(lab, "evaluation", question(token)).json["context"]["reason"] == "switched_off"
