"""Diagnosis: findings, and the rules over files, database, limits, clock and keys; pure.

Whoever gathers the facts hands them in. The rules over settings are in `knobs`, those over the estate in `lint`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from broker.identity.tenants.keys import PURPOSE
from broker.runtime.facts import OLDEST_POSTGRESQL, EngineFacts
from keys.model import RingName
from keys.ring import Keyring
from keys.rotation import RotationPolicy, plan

SKEW = 2.0
"""Seconds that two clocks may differ."""
_WORKER_LAG = 300.0
_MANY = 5


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, and what to do about it (empty when nothing is to do)."""

    id: str
    level: Level
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """`mode` are the permission bits; `secret`: it holds what nobody else may read."""

    path: Path
    mode: int
    secret: bool


def warn(identifier: str, what: str, fix: str) -> Finding:
    return Finding(identifier, Level.WARN, what, fix)


def fail(identifier: str, what: str, fix: str) -> Finding:
    return Finding(identifier, Level.FAIL, what, fix)


def checked(identifier: str, fine: str, found: Iterable[Finding]) -> list[Finding]:
    """What was found, or that it is fine."""
    return list(found) or [Finding(identifier, Level.OK, fine)]


def listed(names: Sequence[str]) -> str:
    """A few names and how many more there are."""
    more = len(names) - _MANY
    return ", ".join(names[:_MANY]) + (f" and {more} more" if more > 0 else "")


def files(found: Sequence[FileFacts]) -> list[Finding]:
    def wrong() -> Iterator[Finding]:
        for file in found:
            if file.mode & 0o077:
                text = f"{file.path} is open to group or others (mode {file.mode:04o})."
                fix = f"chmod {'700' if file.path.is_dir() else '600'} {file.path}"
                yield fail("files.modes", text, fix) if file.secret else warn("files.modes", text, fix)

    return checked("files.modes", "The files are the owner's alone.", wrong())


def engine(facts: EngineFacts, development: bool) -> list[Finding]:
    """Durability, the walls between tenants, and who may touch evidence."""
    return [
        *checked("database.engine", f"{facts.engine} {facts.version} answers.", _version(facts)),
        *checked("database.durability", "What was committed survives a crash.", _durability(facts)),
        *checked("database.role", "The role suits its work.", _role(facts, development)),
        *checked("database.evidence", "Audit records can only be added.", _evidence(facts)),
    ]


def _version(facts: EngineFacts) -> Iterator[Finding]:
    if facts.engine == "PostgreSQL" and facts.version_number < OLDEST_POSTGRESQL:
        yield fail("database.engine", f"PostgreSQL {facts.version} is too old.", "Use version 15 or later.")


def _durability(facts: EngineFacts) -> Iterator[Finding]:
    for name, value, wanted in facts.durability:
        if value not in wanted:
            text = f"{name} is {value}: a crash can undo what was answered, a spent code for one."
            yield fail("database.durability", text, f"Set {name} to {wanted[0]}.")


def _role(facts: EngineFacts, development: bool) -> Iterator[Finding]:
    grave = warn if development else fail
    fix = "Connect as a role with NOSUPERUSER NOBYPASSRLS; run `broker migrate` to give it what it needs."
    if facts.superuser:
        yield grave("database.role", "The role is a superuser: no wall between tenants holds it.", fix)
    elif facts.bypasses_walls:
        yield grave("database.role", "The role bypasses row-level security.", fix)
    elif facts.unwalled:
        text = f"Row-level security does not hold this role on {listed(facts.unwalled)}."
        yield fail("database.role", text, "Run `broker migrate`, or enable and force it on these tables.")


def _evidence(facts: EngineFacts) -> Iterator[Finding]:
    if not facts.evidence_guarded:
        text = "Nothing in the database keeps audit records from being changed."
        yield fail("database.evidence", text, "Restore the triggers of `audit_record`: `broker migrate`.")
    elif facts.may_change_evidence:
        text = "The role of the server may change audit tables: only a trigger keeps the records."
        fix = "Migrate with a role of its own (BROKER_MIGRATION_DATABASE_URL), so that the server's can only add."
        yield warn("database.evidence", text, fix)


def limits(*, shared: bool, answers: bool, several: bool) -> list[Finding]:
    """Where limits are counted: `shared` in Redis; `several`: the database can serve more than one process."""

    def wrong() -> Iterator[Finding]:
        if not answers:
            text = "Redis does not answer: each process counts limits for itself."
            yield fail("limits.redis", text, "Start Redis, or correct `redis_url`.")
        elif several and not shared:
            text = "Without Redis each process counts limits for itself: several allow several times as much."
            yield warn("limits.redis", text, "Set `redis_url` before a second process is started.")

    return checked("limits.redis", "Limits hold for all processes together.", wrong())


def clock(before: float, database: float, after: float, newest: float | None) -> list[Finding]:
    """The own clock read before and after the database told its time; `newest` is the last audit record's."""

    def wrong() -> Iterator[Finding]:
        fix = "Synchronize the clocks (NTP) before the server runs again."
        if after < before:
            yield fail("clock", "The clock went backwards while it was looked at.", fix)
        off = max(before - database, database - after, 0.0)
        if off > SKEW:
            text = f"The database's clock and this machine's differ by {off:.0f} seconds."
            yield fail("clock", text, fix)
        if newest is not None and newest > after + SKEW:
            text = f"The newest audit record is {newest - after:.0f} seconds in the future."
            yield fail(
                "clock", text, "Set the clock right: it is behind, or it was ahead when that was written."
            )

    return checked("clock", "The clocks agree, and nothing is recorded in the future.", wrong())


def rings(
    keyring: Keyring, needed: Iterable[tuple[str, str]], policy: RotationPolicy | None, now: float
) -> list[Finding]:
    """`needed` are (issuer, algorithm). A step that is due counts once the worker had time to take it."""

    def missing() -> Iterator[Finding]:
        for issuer, algorithm in sorted(needed):
            if keyring.active(RingName(issuer, algorithm, PURPOSE)) is None:
                text = f"{issuer} has no active {algorithm} key."
                yield fail("keys.active", text, "Start the server, or run `broker key rotate` for this door.")

    def due() -> Iterator[Finding]:
        for name in sorted(keyring.names()) if policy is not None else ():
            ring = [record for record in keyring.published(name.door) if record.name == name]
            assert policy is not None
            steps = [type(step).__name__.lower() for step in plan(ring, now - _WORKER_LAG, policy)]
            if steps:
                text = f"{name.door} {name.alg}: {', then '.join(steps)} is overdue."
                yield warn(
                    "keys.rotation", text, "Keep `broker worker` (or a server) running: it turns keys."
                )

    return [
        *checked("keys.active", "Every door has an active key for each algorithm in use.", missing()),
        *checked("keys.rotation", "No key is overdue for rotation.", due()),
    ]


def refusals(records: Iterable[Mapping[str, object]]) -> Finding:
    """The refused by reason, as information; strangers beyond ten a minute are in the records as numbers."""
    reasons: Counter[str] = Counter()
    for record in records:
        count = record.get("count")
        reasons[str(record.get("reason", "counted only"))] += count if isinstance(count, int) else 1
    top = listed([f"{reason} {count}" for reason, count in reasons.most_common()])
    said = f"{reasons.total()} refusals in the last hour: {top}." if top else "No refusals in the last hour."
    return Finding("audit.refusals", Level.OK, said)
