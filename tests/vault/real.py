"""A provider beside a broker in a process of its own, both on loopback: for real browsers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import yaml

from tests import live
from tests.vault.provider import CLIENT, SECRET, Provider

ESTATE = Path(__file__).parent.parent / "browser" / "estate.yaml"
SERVER = ("tickets-server", "only-for-the-tests-tickets-server-0001")
FORGE = "https://api.forge.example"
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@dataclass(frozen=True)
class Pair:
    """`broker` keeps people's tokens of `forge`."""

    broker: live.LiveBroker
    forge: Provider

    def released(self, token: str) -> httpx2.Response:
        """What the server of the tickets gets for the token of a call."""
        form = {
            "grant_type": _GRANT,
            "subject_token": token,
            "subject_token_type": _ACCESS_TOKEN,
            "resource": FORGE,
        }
        return httpx2.post(f"{self.broker.issuer}/token", data=form, auth=SERVER, trust_env=False)


@contextmanager
def pair(folder: Path, estate: str | None = None) -> Iterator[Pair]:
    """`estate`: by default that of the browser's tests."""
    forge = Provider()
    try:
        with live.serve(folder, with_forge(estate or ESTATE.read_text("utf-8"), forge)) as broker:
            yield Pair(broker, forge)
    finally:
        forge.close()


def with_forge(estate: str, forge: Provider) -> str:
    """The estate, with the system behind its server of the tickets."""
    found = yaml.safe_load(estate)
    found["resources"].append(
        {
            "id": "forge",
            "kind": "vault",
            "provider": "generic",
            "uri": FORGE,
            "name": "Forge",
            "tenants": "*",
            "scopes": [
                {"name": "repo:read", "description": "Read your repositories", "default": True},
                {"name": "repo:write", "description": "Change your repositories"},
            ],
            "vault": {
                "client_id": CLIENT,
                "client_secret": SECRET,
                "authorization_endpoint": f"{forge.origin}/authorize",
                "token_endpoint": f"{forge.origin}/token",
                "revocation_endpoint": f"{forge.origin}/revoke",
                "account_endpoint": f"{forge.origin}/account",
                "account": ["id", "login"],
            },
        }
    )
    found.setdefault("edges", []).append(
        {
            "from": "tickets",
            "to": "forge",
            "scopes": {"tickets:read": ["repo:read"], "tickets:write": ["repo:write"]},
            "consent": "admin",
            "release": True,
            "purpose": "To open an issue for each ticket",
        }
    )
    return yaml.safe_dump(found)
