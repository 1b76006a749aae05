"""`broker serve` starts on nothing unsafe, and says which setting it is and what to do."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.cli import serve as serving
from broker.cli.main import main
from broker.settings import Settings
from keys.sealed import KeyEncryptionKey, create_key_file
from tests.certificates import Authority

PUBLIC = {"BROKER_ISSUER": "https://as.example"}
PROXIED = {"BROKER_TRUSTED_PROXIES": '["10.0.0.1"]'}
HOOK = {
    "BROKER_ALERT_WEBHOOK_URL": "https://hooks.example",
    "BROKER_ALERT_WEBHOOK_SECRET_FILE": ".broker/kek",
}
Start = Callable[..., Result]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, int, bool]]:
    """What was about to be served; nothing is."""
    found: list[tuple[Settings, int, bool]] = []

    def serve(settings: Settings, workers: int, *, leased: bool) -> None:
        found.append((settings, workers, leased))

    monkeypatch.setattr(serving, "serve", serve)
    monkeypatch.setattr(serving, "taken", lambda *_: False)
    return found


@pytest.fixture
def start(started: object, tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run `broker serve` on a migrated folder with a good key file."""
    for name in [name for name in os.environ if name.upper().startswith("BROKER_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("AUTHLIB_INSECURE_TRANSPORT", raising=False)
    monkeypatch.chdir(tmp_path)
    data = tmp_path / ".broker"
    data.mkdir(mode=0o700)
    (data / "broker.db").write_bytes(template.read_bytes())
    create_key_file(data / "kek")

    def call(*words: str, command: str = "serve", **environment: str) -> Result:
        return CliRunner().invoke(main, [command, *words], env=environment)

    return call


def test_a_safe_start_is_made(start: Start, started: list[tuple[Settings, int, bool]]) -> None:
    assert start(**PUBLIC).exit_code == 0
    assert start("--no-worker", BROKER_TRUSTED_PROXIES='["10.0.0.0/8"]').exit_code == 0
    assert start(BROKER_LOG_LEVEL="debug").exit_code == 0, "on loopback"
    assert [(workers, leased) for _, workers, leased in started] == [(1, True), (1, False), (1, True)]
    assert start(**PUBLIC, **HOOK).exit_code == 0


def test_what_others_reach_has_an_https_issuer(
    start: Start, started: list[tuple[Settings, int, bool]]
) -> None:
    assert start(**PUBLIC, BROKER_HOST="0.0.0.0").exit_code == 0
    assert start(BROKER_HOST="::1").exit_code == 0
    assert start(BROKER_HOST="127.0.0.2").exit_code == 0
    assert [settings.host for settings, _, _ in started] == ["0.0.0.0", "::1", "127.0.0.2"]


def test_certificates_are_taken_from_proxies_that_can_be_believed(
    start: Start, started: list[object], tmp_path: Path
) -> None:
    believed = {**PUBLIC, **PROXIED, "BROKER_CLIENT_CERTIFICATE_HEADER": "ClientCert"}
    authorities = str(Authority().file(tmp_path))
    assert start(**believed, BROKER_CLIENT_CERTIFICATE_AUTHORITIES=authorities).exit_code == 0
    hyphen = {**believed, "BROKER_CLIENT_CERTIFICATE_HEADER": "Client-Cert"}
    assert start(**hyphen, BROKER_PROXIES_DROP_UNDERSCORES="true").exit_code == 0
    assert start(**PUBLIC, BROKER_MTLS_ORIGIN="https://mtls.as.example:8443").exit_code == 0
    assert len(started) == 3


@pytest.mark.parametrize(
    ("environment", "named", "fix"),
    [
        ({"BROKER_ISSUER": "http://as.example"}, "issuer", "use https"),
        ({"BROKER_DEVELOPMENT": "true"}, "development", "unset it"),
        ({"BROKER_ISUER": "https://as.example"}, "BROKER_ISUER", "correct or unset it"),
        ({"broker_typo": "1"}, "broker_typo", "correct or unset it"),
        ({"AUTHLIB_INSECURE_TRANSPORT": "0"}, "AUTHLIB_INSECURE_TRANSPORT", "unset it"),
        ({**PUBLIC, "BROKER_LOG_LEVEL": "debug"}, "log_level", "use info"),
        ({"BROKER_TRUSTED_PROXIES": '["0.0.0.0/0"]'}, "trusted_proxies", "name the addresses"),
        ({"BROKER_TRUSTED_PROXIES": '["10.0.0.1", "::/0"]'}, "trusted_proxies", "name the addresses"),
        ({"BROKER_WORKERS": "2"}, "workers", "database_url"),
        ({"BROKER_KEY_ENCRYPTION_KEY": "0" * 64}, "key_encryption_key", "openssl rand"),
        ({"BROKER_KEY_ENCRYPTION_KEY": "short"}, "key_encryption_key", "32 bytes"),
        ({"BROKER_KEY_ENCRYPTION_KEY_FILE": "absent"}, "key_encryption_key_file", "make one"),
        ({"BROKER_ARGON2_MEMORY_KIB": "8"}, "argon2_memory_kib", "at least"),
        ({"BROKER_CLIENT_CERTIFICATE_HEADER": "ClientCert"}, "client_certificate_header", "trusted_proxies"),
        ({"BROKER_CLIENT_CERTIFICATE_HEADER": "Client_Cert"}, "client_certificate_header", "pattern"),
        (
            {**PROXIED, "BROKER_CLIENT_CERTIFICATE_HEADER": "Client-Cert"},
            "Client_Cert",
            "proxies_drop_underscores",
        ),
        ({"SSL_CLIENT_CERT": "x"}, "SSL_CLIENT_CERT", "unset it"),
        (
            {"BROKER_CLIENT_CERTIFICATE_AUTHORITIES": "absent"},
            "client_certificate_authorities",
            "No such file",
        ),
        ({"BROKER_CLIENT_CERTIFICATE_AUTHORITIES": ".broker/kek"}, "client_certificate_authorities", "PEM"),
        ({"BROKER_MTLS_ORIGIN": "https://mtls.example/"}, "mtls_origin", "pattern"),
        ({"BROKER_ALERT_WEBHOOK_URL": "https://hooks.example"}, "alert_webhook_url", "goes together"),
        ({**HOOK, "BROKER_ALERT_WEBHOOK_SECRET_FILE": "absent"}, "alert_webhook_secret_file", "No such file"),
        ({**HOOK, "BROKER_ALERT_WEBHOOK_URL": "http://hooks.example"}, "alert_webhook_url", "in the clear"),
        ({"BROKER_HOST": "0.0.0.0"}, "host", "https issuer"),
        ({"BROKER_HOST": "::", "BROKER_ISSUER": "http://localhost:8400"}, "host", "https issuer"),
    ],
)
@pytest.mark.requirement("MCP-AS-22")
def test_an_unsafe_one_is_refused_by_name(
    start: Start, started: list[object], environment: dict[str, str], named: str, fix: str
) -> None:
    result = start(**environment)
    assert result.exit_code == 1 and started == []
    assert named in result.output and fix in result.output, result.output


def test_more_workers_than_the_engine_takes_are_refused(start: Start, started: list[object]) -> None:
    result = start("--workers", "2")
    assert result.exit_code == 1 and "PostgreSQL" in result.output and started == []


def test_every_reason_is_told_at_once(start: Start) -> None:
    result = start(BROKER_DEVELOPMENT="true", BROKER_TYPO="1", BROKER_WORKERS="3")
    assert all(name in result.output for name in ("development", "BROKER_TYPO", "workers"))


def test_a_stranger_in_the_file_is_refused_by_name(
    start: Start, tmp_path: Path, started: list[object]
) -> None:
    (tmp_path / "broker.toml").write_text('isuer = "https://as.example"\n')
    result = start()
    assert result.exit_code == 1 and "isuer" in result.output and started == []
    (tmp_path / "broker.toml").write_text('issuer = "https://as.example"\n')
    assert start().exit_code == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_file_that_others_can_open_is_refused(
    start: Start, tmp_path: Path, started: list[object], mode: int
) -> None:
    (tmp_path / ".broker" / "kek").chmod(mode)
    result = start()
    assert result.exit_code == 1 and "chmod 600" in result.output and started == []


@pytest.mark.parametrize(
    "key",
    [bytes(32), b"\xff" * 32, b"k" * 32, bytes(range(32)), bytes(range(64, 0, -2)), b"0123456789abcdef" * 2,
     bytes.fromhex("00112233445566778899aabbccddeeff" * 2), b"correct horse battery staple, ok"],
)  # fmt: skip
def test_a_key_that_nobody_drew_at_random_is_weak(start: Start, started: list[object], key: bytes) -> None:
    assert KeyEncryptionKey(key).weak()
    result = start(BROKER_KEY_ENCRYPTION_KEY=key.hex())
    assert result.exit_code == 1 and key.hex() not in result.output and started == []


def test_a_key_drawn_at_random_is_not() -> None:
    assert not any(KeyEncryptionKey(os.urandom(32)).weak() for _ in range(2000))


def test_a_key_that_does_not_open_the_database_is_said(start: Start, tmp_path: Path) -> None:
    assert start().exit_code == 0
    (tmp_path / ".broker" / "kek").unlink()
    create_key_file(tmp_path / ".broker" / "kek")
    result = start()
    assert result.exit_code == 1 and "key_encryption_key" in result.output
    assert not result.exception or isinstance(result.exception, SystemExit)


def test_a_database_that_is_behind_is_told_to_migrate(
    start: Start, tmp_path: Path, started: list[object]
) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / ".broker" / "broker.db") as database:
        database.execute("DELETE FROM alembic_version")
    result = start()
    assert result.exit_code == 1 and "broker migrate" in result.output and started == []


def test_a_database_of_a_later_release_serves(start: Start, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / ".broker" / "broker.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'of the next release'")
    assert start().exit_code == 0


def test_the_worker_refuses_the_same(start: Start) -> None:
    result = start(command="worker", BROKER_DEVELOPMENT="true", BROKER_TYPO="1")
    assert result.exit_code == 1 and "development" in result.output and "BROKER_TYPO" in result.output
