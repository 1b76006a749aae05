"""RFC 6749, RFC 7009: any provider that keeps to the standards; its endpoints stand in the estate file."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from broker.protocol import strict_json
from broker.runtime.egress import Answer
from broker.vault.model import Account, Provider

_ACCOUNT = (("sub", "id"), ("name", "login", "preferred_username", "email"))
_LONGEST = 200


def members(answer: Answer) -> Mapping[str, object]:
    """RFC 6749 section 5: the members of an answer, in JSON or (before the standard) in a form; ValueError."""
    if "application/x-www-form-urlencoded" in answer.headers.get("content-type", ""):
        pairs = parse_qsl(answer.body.decode("utf-8"), keep_blank_values=True, max_num_fields=100)
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a member is repeated")
        return dict(pairs)
    found = strict_json.read(answer.body)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def account(document: object, names: tuple[str, ...]) -> Account | None:
    """Who it is: by the members that the estate file names (id, then name), or by the usual ones."""
    if not isinstance(document, dict):
        return None
    wanted = ((names[0],), names[1:] or names[:1]) if names else _ACCOUNT
    found = [
        next((text for name in group if (text := _text(document.get(name))) is not None), None)
        for group in wanted
    ]
    return None if found[0] is None else Account(found[0], found[1] or found[0])


def over(error: str, description: str) -> bool:
    """RFC 6749 section 5.2."""
    return error == "invalid_grant"


def _text(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST:
        return value
    return None


PROVIDER = Provider("generic", "another system", members, account, over)
