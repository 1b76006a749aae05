"""Policies in the estate file (docs/policy.md): Cedar text, in a file beside it or written down, and back."""

from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from broker.admin.model import Holdings, Problem, Wanted
from broker.control.policy import reading
from broker.control.policy.model import SERVER, Fault, PolicyText, Unreadable
from broker.estate.model import Resource

Shape = dict[str, object]


class PolicyEntry(BaseModel):
    """Of one tenant, or of the server. `cedar` is a file, relative to the estate file; or else there is `text`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    tenant: str = SERVER
    cedar: str | None = None
    text: str | None = None


def listed(value: object) -> object:
    """The server's alone may stand without a list."""
    return [value] if isinstance(value, dict) else value


def with_texts(entries: Iterable[PolicyEntry], folder: Path, problems: list[Problem]) -> list[PolicyEntry]:
    """The same, each with its text; what cannot be read joins `problems`."""
    found = []
    for i, entry in enumerate(entries):
        at = f"policies[{i}]"
        if (entry.cedar is None) == (entry.text is None):
            problems.append(Problem(at, "name a file with `cedar`, or write the `text`"))
        elif entry.cedar is not None:
            entry = entry.model_copy(update={"text": _read(folder / entry.cedar, f"{at}.cedar", problems)})
        found.append(entry)
    return found


def noun(entry: PolicyEntry) -> PolicyText:
    return PolicyText(entry.tenant, entry.text or "")


def full(held: PolicyText) -> Shape:
    return {"tenant": None if held.tenant == SERVER else held.tenant, "text": held.text}


def names(held: PolicyText) -> list[str]:
    """What its policies are called."""
    return [policy.id for policy in reading.read(held.text, held.tenant)]


def faults(held: PolicyText, resources: Iterable[Resource]) -> list[Fault]:
    """What is wrong with it in an estate of these; a tenant's is held against what works for that tenant."""
    seen = [one for one in resources if held.tenant == SERVER or one.serves(held.tenant)]
    return reading.check(held.text, seen, held.tenant)


def unsigned(held: PolicyText, users: Container[str]) -> Iterator[Fault]:
    """Those who are said to have signed that an approval is needless, and are none of these users."""
    try:
        policies = reading.read(held.text, held.tenant)
    except Unreadable:
        return
    for policy in policies:
        for name in policy.signed_by:
            if name not in users:
                yield Fault(policy.line, policy.id, f"@signed_by names {name}, and there is no such user")


def check(after: Holdings, joined: Sequence[Resource], wanted: Wanted) -> Iterator[Problem]:
    """Each text in the estate as it will be; `joined` are its resources with what is kept of their tools."""
    for held in after.policies.values():
        path = wanted.path(("policy", held.tenant))
        if held.tenant != SERVER and held.tenant not in after.tenants:
            yield Problem(f"{path}.tenant", f"there is no tenant {held.tenant}")
            continue
        signed = unsigned(held, after.users) if ("policy", held.tenant) in wanted.holdings.held else ()
        for fault in (*faults(held, joined), *signed):
            yield Problem(path, str(fault))


def _read(path: Path, at: str, problems: list[Problem]) -> str | None:
    try:
        if path.stat().st_size <= reading.LONGEST:
            return path.read_text("utf-8")
        wrong = "is too large"
    except (OSError, UnicodeDecodeError):
        wrong = "cannot be read"
    problems.append(Problem(at, f"{path.name} {wrong}"))
    return None
