"""Policies: as somebody wrote them, as they are understood, and what they say of one question."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SERVER = "*"
"""Where a text is for every tenant: it stands where otherwise the tenant's id does."""
CALL, READ, GET, OBTAIN = "call", "read", "get", "obtain"
"""tools/call, resources/read, prompts/get, and a scope that a token is to carry."""


@dataclass(frozen=True, slots=True)
class PolicyText:
    """Cedar policies of one tenant, or of the server. How often and when they changed is about the text, not of it."""

    tenant: str
    text: str
    version: int = field(default=0, compare=False)
    changed_at: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. `document` is its JSON form, `line` where its text begins.

    `actions` are the ids that its head names (None: it is about every action), `looks` the members of the context that
    its conditions look at. `asks`: where it forbids, somebody may allow. `relaxes_until` (epoch seconds): it permits
    nothing, but while it counts, what it is true of needs nobody's approval by default: for that the users of
    `signed_by` answer. `says`: what it says to people.
    """

    id: str
    line: int
    document: Mapping[str, object]
    permits: bool
    asks: bool = False
    relaxes_until: float | None = None
    signed_by: tuple[str, ...] = ()
    says: str | None = None
    actions: frozenset[str] | None = None
    looks: frozenset[str] = frozenset()
    built_in: bool = False

    def about(self, *actions: str) -> bool:
        """Whether it can say something of one of these: an action, and the groups that it is in."""
        return self.actions is None or not self.actions.isdisjoint(actions)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a text, and where: a line, and the policy that begins there, where it has a name."""

    line: int
    policy: str | None
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {f'{self.policy}: ' if self.policy else ''}{self.text}"


class Unreadable(ValueError):
    """Everything that is wrong with a text, at once."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Weighed:
    """What policies say of one question, by their ids. `asks` forbid until somebody allows it; `relaxed` were asked
    to make that needless. `error`: what went wrong, without anything of the question; then it is a no.
    """

    permits: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    relaxed: tuple[str, ...] = ()
    error: str | None = None

    @property
    def permitted(self) -> bool:
        return self.error is None and not self.forbids and bool(self.permits)
