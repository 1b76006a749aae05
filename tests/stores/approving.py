"""Approvals, votes and letters for the tests of stores, and the cases of their stores."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from broker.control.approvals import store as approvals
from broker.control.approvals.model import Approval, Question, State, Vote
from broker.control.approvals.notices import store as letters
from broker.control.approvals.notices.model import Letter
from broker.control.model import Actor
from broker.estate.model import ApprovalRule, Impact
from broker.runtime.database import Transaction
from tests.stores.samples import DOOR, LATER, NOW


def digest(mark: str) -> str:
    return f"digest-{mark}"


def approval(mark: str, tenant: str = "acme", expires_at: float = LATER, act: str | None = None) -> Approval:
    question = Question(
        tool=f"tool {mark}",
        impact=Impact.EXTERNAL_WRITE,
        resource_id="tickets",
        resource="https://tickets.example",
        arguments={"ü": [1, {"of": mark, "nul": "\0"}]},
        actors=(Actor(DOOR, "sub", "server"),),
        tool_says="says",
        schema_digest="d" * 64,
        because=("policy.one",),
        intent="why",
    )
    return Approval(
        id=f"apr-{mark}",
        tenant=tenant,
        door=DOOR,
        digest=digest(act or mark),
        subject="user-shared",
        user=True,
        client_id="client-shared",
        grant_id=f"grant-{mark}",
        txn=f"txn-{mark}",
        question=question,
        rule=ApprovalRule(("approver", "self"), 900, 2),
        state=State.OFFERED,
        created_at=NOW,
        expires_at=expires_at,
    )


def vote(mark: str, tenant: str = "acme", user: str | None = None) -> Vote:
    return Vote(f"apr-{mark}", tenant, user or f"user-{mark}", NOW)


def letter(mark: str, tenant: str = "acme", next_at: float = NOW, attempts: int = 0) -> Letter:
    return Letter(f"ltr-{mark}", tenant, f"apr-{mark}", f"user-{mark}", attempts, next_at)


def seed(tx: Transaction, mark: str, tenant: str) -> None:
    """One that waits, one that was requested under a key, one that is approved and one denied, with votes."""
    approvals.add(tx, replace(approval(mark, tenant), client_id=f"client-{mark}"))
    approvals.add(tx, approval(f"keyed-{mark}", tenant))
    approvals.request(tx, f"apr-keyed-{mark}", NOW, f"key-{mark}")
    approvals.add(tx, approval(f"good-{mark}", tenant))
    approvals.add(tx, approval(f"no-{mark}", tenant))
    approvals.close(tx, f"apr-no-{mark}", State.DENIED, f"user-{mark}", mark, NOW)
    approvals.vote(tx, vote(mark, tenant))
    approvals.vote(tx, Vote(f"gone-{mark}", tenant, f"user-{mark}", NOW))
    approvals.approve(tx, f"apr-good-{mark}", f"user-{mark}", mark, NOW)
    letters.add(tx, letter(mark, tenant))


def cases(
    mark: Callable[[str], str],
) -> Iterator[tuple[Callable[..., object], Callable[[Transaction, str], object], bool]]:
    def one(o: str) -> str:
        return f"apr-{mark(o)}"

    def good(o: str) -> str:
        return f"apr-good-{mark(o)}"

    yield approvals.add, lambda tx, o: approvals.add(tx, approval("new", o)), True
    yield approvals.get, lambda tx, o: approvals.get(tx, one(o)), False
    yield approvals.waiting, lambda tx, o: approvals.waiting(tx, digest(mark(o)), DOOR, NOW), False
    yield approvals.good, lambda tx, o: approvals.good(tx, digest(f"good-{mark(o)}"), NOW), False
    yield approvals.listed, lambda tx, o: approvals.listed(tx, NOW, 100), False
    yield approvals.listed, lambda tx, o: approvals.listed(tx, NOW, 100, "user-shared"), False
    yield approvals.before, lambda tx, o: approvals.before(tx, "user-shared", NOW, 100), False
    yield approvals.answered, lambda tx, o: approvals.answered(tx, f"user-{mark(o)}", 100), False
    yield approvals.denied, lambda tx, o: approvals.denied(tx, digest(f"no-{mark(o)}")) == NOW, False
    yield (
        approvals.recent,
        lambda tx, o: approvals.recent(tx, f"client-{mark(o)}", "user-shared", "tickets", 0)[0] > 0,
        False,
    )
    yield (
        approvals.pending,
        lambda tx, o: approvals.pending(tx, f"client-{mark(o)}", "user-shared", "tickets", NOW)[0] > 0,
        False,
    )
    yield approvals.request, lambda tx, o: approvals.request(tx, one(o), NOW, "mine"), False
    yield approvals.keyed, lambda tx, o: approvals.keyed(tx, f"key-{mark(o)}"), False
    yield approvals.hold, lambda tx, o: approvals.hold(tx, one(o), NOW), False
    yield approvals.hold, lambda tx, o: approvals.hold(tx, good(o), NOW, given=True), False
    yield approvals.approve, lambda tx, o: approvals.approve(tx, one(o), "me", None, NOW), False
    yield approvals.close, lambda tx, o: approvals.close(tx, one(o), State.DENIED, "me", None, NOW), False
    yield approvals.spend, lambda tx, o: approvals.spend(tx, good(o), "dec", NOW), False
    yield approvals.lapse, lambda tx, o: approvals.lapse(tx, LATER), False
    yield approvals.lapse, lambda tx, o: approvals.lapse(tx, LATER, digest(mark(o))), False
    yield approvals.discard, lambda tx, o: approvals.discard(tx, LATER), False
    yield approvals.discard, lambda tx, o: approvals.discard(tx, LATER, digest(mark(o))), False
    yield approvals.blank, lambda tx, o: approvals.blank(tx, LATER), False
    yield approvals.sweep, lambda tx, o: approvals.sweep(tx, LATER + 10**6), False
    yield approvals.vote, lambda tx, o: approvals.vote(tx, vote(mark(o), o, "another")), True
    yield approvals.votes, lambda tx, o: approvals.votes(tx, one(o)), False

    yield letters.add, lambda tx, o: letters.add(tx, letter("new", o)), True
    yield letters.due, lambda tx, o: letters.due(tx, NOW, 100), False
    yield letters.attempt, lambda tx, o: letters.attempt(tx, letter(mark(o), o), LATER), False
    yield letters.put_off, lambda tx, o: letters.put_off(tx, f"user-{mark(o)}", NOW, LATER), False
    yield letters.drop, lambda tx, o: letters.drop(tx, f"ltr-{mark(o)}"), False
