"""The demo, run as a newcomer runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

pytest.importorskip("mcp", reason="the official MCP SDK is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

RUN = Path(__file__).parents[2] / "docs" / "demo" / "run.py"


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(RUN), "--once", "--port", "0"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=90,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
    )


@pytest.fixture(scope="module")
def story() -> str:
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "line",
    [
        r"POST http://127\.0\.0\.1:\d+/mcp → 401",
        r'WWW-Authenticate: Bearer scope="tickets:read", resource_metadata="http://',
        r"GET http://127\.0\.0\.1:\d+/\.well-known/oauth-protected-resource/mcp → 200",
        r"GET http://127\.0\.0\.1:\d+/\.well-known/oauth-authorization-server/t/acme → 200",
        r"client_id: \S+ ",
        r"\] → alice and the password",
        r"tools/list → search_tickets\n",
        r"tools/call search_tickets → T-2",
        r"tools/call read_customer → 403",
        r'WWW-Authenticate: Bearer error="insufficient_scope"',
        r'tools/call read_customer → \{"name": "Globex", .*"phone": "\[redacted\]"',
        r"so it knows: alice, through tickets-server ← \S+",
        r"jti \S+ → \S+",
        r"GET \S+/customers/C-17 with the exchanged token → 200",
        r"GET \S+/customers/C-17 with the client's token → 401",
        r"POST \S+/mcp with the exchanged token → 401",
        r"tools/call refund T-2, 40 → asks for input",
        r"Sign in to Acme Corporation\] → bob and the password",
        r"\[Allow this one call of refund\?\] → approve",
        r"tools/call refund T-2, 40, again → 40 paid back for T-2",
        r"with the same idempotency key → 40 paid back for T-2\n +paid 40 for T-2, asked by alice\n\n",
        r"tools/call refund T-2, 41 → asks for input: open a page\n +paid 40 for T-2, asked by alice\n\n",
        r"exchange\.granted",
        r"approval\.granted",
        r"decision\.made +denied: duplicate",
        r"All of it is true\.",
    ],
)
def test_the_story_shows(story: str, line: str) -> None:
    assert re.search(line, story), story


def test_the_downstream_token_names_user_tenant_and_every_actor(story: str) -> None:
    seen = story.partition("the token, as the CRM saw it:")[2]
    assert re.search(r'header    \{.*"typ": "at\+jwt"', seen)
    expected = {"sub": "alice", "client_id": "tickets-server", "tenant": "acme", "scope": "crm:read"}
    for claim, value in expected.items():
        assert re.search(rf"\n +{claim} +{value}\n", seen), seen
    assert re.search(r'\n +act +\{.*"client_id": "tickets-server".*"act": \{', seen)


def test_the_story_shows_no_token_code_or_secret(story: str) -> None:
    assert not re.search(r"eyJ[\w-]+\.eyJ", story)
    assert not re.search(r"[?&]code=", story)
    assert "only-for-the-demo" not in story


def test_nothing_is_left_running(story: str) -> None:
    door, tickets, crm = (
        re.search(rf"(http://127\.0\.0\.1:\d+)\S*   {what}", story)
        for what in ("the door", "MCP server", "downstream API")
    )
    assert door and tickets and crm, story
    for found in (door, tickets, crm):
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(found[1], trust_env=False)


def test_a_failure_names_the_step_shows_the_log_and_exits_with_1() -> None:
    done = run(BROKER_LOG_LEVEL="nonsense")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED at: The broker starts" in done.stdout
    assert "log_level" in done.stdout.partition("the last lines of broker")[2]
    assert "All of it is true" not in done.stdout
