"""Laws 1, 2, 3 and 6 of docs/laws.md, asked of a database: what must hold after every crash, race and fault.

With a journal (`admin.journal`) of what clients asked and received, also what only they can know. Pure: what was read
is handed in.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from broker.admin.books import Books, damaged, forked, revived, twice
from broker.admin.journal import Delivered, Entry, delivered
from broker.audit.record import jti_hash
from broker.audit.whole import Evidence
from broker.denials.model import Kind, Target
from broker.guard.jwks import JwksSource
from broker.guard.verifier import TokenRefused, Verifier
from broker.protocol.names import AUTHORIZATION_CODE, DEVICE_CODE, SIGNING_ALGORITHMS


@dataclass(frozen=True, slots=True)
class Judged:
    """One invariant: `violations` break it, `notes` are worth knowing. Without what it needs, it was not `checked`."""

    id: str
    title: str
    checked: bool
    violations: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.violations


def check(
    books: Books, journal: Sequence[Entry] | None, verifies: Callable[[str], str | None], skew: float = 0.0
) -> list[Judged]:
    """Every invariant, judged. `verifies` says why a token does not verify with the published keys, or None.

    `skew`: seconds by which the clocks of replicas may differ. ValueError for a journal that makes no sense.
    """
    entries = journal or ()
    tokens = delivered(entries)
    told = journal is not None

    def judged(
        number: str, title: str, needs: bool, found: Iterable[str], notes: Iterable[str] = ()
    ) -> Judged:
        return Judged(number, title, told or not needs, tuple(found), tuple(notes))

    lost = list(_undelivered(books, entries, tokens)) if told else []
    return [
        judged("I1", "Nothing is redeemed twice.", False, [*twice(books), *_twice_told(entries)]),
        judged("I2", "No token without its record.", True, _unrecorded(books, tokens)),
        judged(
            "I3", "No acknowledged record is lost.", False, [*damaged(books), *_lost(books, entries, tokens)]
        ),
        judged(
            "I4",
            "A token that nobody received can be revoked.",
            True,
            [
                f"{record.id}: minted, not received, and nothing to revoke it by"
                for record in lost
                if not _handle(record)
            ],
            [
                f"{record.id}: delivery unknown, revocable by {_handle(record)}"
                for record in lost
                if _handle(record)
            ],
        ),
        judged(
            "I6",
            "What was revoked yields no live token.",
            False,
            [*revived(books, skew), *_alive(books, entries, tokens)],
        ),
        judged("I7", "One live refresh token in each line.", False, forked(books)),
        judged("I9", "Every token verifies until it expires.", True, _unverified(books, tokens, verifies)),
        judged("I12", "Answers are as specified, or 429, or 503 with Retry-After.", True, _astray(entries)),
    ]


def verifying(
    issuers: Iterable[str], keys: JwksSource, now: Callable[[], float]
) -> Callable[[str], str | None]:
    """Says of a token why it does not verify with what these issuers publish, or None."""
    verifier = Verifier(dict.fromkeys(issuers, "*"), None, SIGNING_ALGORITHMS, keys, now, leeway=1.0)

    def verifies(token: str) -> str | None:
        try:
            verifier.verify(token)
        except TokenRefused as refused:
            return refused.reason
        return None

    return verifies


def _twice_told(entries: Iterable[Entry]) -> Iterator[str]:
    answers: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.status == 200 and entry.presented is not None:
            answers[entry.asked, entry.presented].append(entry)
    for (asked, _), given in answers.items():
        lines = ", ".join(str(entry.line) for entry in given)
        if asked in (AUTHORIZATION_CODE, DEVICE_CODE) and len(given) > 1:
            yield f"journal lines {lines}: one code, {len(given)} answers"
        if asked == "refresh_token" and len({entry.refresh_token for entry in given}) > 1:
            yield f"journal lines {lines}: one refresh token, several successors"


def _unrecorded(books: Books, tokens: Iterable[Delivered]) -> Iterator[str]:
    recorded = {record.members.get("jti_hash") for record in books.mints}
    for token in tokens:
        if jti_hash(token.jti) not in recorded:
            yield f"journal line {token.line}: no record of the token {token.jti}"


def _lost(books: Books, entries: Sequence[Entry], tokens: Sequence[Delivered]) -> Iterator[str]:
    """What was answered with 200 and is not in the evidence."""
    yield from _unrecorded(books, tokens)
    registered = {
        record.members.get("client") for record in books.evidence if record.fact == "client.registered"
    }
    ended = {
        str(record.members.get(member))
        for record in books.evidence
        for fact, member in (
            ("grant.revoked", "grant_id"),
            ("token.revoked", "txn"),
            ("token.revoked", "jti_hash"),
        )
        if record.fact == fact
    }
    for entry in entries:
        if (
            entry.asked == "register"
            and entry.status == 201
            and entry.answer.get("client_id") not in registered
        ):
            yield f"journal line {entry.line}: no record of the registration"
    for entry, kind, identifier in _revocations(entries, tokens):
        named = jti_hash(identifier) if kind is Kind.TOKEN else identifier
        if named not in ended:
            yield f"journal line {entry.line}: no record of the revocation"


def _undelivered(books: Books, entries: Sequence[Entry], tokens: Iterable[Delivered]) -> Iterator[Evidence]:
    """Mints for the clients of the journal, in its time, that none of them received."""
    if not entries:
        return
    clients = {entry.client for entry in entries}
    first, last = min(entry.began for entry in entries), max(entry.ended for entry in entries)
    received = {jti_hash(token.jti) for token in tokens}
    for record in books.mints:
        if (
            first <= record.time <= last
            and record.members.get("client") in clients
            and record.members.get("jti_hash") not in received
        ):
            yield record


def _handle(record: Evidence) -> str:
    """By what an administrator, or the user, can end a token that nobody has."""
    found = record.members.get("grant_id") or record.members.get("txn") or ""
    return str(found)


def _revocations(entries: Iterable[Entry], tokens: Sequence[Delivered]) -> Iterator[tuple[Entry, Kind, str]]:
    """(entry, kind, id) of what each acknowledged revocation ended: a grant, a transaction or one token."""
    by_token = {token.token: token for token in tokens}
    by_line = {token.line: token for token in tokens}
    entries = list(entries)
    grants = {
        entry.refresh_token: by_line[entry.line].grant_id
        for entry in entries
        if entry.refresh_token is not None and entry.line in by_line
    }
    for entry in entries:
        if entry.asked != "revoke" or entry.status != 200 or entry.presented is None:
            continue
        token = by_token.get(entry.presented)
        if entry.presented in grants:
            yield entry, Kind.GRANT, grants[entry.presented]
        elif token is not None and token.client == entry.client and entry.ended < token.expires_at:
            if token.exchanged:
                yield entry, Kind.TOKEN, token.jti
            elif token.own_work:
                yield entry, Kind.TRANSACTION, token.txn
            else:
                yield entry, Kind.GRANT, token.grant_id


def _alive(books: Books, entries: Sequence[Entry], tokens: Sequence[Delivered]) -> Iterator[str]:
    """Tokens that live although a client was told that they are revoked."""
    revoked = {Target(kind, identifier): entry for entry, kind, identifier in _revocations(entries, tokens)}
    for token in tokens:
        made_from = {
            Target(Kind.GRANT, token.grant_id),
            Target(Kind.TRANSACTION, token.txn),
            Target(Kind.TOKEN, token.jti),
        }
        because = next((revoked[target] for target in made_from if target in revoked), None)
        if because is not None and token.expires_at > books.now and not made_from & books.denied:
            yield f"journal line {token.line}: the token is live, although line {because.line} revoked it"


def _unverified(
    books: Books, tokens: Iterable[Delivered], verifies: Callable[[str], str | None]
) -> Iterator[str]:
    for token in tokens:
        why = verifies(token.token) if token.expires_at > books.now else None
        if why is not None:
            yield f"journal line {token.line}: the token does not verify: {why}"


def _astray(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        status = entry.status
        if status is None or status == 429 or 200 <= status < 300 or 400 <= status < 500:
            continue
        if status != 503 or not entry.retry_after:
            yield f"journal line {entry.line}: {entry.asked} was answered with {status}"
