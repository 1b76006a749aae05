"""Whose a token is, by the record of its making: for those who have its `jti` and not the token."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from broker.audit import store
from broker.audit.model import made
from broker.audit.record import jti_hash
from broker.runtime.database import Transaction


@dataclass(frozen=True, slots=True)
class Making:
    """`subject` None: erased. `actors` by their client ids, the current one first. `resource`: where it is good."""

    tenant: str
    subject: str | None
    client: str | None
    actors: tuple[str, ...]
    resource: str | None
    txn: str | None
    grant_id: str | None


def of(tx: Transaction, jtis: Iterable[str]) -> dict[str, Making]:
    """By jti, those that were made behind the wall of `tx`."""
    by_hash = {jti_hash(jti): jti for jti in jtis}
    found: dict[str, Making] = {}
    for row in store.with_tokens(tx, sorted(by_hash)):
        members = json.loads(row.body)
        hashed = made(members)
        if hashed is None or members.get("tenant") is None:
            continue
        personal = json.loads(row.personal) if row.personal else {}
        subject = personal.get("subject")
        found[by_hash[hashed]] = Making(
            members["tenant"],
            subject[1] if subject else None,
            members.get("client"),
            tuple(members.get("actors", ())),
            members.get("downstream", members.get("resource")),
            members.get("txn"),
            members.get("grant_id"),
        )
    return found
