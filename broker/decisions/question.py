"""AuthZEN 1.0 sections 5, 6.1 and 7.1: the body of a request as questions; members that nobody knows are ignored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.decisions.model import SERVER, Malformed, Question
from broker.protocol import jcs, strict_json

MOST_BYTES = 512 * 1024
MOST_QUESTIONS = 256
_LONGEST = {
    "action.name": 128,
    "resource.type": 128,
    "resource.id": 2048,
    "subject.type": 128,
    "subject.id": 16384,
}
_LONGEST_URI, _LONGEST_DIGEST, _LONGEST_KEY, _LONGEST_ID = 2048, 128, 255, 200
_EXECUTE_ALL, _UNTIL_DENY, _UNTIL_PERMIT = "execute_all", "deny_on_first_deny", "permit_on_first_permit"
_DEFAULTED = ("subject", "action", "resource", "context")


@dataclass(frozen=True, slots=True)
class Several:
    """Questions in their order, or what is wrong with one; `until`: the decision after which no other is looked at."""

    questions: Sequence[Question | Malformed]
    until: bool | None


def body(raw: bytes) -> dict[str, object]:
    """The JSON object; Malformed for what two readers could read in two ways (RFC 7493), or nests too deeply."""
    try:
        value = strict_json.read(raw)
        jcs.canonical(value)
    except ValueError as error:
        raise Malformed(f"The body is not JSON that has one meaning: {error}.") from None
    if not isinstance(value, dict):
        raise Malformed("The body is a JSON object.")
    return value


def one(members: Mapping[str, object]) -> Question:
    """The question in a request, or in one of its `evaluations`; Malformed."""
    subject, action, resource = (_object(members, name) for name in ("subject", "action", "resource"))
    context = _object(members, "context", absent={})
    about, of = _properties(subject, "subject"), _properties(resource, "resource")
    kind, identifier = _text(subject, "subject.type"), _text(subject, "subject.id")
    by_token = kind == "token"
    token = identifier if by_token else about.get("token")
    resource_type, resource_id = _text(resource, "resource.type"), _text(resource, "resource.id")
    arguments, intent = context.get("arguments"), context.get("intent")
    uri = _maybe(of, "resource.properties.resource", _LONGEST_URI)
    return Question(
        subject=None if by_token else identifier,
        token=token if isinstance(token, str) else None,
        action=_text(action, "action.name"),
        kind=resource_type,
        id=resource_id,
        uri=resource_id if uri is None and resource_type == SERVER else uri,
        schema_digest=_maybe(of, "resource.properties.schema_digest", _LONGEST_DIGEST),
        arguments={} if arguments is None else arguments,
        key=_maybe(context, "context.idempotency_key", _LONGEST_KEY),
        request_id=_maybe(context, "context.request_id", _LONGEST_ID),
        intent=intent if isinstance(intent, str) else None,
    )


def several(members: Mapping[str, object]) -> Several | None:
    """The `evaluations`, each with what the request says for all; None where there are none, and it is one question."""
    listed = members.get("evaluations")
    if listed is None or listed == []:
        return None
    if not isinstance(listed, list) or len(listed) > MOST_QUESTIONS:
        raise Malformed(f"evaluations: give an array of at most {MOST_QUESTIONS} objects.")
    shared = {name: members[name] for name in _DEFAULTED if name in members}
    return Several([_entry(entry, shared) for entry in listed], _until(members))


def _entry(entry: object, shared: Mapping[str, object]) -> Question | Malformed:
    if not isinstance(entry, dict):
        return Malformed("An evaluation is a JSON object.")
    try:
        return one({**shared, **entry})
    except Malformed as error:
        return error


def _until(members: Mapping[str, object]) -> bool | None:
    options = _object(members, "options", absent={})
    semantic = options.get("evaluations_semantic", _EXECUTE_ALL)
    if semantic not in (_EXECUTE_ALL, _UNTIL_DENY, _UNTIL_PERMIT):
        known = f"{_EXECUTE_ALL}, {_UNTIL_DENY} or {_UNTIL_PERMIT}"
        raise Malformed(f"options.evaluations_semantic: use {known}.")
    return {_UNTIL_DENY: False, _UNTIL_PERMIT: True}.get(str(semantic))


def _object(
    members: Mapping[str, object], name: str, absent: Mapping[str, object] | None = None
) -> Mapping[str, object]:
    found = members.get(name, absent)
    if not isinstance(found, dict):
        raise Malformed(f"{name}: give an object.")
    return found


def _properties(members: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = members.get("properties")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Malformed(f"{name}.properties: give an object.")
    return found


def _text(members: Mapping[str, object], path: str) -> str:
    found = members.get(path.partition(".")[2])
    longest = _LONGEST[path]
    if not isinstance(found, str) or not 0 < len(found) <= longest:
        raise Malformed(f"{path}: give a text of 1 to {longest} characters.")
    return found


def _maybe(members: Mapping[str, object], path: str, longest: int) -> str | None:
    found = members.get(path.rpartition(".")[2])
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= longest:
        raise Malformed(f"{path}: give a text of 1 to {longest} characters, or leave it out.")
    return found
