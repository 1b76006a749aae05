"""The table of keys and the snapshot that is read from it."""

import threading
from dataclasses import replace
from pathlib import Path

import jwt as pyjwt
import pytest
from sqlalchemy import Engine, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex

from keys import store
from keys.jwt import encode
from keys.model import ALGORITHMS, KeyRecord, KeyState, RingName, thumbprint
from keys.ring import Keyring, advance, create
from keys.rotation import Change, Create, RotationPolicy
from keys.sealed import KeyEncryptionKey, SealError, create_key_file

ROOT = RingName("https://as.example", "ES256", "token")
TENANT = RingName("https://as.example/t/acme", "EdDSA", "token")
POLICY = RotationPolicy(publish_before=400, active_for=5000, retire_after=700)
PENDING, ACTIVE, RETIRING, RETIRED = KeyState


def retired(engine: Engine, kek: KeyEncryptionKey) -> KeyRecord:
    with engine.begin() as connection:
        key = create(connection, kek, ROOT, ACTIVE, 100.0)
        assert store.move(connection, key.kid, ACTIVE, RETIRING, 200.0)
        assert store.move(connection, key.kid, RETIRING, RETIRED, 300.0)
        (record,) = store.ring(connection, ROOT)
    return record


def test_a_key_comes_back_as_it_was_stored(engine: Engine, kek: KeyEncryptionKey) -> None:
    with engine.begin() as connection:
        first = create(connection, kek, ROOT, ACTIVE, 1_763_800_000.25)
        second = create(connection, kek, ROOT, PENDING, 1_763_800_001.5)
        other = create(connection, kek, TENANT, ACTIVE, 5.0)
    with engine.begin() as connection:
        assert store.ring(connection, ROOT) == [first, second]
        assert store.ring(connection, ROOT._replace(purpose="metadata")) == []
        assert store.rows(connection) == [first, second, other]
    assert (first.version, second.version, other.version) == (1, 2, 1)
    assert first.kid == thumbprint(first.public_jwk)
    assert first.activated_at == first.created_at and second.activated_at is None


def test_making_a_key_that_stands_already_returns_the_one_that_stands(
    engine: Engine, kek: KeyEncryptionKey
) -> None:
    with engine.begin() as connection:
        first = create(connection, kek, ROOT, ACTIVE, 1.0)
        assert create(connection, kek, ROOT, ACTIVE, 2.0) == first
        assert store.ring(connection, ROOT) == [first]


@pytest.mark.parametrize("state", [RETIRING, RETIRED])
def test_no_key_begins_at_the_end_of_its_life(engine: Engine, kek: KeyEncryptionKey, state: KeyState) -> None:
    with engine.begin() as connection, pytest.raises(ValueError, match="begins as"):
        create(connection, kek, ROOT, state, 1.0)


@pytest.mark.parametrize("state", [PENDING, ACTIVE])
def test_the_table_refuses_a_second_key_in_the_same_state(
    engine: Engine, kek: KeyEncryptionKey, state: KeyState
) -> None:
    with engine.begin() as connection:
        first = create(connection, kek, ROOT, state, 1.0)
        twin = replace(first, kid="another", version=2)
        assert not store.insert(connection, twin)
        assert store.insert(connection, replace(twin, purpose="metadata"))
        assert store.move(connection, first.kid, state, ACTIVE if state is PENDING else RETIRING, 2.0)
        assert store.insert(connection, replace(twin, kid="one more"))


def test_both_engines_get_the_partial_unique_index() -> None:
    (index,) = (index for index in store.signing_key.indexes if index.unique)
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        ddl = str(CreateIndex(index).compile(dialect=dialect))
        assert ddl.startswith("CREATE UNIQUE INDEX")
        assert "(door, alg, purpose, state) WHERE state IN ('pending', 'active')" in ddl


