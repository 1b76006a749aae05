"""Read the evidence: records by what they say, and the whole chain that any one id belongs to."""

import json
from collections.abc import Mapping

from broker.audit import store
from broker.audit.model import Record, made
from broker.audit.record import jti_hash
from broker.runtime.database import Database, Transaction

_ENDS = ("connection.ended", "connection.withdrawn", "connection.outlived")


def query(
    database: Database,
    tenant: str | None = None,
    *,
    fact: str | None = None,
    client: str | None = None,
    subject: str | None = None,
    outcome: str | None = None,
    since: float = 0.0,
    most: int = 100,
) -> list[Record]:
    """The newest records that match, newest first."""
    stored = database.read(
        lambda tx: store.find(
            tx, fact=fact, client=client, subject=subject, outcome=outcome, since=since, most=most
        ),
        tenant,
    )
    return [_record(row) for row in stored]


def trace(database: Database, any_id: str, tenant: str | None = None) -> list[Record]:
    """The chain that `any_id` is part of, cause before effect: by record, request, txn, grant, jti or its hash,
    decision, approval or downstream request.

    A transaction (`txn`) pulls in the grant it was made under, but not that grant's other transactions.
    """

    def read(tx: Transaction) -> list[store.Stored]:
        found = store.handles(tx, any_id) or store.handles(tx, jti_hash(any_id)) or store.mentions(tx, any_id)
        txns = {txn for _, txn, _, _ in found if txn}
        grants = {grant for _, txn, grant, _ in found if grant and not txn}
        requests = {request for _, txn, _, request in found if request and not txn}
        ids = {identifier for identifier, _, _, _ in found}
        story = store.chain(tx, sorted(ids), sorted(txns), sorted(grants), sorted(requests))
        behind = {str(grant) for row in story if (grant := _body(row).get("grant_id"))} - grants
        if behind:
            wider = store.chain(tx, sorted(ids), sorted(txns), sorted(grants | behind), sorted(requests))
            story = [row for row in wider if _belongs(_body(row), txns, grants, ids, requests)]
        return _beginnings(tx, story) + _after_parents(story) + _ends(tx, story)

    return [_record(row) for row in database.read(read, tenant)]


def _after_parents(story: list[store.Stored]) -> list[store.Stored]:
    """What was made from a token stands behind its making, whatever the clocks of two processes said."""
    bodies = [_body(row) for row in story]
    coming = {token for body in bodies if (token := made(body)) is not None}
    waiting: dict[object, list[int]] = {}
    order: list[int] = []

    def tell(number: int) -> None:
        parent = bodies[number].get("parent_jti_hash")
        if parent in coming:
            waiting.setdefault(parent, []).append(number)
            return
        order.append(number)
        token = made(bodies[number])
        if token in coming:
            coming.discard(token)
            for child in waiting.pop(token, []):
                tell(child)

    for number in range(len(story)):
        tell(number)
    stuck = [number for children in waiting.values() for number in children]
    return [story[number] for number in [*order, *stuck]]


def _beginnings(tx: Transaction, story: list[store.Stored]) -> list[store.Stored]:
    """How it came to this: the client's own registration, the consent (a remembered one too) and its sign-in."""
    told = {_body(row)["id"] for row in story}
    remembered = {str(consent) for row in story if (consent := _change(_body(row)).get("consent"))}
    earlier = store.chain(tx, [], [], sorted(remembered), []) if remembered else []
    found = [row for row in earlier if _body(row)["fact"] == "consent.granted"]
    consents = [_record(row).members for row in (*story, *found) if _body(row)["fact"] == "consent.granted"]
    for consent in consents:
        found += store.find(tx, fact="client.registered", client=str(consent.get("client")))
        session = _change(consent).get("session")
        for row in store.find(tx, fact="session.started", subject=str(consent.get("subject"))):
            if _body(row).get("change") == {"session": session}:
                found.append(row)
    unique = {str(_body(row)["id"]): row for row in found if _body(row)["id"] not in told}
    return [unique[identifier] for identifier in sorted(unique)]


def _ends(tx: Transaction, story: list[store.Stored]) -> list[store.Stored]:
    """What became of tokens of other systems that were released: whether their providers were told."""
    told, found = {_body(row)["id"] for row in story}, dict[str, store.Stored]()
    for release in story:
        body = _record(release).members
        connection = _change(body).get("connection")
        if body["fact"] != "token.released" or connection is None:
            continue
        for fact in _ENDS:
            for row in store.find(tx, fact=fact, subject=str(body.get("subject"))):
                end = _body(row)
                later = str(end["id"]) > str(body["id"]) and end["id"] not in told
                if later and _change(end).get("connection") == connection:
                    found[str(end["id"])] = row
    return [found[identifier] for identifier in sorted(found)]


def _change(members: Mapping[str, object]) -> Mapping[str, object]:
    change = members.get("change")
    return change if isinstance(change, dict) else {}


def _body(row: store.Stored) -> dict[str, object]:
    members: dict[str, object] = json.loads(row.body)
    return members


def _belongs(
    members: dict[str, object], txns: set[str], grants: set[str], ids: set[str], requests: set[str]
) -> bool:
    txn = members.get("txn")
    return (
        txn is None
        or txn in txns
        or members.get("grant_id") in grants
        or members.get("id") in ids
        or members.get("request_id") in requests
    )


def _record(row: store.Stored) -> Record:
    members = _body(row)
    if row.personal is not None:
        personal = {name: value for name, (_, value) in json.loads(row.personal).items()}
        if "arguments" in personal:
            personal["arguments"] = json.loads(personal["arguments"])
        members |= personal
    return Record(row.seq, {"seq": row.seq, **members})
