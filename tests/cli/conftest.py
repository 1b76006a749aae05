"""The `broker` command on a data folder of its own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.cli.main import main
from keys.sealed import create_key_file

ESTATE = """
tenants: [{id: acme, name: Acme}]
users: [{id: alice, name: Alice, password: "a good password", tenants: [{id: acme}]}]
clients:
  - {client_id: desk-app, name: Desk App, type: public, redirect_uris: ["http://127.0.0.1/callback"]}
  - {client_id: nightly, type: confidential, tenant: acme, client_secret: "night-secret",
     grant_types: [client_credentials], resources: [tickets]}
resources:
  - {id: tickets, kind: mcp, uri: "http://127.0.0.1:9999/mcp", tenants: [acme],
     client: {client_id: tickets-server, client_secret: "ticket-secret"}, scopes: [{name: "tickets:read"}]}
  - {id: crm, kind: downstream, uri: "https://crm.internal.example", tenants: [acme], scopes: [{name: "crm:read"}]}
edges: [{from: tickets, to: crm, scopes: {"tickets:read": ["crm:read"]}}]
"""
Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder as `broker dev` leaves it."""
    for name, value in {"DEVELOPMENT": "true", "ARGON2_MEMORY_KIB": "8", "ARGON2_ITERATIONS": "1"}.items():
        monkeypatch.setenv(f"BROKER_{name}", value)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shutil.copy(template, data / "broker.db")
    create_key_file(data / "kek")
    return data


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command line on the folder; `code` is the exit code it must end with."""

    def call(*words: str, code: int = 0, given: str | None = None, json_output: bool = False) -> Result:
        more = ["-o", "json"] if json_output else []
        result = CliRunner().invoke(main, [*words, "--data", str(folder), *more], input=given)
        assert result.exit_code == code, (words, result.exit_code, result.output, result.exception)
        return result

    return call


@pytest.fixture
def told(run: Run) -> Callable[..., object]:
    """What a command answers as JSON."""

    def call(*words: str, **how: object) -> object:
        return json.loads(run(*words, json_output=True, **how).stdout)

    return call


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE)
    return path


@pytest.fixture
def applied(run: Run, estate: Path) -> Path:
    run("apply", str(estate))
    return estate
