"""Each command: what it does, what it answers, and its exit code."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from broker import app
from broker.authorization import store as grants_store  # a grant to list, without walking the front channel
from broker.authorization.model import Grant
from broker.cli.dev import prepare
from broker.cli.local import Place, composed, settings_for
from broker.cli.main import main
from broker.cli.serve import taken
from broker.identity.clients.clients import secret_hash
from broker.protocol.origin import Origin
from broker.settings import Settings


def broker_at(folder: Path) -> app.Broker:
    return composed(settings_for(Place(folder, None)))


def test_apply_tells_the_changes_and_the_second_time_none(run, estate) -> None:
    first = run("apply", str(estate)).stdout
    assert "+ tenant acme\n" in first and "8 changed." in first
    assert run("apply", str(estate)).stdout == "Nothing changed.\n"


def test_a_dry_run_changes_nothing(run, told, estate) -> None:
    assert "8 to change." in run("apply", str(estate), "--dry-run").stdout
    assert told("tenant", "list") == []
    assert "8 changed." in run("apply", str(estate)).stdout
    assert run("apply", str(estate), "--dry-run").stdout == "Nothing changes.\n"


def test_prune_deletes_what_the_file_has_not(run, told, applied, tmp_path) -> None:
    small = tmp_path / "small.yaml"
    small.write_text("tenants: [{id: acme, name: Acme}]")
    assert run("apply", str(small)).stdout == "Nothing changed.\n"
    assert "- edge tickets->crm" in run("apply", str(small), "--prune").stdout
    assert told("resource", "list") == []


def test_a_change_shows_before_and_after_but_no_secret(run, applied) -> None:
    applied.write_text(
        applied.read_text().replace("Desk App", "Desk").replace("night-secret", "other-secret")
    )
    shown = run("apply", str(applied)).stdout
    assert '~ client desk-app\n    name: "Desk App" -> "Desk"' in shown
    assert 'client_secret: "***" -> "***"' in shown and "other-secret" not in shown


def test_a_file_with_problems_names_them_all_and_ends_with_1(run, tmp_path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("tenants: [{id: A}]\nusers: [{id: bob, tenants: [{id: nowhere}]}]")
    shown = run("apply", str(wrong), code=1).stderr
    assert (
        "tenants[0].id: an id is" in shown and "users[0].tenants[0].id: there is no tenant nowhere" in shown
    )


def test_export_applies_back_to_nothing_and_holds_no_secret(run, applied, tmp_path) -> None:
    exported = run("export").stdout
    assert "night-secret" not in exported and "good password" not in exported
    again = tmp_path / "again.yaml"
    again.write_text(exported)
    assert run("apply", str(again), "--prune").stdout == "Nothing changed.\n"


@pytest.mark.parametrize(
    ("noun", "identifier", "member", "value"),
    [
        ("tenant", "acme", "name", "Acme"),
        ("user", "alice", "name", "Alice"),
        ("client", "desk-app", "type", "public"),
        ("resource", "tickets", "kind", "mcp"),
        ("edge", "tickets->crm", "to", "crm"),
    ],
)
def test_a_noun_is_listed_and_got(
    run, told, applied, noun: str, identifier: str, member: str, value: str
) -> None:
    assert any(item[member] == value for item in told(noun, "list"))
    got = told(noun, "get", identifier)
    assert got[member] == value and not {"password", "client_secret"} & set(got)
    assert value in run(noun, "get", identifier).stdout
    run(noun, "get", "nothing", code=3)


@pytest.mark.parametrize(
    ("noun", "key", "created", "updated"),
    [
        ("tenant", "globex", {"id": "globex"}, {"id": "globex", "name": "Globex"}),
        ("user", "bob", {"id": "bob"}, {"id": "bob", "tenants": [{"id": "acme"}]}),
        (
            "client",
            "job",
            {"client_id": "job", "type": "confidential", "grant_types": ["client_credentials"]},
            {
                "client_id": "job",
                "type": "confidential",
                "grant_types": ["client_credentials"],
                "tenant": "acme",
            },
        ),
        (
            "resource",
            "notes",
            {"id": "notes", "kind": "mcp", "uri": "https://notes.example", "tenants": ["acme"]},
            {"id": "notes", "kind": "mcp", "uri": "https://notes.example/mcp", "tenants": "*"},
        ),
        (
            "edge",
            "crm->tickets",
            {"from": "crm", "to": "tickets", "scopes": {}},
            {"from": "crm", "to": "tickets", "scopes": {"crm:read": ["tickets:read"]}},
        ),
    ],
)
def test_a_noun_is_created_updated_and_deleted(run, told, applied, noun, key, created, updated) -> None:
    run(noun, "update", "--file", "-", given=json.dumps(created), code=3)
    assert f"+ {noun} {key}" in run(noun, "create", "--file", "-", given=json.dumps(created)).stdout
    run(noun, "create", "--file", "-", given=json.dumps(created), code=1)
    assert f"~ {noun} {key}" in run(noun, "update", "--file", "-", given=json.dumps(updated)).stdout
    assert run(noun, "update", "--file", "-", given=json.dumps(updated)).stdout == "Nothing changed.\n"
    assert f"- {noun} {key}" in run(noun, "delete", key).stdout
    run(noun, "get", key, code=3)
    run(noun, "delete", key, code=3)


def test_a_list_of_edges_says_who_made_them_and_when(run, told, applied) -> None:
    [edge] = json.loads(run("edge", "list", "-o", "json").stdout)
    assert edge["created_by"] == "cli" and edge["created"].endswith("Z")
    assert (edge["purpose"], edge["expires"]) == (None, None)


def test_what_is_still_referred_to_is_not_deleted(run, told, applied) -> None:
    assert "edge tickets->crm.to: there is no resource crm" in run("resource", "delete", "crm", code=1).stderr
    assert "there is no tenant acme" in run("tenant", "delete", "acme", code=1).stderr
    assert (
        "tickets-server is the resource's own client"
        in run("client", "delete", "tickets-server", code=1).stderr
    )
    run("edge", "delete", "tickets->crm")
    run("resource", "delete", "crm")


def test_an_object_that_does_not_fit_is_refused(run, applied) -> None:
    assert (
        "users[0].password: A password has"
        in run("user", "create", "--file", "-", given='{"id": "bob", "password": "short"}', code=1).stderr
    )
    assert (
        "the estate file has no such member"
        in run("tenant", "create", "--file", "-", given='{"id": "b", "x": 1}', code=1).stderr
    )
    run("tenant", "create", code=2)


def test_a_password_is_set_from_standard_input_and_never_shown(run, folder, applied) -> None:
    shown = run("user", "set-password", "alice", given="another good password\n")
    assert "another good password" not in shown.output
    broker = broker_at(folder)
    assert broker.people.password_matches("alice", "another good password")
    broker.close()
    run("user", "set-password", "nobody", given="another good password\n", code=3)
    run("user", "set-password", "alice", given="short\n", code=1)
    run("user", "set-password", "alice", given="", code=1)


def test_a_rotated_secret_is_printed_once_and_works(run, folder, applied) -> None:
    secret = run("client", "rotate-secret", "nightly").stdout.strip()
    assert secret.startswith("mcpb_cs_") and len(secret) > 40
    broker = broker_at(folder)
    assert broker.world.database.read(lambda tx: broker.clients.has_secret(tx, "nightly", secret))
    broker.close()
    for words in (("client", "get", "nightly"), ("client", "list"), ("export",), ("audit", "tail")):
        assert secret not in run(*words).output
    run("client", "rotate-secret", "nobody", code=3)
    run("client", "rotate-secret", "desk-app", code=1)


def test_a_secret_that_overlaps_is_rotated_out_later(run, folder, applied) -> None:
    first = run("client", "rotate-secret", "nightly").stdout.strip()
    second = run("client", "rotate-secret", "nightly", "--overlap", "86400").stdout.strip()
    broker = broker_at(folder)
    kept = broker.clients.with_secrets(broker.estate().doors.root, "nightly")[1]
    broker.close()
    assert {one.hash: one.expires_at is None for one in kept} == {
        secret_hash(first): False,
        secret_hash(second): True,
    }
    run("client", "rotate-secret", "nightly", "--overlap", "-1", code=2)
    run("client", "rotate-secret", "nightly", "--overlap", str(31 * 86400), code=2)


def test_a_switch_is_thrown_listed_and_lifted(run, told, applied) -> None:
    run("switch", "throw", "client", "nightly", "--why", "leaked")
    [thrown] = told("switch", "list")
    assert (thrown["kind"], thrown["id"], thrown["why"]) == ("client", "nightly", "leaked")
    run("switch", "lift", "client", "nightly", "--why", "rotated")
    run("switch", "lift", "client", "nightly", "--why", "again", code=3)
    assert told("switch", "list") == []
    facts = [json.loads(line) for line in run("audit", "query", json_output=True).stdout.splitlines()]
    assert [fact["change"]["why"] for fact in facts if fact["fact"].startswith("switch.")] == [
        "leaked",
        "rotated",
    ]


def test_a_misspelt_switch_is_not_thrown(run, told, applied) -> None:
    run("switch", "throw", "client", "nihgtly", "--why", "x", code=3)
    run("switch", "throw", "grant", "nothing", "--why", "x", code=3)
    run("switch", "throw", "everything", "all", "--why", "x", code=2)
    run("switch", "throw", "tenant", "acme", code=2)
    run("switch", "throw", "edge", "tickets->crm", "--why", "x")
    run("switch", "throw", "everything", "*", "--why", "x")
    assert len(told("switch", "list")) == 2


def test_keys_are_listed_and_rotated(run, told, applied) -> None:
    keys = told("key", "list")
    assert {(key["door"], key["alg"], key["state"]) for key in keys} == {
        ("http://127.0.0.1:8400", "ES256", "active"),
        ("http://127.0.0.1:8400/t/acme", "ES256", "active"),
    }
    assert told("key", "rotate", "--door", "http://127.0.0.1:8400/t/acme")["changes"][0]["change"] == "create"
    assert "pending already" in run("key", "rotate", "--door", "http://127.0.0.1:8400/t/acme").stdout
    states = [key["state"] for key in told("key", "list", "--door", "http://127.0.0.1:8400/t/acme")]
    assert states == ["active", "pending"]
    run("key", "rotate", "--door", "http://127.0.0.1:8400/t/nowhere", code=3)
    run("key", "rotate", "--alg", "HS256", code=2)


def test_a_session_is_listed_and_ended(run, told, folder, applied) -> None:
    broker = broker_at(folder)
    origin = Origin("req_1", "127.0.0.1", "http://127.0.0.1:8400")
    cookie, session = broker.world.database.write(
        lambda tx: broker.sessions.start(tx, "alice", ("pwd",), "acr", origin)
    )
    broker.close()
    shown = run("session", "list")
    assert session.id in shown.stdout and cookie not in shown.stdout
    assert told("session", "list", "--user", "bob") == []
    run("session", "end", session.id)
    run("session", "end", session.id, code=3)
    assert told("session", "list") == []


def test_a_grant_is_listed_and_revoked(run, told, folder, applied) -> None:
    broker = broker_at(folder)
    now = broker.world.clock.now()
    grant = Grant(
        "grt_1", "grt_1", "acme", "alice", "desk-app", "http://127.0.0.1:8400", "tickets", ("tickets:read",), False,
        {"crm": ("crm:read",)}, now, "acr", ("pwd",), now, now + 3600,
    )  # fmt: skip
    broker.world.database.write(lambda tx: grants_store.add_grant(tx, grant))
    broker.close()
    assert [item["id"] for item in told("grant", "list", "--user", "alice")] == ["grt_1"]
    assert told("grant", "list", "--user", "bob") == []
    run("grant", "revoke", "grt_1")
    run("grant", "revoke", "grt_1", code=3)
    assert told("grant", "list") == []


def test_the_evidence_is_queried_tailed_and_traced(run, applied) -> None:
    lines = [
        json.loads(line)
        for line in run("audit", "query", "--fact", "estate.applied", json_output=True).stdout.splitlines()
    ]
    assert len(lines) == 8 and lines[0]["change"]["noun"] == "tenant"
    assert len(run("audit", "tail", "--limit", "3", json_output=True).stdout.splitlines()) == 3
    story = run("audit", "trace", lines[0]["request_id"]).stdout.splitlines()
    assert story[0].split()[:5] == ["TIME", "FACT", "OUTCOME", "TENANT", "WHO"]
    column = story[0].index("OUTCOME")
    assert len(story) > 8 and all(line[column:].startswith("allowed") for line in story[1:])
    assert run("audit", "query", "--client", "nobody").stdout == "none\n"
    assert run("audit", "query", "--since", "2999-01-01T00:00:00Z").stdout == "none\n"
    run("audit", "trace", "nothing", code=3)
    run("audit", "query", "--fact", "nothing", code=2)
    run("audit", "query", "--since", "yesterday", code=2)


def test_a_folder_without_a_broker_is_said_in_plain_words(folder, tmp_path, estate) -> None:
    empty = tmp_path / "empty"
    result = CliRunner().invoke(main, ["apply", str(estate), "--data", str(empty)])
    assert result.exit_code == 1 and "run `broker dev` or `broker migrate` first" in result.stderr
    assert not empty.exists()


def test_a_database_is_migrated_and_checked(folder, tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'broker.db'}"
    assert CliRunner().invoke(main, ["migrate", "--check", "--database", url]).exit_code == 5
    assert CliRunner().invoke(main, ["migrate", "--database", url]).exit_code == 0
    assert CliRunner().invoke(main, ["migrate", "--check", "--database", url]).exit_code == 0


def test_a_folder_that_broker_dev_made_is_known_to_later_commands(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_ARGON2_MEMORY_KIB", "8")
    data = tmp_path / "data"
    settings = prepare(data, "127.0.0.1", 8999)
    assert data.stat().st_mode & 0o777 == 0o700 and (data / "kek").stat().st_mode & 0o777 == 0o600
    assert settings_for(Place(data, None)).issuer == settings.issuer == "http://127.0.0.1:8999"
    assert settings_for(Place(data, None)).development
    again = prepare(data, "127.0.0.1", 9000)
    assert settings_for(Place(data, None)).issuer == again.issuer == "http://127.0.0.1:9000"
    assert isinstance(again, Settings)


def test_broker_dev_listens_on_loopback_only(tmp_path) -> None:
    result = CliRunner().invoke(main, ["dev", "--host", "0.0.0.0", "--data", str(tmp_path / "data")])
    assert result.exit_code == 2 and "loopback only" in result.stderr


def test_broker_dev_says_when_its_port_is_taken(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert taken("127.0.0.1", port) and taken("localhost", port)
        result = CliRunner().invoke(main, ["dev", "--port", str(port), "--data", str(tmp_path / "data")])
        assert result.exit_code == 1 and "listens on" in result.stderr and not (tmp_path / "data").exists()
    assert not taken("127.0.0.1", port)


@pytest.mark.parametrize("words", [(), ("user",), ("audit",), ("perform",), ("apply",)])
def test_help_is_there_for_every_command(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, [*words, "--help"]).exit_code == 0


def test_no_command_takes_a_secret_as_an_argument() -> None:
    def options(command: object, path: str) -> list[str]:
        found = [f"{path} {name}" for parameter in command.params for name in getattr(parameter, "opts", ())]
        for name, sub in getattr(command, "commands", {}).items():
            found += options(sub, f"{path} {name}")
        return found

    named = [
        name
        for name in options(main, "broker")
        if "secret" in name.split()[-1] or "password" in name.split()[-1]
    ]
    assert named and all(name.endswith("-file") for name in named)


def test_the_version_is_told(run: Callable) -> None:
    result = CliRunner().invoke(main, ["version", "-o", "json"])
    assert json.loads(result.stdout)["version"]


def test_broker_dev_serves_until_it_is_told_to_stop_and_ends_with_0(tmp_path, estate) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "BROKER_ARGON2_MEMORY_KIB": "8", "BROKER_ARGON2_ITERATIONS": "1"}
    words = ["dev", "--port", str(port), "--data", str(tmp_path / "data"), "--estate", str(estate)]
    code = "import sys; from broker.cli.main import main; main(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], env=environment, stdout=subprocess.PIPE, text=True
    ) as made:
        try:
            issuer = f"http://127.0.0.1:{port}"
            answer = _until_served(f"{issuer}/.well-known/oauth-authorization-server/t/acme", made)
            assert answer["issuer"] == f"{issuer}/t/acme"
        finally:
            made.terminate()
            shown, _ = made.communicate(timeout=30)
    assert made.returncode == 0
    assert (
        "do not use it in production" in shown
        and "+ tenant acme" in shown
        and f"issuer  {issuer}/t/acme" in shown
    )


def _until_served(url: str, process: subprocess.Popen) -> dict:
    while process.poll() is None:
        try:
            return httpx2.get(url, trust_env=False).json()
        except httpx2.HTTPError:
            continue
    raise AssertionError("it ended by itself")
