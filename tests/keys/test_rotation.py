"""When a ring gets its next key and loses its last: a table, and every sequence of times."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from keys import store
from keys.model import KeyRecord, KeyState, RingName
from keys.ring import Keyring, advance
from keys.rotation import Activate, Change, Create, Remove, Retire, RotationPolicy, plan, stamp
from keys.sealed import KeyEncryptionKey

POLICY = RotationPolicy(publish_before=400, active_for=5000, retire_after=700)
NAME = RingName("https://as.example", "EdDSA", "token")
PENDING, ACTIVE, RETIRING, RETIRED = KeyState


def key(kid: str, state: KeyState, since: float) -> KeyRecord:
    """A key that came into `state` at `since` and was made before."""
    record = KeyRecord(kid, *NAME, version=1, state=state, created_at=since, public_jwk={})
    if state is not PENDING:
        record = replace(record, created_at=since - 1000, activated_at=since)
    if state in (RETIRING, RETIRED):
        record = replace(record, activated_at=since - 500, retiring_at=since)
    if state is RETIRED:
        record = replace(record, retiring_at=since - 100, retired_at=since)
    return record


A, P = key("a", ACTIVE, 10_000), key("p", PENDING, 20_000)
R, X = key("r", RETIRING, 10_000), key("x", RETIRED, 1_000)


@pytest.mark.parametrize(
    ("ring", "now", "force", "expected"),
    [
        pytest.param([], 0, False, (Create(ACTIVE),), id="the first key signs at once"),
        pytest.param([], 0, True, (Create(ACTIVE),), id="force makes no second key"),
        pytest.param([A], 10_000, False, (), id="a young key stays"),
        pytest.param([A], 14_599, False, (), id="nothing before it is due"),
        pytest.param([A], 14_600, False, (Create(PENDING),), id="the next one is published in time"),
        pytest.param([A], 10_000, True, (Create(PENDING),), id="force publishes the next one now"),
        pytest.param([A], 0, False, (), id="a clock behind creates nothing"),
        pytest.param([A, P], 20_399, False, (), id="published too short to sign"),
        pytest.param([A, P], 20_399, True, (), id="force neither hurries nor doubles"),
        pytest.param([A, P], 20_400, False, (Retire("a"), Activate("p")), id="published long enough"),
        pytest.param([A, P], 0, True, (), id="a clock behind activates nothing"),
        pytest.param([A, R], 10_699, False, (), id="tokens of the old key may still live"),
        pytest.param([A, R], 10_700, False, (Remove("r"),), id="tokens of the old key have died"),
        pytest.param([A, R], 0, False, (), id="a clock behind removes nothing"),
        pytest.param([A, P, R], 20_400, False, (Retire("a"), Activate("p"), Remove("r")), id="both at once"),
        pytest.param([A, R, key("s", RETIRING, 10_500)], 10_800, False, (Remove("r"),), id="one of two"),
        pytest.param([X, A], 10_000, False, (), id="a retired key is history"),
        pytest.param([X], 10_000, False, (Create(PENDING),), id="only a ring's first key signs at once"),
        pytest.param([X, P], 20_000, False, (), id="and the next one waits"),
        pytest.param([X, P], 20_400, False, (Activate("p"),), id="until it was published"),
    ],
)
def test_the_plan(ring: list[KeyRecord], now: float, force: bool, expected: tuple[Change, ...]) -> None:
    assert plan(ring, now, POLICY, force=force) == expected
    assert plan(ring[::-1], now, POLICY, force=force) == expected or len(expected) > 2


def test_a_stamp_is_never_before_what_already_happened() -> None:
    assert stamp([], 5) == 5
    assert stamp([A, P], 30_000) == 30_000
    assert stamp([A, P, R, X], 5) == 20_000


@pytest.mark.parametrize("wrong", [{"publish_before": 0}, {"retire_after": 0}, {"active_for": 400}])
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    assert replace(POLICY, active_for=401).active_for == 401
    with pytest.raises(ValueError, match="must be"):
        replace(POLICY, **wrong)


class Ring:
    """A real ring in a database in memory, and when (by the clock that was told) each key did what."""

    def __init__(self) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        store.metadata.create_all(self.engine)
        self.kek = KeyEncryptionKey(bytes(32))
        self.seen: dict[tuple[type[Change], str], float] = {}

    def advance(self, now: float, force: bool = False) -> tuple[Change, ...]:
        with self.engine.begin() as connection:
            changes = advance(connection, self.kek, NAME, now, POLICY, force=force)
        self.seen.update({(type(change), change.kid): now for change in changes})
        return changes

    def keys(self) -> list[KeyRecord]:
        with self.engine.begin() as connection:
            return store.ring(connection, NAME)

    def published(self) -> set[str]:
        with self.engine.begin() as connection:
            return {jwk["kid"] for jwk in Keyring.load(connection, self.kek).jwks(NAME.door)["keys"]}


# Times near the edges of the policy, and jumps of any size in both directions.
STEPS = st.one_of(
    st.sampled_from([-400, -1, 0, 1, 100, 399, 400, 401, 699, 700, 4600, 5000]), st.integers(-20_000, 20_000)
)


@pytest.mark.attack("KEYS-01")
@pytest.mark.attack("KEYS-02")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=25))
def test_no_sequence_of_times_breaks_the_promises(steps: list[tuple[int, bool]]) -> None:
    ring, now = Ring(), 1_000_000.0
    for step, force in [(0, False), *steps]:
        now += step
        ring.advance(now, force)
        keys = ring.keys()
        states = [key.state for key in keys]
        assert states.count(ACTIVE) == 1
        assert states.count(PENDING) <= 1
        assert ring.published() == {key.kid for key in keys if key.state is not RETIRED}
        for key in keys[1:]:
            if key.activated_at is not None:
                assert key.activated_at - key.created_at >= POLICY.publish_before
                waited = ring.seen[Activate, key.kid] - ring.seen[Create, key.kid]
                assert waited >= POLICY.publish_before
        for key in keys:
            assert (key.sealed_private is None) == (key.state is RETIRED)
            if key.state is RETIRED:
                kept = ring.seen[Remove, key.kid] - ring.seen[Retire, key.kid]
                assert kept >= POLICY.retire_after
    ring.engine.dispose()


@pytest.mark.attack("KEYS-01")
def test_a_clock_that_was_behind_and_is_right_again_does_not_activate_early() -> None:
    ring = Ring()
    ring.advance(1_000_000)
    (created,) = ring.advance(500_000, force=True)
    assert ring.advance(1_000_000) == ()
    assert ring.advance(1_000_399) == ()
    assert Activate(created.kid) in ring.advance(1_000_400)


@pytest.mark.attack("KEYS-01")
@pytest.mark.attack("KEYS-02")
def test_a_ring_turns_through_its_whole_life() -> None:
    ring = Ring()
    (first,) = ring.advance(0)
    assert isinstance(first, Create) and first.state is ACTIVE
    assert ring.advance(4_599) == ()
    (second,) = ring.advance(4_600)
    assert isinstance(second, Create) and second.state is PENDING
    assert ring.published() == {first.kid, second.kid}
    assert ring.advance(4_999) == ()
    assert ring.advance(5_000) == (Retire(first.kid), Activate(second.kid))
    assert ring.published() == {first.kid, second.kid}
    assert ring.advance(5_699) == ()
    assert ring.advance(5_700) == (Remove(first.kid),)
    assert ring.published() == {second.kid}
    assert [key.version for key in ring.keys()] == [1, 2]


def test_a_forced_rotation_of_a_young_key_happens_once() -> None:
    ring = Ring()
    (first,) = ring.advance(0)
    (second,) = ring.advance(10, force=True)
    assert ring.advance(20, force=True) == ()
    assert ring.advance(410) == (Retire(first.kid), Activate(second.kid))
    assert ring.advance(420) == ()
