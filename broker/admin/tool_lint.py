"""Diagnosis of tools: what a model would confuse, and what their classes ask for; pure.

Words are compared as sets, by rules that anybody can redo by hand: lower case, plural and singular alike, a few verbs
that mean the same, small words left out.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from broker.admin.doctor import Finding, checked, listed, warn
from broker.estate import rules
from broker.estate.model import Impact, Resource, Tool

SHORTEST_WORDS = 4
ALIKE = 0.8
"""The share of words that two descriptions have in common, from which on a model may take one for the other."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SMALL = frozenset(
    {
        *(
            "a",
            "an",
            "and",
            "are",
            "as",
            "at",
            "by",
            "for",
            "from",
            "if",
            "in",
            "into",
            "is",
            "it",
            "its",
            "of",
        ),
        *("on", "or", "that", "the", "this", "to", "tool", "with"),
    }
)
_SAME = {
    **dict.fromkeys(("fetch", "read", "retrieve", "show", "view"), "get"),
    **dict.fromkeys(("find", "lookup", "query"), "search"),
    **dict.fromkeys(("add", "make", "new"), "create"),
    **dict.fromkeys(("change", "edit", "modify", "set"), "update"),
    **dict.fromkeys(("drop", "erase", "remove"), "delete"),
}


def findings(resources: Sequence[Resource]) -> list[Finding]:
    """`resources` with what is kept of their tools' definitions."""
    return [
        *checked("tools.reviewed", "Somebody looked at every tool's definition.", _reviewed(resources)),
        *checked("tools.described", "Every description says what its tool does.", _described(resources)),
        *checked("tools.distinct", "No tool can be taken for another.", _distinct(resources)),
        *checked("tools.sensitive", "Sensitive reads have scopes of their own.", _sensitive(resources)),
        *checked("tools.undo", "Every reversible write names what takes it back.", _undo(resources)),
    ]


def words(text: str) -> frozenset[str]:
    """The words of a name or a description that tell it from others."""
    found = (word.lower() for word in _WORD.findall(text))
    return frozenset(_SAME.get(one, one) for one in map(_singular, found) if one not in _SMALL)


def alike(one: Collection[str], other: Collection[str]) -> float:
    """Jaccard: how many words both have, of all that either has."""
    both = set(one) | set(other)
    return len(set(one) & set(other)) / len(both) if both else 0.0


def vague(tool: Tool) -> str | None:
    """Why its description tells a model too little; None where it does not."""
    if tool.description is None:
        return None
    if not tool.description.strip():
        return "has no description"
    said = words(tool.description)
    if len(said) < SHORTEST_WORDS:
        return f"says less than {SHORTEST_WORDS} words of its own"
    return "only repeats its name" if said <= words(tool.name) else None


def confused(one: Tool, other: Tool) -> str | None:
    """Why a model may take one for the other; None where it should not."""
    if words(one.name) == words(other.name):
        return "their names say the same"
    said, also = words(one.description or ""), words(other.description or "")
    enough = min(len(said), len(also)) >= SHORTEST_WORDS
    share = alike(said, also)
    return f"their descriptions share {share:.0%} of their words" if enough and share >= ALIKE else None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _reviewed(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        fix = f"`broker resource tools import {resource.id}`, then `review` what is right."
        if changed := [tool.name for tool in resource.tools if tool.changed]:
            text = f"{resource.id} says something else by now of {listed(changed)}: calls are refused."
            yield warn("tools.reviewed", text, fix)
        if unknown := [tool.name for tool in resource.tools if tool.digest is None]:
            text = f"Nobody looked at what {resource.id} says of {listed(unknown)}: a change would not show."
            yield warn("tools.reviewed", text, fix)


def _described(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        for tool in resource.tools:
            if why := vague(tool):
                text = f"Tool {tool.name} of {resource.id} {why}: a model has to guess."
                yield warn(
                    "tools.described", text, "Say in the server what it does, to what, and when to use it."
                )


def _distinct(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        for one, other in combinations(resource.tools, 2):
            if why := confused(one, other):
                text = f"{one.name} and {other.name} of {resource.id} can be confused: {why}."
                yield warn("tools.distinct", text, "Say in the server what sets them apart, or drop one.")


def _sensitive(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        general = {scope for tool in resource.tools if tool.impact is Impact.READ for scope in tool.scopes}
        for tool in resource.tools:
            if tool.impact is not Impact.SENSITIVE_READ:
                continue
            if shared := [scope for scope in tool.scopes if scope in general]:
                text = f"{tool.name} of {resource.id} is read with {listed(shared)}, which general reads take too."
                yield warn("tools.sensitive", text, "Give it a scope of its own.")
            elif wide := [
                scope
                for scope in resource.scope_names
                if scope in general and set(tool.scopes) & set(rules.expanded(resource, (scope,)))
            ]:
                text = f"{tool.name} of {resource.id} comes with {listed(wide)}, which general reads take."
                yield warn("tools.sensitive", text, f"Take its scope out of what {listed(wide)} implies.")


def _undo(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        lacking = [
            tool.name
            for tool in resource.tools
            if tool.impact is Impact.REVERSIBLE_WRITE and tool.undo is None
        ]
        if lacking:
            text = f"Nothing takes back {listed(lacking)} of {resource.id}, which are to be reversible."
            yield warn("tools.undo", text, "Name an `undo`, or make them external_write.")
