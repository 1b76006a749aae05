"""The case of outgoing notices (HTTP-15): to whom they go, what they say, and how long they go on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.control.webhooks.webhooks import WAITS
from tests.control.hook import SECRET, Hook, reached, signature
from tests.lab import Lab
from tests.vault.listening import Held


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def told(make_lab: Callable[..., Lab], hook: Hook, tmp_path: Path) -> Lab:
    lab = make_lab(**hook.settings(tmp_path))
    reached(lab)
    return lab


def queue(lab: Lab, tenant: str = "acme") -> None:
    now = lab.clock.now()
    lab.change(lambda tx: lab.broker.webhooks.queue(tx, tenant, "budget.spent", {"percent": 80}, now))


def attempts(lab: Lab, hook: Hook) -> int:
    """How many come until the notice is given up; nothing waits any more then."""
    before = len(hook.asked)
    for wait in (0, *WAITS, *WAITS):
        lab.clock.advance(wait)
        lab.broker.webhooks.deliver()
    assert lab.rows("webhook_notice") == 0
    return len(hook.asked) - before


@pytest.mark.attack("HTTP-15")
def test_a_notice_is_signed_and_says_ids_and_numbers_alone(told: Lab, hook: Hook) -> None:
    queue(told)
    told.broker.webhooks.deliver()
    [asked] = hook.asked
    assert (asked.method, asked.path, asked.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert abs(int(asked.headers["webhook-timestamp"]) - told.clock.now()) < 1
    assert asked.headers["webhook-signature"] != signature(asked.headers, asked.sent, b"x" * 32)
    assert asked.headers["webhook-signature"] != signature(asked.headers, asked.sent + " ")
    [said] = hook.said()
    assert said == {
        "id": asked.headers["webhook-id"],
        "type": "budget.spent",
        "timestamp": "2027-01-15T08:00:00.000Z",
        "tenant": "acme",
        "data": {"percent": 80},
    }
    assert SECRET.decode() not in json.dumps(asked.headers) + asked.sent
    assert SECRET not in told.dump() and SECRET.decode() not in repr(told.broker.webhooks._targets)
    assert told.last("webhook.delivered")["change"] == {"notice": said["id"], "event": "budget.spent"}


@pytest.mark.attack("HTTP-15")
def test_a_redirect_is_not_followed(told: Lab, hook: Hook) -> None:
    hook.answer = (307, {"Location": hook.url + "/elsewhere"}, b"")
    queue(told)
    told.broker.webhooks.deliver()
    assert [asked.path for asked in hook.asked] == ["/hook"]
    assert told.rows("webhook_notice") == 1 and told.facts("webhook.delivered") == []


@pytest.mark.attack("HTTP-15")
@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1"])
def test_an_internal_address_is_never_told(
    make_lab: Callable[..., Lab], hook: Hook, tmp_path: Path, address: str
) -> None:
    port = hook.url.rsplit(":", 1)[1]
    settings = {**hook.settings(tmp_path), "alert_webhook_url": f"https://hooks.example:{port}"}
    lab = make_lab(**settings)
    reached(lab, lambda host, _: [address])
    queue(lab)
    lab.broker.webhooks.deliver()
    assert hook.asked == [] and lab.rows("webhook_notice") == 0, "and it is not tried again"
    assert "not on the public internet" in str(lab.last("webhook.failed")["detail"])


@pytest.mark.attack("HTTP-15")
@pytest.mark.parametrize(
    "answer",
    [
        (500, {}, b""),
        (404, {}, b""),
        (200, {}, b"x" * 100_000),
        (200, {"Content-Encoding": "gzip"}, b""),
        None,
    ],
    ids=["fails", "gone", "long", "compressed", "hangs up"],
)
def test_what_does_not_take_a_notice_is_tried_so_often_and_no_more(
    told: Lab, hook: Hook, answer: tuple[int, dict[str, str], bytes] | None
) -> None:
    hook.answer = answer
    queue(told)
    assert attempts(told, hook) == len(WAITS) + 1
    assert told.last("webhook.failed")["reason"] == "webhook_undelivered"
    hook.answer = (204, {}, b"")
    queue(told)
    assert attempts(told, hook) == 1 and len(told.facts("webhook.delivered")) == 1


@pytest.mark.attack("HTTP-15")
def test_a_slow_receiver_holds_up_neither_the_act_nor_what_others_wait_for(told: Lab, hook: Hook) -> None:
    hook.held = Held()
    for _ in range(3):
        queue(told)
    assert hook.asked == [], "queued, and the act is done"
    hook.held.release()
    hook.answer = None
    told.broker.webhooks.deliver()
    assert len(hook.asked) == 1, "one attempt a round where nobody answers"


@pytest.mark.attack("HTTP-15")
def test_attempts_of_one_notice_have_one_id_and_each_its_own_time(told: Lab, hook: Hook) -> None:
    hook.answer = (503, {}, b"")
    queue(told)
    told.broker.webhooks.deliver()
    hook.answer = (204, {}, b"")
    told.clock.advance(WAITS[0])
    told.broker.webhooks.deliver()
    first, second = (asked.headers for asked in hook.asked)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == WAITS[0]
    assert len(hook.said()) == 2
