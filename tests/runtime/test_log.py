"""Logs say what happened and never a secret: by the name of a member, and by the shape of a text."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from broker.runtime import log
from broker.runtime.log import redact

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
SECRETS = [
    JWT,
    JWT.rsplit(".", 1)[0] + ".",
    "mcpb_rt_" + "a" * 43,
    "mcpb_ac_" + "Z9_-" * 11,
    "mcpb_cs_" + "x" * 43,
    "Basic bmlnaHRseTpzZWNyZXQ=",
    "bearer " + "t" * 20,
]


def redacted(**event: object) -> dict[str, object]:
    return dict(redact(None, "info", dict(event)))


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "Authorization", "cookie", "set_cookie", "client_secret", "password", "new_password",
        "access_token", "refresh_token", "subject_token", "code", "code_verifier", "client_assertion", "dpop",
        "private_key", "csrf", "key_encryption_key", "TOKEN",
    ],
)  # fmt: skip
def test_a_member_with_the_name_of_a_secret_is_hidden_whatever_it_holds(name: str) -> None:
    for value in ("plain", 7, ["a"], {"a": "b"}, None, b"bytes"):
        assert redacted(**{name: value}) == {name: "***"}


@pytest.mark.parametrize(
    "name", ["token_type", "status_code", "key_id", "kid", "error_code", "event", "path", "client"]
)
def test_harmless_members_stay_readable(name: str) -> None:
    assert redacted(**{name: "value"}) == {name: "value"}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "before {} after", "url?x={}&y=1", '{{"a": "{}"}}', "'{}',"])
def test_a_text_in_the_shape_of_a_secret_is_hidden_wherever_it_stands(secret: str, around: str) -> None:
    shown = str(redacted(event=around.format(secret))["event"])
    assert secret not in shown and secret[9:30] not in shown and "***" in shown


def test_several_secrets_in_one_text_are_all_hidden() -> None:
    shown = str(redacted(event=" and ".join(SECRETS))["event"])
    assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize(
    "nested", [{"inner": JWT}, [JWT], ("a", JWT), {"a": [{"b": JWT}]}, {"password": "hunter2"}]
)
def test_a_secret_inside_of_a_value_is_hidden_too(nested: object) -> None:
    shown = json.dumps(redacted(detail=nested), default=str)
    assert JWT not in shown and "hunter2" not in shown


def test_a_line_is_one_json_object_without_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    try:
        log.configure("info")
        made = structlog.wrap_logger(structlog.PrintLogger(), room="web")
        made.info("refused", path=f"/cb?code={SECRETS[3]}", authorization="Basic x", request_id="req_1")
        made.debug("not at this level", access_token=JWT)
        try:
            raise ValueError(f"bad {JWT}")
        except ValueError:
            made.error("fault", exc_info=True)
    finally:
        structlog.configure(**before)
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in (captured.out + captured.err).splitlines()]
    assert [line["level"] for line in lines] == ["info", "error"]
    assert (
        lines[0]["room"] == "web" and lines[0]["request_id"] == "req_1" and lines[0]["authorization"] == "***"
    )
    assert JWT not in captured.out + captured.err and SECRETS[3] not in captured.out + captured.err
    assert "ValueError" in lines[1]["exception"]


@pytest.fixture
def configured() -> Iterator[None]:
    before, root = structlog.get_config(), logging.getLogger().handlers[:]
    log.configure("info")
    structlog.configure(cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = root


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR, logging.CRITICAL, 35, 99])
def test_what_a_library_logs_is_a_line_like_ours(capsys: pytest.CaptureFixture[str], level: int) -> None:
    logging.getLogger("some.library").log(level, "sent %s", SECRETS[2])
    line = json.loads(capsys.readouterr().err)
    assert line["room"] == "some.library" and line["event"] == "sent ***"


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("error", [OSError(28, "no space"), BrokenPipeError(), ValueError("closed")])
def test_a_log_that_cannot_be_written_fails_nobody(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise error

    monkeypatch.setattr(sys, "stderr", Gone())
    log.logger("web").error("nobody hears this")
