"""npm's oidc-provider as a real upstream, beside a broker that trusts it; both in processes of their own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests import live
from tests.clients import installed

NODE = Path(__file__).parent / "node"
CLIENT, SECRET = "broker", "a secret with + and % of thirty-two characters"


@dataclass(frozen=True)
class Pair:
    """`broker` sends people to `issuer`."""

    broker: live.LiveBroker
    issuer: str


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    port = live.free_port()
    issuer = f"http://127.0.0.1:{port}"
    with live.serve(folder, estate(issuer)) as broker:
        callback = f"{broker.issuer}/login/upstream/corp/callback"
        home = installed.packages(NODE)
        command = (str(installed.node()), str(home / "provider.mjs"), str(port), CLIENT, SECRET, callback)
        with subprocess.Popen(
            command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                said = [process.stdout.readline().strip()]
                while said[-1] != "ready" and process.poll() is None:
                    said.append(process.stdout.readline().strip())
                assert said[-1] == "ready", said
                yield Pair(broker, issuer)
            finally:
                process.terminate()
                try:
                    process.communicate(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()


def estate(issuer: str) -> str:
    """The estate of the live tests, with the provider."""
    found = yaml.safe_load(live.ESTATE.read_text(encoding="utf-8"))
    found["tenants"][0]["identity_providers"] = ["corp"]
    found["identity_providers"] = [
        {
            "id": "corp",
            "name": "Corporate account",
            "issuer": issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "algorithms": ["ES256"],
            "accounts": "create",
            "claims": {
                "id": "preferred_username",
                "roles": [{"claim": "groups", "values": {"staff": "member"}}],
                "tenants": [{"always": "acme"}],
            },
        }
    ]
    return yaml.safe_dump(found)
