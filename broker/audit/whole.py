"""RFC 9162 section 2.1.1: the evidence as it was written, to be held against itself and against other accounts."""

import json
from dataclasses import dataclass

from broker.audit import store
from broker.audit.record import leaf_hash
from broker.protocol import jcs
from broker.runtime.database import Transaction


@dataclass(frozen=True, slots=True)
class Evidence:
    """One record: `members` without personal values, `time` in epoch seconds; `intact`: hash, id and columns fit."""

    id: str
    seq: int | None
    time: float
    fact: str
    members: dict[str, object]
    intact: bool


def whole(tx: Transaction) -> list[Evidence]:
    """Every record behind the wall of `tx.tenant`, oldest first."""
    return [_evidence(row) for row in store.every(tx)]


def _evidence(row: store.Written) -> Evidence:
    try:
        members: dict[str, object] = json.loads(row.body)
        intact = (
            jcs.canonical(members) == row.body.encode()
            and leaf_hash(row.body.encode()) == row.leaf_hash
            and (row.id, row.fact, row.jti_hash)
            == (members.get("id"), members.get("fact"), members.get("jti_hash"))
        )
    except ValueError:
        return Evidence(row.id, row.seq, row.time, row.fact, {}, False)
    return Evidence(row.id, row.seq, row.time, row.fact, members, intact)
