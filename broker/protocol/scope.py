"""RFC 6749 section 3.3: scope values, and the hierarchy that a resource declares with `implies`."""

import re
from collections.abc import Collection, Iterable, Mapping

_TOKENS = re.compile(r"[\x21\x23-\x5b\x5d-\x7e ]*")


def parse(text: str | None) -> tuple[str, ...]:
    """The tokens in the order given, without duplicates; ValueError on a character that no scope may hold."""
    if text is None:
        return ()
    if _TOKENS.fullmatch(text) is None:
        raise ValueError("scope holds a character outside of RFC 6749 section 3.3")
    return tuple(dict.fromkeys(token for token in text.split(" ") if token))


def render(scopes: Iterable[str]) -> str:
    """One space-separated string, in the order given, without duplicates."""
    return " ".join(dict.fromkeys(scopes))


def expand(scopes: Iterable[str], implies: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The scopes given, in their order, then everything they imply; cycles end."""
    found = list(dict.fromkeys(scopes))
    seen = set(found)
    for scope in found:  # grows while it is walked
        for implied in sorted(implies.get(scope, ())):
            if implied not in seen:
                seen.add(implied)
                found.append(implied)
    return tuple(found)


def missing(
    granted: Iterable[str], needed: Iterable[str], implies: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    """Those needed that what is granted does not cover, in the order needed."""
    covered = set(expand(granted, implies))
    return tuple(scope for scope in dict.fromkeys(needed) if scope not in covered)
