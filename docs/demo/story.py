"""How the demo talks: numbered sentences, evidence below them, and tokens taken apart for the eye."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import jwt
from servers import Server, launch, wait_until_ready


@dataclass
class Story:
    """Prints numbered sentences with their evidence, owns the servers, and says where it failed."""

    folder: Path
    servers: list[Server] = field(default_factory=list)
    number: int = 0
    sentence: str = ""

    def step(self, sentence: str) -> None:
        self.number, self.sentence = self.number + 1, sentence
        print(f"\n{self.number:2}. {sentence}", flush=True)

    def show(self, *lines: str) -> None:
        for line in lines:
            print(f"      {line}", flush=True)

    def show_token(self, header: dict[str, object], claims: dict[str, object]) -> None:
        self.show(f"header    {json.dumps(header)}")
        for name, value in claims.items():
            self.show(f"{name:9} {value if isinstance(value, str) else json.dumps(value)}")

    def start(self, name: str, *command: str, ready: str, **environment: str) -> Server:
        server = launch(self.folder, name, command, environment)
        self.servers.append(server)
        wait_until_ready(server, ready)
        return server

    def serve(self) -> None:
        """Wait for Ctrl-C; RuntimeError when the first server ends before."""
        try:
            self.servers[0].process.wait()
        except KeyboardInterrupt:
            print("\nStopped.")
        else:
            raise RuntimeError(f"{self.servers[0].name} has ended")

    def __enter__(self) -> "Story":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in reversed(self.servers):
            server.stop()
        if isinstance(error, Exception):
            print(f"\nFAILED at: {self.sentence}")
            for server in self.servers:
                print(f"--- the last lines of {server.name}\n{server.last_lines()}")
            print("---", flush=True)


def decoded(token: str) -> dict[str, object]:
    """For the eye only: nothing is verified."""
    claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return claims


def assert_claims(claims: dict[str, object], wanted: dict[str, object]) -> None:
    """Whether `claims` has every member of `wanted`."""
    for name, value in wanted.items():
        assert claims.get(name) == value, f"{name} is {claims.get(name)!r}, not {value!r}"


def actors(claims: dict[str, object]) -> list[str]:
    """The client ids of the chain, the current actor first."""
    found, act = [], claims.get("act")
    while isinstance(act, dict):
        found.append(str(act["client_id"]))
        act = act.get("act")
    return found
