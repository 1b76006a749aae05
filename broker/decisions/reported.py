"""What servers report after a call: the outcome of a decision, or reads that their guard decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from broker.decisions.model import MOST_INTENT, Malformed
from broker.decisions.words import clean, cleaned
from broker.protocol import jcs

MOST_CALLS = 1000
_LONGEST_ID, _LONGEST_DIGEST, _LONGEST_TOOL, _LONGEST_UNDO = 200, 128, 256, 500
_LARGEST_RESULT = 4 * 1024
_LARGEST = 2**53


class Status(StrEnum):
    """`unknown`: nobody can tell whether the call had its effect."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`result`: what a duplicate may be told, at most 4 KiB of JSON; None where there is none, or it is larger.

    All its texts are clean.
    """

    decision_id: str
    status: Status
    downstream_request_id: str | None
    cost: float | None
    undo: str | None
    result_digest: str | None
    result_size: int | None
    result: object

    def kept(self) -> dict[str, object]:
        """What duplicates are told."""
        members = {
            "status": self.status.value,
            "downstream_request_id": self.downstream_request_id,
            "cost": self.cost,
            "undo": self.undo,
            "result_digest": self.result_digest,
            "result_size": self.result_size,
            "result": self.result,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ReportedCall:
    """A call of a `read` tool that its guard decided. `id` is the guard's own: the same id again is the same call.

    `jti` names the token, which is not sent. `at` in epoch seconds.
    """

    id: str | None
    jti: str
    tool: str
    at: float | None
    status: Status
    arguments_digest: str | None
    request_id: str | None
    downstream_request_id: str | None
    intent: str | None
    result_digest: str | None
    result_size: int | None


def outcome(members: Mapping[str, object]) -> Outcome:
    """Malformed when it is none."""
    result = members.get("result")
    if result is not None and len(jcs.canonical(result)) > _LARGEST_RESULT:
        result = None
    return Outcome(
        decision_id=_required(members, "decision_id", _LONGEST_ID),
        status=_status(members),
        downstream_request_id=_clean(members, "downstream_request_id", _LONGEST_ID),
        cost=_number(members, "cost"),
        undo=_clean(members, "undo", _LONGEST_UNDO),
        result_digest=_clean(members, "result_digest", _LONGEST_DIGEST),
        result_size=_size(members),
        result=clean(result, None),
    )


def calls(listed: object) -> Sequence[ReportedCall]:
    """Malformed, with the place, when one of them is none: then nothing of the batch is taken."""
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_CALLS:
        raise Malformed(f"calls: give an array of 1 to {MOST_CALLS} objects.")
    found = []
    for at, entry in enumerate(listed):
        if not isinstance(entry, dict):
            raise Malformed(f"calls[{at}]: give an object.")
        try:
            found.append(_call(entry))
        except Malformed as error:
            raise Malformed(f"calls[{at}].{error}") from None
    return found


def _call(members: Mapping[str, object]) -> ReportedCall:
    intent = _text(members, "intent", 16 * MOST_INTENT)
    return ReportedCall(
        id=_text(members, "id", _LONGEST_ID),
        jti=_required(members, "jti", _LONGEST_ID),
        tool=_required(members, "tool", _LONGEST_TOOL),
        at=_number(members, "at"),
        status=_status(members),
        arguments_digest=_clean(members, "arguments_digest", _LONGEST_DIGEST),
        request_id=_clean(members, "request_id", _LONGEST_ID),
        downstream_request_id=_clean(members, "downstream_request_id", _LONGEST_ID),
        intent=intent[:MOST_INTENT] if intent else None,
        result_digest=_clean(members, "result_digest", _LONGEST_DIGEST),
        result_size=_size(members),
    )


def _status(members: Mapping[str, object]) -> Status:
    found = members.get("status")
    if not isinstance(found, str) or found not in set(Status):
        raise Malformed(f"status: use {', '.join(Status)}.")
    return Status(found)


def _required(members: Mapping[str, object], name: str, longest: int) -> str:
    found = _text(members, name, longest)
    if found is None:
        raise Malformed(f"{name}: give a text of 1 to {longest} visible characters.")
    return found


def _text(members: Mapping[str, object], name: str, longest: int) -> str | None:
    found = members.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= longest or "\0" in found:
        raise Malformed(f"{name}: give a text of 1 to {longest} visible characters, or leave it out.")
    return found


def _clean(members: Mapping[str, object], name: str, longest: int) -> str | None:
    found = _text(members, name, longest)
    return None if found is None else cleaned(found, None)


def _number(members: Mapping[str, object], name: str) -> float | None:
    found = members.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found <= _LARGEST:
        raise Malformed(f"{name}: give a number from 0 on, or leave it out.")
    return float(found)


def _size(members: Mapping[str, object]) -> int | None:
    found = members.get("result_size")
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= _LARGEST:
        raise Malformed("result_size: give a number of bytes, or leave it out.")
    return found
