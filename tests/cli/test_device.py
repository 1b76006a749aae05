"""`broker perform device` and `broker run --device` against a broker that serves on loopback; nobody waits for real."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.cli import device as cli
from broker.cli.main import main
from tests.cli.conftest import ESTATE
from tests.cli.test_perform import RESOURCE, Person, Served, access_token, perform
from tests.cli.test_perform import secret as secret
from tests.cli.test_perform import served as served
from tests.lab import claims

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CLIENTS = f"""
  - {{client_id: tv-app, type: public, grant_types: ["{DEVICE}"], scopes: ["tickets:read"]}}
  - {{client_id: box, type: confidential, tenant: acme, client_secret: "box-secret",
     grant_types: ["{DEVICE}"], scopes: ["tickets:read"]}}
resources:"""
WORDS = ("device", "--resource", RESOURCE)


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    path = tmp_path / "estate.yaml"
    text = ESTATE.replace("name: Acme}", "name: Acme, device: true}").replace("\nresources:", CLIENTS)
    path.write_text(text)
    return path


@dataclass
class Meanwhile:
    """What happens while the device waits: at the first pause nothing, at the second somebody answers."""

    decision: str = "allow"
    polls_before: int = 1
    told: dict[str, object] = field(default_factory=dict)
    paces: list[float] = field(default_factory=list)

    def where(self, begun: dict[str, object]) -> str:
        self.told = begun
        return f"type {begun['user_code']} at {begun['verification_uri']}"

    def pause(self, seconds: float) -> None:
        self.paces.append(seconds)
        if len(self.paces) == self.polls_before + 1:
            person = Person(str(self.told["verification_uri_complete"]), self.decision)
            person.start()
            person.join()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    found = Meanwhile()
    monkeypatch.setattr(cli, "pause", found.pause)
    monkeypatch.setattr(cli, "_where", found.where)
    return found


def test_a_device_waits_for_its_person_and_the_whole_flow_is_shown(
    served: Served, meanwhile: Meanwhile
) -> None:
    result = perform(*WORDS, "--issuer", served.issuer, "--client-id", "tv-app")
    shown = result.stdout
    assert f"type {meanwhile.told['user_code']} at {served.issuer}/device" in shown
    assert "authorization_pending" in shown and '"sub": "alice"' in shown and "code_verifier: ***" in shown
    assert claims(access_token(result))["client_id"] == "tv-app"
    assert meanwhile.paces == [5, 5]


def test_a_confidential_client_runs_it_too_with_its_key(
    served: Served, meanwhile: Meanwhile, secret: Callable[[str], str]
) -> None:
    words = (*WORDS, "--issuer", f"{served.issuer}/t/acme", "--client-id", "box", "--dpop")
    result = perform(*words, "--secret-file", secret("box-secret"))
    assert "token_type: DPoP" in result.stdout and "box-secret" not in result.output


def test_a_device_that_is_told_to_slow_down_does(served: Served, meanwhile: Meanwhile) -> None:
    meanwhile.polls_before = 3
    perform(*WORDS, "--issuer", served.issuer, "--client-id", "tv-app")
    assert meanwhile.paces == [5, 5, 10, 15], "the server's clock does not move between these polls"


def test_a_person_who_refuses_ends_it_with_4(served: Served, meanwhile: Meanwhile) -> None:
    meanwhile.decision = "deny"
    result = perform(*WORDS, "--issuer", served.issuer, "--client-id", "tv-app", code=4)
    assert "access_denied" in result.stderr


def test_nobody_answers_and_it_ends(
    served: Served, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr(cli, "ticking", lambda: float(next(now)))
    meanwhile.polls_before = 99
    words = (*WORDS, "--issuer", served.issuer, "--client-id", "tv-app", "--wait", "10")
    assert "Nobody answered in time" in perform(*words, code=1).stderr
    assert 1 <= len(meanwhile.paces) <= 3


def test_a_client_that_is_not_for_devices_is_told_so(served: Served, meanwhile: Meanwhile) -> None:
    result = perform(*WORDS, "--issuer", served.issuer, "--client-id", "desk-app", code=4)
    assert "unauthorized_client" in result.stderr and not meanwhile.paces


def test_the_person_is_told_where_to_go_and_what_to_type() -> None:
    begun = {"verification_uri": "https://as.example/device", "user_code": "BBBBB-CC\x1bCCC"}
    told = cli._where(begun)
    assert "https://as.example/device" in told and "BBBBB-CC\ufffdCCC" in told
    assert "compare" in cli._where({**begun, "verification_uri_complete": "https://as.example/device?x"})


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["run", "--resource", "tickets", "--device", *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stderr


def test_a_command_runs_with_a_token_that_a_person_allowed_elsewhere(
    served: Served, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    script = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['MCP_ACCESS_TOKEN'])"
    there = tmp_path / "there"
    words = ("--issuer", served.issuer, "--client-id", "tv-app")
    told = run(*words, "--", sys.executable, "-c", script, str(there))
    token = there.read_text()
    assert claims(token)["sub"] == "alice" and claims(token)["aud"] == RESOURCE
    assert f"type {meanwhile.told['user_code']}" in told and token not in told
    facts = served.broker.world.database.read(
        lambda tx: tx.connection.exec_driver_sql("SELECT body FROM audit_record").scalars().all()
    )
    assert [json.loads(fact)["fact"] for fact in facts].count("grant.revoked") == 1, "taken back at the end"


def test_without_a_registered_client_no_device_begins(served: Served) -> None:
    assert "--client-id" in run("--issuer", served.issuer, "--", "true", code=2)
