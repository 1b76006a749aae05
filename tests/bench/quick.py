"""A first measure in under a minute: requests per second, p50, p99 and CPU per request of one embedded broker.

Run it with `make bench-quick`. The load comes from one process of this machine, so with two cores the figures are
bounded by the load generator too; nothing is tuned yet.
"""

import argparse
import base64
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
PORT = 8497
ISSUER = f"http://127.0.0.1:{PORT}"
TICKETS, CRM = "https://tickets.bench.example/mcp", "https://crm.bench.example"
SECRET = "mcpb_cs_" + "b" * 43
ESTATE = f"""
tenants:
  - {{id: acme, name: Acme}}
clients:
  - {{client_id: nightly, name: Nightly, type: confidential, tenant: acme, client_secret: "{SECRET}",
     token_endpoint_auth_method: client_secret_basic, grant_types: [client_credentials],
     resources: [tickets], scopes: ["tickets:read"]}}
resources:
  - id: tickets
    kind: mcp
    uri: {TICKETS}
    name: Tickets
    tenants: [acme]
    client: {{client_id: tickets-server, client_secret: "{SECRET}"}}
    scopes: [{{name: "tickets:read", description: Read tickets, default: true}}]
  - {{id: crm, kind: downstream, uri: "{CRM}", name: CRM, tenants: [acme], scopes: [{{name: "crm:read"}}]}}
edges:
  - {{from: tickets, to: crm, scopes: {{"tickets:read": ["crm:read"]}}, consent: admin}}
"""

Request = tuple[str, str, bytes, dict[str, str]]


def basic(client_id: str) -> dict[str, str]:
    encoded = base64.b64encode(f"{client_id}:{SECRET}".encode()).decode()
    return {"Authorization": f"Basic {encoded}", "Content-Type": "application/x-www-form-urlencoded"}


def form(path: str, client_id: str, **fields: str) -> Request:
    return "POST", path, urlencode(fields).encode(), basic(client_id)


def send(connection: http.client.HTTPConnection, request: Request) -> bytes:
    method, path, body, headers = request
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise SystemExit(f"{method} {path} answered {response.status}: {answer[:300]!r}")
    return answer


def measure(request: Callable[[], Request], seconds: float, connections: int, pids: list[int]) -> str:
    """Drive one kind of request from `connections` keep-alive connections; a line of figures."""
    took: list[list[float]] = [[] for _ in range(connections)]
    barrier = threading.Barrier(connections + 1)
    end = [0.0]

    def drive(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        send(connection, request())
        barrier.wait()
        while (begun := time.perf_counter()) < end[0]:
            send(connection, request())
            took[index].append(time.perf_counter() - begun)
        connection.close()

    threads = [threading.Thread(target=drive, args=(index,)) for index in range(connections)]
    for thread in threads:
        thread.start()
    end[0] = time.perf_counter() + seconds
    before = cpu(pids)
    barrier.wait()
    for thread in threads:
        thread.join()
    spent = cpu(pids) - before
    every = sorted(sample for samples in took for sample in samples)
    p99 = every[int(len(every) * 0.99)]
    return (
        f"{len(every) / seconds:>9,.0f}  {statistics.median(every) * 1000:>7.1f}  {p99 * 1000:>7.1f}"
        f"  {spent / len(every) * 1e6:>9,.0f}"
    )


def cpu(pids: list[int]) -> float:
    """User and system seconds of these processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and those that it started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def wait_until_served(process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit("the broker did not start")
        try:
            send(http.client.HTTPConnection("127.0.0.1", PORT), ("GET", "/jwks", b"", {}))
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the broker did not answer")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--connections", type=int, default=32)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        estate = Path(folder) / "estate.yaml"
        estate.write_text(ESTATE)
        command = [str(Path(sys.executable).with_name("broker")), "dev", "--data", f"{folder}/data"]
        command += ["--port", str(PORT), "--estate", str(estate)]
        limits = ("FAILURES_PER_MINUTE", "TOKENS_PER_GRANT_PER_MINUTE", "EXCHANGES_PER_TXN")
        environment = {**os.environ, **{f"BROKER_{name}": "1000000" for name in limits}}
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_until_served(process)
            run(chosen.seconds, chosen.connections, process.pid)
        finally:
            process.terminate()
            process.wait(20)


def run(seconds: float, connections: int, pid: int) -> None:
    import json

    own = form("/token", "nightly", grant_type="client_credentials")
    token = json.loads(send(http.client.HTTPConnection("127.0.0.1", PORT), own))["access_token"]
    exchange = form(
        "/token",
        "tickets-server",
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token=token,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        resource=CRM,
    )
    rows: list[tuple[str, Request]] = [
        ("client_credentials, durable", own),
        ("introspection, token seen", form("/introspect", "tickets-server", token=token)),
        ("exchange, durable, subject seen", exchange),
        ("jwks", ("GET", "/jwks", b"", {})),
    ]
    print(f"one embedded broker, SQLite synchronous=FULL, {connections} connections, {seconds:g} s each")
    print(f"{'':34}{'req/s':>9}  {'p50 ms':>7}  {'p99 ms':>7}  {'µs CPU':>9}")
    for name, request in rows:
        print(
            f"{name:34}{measure(lambda request=request: request, seconds, connections, family(pid))}",
            flush=True,
        )


if __name__ == "__main__":
    main()
