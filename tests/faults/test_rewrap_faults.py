"""NIST SP 800-57 section 5.3: another key-encryption key takes over, also when whoever seals anew is killed at it."""

import multiprocessing
import signal
import sys
import time
from pathlib import Path

import pytest

from broker import app as composition
from broker.runtime.database import Transaction
from broker.settings import Settings
from broker.vault import store
from broker.vault.model import Tokens
from broker.vault.sealing import Sealing
from keys.sealed import KeyEncryptionKey
from tests.engines import Engine
from tests.faults.site import KEK, Site
from tests.stores.vaulted import connection

ROWS = 150
NEXT = "7c" * 32
MADE = {one.id: one for one in (connection(f"{number:03d}") for number in range(ROWS))}
_context = multiprocessing.get_context("forkserver")


def _seal_anew(values: dict[str, object], told: str) -> None:
    """In the child."""
    sys.stdout = sys.stderr = open(told, "a", buffering=1)
    composition.compose(Settings(**values)).vault.connections.rewrap()


def fill(tx: Transaction) -> None:
    sealing = Sealing(KeyEncryptionKey.parse(KEK))
    for one in MADE.values():
        store.add(tx, one, sealing.sealed(one, Tokens(f"access of {one.id}", f"refresh of {one.id}")))


def under(tx: Transaction, sealing: Sealing) -> dict[str, Tokens]:
    """The tokens of every row that is sealed under this key, opened with this key alone."""
    found = {}
    for one in store.every(tx):
        known = store.get(tx, one.id)
        assert known is not None and known[1] is not None and known[0].version == MADE[one.id].version
        if known[1].key_id == sealing.key_id:
            found[one.id] = sealing.opened(known[0], known[1])
    return found


@pytest.mark.attack("FAULT-29")
def test_sealing_anew_goes_on_after_a_kill_and_every_row_opens_under_one_key(
    either: Engine, tmp_path: Path
) -> None:
    site, before = Site(either, tmp_path), tmp_path / "before"
    before.write_text(KEK)
    before.chmod(0o600)
    with site.opened() as broker:
        broker.world.database.write(fill)
    site.values |= {"key_encryption_key": NEXT, "previous_key_encryption_key_file": before}
    old, new = (Sealing(KeyEncryptionKey.parse(key)) for key in (KEK, NEXT))
    with site.opened() as broker:
        read = broker.world.database.read
        child = _context.Process(target=_seal_anew, args=(site.values, str(tmp_path / "log")))
        child.start()
        while (
            child.is_alive()
            and len(read(lambda tx: store.otherwise_sealed(tx, new.key_id, "", ROWS))) == ROWS
        ):
            time.sleep(0.005)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
        left, done = read(lambda tx: under(tx, old)), read(lambda tx: under(tx, new))
        assert left and done and len(left) + len(done) == ROWS, "killed in the middle, and nothing in between"
        assert broker.vault.connections.unreadable() == []
        assert broker.vault.connections.rewrap() == len(left)
        assert broker.vault.connections.rewrap() == 0
        told = read(lambda tx: under(tx, new))
        assert set(told) == set(MADE)
        assert all(tokens.refresh == f"refresh of {which}" for which, tokens in told.items())
