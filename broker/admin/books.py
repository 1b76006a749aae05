"""Laws 1, 2 and 6 of docs/laws.md, as the books of one database keep them: what contradicts itself there; pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from broker.audit.whole import Evidence
from broker.denials.model import Kind, Target

MINTS = frozenset({"token.issued", "exchange.granted", "id_jag.issued"})
_ONCE = {"decision.made": "decision", "outcome.reported": "decision", "approval.spent": "approval"}
_GIVEN = {"code.consumed": "code.issued", "device.redeemed": "device.approved"}


class Refresh(Protocol):
    """A refresh token's row; `predecessor` is the row that it succeeded."""

    @property
    def id(self) -> str: ...
    @property
    def grant_id(self) -> str: ...
    @property
    def predecessor(self) -> str | None: ...
    @property
    def expires_at(self) -> float: ...
    @property
    def spent_at(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Books:
    """What the database holds at `now`, while nobody writes; `denied` is everything off."""

    evidence: Sequence[Evidence]
    refresh_tokens: Sequence[Refresh]
    denied: frozenset[Target]
    now: float

    @property
    def mints(self) -> list[Evidence]:
        return [record for record in self.evidence if record.fact in MINTS]

    @property
    def permits(self) -> list[Evidence]:
        """The decisions that let a call through."""
        return [
            record
            for record in self.evidence
            if record.fact == "decision.made" and record.members.get("outcome") == "allowed"
        ]


def twice(books: Books) -> Iterator[str]:
    """What was spent more often than it was given, or has more children than mothers."""
    for hashed, count in Counter(record.members.get("jti_hash") for record in books.mints).items():
        if count > 1:
            yield f"{count} mints of the token {hashed}"
    told = Counter(
        (record.fact, record.members.get(_ONCE[record.fact]))
        for record in books.evidence
        if record.fact in _ONCE
    )
    for (fact, identifier), count in told.items():
        if count > 1:
            yield f"{count} records {fact} of {identifier}"
    facts = Counter((record.fact, record.members.get("grant_id")) for record in books.evidence)
    for (fact, grant), count in facts.items():
        given = facts[_GIVEN[fact], grant] if fact in _GIVEN else count
        if count > given:
            yield f"grant {grant}: {given} codes issued, {count} redeemed"
    lines = _lines(books)
    for grant, rows in lines.items():
        rotated = facts["refresh.rotated", grant]
        # Once the first of a line is forgotten for its age, the number says nothing any more.
        if any(row.predecessor is None for row in rows) and rotated != len(rows) - 1:
            yield f"grant {grant}: {rotated} rotations, {len(rows) - 1} successors"


def damaged(books: Books) -> Iterator[str]:
    """Records that were changed or are missing."""
    for record in books.evidence:
        if not record.intact:
            yield f"{record.id}: the record is not what was written"
    numbers = sorted(record.seq for record in books.evidence if record.seq is not None)
    for before, after in pairwise(numbers):
        if after != before + 1:
            yield f"the records between {before} and {after} are missing"


def forked(books: Books) -> Iterator[str]:
    """Lines of refresh tokens that have two ends."""
    for grant, rows in _lines(books).items():
        living = [row.id for row in rows if row.spent_at is None and row.expires_at > books.now]
        if len(living) > 1:
            yield f"grant {grant}: {len(living)} live refresh tokens: {', '.join(living)}"
        for predecessor, count in Counter(row.predecessor for row in rows).items():
            if count > 1:
                yield f"grant {grant}: {count} refresh tokens succeed {predecessor or 'nobody'}"


def revived(books: Books, skew: float) -> Iterator[str]:
    """Grants that were revoked and are not off, and what was minted from them or permitted with them afterwards."""
    ended: dict[object, float] = {}
    for record in books.evidence:
        if record.fact == "grant.revoked":
            grant = record.members.get("grant_id")
            ended.setdefault(grant, record.time)
            if Target(Kind.GRANT, str(grant)) not in books.denied and not _past(record, books.now):
                yield f"grant {grant}: revoked by {record.id}, and not off"
    for record in (*books.mints, *books.permits):
        grant = record.members.get("grant_id")
        if grant in ended and record.time > ended[grant] + skew:
            what = "minted" if record.fact in MINTS else "permitted"
            yield f"{record.id}: {what} {record.time - ended[grant]:.3f} s after grant {grant} was revoked"


def _past(record: Evidence, now: float) -> bool:
    """Whether what a revocation ended would be over by itself by now."""
    change = record.members.get("change")
    until = change.get("until") if isinstance(change, dict) else None
    return isinstance(until, (int, float)) and until <= now


def _lines(books: Books) -> dict[str, list[Refresh]]:
    """The refresh tokens of each grant."""
    found: defaultdict[str, list[Refresh]] = defaultdict(list)
    for row in books.refresh_tokens:
        found[row.grant_id].append(row)
    return found
