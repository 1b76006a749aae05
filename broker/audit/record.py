"""Record a fact in the transaction of the act: canonical (RFC 8785), committed to, without a secret."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from broker.audit import store
from broker.audit.model import FACTS, Fact
from broker.protocol import jcs
from broker.protocol.origin import Origin
from broker.runtime.clock import Clock
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.runtime.log import without_secrets
from broker.runtime.metrics import count_fact

PERSONAL = ("subject", "approver", "source", "initiator", "intent", "arguments", "words")


class Recorder:
    """Writes facts. What it returns is the record's id."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock, self._entropy = clock, entropy

    def record(self, tx: Transaction, fact: Fact, origin: Origin | None = None) -> str:
        """Insert `fact` into the audit trail within `tx`; raises what the database raises."""
        if fact.fact not in FACTS:
            raise KeyError(fact.fact)
        now = self._clock.now()
        identifier = self._entropy.identifier("aud", now)
        members = _members(fact, origin, identifier, now)
        personal: dict[str, list[str]] = {}
        for name in PERSONAL:
            if name in members:
                salt = self._entropy.secret()
                value = str(members[name])
                personal[name] = [salt, value]
                members[name] = commitment(salt, value)
        body = jcs.canonical(members)
        store.add(
            tx,
            {
                "id": identifier,
                "seq": None,
                "time": now,
                "tenant": fact.tenant,
                "fact": fact.fact,
                "outcome": fact.outcome.value,
                "client": members.get("client"),
                "txn": fact.txn,
                "grant_id": fact.grant_id,
                "jti_hash": members.get("jti_hash"),
                "parent_jti_hash": members.get("parent_jti_hash"),
                "request_id": members.get("request_id"),
                "decision": fact.decision,
                "body": body.decode(),
                "leaf_hash": leaf_hash(body),
            },
            json.dumps(personal) if personal else None,
            fact.subject,
        )
        count_fact(fact.fact, fact.outcome.value)
        return identifier


def commitment(salt: str, value: str) -> str:
    """What the record says of a personal value: it can be shown to match, not be read back."""
    return "sha256:" + hashlib.sha256(f"{salt}\0{value}".encode()).hexdigest()


def leaf_hash(body: bytes) -> str:
    """RFC 9162 section 2.1.1: the hash of a leaf, hex."""
    return hashlib.sha256(b"\0" + body).hexdigest()


def jti_hash(jti: str) -> str:
    """How a token is named in the evidence: never by itself."""
    return hashlib.sha256(jti.encode()).hexdigest()


def _members(fact: Fact, origin: Origin | None, identifier: str, now: float) -> dict[str, object]:
    found: Mapping[str, object | None] = {
        "id": identifier,
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "fact": fact.fact,
        "outcome": fact.outcome.value,
        "reason": fact.reason.value if fact.reason else None,
        "detail": without_secrets(fact.detail) if fact.detail else None,
        "tenant": fact.tenant,
        "subject": fact.subject,
        "client": fact.client or (origin.client if origin else None),
        "actors": list(fact.actors) or None,
        "resource": fact.resource,
        "downstream": fact.downstream,
        "scope": " ".join(fact.scope) or None,
        "jti_hash": jti_hash(fact.jti) if fact.jti else None,
        "parent_jti_hash": jti_hash(fact.parent_jti) if fact.parent_jti else None,
        "txn": fact.txn,
        "grant_id": fact.grant_id,
        "issuer": fact.issuer or (origin.door if origin else None) or None,
        "request_id": (origin.request_id or None) if origin else None,
        "source": origin.source if origin else None,
        "tool": fact.tool,
        "intent": fact.intent,
        "arguments_digest": fact.arguments_digest,
        "arguments": None if fact.arguments is None else jcs.canonical(fact.arguments).decode(),
        "decision": fact.decision,
        "approval": fact.approval,
        "approver": fact.approver,
        "downstream_request_id": fact.downstream_request_id,
        "result_digest": fact.result_digest,
        "result_size": fact.result_size,
        "initiator": fact.initiator,
        "words": without_secrets(fact.words) if fact.words else None,
        "count": fact.count,
        "change": fact.change or None,
    }
    return {name: value for name, value in found.items() if value is not None}
