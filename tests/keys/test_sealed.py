"""Sealing, derived keys, and where the key-encryption key is read from."""

import base64
import itertools
import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keys.sealed import KeyEncryptionKey, SealError, create_key_file, read_key_file

SECRET = bytes(range(100, 132))
CONTEXT = {"kid": "k1", "purpose": "token", "door": "https://as.example", "version": "1"}


def test_what_is_sealed_opens_with_the_same_key_and_context(kek: KeyEncryptionKey) -> None:
    sealed = kek.seal(b"private", CONTEXT)
    assert kek.open(sealed, dict(reversed(CONTEXT.items()))) == b"private"
    assert b"private" not in sealed


def test_sealing_twice_gives_different_bytes_of_the_first_format(kek: KeyEncryptionKey) -> None:
    first, second = kek.seal(b"private", CONTEXT), kek.seal(b"private", CONTEXT)
    assert first != second
    assert first[0] == second[0] == 1
    assert len(first) == 1 + 12 + len(b"private") + 16


def test_one_changed_bit_anywhere_does_not_open(kek: KeyEncryptionKey) -> None:
    sealed = kek.seal(b"private", CONTEXT)
    assert kek.open(sealed, CONTEXT) == b"private"
    for position, bit in itertools.product(range(len(sealed)), range(8)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << bit
        with pytest.raises(SealError):
            kek.open(bytes(changed), CONTEXT)


def test_a_cut_value_does_not_open(kek: KeyEncryptionKey) -> None:
    sealed = kek.seal(b"", CONTEXT)
    assert kek.open(sealed, CONTEXT) == b""
    for length in range(len(sealed)):
        with pytest.raises(SealError):
            kek.open(sealed[:length], CONTEXT)


@pytest.mark.parametrize("name", sorted(CONTEXT))
def test_another_context_does_not_open(kek: KeyEncryptionKey, name: str) -> None:
    sealed = kek.seal(b"private", CONTEXT)
    less = {key: value for key, value in CONTEXT.items() if key != name}
    for other in ({**CONTEXT, name: CONTEXT[name] + "x"}, less, {**CONTEXT, "more": ""}):
        with pytest.raises(SealError):
            kek.open(sealed, other)
    assert kek.open(sealed, CONTEXT) == b"private"


@given(
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
)
def test_a_value_opens_under_its_own_context_only(one: dict[str, str], other: dict[str, str]) -> None:
    kek = KeyEncryptionKey(SECRET)
    sealed = kek.seal(b"private", one)
    if one == other:
        assert kek.open(sealed, other) == b"private"
    else:
        with pytest.raises(SealError):
            kek.open(sealed, other)


def test_moving_a_character_between_name_and_value_is_another_context(kek: KeyEncryptionKey) -> None:
    sealed = kek.seal(b"private", {"ab": "c", "d": "e"})
    assert kek.open(sealed, {"ab": "c", "d": "e"}) == b"private"
    for other in ({"a": "bc", "d": "e"}, {"ab": "cd", "": "e"}, {"ab": "cde"}):
        with pytest.raises(SealError):
            kek.open(sealed, other)


def test_another_key_does_not_open(kek: KeyEncryptionKey) -> None:
    sealed = kek.seal(b"private", CONTEXT)
    with pytest.raises(SealError):
        KeyEncryptionKey(SECRET).open(sealed, CONTEXT)
    assert kek.open(sealed, CONTEXT) == b"private"


@pytest.mark.attack("KEYS-12")
def test_every_purpose_has_a_key_of_its_own(kek: KeyEncryptionKey) -> None:
    labels = ["refresh", "csrf", "cookie", "vault", "audit-checkpoint", "dpop-nonce", "seal", "derive"]
    derived = [kek.derive(label) for label in labels]
    assert len(set(derived)) == len(labels)
    assert all(len(key) == 32 for key in derived)
    assert kek.derive("csrf") == kek.derive("csrf") != KeyEncryptionKey(SECRET).derive("csrf")


@pytest.mark.attack("KEYS-12")
def test_no_derived_key_is_the_sealing_key(kek: KeyEncryptionKey) -> None:
    sealed = kek.seal(b"private", {})
    for secret in (bytes(range(32)), kek.derive("seal"), kek.derive("seal\x00"), kek.derive("vault")):
        with pytest.raises(InvalidTag):
            AESGCM(secret).decrypt(sealed[1:13], sealed[13:], sealed[:1])
    assert kek.open(sealed, {}) == b"private"


@pytest.mark.attack("KEYS-12")
def test_a_derived_key_does_not_open_what_another_purpose_sealed(kek: KeyEncryptionKey) -> None:
    vault, other = KeyEncryptionKey(kek.derive("vault")), KeyEncryptionKey(kek.derive("cookie"))
    sealed = vault.seal(b"third-party token", CONTEXT)
    for wrong in (kek, other):
        with pytest.raises(SealError):
            wrong.open(sealed, CONTEXT)
    assert vault.open(sealed, CONTEXT) == b"third-party token"


def test_a_derived_key_needs_a_label(kek: KeyEncryptionKey) -> None:
    with pytest.raises(ValueError, match="label"):
        kek.derive("")


BASE64URL = base64.urlsafe_b64encode(SECRET).decode()


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        SECRET.hex(),
        SECRET.hex().upper() + "\n",
        BASE64URL,
        BASE64URL.rstrip("="),
        f" {BASE64URL}\n".encode(),
    ],
)
def test_a_key_is_read_from_bytes_and_text(written: str | bytes) -> None:
    assert KeyEncryptionKey.parse(written) == KeyEncryptionKey(SECRET)


