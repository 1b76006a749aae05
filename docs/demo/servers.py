"""The demo's servers: which ports they have, and processes that end when the demo ends."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2

HERE = Path(__file__).parent
BROKER = (str(Path(sys.executable).with_name("broker")),)  # the console script beside this Python
SECONDS_TO_START = 120


@dataclass(frozen=True)
class Places:
    """Where everything is; `door` is the issuer of the tenant acme."""

    root: str
    tickets: str
    crm: str
    estate: Path
    data: Path

    @property
    def door(self) -> str:
        return f"{self.root}/t/acme"


def prepare(folder: Path, port: int) -> Places:
    """Choose the ports, and write the estate file with them."""
    text = (HERE / "estate.yaml").read_text(encoding="utf-8")
    ports = {wished: free_port(wished) for wished in (8401, 8402)}
    for wished, chosen in ports.items():
        text = text.replace(f"http://127.0.0.1:{wished}", f"http://127.0.0.1:{chosen}")
    estate = folder / "estate.yaml"
    estate.write_text(text, encoding="utf-8")
    return Places(
        root=f"http://127.0.0.1:{free_port(port)}",
        tickets=f"http://127.0.0.1:{ports[8401]}/mcp",
        crm=f"http://127.0.0.1:{ports[8402]}",
        estate=estate,
        data=folder / "broker",
    )


def free_port(wished: int) -> int:
    """The port that was wished for if nobody has it, else any free one."""
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port")


@dataclass(frozen=True)
class Server:
    """A process whose output goes to a log file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_lines(self, count: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def launch(folder: Path, name: str, command: tuple[str, ...], environment: dict[str, str]) -> Server:
    """Start a process. Secrets go through its environment, never through its arguments."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"NO_PROXY": "127.0.0.1"} | environment,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends its servers
        )
    return Server(name, process, log)


def wait_until_ready(server: Server, url: str) -> None:
    """Return when `url` gives any answer at all; RuntimeError when the process ends or takes too long."""
    latest = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < latest and server.process.poll() is None:
        try:
            httpx2.get(url, timeout=5, trust_env=False)
            return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"{server.name} did not start")
