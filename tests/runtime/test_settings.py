"""Settings: every one is documented, unsafe ones are refused by name, and no message repeats a secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from broker.settings import Settings

SAFE = {"issuer": "https://as.example"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file and no environment of the developer's."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BROKER_{name.upper()}", raising=False)


def refused(**values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings(**{**SAFE, **values})
    return str(caught.value)


def test_the_defaults_are_safe_and_every_setting_says_what_it_is() -> None:
    settings = Settings()
    assert settings.issuer == "http://127.0.0.1:8400" and not settings.secure and not settings.development
    assert settings.database.startswith("sqlite:////") and settings.database.endswith("/.broker/broker.db")
    for name, field in Settings.model_fields.items():
        assert field.description and field.description.endswith("."), name


@pytest.mark.parametrize(
    "issuer",
    [
        "http://as.example",
        "http://10.0.0.1:8400",
        "https://as.example/",
        "https://as.example/path",
        "https://as.example?x=1",
        "https://as.example#",
        "https://AS.example",
        "HTTPS://as.example",
        "https://user@as.example",
        "https://as.example:443",
        "http://127.0.0.1:80",
        "https://as.example:99999",
        "https://as.example:x",
        "https://[::1",
        "ftp://as.example",
        "as.example",
        "https://",
        "",
    ],
)
def test_an_issuer_that_is_not_safe_or_not_canonical_is_refused_by_name(issuer: str) -> None:
    assert "issuer" in refused(issuer=issuer)


@pytest.mark.parametrize(
    ("issuer", "secure"),
    [
        ("https://as.example", True),
        ("https://as.example:8443", True),
        ("http://127.0.0.1:8400", False),
        ("http://localhost:8400", False),
        ("http://[::1]:8400", False),
    ],
)
def test_an_issuer_that_is_safe_is_taken(issuer: str, secure: bool) -> None:
    assert Settings(issuer=issuer).secure is secure


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code_lifetime", 61),
        ("code_lifetime", 0),
        ("refresh_grace", 11),
        ("refresh_grace", -1),
        ("metadata_max_age", 301),
        ("key_publish_before", 599),
        ("key_retire_after", 899),
        ("registration_per_hour", -1),
        ("failures_per_minute", 0),
        ("argon2_memory_kib", 8),
        ("argon2_iterations", 0),
        ("trusted_proxies", ("not an address",)),
        ("trusted_proxies", ("10.0.0.0/33",)),
        ("log_level", "trace"),
        ("port", 65536),
        ("server_name", "x" * 81),
        ("session_idle", "soon"),
        ("unheard_of", 1),
    ],
)
def test_an_unsafe_value_is_refused_by_name(name: str, value: object) -> None:
    assert name in refused(**{name: value})


def test_cheap_password_hashes_are_for_development_alone() -> None:
    assert Settings(**SAFE, argon2_memory_kib=8, development=True).argon2_memory_kib == 8
    assert "argon2_memory_kib" in refused(argon2_memory_kib=19_455)


def test_a_message_about_settings_repeats_no_secret() -> None:
    text = refused(key_encryption_key="s3cret-" * 8, failures_per_minute=0)
    assert "s3cret" not in text
    settings = Settings(**SAFE, key_encryption_key="s3cret-" * 8)
    assert "s3cret" not in repr(settings) and "s3cret" not in str(settings)


def test_the_environment_wins_over_the_file_and_both_over_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broker.toml").write_text('port = 9001\nserver_name = "From the file"\n')
    assert (Settings().port, Settings().server_name) == (9001, "From the file")
    monkeypatch.setenv("BROKER_PORT", "9002")
    assert (Settings().port, Settings().server_name) == (9002, "From the file")
    (tmp_path / "broker.toml").write_text("prot = 9001\n")
    with pytest.raises(ValidationError, match="prot"):
        Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings(**SAFE).port = 1  # type: ignore[misc]  # that is what is tried


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"approval_webhook_url": "https://hook.example"}, {"approval_webhook_secret_file": "s"}),
        ({"mail_host": "mail.example"}, {"mail_from": "broker@as.example"}),
        ({"mail_user": "broker"}, {"mail_password_file": "p"}),
    ],
)
def test_what_goes_together_is_not_taken_alone(one: dict[str, object], other: dict[str, object]) -> None:
    (name,) = one
    assert name in refused(**one) and name in refused(**other)
    assert Settings(**SAFE, **one, **other)


def test_mail_leaves_this_machine_over_tls_alone() -> None:
    mail = {"mail_from": "broker@as.example", "mail_tls": "none"}
    assert "mail_tls" in refused(mail_host="mail.example", **mail)
    assert Settings(**SAFE, mail_host="127.0.0.1", **mail)
    assert "mail_from" in refused(mail_host="mail.example", mail_from="broker@as.example\r\nBcc: x@y.z")
