"""Questions wait their turn, in bounds, and for nobody who has left."""

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest

from tests.guard.desk import ALL, Desk, StubBroker, call

MOST = 16 + 64


@dataclass
class Slow(StubBroker):
    """Answers nothing before `go_on`."""

    go_on: threading.Event = field(default_factory=threading.Event)
    asked_for: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked_for.release()
        self.go_on.wait(10)
        return super().__call__(request)


@pytest.fixture
def broker() -> Iterator[Slow]:
    broker = Slow()
    yield broker
    broker.go_on.set()


@pytest.fixture
def desk(issuer, clock, broker: Slow) -> Desk:
    return Desk(issuer, clock, broker=broker)


async def sent(desk: Desk, count: int) -> list["asyncio.Task[httpx2.Response]"]:
    """So many calls, of which as many as there are threads have been asked about."""
    headers = [("Authorization", f"Bearer {desk.issuer.token(scope=ALL)}")]
    tasks = [
        asyncio.create_task(desk.request(headers=headers, json=call("search", identifier=n)))
        for n in range(count)
    ]
    for _ in range(min(count, 16)):
        await asyncio.to_thread(desk.broker.asked_for.acquire, timeout=10)
    return tasks


def test_more_than_can_wait_are_told_to_come_back(desk: Desk, broker: Slow) -> None:
    async def run() -> list[httpx2.Response]:
        tasks = await sent(desk, MOST + 5)
        for refused in itertools.islice(asyncio.as_completed(tasks), 5):
            assert "retry-after" in (await refused).headers
        broker.go_on.set()
        answers = [*await asyncio.gather(*tasks)]
        headers = [("Authorization", f"Bearer {desk.issuer.token(scope=ALL)}")]
        return [*answers, await desk.request(headers=headers, json=call("search"))]

    *answers, later = asyncio.run(run())
    refused = [answer for answer in answers if "retry-after" in answer.headers]
    assert len(refused) == 5 and all("Too many calls" in answer.text for answer in refused)
    assert len(broker.asked) == MOST + 1 and "retry-after" not in later.headers


def test_who_left_before_the_question_was_sent_is_not_asked_for(desk: Desk, broker: Slow) -> None:
    async def run() -> None:
        for task in (tasks := await sent(desk, MOST)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        broker.go_on.set()
        headers = [("Authorization", f"Bearer {desk.issuer.token(scope=ALL)}")]
        assert (await desk.request(headers=headers, json=call("search"))).status_code == 200

    asyncio.run(run())
    desk.middleware._aside.shutdown(wait=True)
    assert len(broker.asked) == 16 + 1 and len(desk.app.bodies) == 1
    assert sorted(told["status"] for told in desk.reports()) == ["ok", *["unknown"] * 16]
    assert desk.middleware._asking._taken == 0


def test_so_it_is_where_a_server_says_that_they_left(desk: Desk, broker: Slow) -> None:
    """Whoever leaves once the question is sent is not taken for one who cancels."""
    body, told = json.dumps(call("search")).encode(), []
    token = desk.issuer.token(scope=ALL)
    headers = [(b"host", b"mcp.example"), (b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers, "extensions": {}}

    async def request(leaves: asyncio.Event) -> None:
        events = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, object]:
            if events:
                return events.pop()
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(event: dict[str, object]) -> None:
            if event["type"] == "http.response.start":
                told.append(event["status"])

        await desk.middleware(dict(scope), receive, send)

    async def run() -> None:
        leaves = asyncio.Event()
        tasks = [asyncio.create_task(request(leaves)) for _ in range(20)]
        for _ in range(16):
            await asyncio.to_thread(broker.asked_for.acquire, timeout=10)
        leaves.set()
        for left in itertools.islice(asyncio.as_completed(tasks), 4):
            await left
        assert told == [503] * 4
        broker.go_on.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert len(broker.asked) == len(desk.app.bodies) == 16 and told[4:] == [200] * 16
