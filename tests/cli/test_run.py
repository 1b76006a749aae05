"""`broker run` against a broker that serves on loopback: the command has the token, and nothing else has."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.audit import trace
from tests.cli.test_perform import Person, Served
from tests.cli.test_perform import served as served
from tests.lab import claims

BROKER = str(Path(sys.executable).with_name("broker"))
SHOW = "import json, os, sys; print(json.dumps([dict(os.environ), sys.stdin.read()]))"


class Running:
    """`broker run` in a process of its own; `url` is what it asked to open, with what is in the folder `browser`."""

    def __init__(
        self, served: Served, command: tuple[str, ...], folder: Path, *more: str, browser: Path | None = None
    ) -> None:
        self.folder = folder
        environment = {**os.environ, "BROKER_ISSUER": served.issuer, "NO_PROXY": "127.0.0.1"}
        if browser is None:
            more = ("--no-browser", *more)
        else:
            environment["PATH"] = f"{browser}{os.pathsep}{environment['PATH']}"
        self.process = subprocess.Popen(
            (BROKER, "run", "--resource", "tickets", "--wait", "30", *more, "--", *command),
            cwd=folder,
            env=environment | {"BROKER_KEY_ENCRYPTION_KEY": "a secret of the broker"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def url(self) -> str:
        return self.said("  http")

    def said(self, beginning: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith(beginning):
                return line.strip()
        raise AssertionError(f"it said nothing of {beginning}")

    def ended(self, given: str = "") -> tuple[int, str, str]:
        """(exit code, standard output, the rest of standard error)."""
        out, err = self.process.communicate(given, 30)
        return self.process.returncode, out, err


@pytest.fixture
def running(served: Served, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(*command: str, more: tuple[str, ...] = (), browser: Path | None = None) -> Running:
        empty = tmp_path / "empty"
        empty.mkdir(exist_ok=True)
        made.append(Running(served, command, empty, *more, browser=browser))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.communicate()


@contextmanager
def signed_in(one: Running, decision: str = "allow") -> Iterator[str]:
    url = one.url()
    person = Person(url, decision)
    person.start()
    yield url
    person.join()


def test_the_command_has_the_token_and_its_own_input_and_output(
    running: Callable[..., Running], served: Served
) -> None:
    one = running(sys.executable, "-c", SHOW)
    with signed_in(one) as url:
        code, out, err = one.ended("what the client says")
    environment, given = json.loads(out)
    token = environment["MCP_ACCESS_TOKEN"]
    assert code == 0 and given == "what the client says"
    assert claims(token)["sub"] == "alice" and claims(token)["aud"] == "http://127.0.0.1:9999/mcp"
    assert not [name for name in environment if name.startswith("BROKER_")], "secrets of ours stay here"
    assert token not in err and list(one.folder.glob("**/*")) == [], "nothing is written"
    assert parse_qs(urlsplit(url).query)["code_challenge_method"] == ["S256"]
    facts = [record.members for record in trace.query(served.broker.world.database)]
    assert {"grant.revoked"} <= {members["fact"] for members in facts}, "it ended with the command"


def test_the_browser_neither_reads_the_input_nor_writes_to_the_output(
    running: Callable[..., Running], tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    opener = folder / "xdg-open"
    opener.write_text(
        f'#!/bin/sh\necho "noise of a browser"\necho "$1" > {folder}/opened\ncat > {folder}/read\n'
    )
    opener.chmod(0o755)
    one = running(sys.executable, "-c", SHOW, browser=folder)
    with signed_in(one) as url:
        one.said("noise of a browser")
        code, out, _ = one.ended("what the client says")
    assert code == 0 and json.loads(out)[1] == "what the client says"
    assert (folder / "opened").read_text() == f"{url}\n" and (folder / "read").read_text() == ""


def test_the_client_that_was_registered_for_a_run_is_gone_after_it(
    running: Callable[..., Running], served: Served
) -> None:
    one = running(sys.executable, "-c", "raise SystemExit(7)")
    with signed_in(one) as url:
        assert one.ended()[0] == 7, "the exit code is the command's"
    [client_id] = parse_qs(urlsplit(url).query)["client_id"]
    assert client_id.startswith("dyn_")
    assert served.broker.world.database.read(lambda tx: served.broker.clients.within(tx, client_id)) is None


def test_a_registered_client_is_used_when_one_is_named(running: Callable[..., Running]) -> None:
    one = running(sys.executable, "-c", SHOW, more=("--client-id", "desk-app", "--scope", "tickets:read"))
    with signed_in(one) as url:
        environment, _ = json.loads(one.ended()[1])
    assert parse_qs(urlsplit(url).query)["client_id"] == ["desk-app"]
    assert claims(environment["MCP_ACCESS_TOKEN"])["scope"] == "tickets:read"


def test_signals_are_passed_on_and_the_token_is_still_taken_back(
    running: Callable[..., Running], served: Served
) -> None:
    told = "import signal, sys; print('ready', flush=True); signal.pause()"
    one = running(sys.executable, "-c", told)
    with signed_in(one):
        assert one.process.stdout is not None and one.process.stdout.readline() == "ready\n"
        one.process.send_signal(signal.SIGTERM)
        code, _, _ = one.ended()
    assert code == 128 + signal.SIGTERM
    assert trace.query(served.broker.world.database, fact="grant.revoked")


def test_a_user_who_refuses_ends_it_before_the_command_starts(running: Callable[..., Running]) -> None:
    one = running(sys.executable, "-c", "print('ran')")
    with signed_in(one, "deny"):
        code, out, err = one.ended()
    assert code == 4 and out == "" and "access_denied" in err


def test_a_resource_that_is_not_there_and_a_command_that_is_not_are_said_plainly(
    running: Callable[..., Running], served: Served, tmp_path: Path
) -> None:
    code, _, err = running("true", more=("--resource", "nobody")).ended()
    assert code == 1 and "There is nothing at" in err
    one = running("no-such-command-anywhere")
    with signed_in(one):
        code, _, err = one.ended()
    assert code == 1 and "cannot be run" in err
