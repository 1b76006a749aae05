"""NIST SP 800-38D (AES-256-GCM) and RFC 5869 (HKDF-SHA256): sealing at rest, and keys for one purpose."""

import base64
import binascii
import itertools
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_FORMAT = b"\x01"  # AES-256-GCM, 96-bit nonce, 128-bit tag, context encoded as below
_NONCE = 12
_TAG = 16
_SIZE = 32
_REFUSED = "a key-encryption key is 32 bytes: raw, as 64 hexadecimal digits or as 43 base64url characters"


class SealError(Exception):
    """A sealed value does not open: another key, another context or changed bytes; nobody can tell which."""


@dataclass(frozen=True, slots=True)
class KeyEncryptionKey:
    """The 32 secret bytes under which private keys and third-party tokens are sealed. Prints as `***`."""

    _secret: bytes = field(repr=False)
    _previous: "KeyEncryptionKey | None" = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self._secret) != _SIZE:
            raise ValueError(_REFUSED)

    def __repr__(self) -> str:
        return "KeyEncryptionKey(***)"

    @classmethod
    def parse(cls, value: str | bytes) -> Self:
        """Read 32 raw bytes, or hexadecimal or base64url text (padding and outer white space allowed)."""
        if isinstance(value, bytes) and len(value) == _SIZE:
            return cls(value)
        try:
            text = (value.decode("ascii") if isinstance(value, bytes) else value).strip()
            if len(text) == 2 * _SIZE:
                return cls(binascii.unhexlify(text))
            secret = base64.b64decode(text.removesuffix("=") + "=", altchars="-_", validate=True)
        except ValueError:  # the causes quote the input: say none of it
            raise ValueError(_REFUSED) from None
        if base64.urlsafe_b64encode(secret).decode().rstrip("=") != text.removesuffix("="):
            raise ValueError(_REFUSED)
        return cls(secret)

    def weak(self) -> bool:
        """Whether no random generator made this: a pass phrase, a repetition, a sequence. Errs once in 1e13 keys."""
        steps = {(after - before) % 256 for before, after in itertools.pairwise(self._secret)}
        typed = all(32 <= byte < 127 for byte in self._secret)
        return typed or len(set(self._secret)) <= _SIZE // 2 or len(steps) == 1

    @property
    def id(self) -> str:
        """Names this key beside what it sealed, and tells nothing of it."""
        return self.derive("id").hex()[:16]

    def after(self, previous: "KeyEncryptionKey") -> "KeyEncryptionKey":
        """This key, which also opens what `previous` sealed: for as long as such values are about."""
        return KeyEncryptionKey(self._secret, previous)

    def wrap(self, context: Mapping[str, str]) -> "tuple[KeyEncryptionKey, bytes]":
        """A new data key, and itself sealed under this one."""
        secret = AESGCM.generate_key(256)
        return KeyEncryptionKey(secret), self.seal(secret, context)

    def rewrap(self, key: "KeyEncryptionKey", context: Mapping[str, str]) -> bytes:
        """A data key sealed under this one, again."""
        return self.seal(key._secret, context)

    def unwrap(self, sealed: bytes, context: Mapping[str, str]) -> "KeyEncryptionKey":
        """The data key that `wrap` made, or SealError."""
        return KeyEncryptionKey(self.open(sealed, context))

    def seal(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Encrypt and bind to `context`: it is not stored, and opening takes the same pairs again."""
        nonce = os.urandom(_NONCE)
        return _FORMAT + nonce + self._cipher().encrypt(nonce, plaintext, _FORMAT + _canonical(context))

    def open(self, sealed: bytes, context: Mapping[str, str]) -> bytes:
        """The plaintext, or SealError."""
        try:
            return self._opened(sealed, context)
        except SealError:
            if self._previous is None:
                raise
            return self._previous.open(sealed, context)

    def _opened(self, sealed: bytes, context: Mapping[str, str]) -> bytes:
        if len(sealed) < len(_FORMAT) + _NONCE + _TAG or not sealed.startswith(_FORMAT):
            raise SealError("this is not a sealed value of a known format")
        nonce, ciphertext = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._cipher().decrypt(nonce, ciphertext, _FORMAT + _canonical(context))
        except InvalidTag:
            raise SealError("sealed under another key or context, or changed since") from None

    def derive(self, label: str) -> bytes:
        """32 bytes for one purpose; as a `KeyEncryptionKey` they seal for that purpose alone."""
        if not label:
            raise ValueError("a derived key needs a label")
        return self._expand(b"derive\x00" + label.encode())

    def _cipher(self) -> AESGCM:
        # Sealing has a key of its own that no label of `derive` can reach.
        return AESGCM(self._expand(b"seal\x00"))

    def _expand(self, info: bytes) -> bytes:
        return HKDF(algorithm=hashes.SHA256(), length=_SIZE, salt=None, info=info).derive(self._secret)


def _canonical(context: Mapping[str, str]) -> bytes:
    """One encoding per set of pairs: sorted, every name and value behind its length."""
    parts = (part.encode() for pair in sorted(context.items()) for part in pair)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def read_key_file(path: Path) -> KeyEncryptionKey:
    """Read a key file that is ours (or root's) alone; ValueError says what is wrong with any other."""
    # Not blocking: a pipe in its place is to be refused, not waited for.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        facts = os.fstat(file.fileno())  # of the open file, not the path: nobody can swap it in between
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(f"{path} is not a regular file")
        if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"{path} is open to group or others: chmod 600 it")
        if facts.st_uid not in (0, os.geteuid()):
            raise ValueError(f"{path} belongs to another user")
        content = file.read(4096)
    # 32 printable characters are half a key in hexadecimal or a pass phrase, never 32 random bytes.
    printable = content.isascii() and content.decode("ascii").strip().isprintable()
    try:
        return KeyEncryptionKey.parse(content.decode("ascii") if printable else content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def create_key_file(path: Path) -> KeyEncryptionKey:
    """Write a new key to `path`, mode 0600, whole or not at all; FileExistsError if there is one already."""
    key = KeyEncryptionKey(AESGCM.generate_key(256))
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
            file.write(key._secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)
    finally:
        Path(draft).unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # what is sealed under a key must not outlive it
    finally:
        os.close(directory)
    return key
