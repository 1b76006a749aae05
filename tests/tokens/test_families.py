"""OAuth 2.1 section 4.3.1: lines of refresh tokens: rotation, the grace, reuse, and what ends with them."""

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest

from broker.tokens import families
from tests.lab import KEK, Lab, assert_refused, claims


def live_rows(lab: Lab) -> int:
    return lab.broker.world.database.read(
        lambda tx: tx.connection.exec_driver_sql(
            "SELECT count(*) FROM refresh_token WHERE spent_at IS NULL"
        ).scalar_one()
    )


def row_id(lab: Lab, token: str) -> str:
    row = lab.broker.world.database.read(lambda tx: lab.broker.families.find(tx, token))
    assert row is not None
    return row.id


@pytest.mark.parametrize("client", ["desk-app", "web-app"])
def test_a_refresh_token_is_rotated_at_every_use(lab: Lab, client: str) -> None:
    token, seen = lab.tokens(client)["refresh_token"], set()
    for _ in range(4):
        seen.add(token)
        token = lab.refresh(token, client).json["refresh_token"]
        assert token not in seen
        assert live_rows(lab) == 1
        lab.clock.advance(3600)
    assert len(lab.facts("refresh.rotated")) == 4


def test_a_setting_leaves_the_tokens_of_confidential_clients_as_they_are(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(refresh_rotation_confidential=False)
    held = lab.tokens("web-app")["refresh_token"]
    for _ in range(3):
        answer = lab.refresh(held, "web-app")
        assert answer.status_code == 200 and "refresh_token" not in answer.json
        lab.clock.advance(60)
    assert lab.facts("refresh.rotated") == [] and lab.rows("refresh_token") == 1
    public = lab.tokens()["refresh_token"]
    assert lab.refresh(public).json["refresh_token"] != public


def test_the_successor_is_derived_from_key_token_and_row(lab: Lab) -> None:
    first = lab.tokens()["refresh_token"]
    text = f"{first}\0{row_id(lab, first)}".encode()
    digest = hmac.new(KEK.derive("refresh"), text, hashlib.sha256).digest()
    expected = families.PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert lab.refresh(first).json["refresh_token"] == expected


def test_two_lines_never_share_a_successor(lab: Lab) -> None:
    one, two = (lab.refresh(lab.tokens()["refresh_token"]).json["refresh_token"] for _ in range(2))
    assert one != two


def test_no_token_of_a_line_is_ever_stored(lab: Lab) -> None:
    first = lab.tokens()["refresh_token"]
    second = lab.refresh(first).json["refresh_token"]
    third = lab.refresh(second).json["refresh_token"]
    disk = lab.dump()
    for token in (first, second, third):
        assert token.encode() not in disk
        assert token.removeprefix(families.PREFIX).encode() not in disk
        assert families.hashed(token).encode() in disk


@pytest.mark.parametrize("wait", [0, 5, 9.99])
def test_a_repeat_within_the_grace_gets_the_same_successor_and_a_new_recorded_token(
    lab: Lab, wait: float
) -> None:
    first = lab.tokens()["refresh_token"]
    one = lab.refresh(first).json
    lab.clock.advance(wait)
    two = lab.refresh(first).json
    assert two["refresh_token"] == one["refresh_token"] and live_rows(lab) == 1
    assert claims(two["access_token"])["jti"] != claims(one["access_token"])["jti"]
    hashes = {record["jti_hash"] for record in lab.facts("token.issued")}
    assert hashlib.sha256(str(claims(two["access_token"])["jti"]).encode()).hexdigest() in hashes
    assert [len(lab.facts(f"refresh.{name}")) for name in ("rotated", "repeated", "reused")] == [1, 1, 0]


def test_a_repeat_whose_clock_reads_a_little_earlier_is_still_a_repeat(lab: Lab) -> None:
    """Two requests read the time in one order and spend in the other; two processes differ by milliseconds."""
    first = lab.tokens()["refresh_token"]
    one = lab.refresh(first).json["refresh_token"]
    lab.clock.advance(-0.5)
    assert lab.refresh(first).json["refresh_token"] == one
    assert lab.rows("denial") == 0


def test_a_clock_set_far_back_does_not_reopen_the_grace(lab: Lab) -> None:
    first = lab.tokens()["refresh_token"]
    assert lab.refresh(first).status_code == 200
    lab.clock.advance(-11)
    assert_refused(lab.refresh(first), 400, "invalid_grant")
    assert lab.rows("denial") == 1


def test_a_repeat_after_the_successor_was_used_is_refused_and_the_family_lives(lab: Lab) -> None:
    first = lab.tokens()["refresh_token"]
    second = lab.refresh(first).json["refresh_token"]
    third = lab.refresh(second).json
    lab.clock.advance(5)
    assert_refused(lab.refresh(first), 400, "invalid_grant")
    record = lab.last("token.refused")
    assert (record["reason"], record["client"]) == ("refresh_superseded", "desk-app")
    assert lab.rows("denial") == 0 and live_rows(lab) == 1
    assert lab.active(third["access_token"])
    assert lab.refresh(second).json["refresh_token"] == third["refresh_token"]


@pytest.mark.parametrize("wait", [10, 3600])
def test_a_repeat_after_the_grace_ends_the_family(lab: Lab, wait: float) -> None:
    first = lab.tokens()["refresh_token"]
    second = lab.refresh(first).json
    lab.clock.advance(wait)
    assert_refused(lab.refresh(first), 400, "invalid_grant")
    assert lab.last("refresh.reused")["reason"] == "refresh_replayed"
    assert_refused(lab.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "grant_off"
    assert not lab.active(second["access_token"])


def test_without_a_grace_the_first_repeat_ends_the_family(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(refresh_grace=0)
    first = lab.tokens()["refresh_token"]
    second = lab.refresh(first).json
    assert_refused(lab.refresh(first), 400, "invalid_grant")
    assert not lab.active(second["access_token"])


@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
def test_revoking_either_token_ends_the_grant_and_everything_exchanged_from_it(lab: Lab, which: str) -> None:
    given = lab.tokens()
    down = lab.exchange(given["access_token"]).json["access_token"]
    assert lab.active(down, "crm-server")
    assert lab.revoke(given[which]).status_code == 200
    assert not lab.active(given["access_token"]) and not lab.active(down, "crm-server")
    assert_refused(lab.refresh(given["refresh_token"]), 400, "invalid_grant")


def test_revoking_a_spent_refresh_token_ends_the_grant_too(lab: Lab) -> None:
    first = lab.tokens()["refresh_token"]
    second = lab.refresh(first).json
    assert lab.revoke(first).status_code == 200
    assert_refused(lab.refresh(second["refresh_token"]), 400, "invalid_grant")


def test_an_exchanged_token_revoked_by_its_holder_ends_that_token(lab: Lab) -> None:
    given = lab.tokens()
    down = lab.exchange(given["access_token"]).json["access_token"]
    assert lab.revoke(down, "tickets-server").status_code == 200
    assert not lab.active(down, "crm-server")
    assert lab.active(given["access_token"]) and lab.refresh(given["refresh_token"]).status_code == 200


def test_a_line_that_is_not_used_ends_and_one_that_is_goes_on(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(refresh_lifetime=600)
    idle, used = lab.tokens(), lab.tokens()["refresh_token"]
    for _ in range(3):
        lab.clock.advance(599)
        answer = lab.refresh(used)
        assert answer.status_code == 200
        used = answer.json["refresh_token"]
    assert_refused(lab.refresh(idle["refresh_token"]), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "refresh_expired"
    assert lab.rows("denial") == 0
    lab.clock.advance(600)
    assert_refused(lab.refresh(used), 400, "invalid_grant")


def test_no_line_outlives_its_consent(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(grant_lifetime=3600)
    held = lab.tokens()["refresh_token"]
    lab.clock.advance(3599)
    held = lab.refresh(held).json["refresh_token"]
    lab.clock.advance(1)
    assert_refused(lab.refresh(held), 400, "invalid_grant")
    assert lab.last("token.refused")["reason"] == "grant_expired"


def test_the_sweep_keeps_spent_tokens_so_that_their_reuse_is_seen(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(refresh_lifetime=600)
    first = lab.tokens()["refresh_token"]
    second = lab.refresh(first).json["refresh_token"]
    lab.clock.advance(599)
    third = lab.refresh(second).json["refresh_token"]
    lab.clock.advance(30)
    lab.broker.tend()
    assert_refused(lab.refresh(first), 400, "invalid_grant")
    assert lab.last("refresh.reused")["reason"] == "refresh_replayed"
    assert_refused(lab.refresh(third), 400, "invalid_grant")
    lab.clock.advance(2 * 86400)
    lab.broker.tend()
    assert lab.rows("refresh_token") == 0
