"""Two processes want the write lock of one SQLite file: they wait, then say 503, and lose no update."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from broker.runtime.sqlite import SqliteDatabase
from tests.engines import Sqlite
from tests.faults.crowd import MANY, Crowd, statuses
from tests.faults.rig import PATIENCE, lab_over, sound
from tests.lab import ISSUER, Lab, assert_refused, claims, race
from tests.serve.sites import until


@contextmanager
def another_writes(url: str) -> Iterator[Callable[[], None]]:
    """Another process has the write lock of the database, until the end or until it is told to let go."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('has it', flush=True); sys.stdin.read(); c.execute('ROLLBACK');"
        "print('let go', flush=True)"
    )
    with subprocess.Popen(
        (sys.executable, "-c", program, url.removeprefix("sqlite:///")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "has it\n"

        def let_go() -> None:
            if not process.stdin.closed:
                process.stdin.close()
                assert process.stdout.readline() == "let go\n"

        try:
            yield let_go
        finally:
            let_go()


@pytest.fixture
def embedded(sqlite_engine: Sqlite, tmp_path: Path) -> Iterator[tuple[Lab, SqliteDatabase]]:
    """A broker on SQLite with a patience of a second."""
    url = sqlite_engine.fresh(tmp_path)
    database = SqliteDatabase(url, PATIENCE)
    lab = lab_over(database, url, tmp_path, sqlite_engine)
    yield lab, database
    sound(lab)
    lab.broker.close()


@pytest.mark.attack("FAULT-13")
def test_a_request_waits_for_another_process_that_writes(embedded: tuple[Lab, SqliteDatabase]) -> None:
    lab, database = embedded
    code = lab.code()
    answers: list[TestResponse] = []
    asking = threading.Thread(target=lambda: answers.append(lab.redeem(code)))
    with another_writes(lab.broker.settings.database) as let_go:
        asking.start()
        until(lambda: database._writing.pool.checkedout() == 1, "waiting for its turn")
        assert answers == []
        let_go()
        asking.join()
    assert [answer.status_code for answer in answers] == [200]


@pytest.mark.attack("FAULT-13")
def test_64_requests_that_wait_in_vain_are_503_together_and_lose_nothing(
    embedded: tuple[Lab, SqliteDatabase],
) -> None:
    lab, _ = embedded
    code, held = lab.code(), lab.tokens(scope="tickets:read offline_access")
    requests: list[Callable[[], TestResponse]] = [
        lambda: lab.redeem(code),
        lambda: lab.refresh(held["refresh_token"]),
        lambda: lab.exchange(held["access_token"]),
        lambda: lab.revoke(held["access_token"]),
    ]
    before, records = lab.state(), len(lab.facts())
    with another_writes(lab.broker.settings.database):
        assert lab.active(held["access_token"]), "who only reads does not wait"
        began = time.monotonic()
        answers = race(MANY, lambda number: requests[number % len(requests)]())
        assert PATIENCE <= time.monotonic() - began < 4 * PATIENCE
        for answer in answers:
            assert_refused(answer, 503, "temporarily_unavailable")
        page = lab.http().get(lab.authorize_url(), base_url=ISSUER, headers={"Accept": "text/html"})
        assert page.status_code == 503 and page.headers["Retry-After"] == "1"
    assert lab.state() == before and len(lab.facts()) == records
    assert [request().status_code for request in requests] == [200] * 4


@pytest.mark.attack("FAULT-13")
def test_two_processes_that_contend_for_one_file_lose_no_update(
    sqlite_engine: Sqlite, tmp_path: Path
) -> None:
    with Crowd(sqlite_engine, tmp_path, 2) as many:
        made = many.race(("register", (), {}), ("register", (), {}))
        assert statuses(made) == {201: MANY}
        held = many.ask("redeem", many.ask("code"))
        answers = many.race(("refresh", (held.body["refresh_token"],), {}))
        assert statuses(answers) == {200: MANY}
        assert len({str(answer.body["refresh_token"]) for answer in answers}) == 1
        assert len({claims(str(answer.body["access_token"]))["jti"] for answer in answers}) == MANY
        lab = many.lab()
        try:
            assert len({record["client"] for record in lab.facts("client.registered")}) == MANY
            assert len(lab.facts("refresh.rotated")) == 1
            sound(lab)
        finally:
            lab.broker.close()
