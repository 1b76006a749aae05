"""`broker init`: everything or nothing, and never over something that is there."""

import json
import os
import pty
import select
import stat
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker import app
from broker.cli.doctor import examine
from broker.cli.init import init
from broker.cli.local import Place, apply_of, composed, settings_for
from broker.identity.users.model import Membership
from tests.engines import Engine, Postgres

PASSWORD = "canary of a password"
WORDS = ("--non-interactive", "--issuer", "https://as.example", "--tenant", "acme", "--admin", "Alice")
Invoke = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and cheap passwords."""
    for name, value in {"DEVELOPMENT": "true", "ARGON2_MEMORY_KIB": "8", "ARGON2_ITERATIONS": "1"}.items():
        monkeypatch.setenv(f"BROKER_{name}", value)
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def invoke(here: Path) -> Invoke:
    def call(*words: str, code: int = 0, given: str = PASSWORD + "\n") -> Result:
        result = CliRunner().invoke(init, words or WORDS, input=given)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return call


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_everything_is_made_for_its_owner_alone_and_can_be_used(here: Path, invoke: Invoke) -> None:
    shown = invoke().stdout
    assert "broker doctor" in shown and "broker serve" in shown and "alice" in shown
    assert (
        mode(here / "broker.toml") == mode(here / ".broker/kek") == mode(here / ".broker/broker.db") == 0o600
    )
    assert mode(here / ".broker") == 0o700
    assert tomllib.loads((here / "broker.toml").read_text()) == {
        "issuer": "https://as.example",
        "data": str(here / ".broker"),
    }
    broker = composed(settings_for(Place(None, None)))
    try:
        holdings = apply_of(broker).holdings()
        assert list(holdings.tenants) == ["acme"]
        assert holdings.users["alice"].memberships == (Membership("acme", ("owner",)),)
        assert broker.people.password_matches("alice", PASSWORD)
        assert broker.door_keys.ring().published("https://as.example/t/acme")
    finally:
        broker.close()
    assert PASSWORD not in shown and not any(PASSWORD.encode() in body for body in contents(here).values())


def test_the_doctor_finds_nothing_unhealthy_afterwards(here: Path, invoke: Invoke, monkeypatch) -> None:
    invoke()
    for name in [name for name in os.environ if name.startswith("BROKER_")]:
        monkeypatch.delenv(name)
    assert [finding for finding in examine(Place(None, None)) if finding.level == "fail"] == []


def test_what_was_made_is_told_as_json_too(invoke: Invoke) -> None:
    told = json.loads(invoke(*WORDS, "-o", "json").stdout)
    assert told["next"] == ["broker doctor", "broker serve"]
    assert [line.split()[0] for line in told["made"]] == [
        "settings",
        "data",
        "sealing",
        "database",
        "tenant",
        "user",
    ]


def test_a_second_time_is_refused_and_changes_nothing(here: Path, invoke: Invoke) -> None:
    invoke()
    before = contents(here)
    assert "There is a settings file already" in invoke(code=1).stderr
    assert contents(here) == before


@pytest.mark.parametrize("name", [".broker/broker.db", ".broker/kek", ".broker/development.json"])
def test_a_part_of_a_broker_is_left_alone(here: Path, invoke: Invoke, name: str) -> None:
    (here / ".broker").mkdir()
    (here / name).write_text("{}")
    before = contents(here)
    assert name in invoke(code=1).stderr
    assert contents(here) == before


def test_an_empty_data_folder_is_used_as_it_is(here: Path, invoke: Invoke) -> None:
    data = here / "volume"
    data.mkdir(mode=0o750)
    made = json.loads(invoke(*WORDS, "--data", "volume", "-o", "json").stdout)["made"]
    assert not any("data folder" in line for line in made)
    assert mode(data) == 0o750 and mode(data / "broker.db") == 0o600


@pytest.mark.parametrize(
    ("words", "given", "code", "said"),
    [
        (("--issuer", "http://as.example"), None, 1, "issuer"),
        (("--tenant", "A B"), None, 1, "tenants[0].id: an id is"),
        (("--admin", "a b"), None, 1, "users[0].id: an id is"),
        ((), "short\n", 1, "A password has at least"),
        ((), "", 1, "nothing was given"),
        (("--password-file", "nowhere"), None, 1, "cannot be read"),
        (("--database", "mysql://127.0.0.1/x"), None, 1, "database URL"),
        (("--database", "postgresql://broker@127.0.0.1:1/broker"), None, 5, "does not answer"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_made(
    here: Path, invoke: Invoke, words: tuple[str, ...], given: str | None, code: int, said: str
) -> None:
    shown = invoke(*WORDS, *words, code=code, given=PASSWORD + "\n" if given is None else given)
    assert said in shown.stderr and list(here.iterdir()) == []


@pytest.mark.parametrize("missing", ["issuer", "tenant", "admin"])
def test_without_a_terminal_what_is_missing_is_an_error(here: Path, invoke: Invoke, missing: str) -> None:
    at = WORDS.index(f"--{missing}")
    assert f"Give --{missing}." in invoke(*WORDS[:at], *WORDS[at + 2 :], code=2).stderr
    assert list(here.iterdir()) == []


def test_an_environment_that_would_go_before_the_file_is_said(
    here: Path, invoke: Invoke, monkeypatch
) -> None:
    monkeypatch.setenv("BROKER_ISSUER", "https://other.example")
    assert "says otherwise of issuer" in invoke(code=1).stderr
    assert list(here.iterdir()) == []
    monkeypatch.setenv("BROKER_ISSUER", "https://as.example")
    at = WORDS.index("--issuer")
    invoke(*WORDS[:at], *WORDS[at + 2 :])


def test_a_failure_half_way_undoes_what_was_made(here: Path, invoke: Invoke, monkeypatch) -> None:
    def full(url: str) -> None:
        raise OSError(28, "No space left on device", url)

    with monkeypatch.context() as broken:
        broken.setattr(app, "migrate", full)
        assert "No space left" in invoke(code=1).stderr
    assert list(here.iterdir()) == []
    invoke()


def test_a_sealing_key_from_elsewhere_is_used(here: Path, invoke: Invoke, monkeypatch) -> None:
    monkeypatch.setenv("BROKER_KEY_ENCRYPTION_KEY", "ab" * 32)
    invoke()
    assert not (here / ".broker/kek").exists()
    composed(settings_for(Place(None, None))).close()


def test_the_password_is_read_from_a_file(here: Path, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    invoke(*WORDS, "--password-file", str(tmp_path / "password"), given="")
    broker = composed(settings_for(Place(None, None)))
    assert broker.people.password_matches("alice", PASSWORD)
    broker.close()


def test_at_a_terminal_it_asks_and_the_password_is_not_echoed(here: Path) -> None:
    code = "import sys; from broker.cli.init import init; init([])"
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": str(_ROOT)})
    answers = {
        "Issuer": "https://as.example",
        "Id of the first tenant": "acme",
        "Id of its owner": "alice",
        "Password of alice": PASSWORD,
        "Repeat for confirmation": PASSWORD,
    }
    seen = ""
    for prompt, answer in answers.items():
        while not (prompt in seen and seen.rstrip().endswith(":")):
            seen += _read(terminal)
        shown, seen = seen, ""
        assert PASSWORD not in shown
        os.write(terminal, answer.encode() + b"\n")
    while part := _read(terminal):
        seen += part
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, seen
    assert PASSWORD not in seen and "alice is owner of acme" in seen
    assert (here / "broker.toml").exists()


_ROOT = Path(__file__).parents[2]


def _read(terminal: int) -> str:
    """What the other end wrote; empty once it is gone."""
    assert select.select([terminal], [], [], 30)[0], "nothing more came"
    try:
        return os.read(terminal, 4096).decode()
    except OSError:
        return ""


@pytest.fixture
def postgres(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Postgres]:
    if isinstance(engine, Postgres):
        yield engine
        return
    made = Postgres(request.getfixturevalue("postgres_url"))
    yield made
    made.close()


def test_a_migrated_postgresql_is_begun_once(here: Path, invoke: Invoke, postgres: Postgres) -> None:
    url = postgres.fresh(here)
    invoke(*WORDS, "--database", url)
    assert tomllib.loads((here / "broker.toml").read_text())["database_url"] == url
    assert mode(here / "broker.toml") == 0o600 and not (here / ".broker/broker.db").exists()
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    shown = invoke(*WORDS, "--database", url, code=1)
    assert "holds a broker already" in shown.stderr and list(elsewhere.iterdir()) == []
    postgres.drop(url)