def test_of_many_who_move_a_key_one_wins(engine: Engine, kek: KeyEncryptionKey) -> None:
    with engine.begin() as connection:
        key = create(connection, kek, ROOT, PENDING, 1.0)
    ready = threading.Barrier(4)
    winners: list[float] = []

    def race(now: float) -> None:
        with engine.connect() as connection:
            ready.wait(timeout=10)
            won = store.move(connection, key.kid, PENDING, ACTIVE, now)
            connection.commit()
        if won:
            winners.append(now)

    threads = [threading.Thread(target=race, args=(float(now),)) for now in range(10, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    with engine.begin() as connection:
        (moved,) = store.ring(connection, ROOT)
    assert (moved.state, moved.activated_at) == (ACTIVE, winners[0])


def test_of_two_connections_that_both_saw_the_key_the_second_one_loses(
    engine: Engine, kek: KeyEncryptionKey
) -> None:
    with engine.begin() as connection:
        key = create(connection, kek, ROOT, PENDING, 1.0)
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            assert store.ring(connection, ROOT)[0].state is PENDING
            connection.rollback()
        assert store.move(first, key.kid, PENDING, ACTIVE, 2.0)
        first.commit()
        assert not store.move(second, key.kid, PENDING, ACTIVE, 3.0)
        assert store.ring(second, ROOT)[0].activated_at == 2.0


def test_of_two_workers_that_need_the_first_key_one_makes_it(engine: Engine, kek: KeyEncryptionKey) -> None:
    ready = threading.Barrier(2)
    made: list[Change] = []

    def work() -> None:
        with engine.connect() as connection:
            ready.wait(timeout=10)
            made.extend(advance(connection, kek, ROOT, 1.0, POLICY))
            connection.commit()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.begin() as connection:
        (key,) = store.ring(connection, ROOT)
    assert made == [Create(ACTIVE, key.kid)]


@pytest.mark.parametrize(
    ("from_state", "to_state"),
    [(PENDING, RETIRING), (PENDING, RETIRED), (ACTIVE, PENDING), (ACTIVE, RETIRED), (RETIRING, ACTIVE)]
    + [(RETIRED, state) for state in KeyState],
)
def test_a_key_never_moves_back_or_leaps(
    engine: Engine, kek: KeyEncryptionKey, from_state: KeyState, to_state: KeyState
) -> None:
    with engine.begin() as connection, pytest.raises(ValueError, match="no key moves"):
        store.move(connection, "any", from_state, to_state, 1.0)


def test_nothing_is_changed_before_the_caller_commits(engine: Engine, kek: KeyEncryptionKey) -> None:
    with engine.connect() as connection:
        assert advance(connection, kek, ROOT, 1.0, POLICY)
        connection.rollback()
        assert store.ring(connection, ROOT) == []
        assert advance(connection, kek, ROOT, 1.0, POLICY)
        connection.commit()
    with engine.begin() as connection:
        assert len(store.ring(connection, ROOT)) == 1


@pytest.mark.attack("KEYS-02")
@pytest.mark.attack("KEYS-08")
def test_the_private_part_of_a_retired_key_is_gone(engine: Engine, kek: KeyEncryptionKey) -> None:
    record = retired(engine, kek)
    assert record.state is RETIRED
    assert record.sealed_private is None
    assert (record.created_at, record.retiring_at, record.retired_at) == (100.0, 200.0, 300.0)
    with engine.begin() as connection:
        ring = Keyring.load(connection, kek)
    assert ring.active(ROOT) is None
    assert ring.jwks(ROOT.door) == {"keys": []}


@pytest.mark.attack("KEYS-08")
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_no_private_part_is_in_clear_in_the_database_file(
    engine: Engine, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alg: str
) -> None:
    made: list[bytes] = []
    seal = KeyEncryptionKey.seal

    def watch(self: KeyEncryptionKey, plaintext: bytes, context: dict[str, str]) -> bytes:
        made.append(plaintext)
        return seal(self, plaintext, context)

    monkeypatch.setattr(KeyEncryptionKey, "seal", watch)
    kek = create_key_file(tmp_path / "kek")
    with engine.begin() as connection:
        key = create(connection, kek, ROOT._replace(alg=alg), ACTIVE, 1.0)
    engine.dispose()
    (private,) = made
    content = b"".join(path.read_bytes() for path in tmp_path.glob("keys.db*"))
    assert key.kid.encode() in content
    assert key.sealed_private is not None and key.sealed_private in content
    # The secret within PKCS #8 (seed, scalar, last CRT value): the rest is much the same for every key.
    secret = private[-32:] if alg == "EdDSA" else private[36:68] if alg == "ES256" else private[-128:]
    assert secret not in content
    assert secret.hex().encode() not in content.lower()
    assert (tmp_path / "kek").read_bytes().strip() not in content


def test_the_snapshot_signs_and_publishes_for_each_door(engine: Engine, kek: KeyEncryptionKey) -> None:
    with engine.begin() as connection:
        for alg in ALGORITHMS:
            create(connection, kek, ROOT._replace(alg=alg), ACTIVE, 1.0)
        create(connection, kek, TENANT, ACTIVE, 1.0)
        ring = Keyring.load(connection, kek)
    assert ring.names() == {TENANT, *(ROOT._replace(alg=alg) for alg in ALGORITHMS)}
    for name in ring.names():
        signer = ring.active(name)
        assert signer is not None
        keys = pyjwt.PyJWKSet.from_dict(ring.jwks(name.door))
        token = encode(signer, {"iss": name.door}, "at+jwt")
        key = keys[pyjwt.get_unverified_header(token)["kid"]]
        assert pyjwt.decode(token, key, algorithms=[name.alg]) == {"iss": name.door}
    kids = [{key["kid"] for key in ring.jwks(door)["keys"]} for door in (ROOT.door, TENANT.door)]
    assert len(kids[0]) == 4 and len(kids[1]) == 1 and not kids[0] & kids[1]
    assert ring.active(ROOT._replace(purpose="metadata")) is None
    assert ring.jwks("https://elsewhere.example") == {"keys": []}


@pytest.mark.attack("KEYS-01")
@pytest.mark.attack("KEYS-02")
def test_the_key_set_has_pending_active_and_retiring_keys(engine: Engine, kek: KeyEncryptionKey) -> None:
    retired(engine, kek)
    with engine.begin() as connection:
        old = create(connection, kek, ROOT, ACTIVE, 400.0)
        assert store.move(connection, old.kid, ACTIVE, RETIRING, 500.0)
        active = create(connection, kek, ROOT, ACTIVE, 500.0)
        pending = create(connection, kek, ROOT, PENDING, 600.0)
        ring = Keyring.load(connection, kek)
    assert [key["kid"] for key in ring.jwks(ROOT.door)["keys"]] == [active.kid, old.kid, pending.kid]
    assert [key.state for key in ring.published(ROOT.door)] == [ACTIVE, RETIRING, PENDING]
    signer = ring.active(ROOT)
    assert signer is not None and signer.kid == active.kid


@pytest.mark.attack("KEYS-06")
@pytest.mark.attack("KEYS-08")
def test_the_key_set_has_public_members_only(engine: Engine, kek: KeyEncryptionKey) -> None:
    members = {"ES256": {"crv", "x", "y"}, "EdDSA": {"crv", "x"}, "RS256": {"n", "e"}, "PS256": {"n", "e"}}
    with engine.begin() as connection:
        for alg in ALGORITHMS:
            create(connection, kek, ROOT._replace(alg=alg), ACTIVE, 1.0)
        # Even a private member that found its way into the table stays inside.
        leak = update(store.signing_key).where(store.signing_key.c.alg == "EdDSA")
        jwk = store.ring(connection, ROOT._replace(alg="EdDSA"))[0].public_jwk
        connection.execute(leak.values(public_jwk=str({**jwk, "d": "c2VjcmV0"}).replace("'", '"')))
        ring = Keyring.load(connection, kek)
    for key in ring.jwks(ROOT.door)["keys"]:
        assert set(key) == {"kty", "kid", "use", "alg"} | members[key["alg"]]
        assert key["use"] == "sig"
        assert key["kid"] == thumbprint(key)
        assert "acme" not in key["kid"]


def test_the_next_snapshot_keeps_the_signers_that_did_not_change(
    engine: Engine, kek: KeyEncryptionKey
) -> None:
    with engine.begin() as connection:
        create(connection, kek, ROOT, ACTIVE, 1.0)
        before = Keyring.load(connection, kek)
        advance(connection, kek, ROOT, 10.0, POLICY, force=True)
        between = Keyring.load(connection, kek, before)
        advance(connection, kek, ROOT, 500.0, POLICY)
        after = Keyring.load(connection, kek, between)
    assert between.active(ROOT) is before.active(ROOT)
    assert len(between.jwks(ROOT.door)["keys"]) == 2 and len(before.jwks(ROOT.door)["keys"]) == 1
    old, new = between.active(ROOT), after.active(ROOT)
    assert old is not None and new is not None and new.kid != old.kid


@pytest.mark.attack("KEYS-12")
@pytest.mark.parametrize(
    "column",
    [{"purpose": "metadata"}, {"door": "https://as.example/t/acme"}, {"version": 2}, {"alg": "EdDSA"}],
)
def test_a_key_moved_to_another_place_does_not_open(
    engine: Engine, kek: KeyEncryptionKey, column: dict[str, object]
) -> None:
    with engine.begin() as connection:
        create(connection, kek, ROOT, ACTIVE, 1.0)
        assert Keyring.load(connection, kek).active(ROOT)
        connection.execute(update(store.signing_key).values(column))
        with pytest.raises(SealError):
            Keyring.load(connection, kek)


@pytest.mark.attack("KEYS-12")
def test_two_purposes_of_a_door_have_different_keys(engine: Engine, kek: KeyEncryptionKey) -> None:
    with engine.begin() as connection:
        token = create(connection, kek, ROOT, ACTIVE, 1.0)
        checkpoint = create(connection, kek, ROOT._replace(purpose="audit-checkpoint"), ACTIVE, 1.0)
        ring = Keyring.load(connection, kek)
    signers = [ring.active(record.name) for record in (token, checkpoint)]
    assert [signer.kid for signer in signers if signer] == [token.kid, checkpoint.kid]
    assert token.kid != checkpoint.kid


def test_another_key_encryption_key_opens_nothing(engine: Engine, kek: KeyEncryptionKey) -> None:
    with engine.begin() as connection:
        create(connection, kek, ROOT, ACTIVE, 1.0)
        with pytest.raises(SealError):
            Keyring.load(connection, KeyEncryptionKey(bytes(32)))
        assert Keyring.load(connection, kek).active(ROOT)


def test_a_public_part_swapped_for_another_is_noticed(engine: Engine, kek: KeyEncryptionKey) -> None:
    with engine.begin() as connection:
        first = create(connection, kek, ROOT, ACTIVE, 1.0)
        other = create(connection, kek, ROOT._replace(purpose="metadata"), ACTIVE, 1.0)
        assert Keyring.load(connection, kek).active(ROOT)
        table = store.signing_key
        theirs = str(other.public_jwk).replace("'", '"')
        connection.execute(update(table).where(table.c.kid == first.kid).values(public_jwk=theirs))
        with pytest.raises(SealError, match="another public part"):
            Keyring.load(connection, kek)


@pytest.mark.parametrize("now", [1.0, 4_700.0, 5_200.0, 6_000.0])
def test_a_worker_that_saw_the_ring_before_another_changed_it_changes_nothing(
    engine: Engine, kek: KeyEncryptionKey, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    """At the four times a first key, a next key, a hand-over and a removal are due."""
    with engine.begin() as connection:
        for earlier in (1.0, 4_700.0, 5_200.0):
            if earlier < now:
                assert advance(connection, kek, ROOT, earlier, POLICY)
        stale = store.ring(connection, ROOT)
        assert advance(connection, kek, ROOT, now, POLICY)
        fresh = store.ring(connection, ROOT)
        with monkeypatch.context() as patch:
            patch.setattr(store, "ring", lambda connection, name: stale)
            assert advance(connection, kek, ROOT, now, POLICY) == ()
        assert store.ring(connection, ROOT) == fresh != stale
