"""Clients that run in a process of their own, spoken to line by line, while a scripted browser is their user."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lab import claims
from tests.live import ScriptedBrowser

_ENVIRONMENT = os.environ | {"NO_PROXY": "127.0.0.1,localhost", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Told:
    """What a client did: its answer, the tokens that it holds, the requests that it made with their statuses."""

    answer: object
    tokens: dict[str, object]
    wire: list[tuple[str, str, int]]

    @property
    def claims(self) -> dict[str, object]:
        return claims(str(self.tokens["access_token"]))

    @property
    def scope(self) -> list[str]:
        return str(self.claims["scope"]).split()


@dataclass
class Program:
    """A running client."""

    process: subprocess.Popen[str]
    browser: ScriptedBrowser

    def do(self, verb: str, **values: object) -> Told:
        """Have it do something; the user goes wherever it sends them."""
        self._say({"do": verb, **values})
        while "open" in (heard := self._hear()):
            self._say({"landed": self.browser.visit(heard["open"])})
        assert "failed" not in heard, heard
        return Told(heard["done"], heard["tokens"] or {}, [tuple(seen) for seen in heard["wire"]])

    def call(self, tool: str, **values: object) -> Told:
        return self.do("call", tool=tool, values=values)

    def _say(self, message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def _hear(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the client ended with {self.process.wait(10)}"
        return json.loads(line)


@contextmanager
def running(command: Sequence[str], browser: ScriptedBrowser) -> Iterator[Program]:
    with subprocess.Popen(
        command, env=_ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Program(process, browser)
        finally:
            process.kill()
