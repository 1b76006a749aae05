"""RFC 9535 section 2: where in a JSON value something stands, in the few words that redaction needs.

`$.a.b` a member's member, `$['a b']` a member of any name, `$.a[*].b` of every element (or member), `$..x` wherever a
member has this name. No filters, no indexes: what comes first today comes second tomorrow.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

REDACTED = "[redacted]"
_LONGEST, _MOST = 256, 16
_NAME = r"[A-Za-z_\u0080-\uffff][\w-]*"
_SEGMENT = re.compile(
    rf"(?P<deep>\.\.)?(?:(?(deep)|\.)(?P<name>{_NAME}|\*)|\[(?:'(?P<quoted>[^'\\]+)'|(?P<all>\*))\])"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step down; `name` None is every element or member. `deep`: from here, or from anywhere below."""

    name: str | None
    deep: bool = False


def read(text: str) -> tuple[Step, ...]:
    """The steps of a path; ValueError, in plain words, when it is none of the few."""
    if not text.startswith("$") or len(text) > _LONGEST:
        raise ValueError(f"a path begins with $ and has at most {_LONGEST} characters")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        found = _SEGMENT.match(text, at)
        if found is None:
            raise ValueError(f"write $.a.b, $['a b'], $.a[*].b or $..x: {text[at:][:20]!r} is none of them")
        name = found["quoted"] or (found["name"] if found["name"] != "*" else None)
        steps.append(Step(name, found["deep"] is not None))
        at = found.end()
    if not 0 < len(steps) <= _MOST:
        raise ValueError(f"a path has 1 to {_MOST} steps")
    return tuple(steps)


def redacted(value: object, paths: Iterable[tuple[Step, ...]]) -> object:
    """A copy of a JSON value with everything that the paths lead to replaced by a word that says so."""
    for path in paths:
        value = _without(value, path)
    return value


def _without(value: object, path: tuple[Step, ...]) -> object:
    if not path:
        return REDACTED
    step, rest = path[0], path[1:]

    def below(name: str | None, item: object) -> object:
        if step.deep:
            item = _without(item, path)
        return _without(item, rest) if step.name is None or name == step.name else item

    if isinstance(value, dict):
        return {name: below(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [below(None, item) for item in value]
    return value