@pytest.mark.parametrize(
    "written",
    [
        "",
        b"",
        SECRET[:31],
        SECRET + b"\n",
        SECRET.hex()[:-1],
        SECRET.hex()[:-1] + "g",
        "correct horse battery staple pass",
        "a" * 32,
        "é" * 43,
        BASE64URL[:-2],
        BASE64URL + "AA",
        "+" + BASE64URL[1:],  # the other alphabet
        BASE64URL[:-2] + chr(ord(BASE64URL[-2]) + 1),  # spare bits set
    ],
)
def test_anything_else_is_refused_without_being_repeated(written: str | bytes) -> None:
    with pytest.raises(ValueError, match="a key-encryption key is 32 bytes") as refusal:
        KeyEncryptionKey.parse(written)
    assert refusal.value.__cause__ is None
    assert len(written) < 5 or str(written) not in str(refusal.value)


def test_the_key_never_prints() -> None:
    kek = KeyEncryptionKey(SECRET)
    for shown in (repr(kek), str(kek), f"{kek}", f"{[kek]}"):
        assert "***" in shown
        assert SECRET.hex() not in shown and repr(SECRET)[2:-1] not in shown


@pytest.mark.attack("KEYS-08")
def test_a_new_key_file_is_ours_alone_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    old = os.umask(0)
    try:
        created = create_key_file(path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert read_key_file(path) == created
    assert os.listdir(tmp_path) == ["kek"]


def test_an_existing_key_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    created = create_key_file(path)
    with pytest.raises(FileExistsError):
        create_key_file(path)
    assert read_key_file(path) == created
    assert os.listdir(tmp_path) == ["kek"]
    assert create_key_file(tmp_path / "other") != created


@pytest.mark.attack("KEYS-08")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "kek"
    created = create_key_file(path)
    path.chmod(mode)
    with pytest.raises(ValueError, match="open to group or others"):
        read_key_file(path)
    path.chmod(0o400)
    assert read_key_file(path) == created


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_key_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    created = create_key_file(path)
    os.chown(path, 12345, -1)
    with pytest.raises(ValueError, match="another user"):
        read_key_file(path)
    os.chown(path, 0, -1)
    assert read_key_file(path) == created


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kek", 0o600)
    with pytest.raises(ValueError, match="regular file"):
        read_key_file(tmp_path / "kek")


@pytest.mark.parametrize("content", [b"", b"short", SECRET.hex()[:32].encode(), b"0123456789abcdef" * 2])
def test_a_file_without_a_whole_key_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"kek: a key-encryption key is 32 bytes"):
        read_key_file(path)
    path.write_bytes(SECRET)
    assert read_key_file(path) == KeyEncryptionKey(SECRET)


def test_a_key_opens_what_the_one_before_it_sealed_and_seals_for_itself() -> None:
    old, new = KeyEncryptionKey(bytes(range(32))), KeyEncryptionKey(bytes(range(1, 33)))
    both = new.after(old)
    assert both.open(old.seal(b"secret", {"a": "b"}), {"a": "b"}) == b"secret"
    assert new.open(both.seal(b"secret", {"a": "b"}), {"a": "b"}) == b"secret"
    assert (both.id, both.derive("x")) == (new.id, new.derive("x")) and old.id != new.id
    assert repr(both) == "KeyEncryptionKey(***)"
    for opened in (new, both):
        with pytest.raises(SealError):
            opened.open(old.seal(b"secret", {"a": "b"}), {"a": "other"})


def test_a_data_key_is_wrapped_for_one_context_and_wrapped_anew_without_what_it_sealed() -> None:
    old, new = KeyEncryptionKey(bytes(range(32))), KeyEncryptionKey(bytes(range(1, 33)))
    key, wrapped = old.wrap({"row": "1"})
    other, _ = old.wrap({"row": "1"})
    sealed = key.seal(b"secret", {})
    assert old.unwrap(wrapped, {"row": "1"}).open(sealed, {}) == b"secret" and other.id != key.id
    assert new.unwrap(new.rewrap(key, {"row": "1"}), {"row": "1"}).open(sealed, {}) == b"secret"
    for wrong, context in ((new, {"row": "1"}), (old, {"row": "2"})):
        with pytest.raises(SealError):
            wrong.unwrap(wrapped, context)
