"""Audit records as a story: one line a record, aligned, who before what; pure."""

from collections.abc import Mapping, Sequence

from broker.audit.model import made
from broker.cli.output import aligned, text

_HASH = 12


def story(records: Sequence[Mapping[str, object]]) -> str:
    """Lines of time, fact, outcome or reason, tenant, who, resource, scope and the token's short hash."""
    lines = [["TIME", "FACT", "OUTCOME", "TENANT", "WHO", "WHERE", "SCOPE", "TOKEN", "MORE"]]
    lines += [_line(record) for record in records]
    return aligned(lines) if records else ""


def tokens(records: Sequence[Mapping[str, object]]) -> str:
    """The tokens of a story in the order in which they were made, by whole hash: from what, for whom, for where."""
    lines, seen = [["TOKEN", "MADE FROM", "HELD BY", "FOR"]], set()
    for record in records:
        own = made(record)
        if own is None or own in seen:
            continue
        seen.add(own)
        lines.append(
            [
                text(own),
                str(record.get("parent_jti_hash") or "-")[:_HASH],
                text(record.get("client")),
                text(record.get("downstream") or record.get("resource")),
            ]
        )
    return aligned(lines) if seen else ""


def _line(record: Mapping[str, object]) -> list[str]:
    outcome = str(record.get("outcome", ""))
    reason = record.get("reason")
    return [
        text(record.get("time")).replace("T", " ").removesuffix("Z"),
        text(record.get("fact")),
        f"{outcome}: {text(reason)}" if reason else outcome,
        text(record.get("tenant")),
        _who(record),
        _where(record),
        text(record.get("scope")),
        _token(record),
        _more(record),
    ]


def _who(record: Mapping[str, object]) -> str:
    """The subject, and through whom: alice / desk-app > tickets-server (the actors, the first one first)."""
    subject, client, actors = record.get("subject"), record.get("client"), record.get("actors")
    parts = [text(subject)] if subject else []
    if isinstance(actors, list) and actors:
        parts.append(" > ".join(text(actor) for actor in reversed(actors)))
    elif client and client != subject:
        parts.append(text(client))
    return " / ".join(parts) or text(record.get("source"))


def _where(record: Mapping[str, object]) -> str:
    resource, downstream = record.get("resource"), record.get("downstream")
    if resource and downstream:
        return f"{text(resource)} > {text(downstream)}"
    return text(resource or downstream)


def _token(record: Mapping[str, object]) -> str:
    own, parent = record.get("jti_hash"), record.get("parent_jti_hash")
    if own and parent:
        return f"{str(parent)[:_HASH]} > {str(own)[:_HASH]}"
    return str(own or parent or "-")[:_HASH]


def _more(record: Mapping[str, object]) -> str:
    """What else tells records apart: tool, approval, who answered and in which words, changes, a count, a detail."""
    parts = [f"{name} {text(record[name])}" for name in ("tool", "approval", "approver") if record.get(name)]
    change = record.get("change")
    if isinstance(change, Mapping):
        parts.append(_change(change))
    if record.get("count"):
        parts.append(f"{record['count']} times")
    parts += [text(record[name]) for name in ("detail", "words") if record.get(name)]
    return "; ".join(parts) or "-"


def _change(change: Mapping[object, object]) -> str:
    """An administrator's act reads as a sentence; other changes as their values."""
    if "noun" not in change:
        return " ".join(text(value) for value in change.values() if value)
    act = " ".join(text(change[name]) for name in ("action", "noun", "id") if name in change)
    return f"{act}: {text(change.get('fields'))}" if change.get("action") == "update" else act
