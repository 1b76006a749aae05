"""`broker user factors`, `remove-factors` and `reset`: looked at, taken away, never given."""

import json

import pytest

from broker.identity.users.credentials import store as credentials
from broker.identity.users.credentials.model import CodeApp, Passkey
from broker.protocol.origin import Origin
from tests.cli.test_commands import broker_at

NEW = "another good password"
ORIGIN = Origin("req", "192.0.2.1", "http://127.0.0.1:8400")


@pytest.fixture
def equipped(folder, applied) -> None:
    """Alice has two passkeys, an app and three recovery codes."""
    broker = broker_at(folder)
    for mark in ("a", "b"):
        passkey = Passkey(
            f"pk_{mark}", "alice", f"c{mark}", "h", "k", f"Laptop {mark}", 0, True, True, (), 1.0
        )
        broker.world.database.write(lambda tx, one=passkey: credentials.add_passkey(tx, one))
    broker.world.database.write(lambda tx: credentials.put_app(tx, "alice", CodeApp("00", 1, 1.0)))
    broker.world.database.write(lambda tx: credentials.replace_codes(tx, "alice", ["1", "2", "3"]))
    broker.close()


def found(run) -> dict[str, object]:
    shown: dict[str, object] = json.loads(run("user", "factors", "alice", "-o", "json").stdout)
    return shown


def test_the_factors_of_a_user_are_shown_and_their_secrets_are_not(run, equipped) -> None:
    shown = found(run)
    assert (shown["password"], shown["app"], shown["recovery_codes"]) == (True, True, 3)
    run("user", "factors", "nobody", code=3)


def test_one_passkey_or_all_factors_are_removed_and_the_password_stays(run, folder, equipped) -> None:
    run("user", "remove-factors", "alice", "--passkey", "pk_c", code=3)
    run("user", "remove-factors", "nobody", code=3)
    run("user", "remove-factors", "alice", "--passkey", "pk_a")
    broker = broker_at(folder)
    kept = broker.world.database.read(lambda tx: credentials.passkeys(tx, "alice"))
    broker.close()
    assert [passkey.id for passkey in kept] == ["pk_b"] and found(run)["app"] is True
    assert json.loads(run("user", "remove-factors", "alice", "-o", "json").stdout)["removed"] == 3
    shown = found(run)
    assert (shown["password"], shown["app"], shown["recovery_codes"], shown["passkeys"]) == (
        True,
        False,
        0,
        [],
    )
    assert json.loads(run("user", "remove-factors", "alice", "-o", "json").stdout)["removed"] == 0
    broker = broker_at(folder)
    told = [(notice.what, notice.kind) for notice in broker.signing_in.ways_in.told("alice")]
    broker.close()
    assert sorted(told) == [
        ("credential.removed", kind) for kind in ("passkey", "passkey", "recovery", "totp")
    ]


def test_recovery_codes_end_with_the_last_factor_that_they_stand_in_for(run, folder, equipped) -> None:
    broker = broker_at(folder)
    broker.world.database.write(lambda tx: credentials.remove_app(tx, "alice"))
    broker.close()
    for passkey, left in (("pk_a", 3), ("pk_b", 0)):
        run("user", "remove-factors", "alice", "--passkey", passkey)
        assert found(run)["recovery_codes"] == left
    broker = broker_at(folder)
    told = [(notice.what, notice.kind) for notice in broker.signing_in.ways_in.told("alice")]
    broker.close()
    assert sorted(told) == [("credential.removed", kind) for kind in ("passkey", "passkey", "recovery")]


def test_a_reset_link_is_printed_once_and_kept_nowhere(run, folder, applied) -> None:
    link = run("user", "reset", "alice").stdout.strip()
    address, _, secret = link.partition("?token=")
    assert address.endswith("/login/reset") and secret.startswith("mcpb_pr_")
    for words in (("user", "get", "alice"), ("user", "factors", "alice"), ("audit", "tail"), ("export",)):
        assert secret not in run(*words).output
    run("user", "reset", "nobody", code=3)
    broker = broker_at(folder)
    assert b"mcpb_pr_" not in (folder / "broker.db").read_bytes()
    user = broker.signing_in.new_passwords.reset(secret, NEW, None, ORIGIN)
    assert user.id == "alice" and broker.people.password_matches("alice", NEW)
    broker.close()
