"""What a guard must know of its resource: tools with their scopes and rules, bounds, and the doors of its tokens."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from broker.guard.isolation import Isolation
from broker.guard.obligations import Obligations
from broker.guard.step_up import SignIn

READ = "read"


@dataclass(frozen=True, slots=True)
class Tool:
    """`impact` is its class; None: not known, as of tools that were given by hand. `open`: it is within the stage.

    `keyed`: a call needs an idempotency key. `digest` is of the definition that somebody looked at; `changed`: the
    server says something else by now. `by_catalogue`: its calls may be told of afterwards. `approval`: somebody may
    have to allow one.
    """

    name: str
    scopes: tuple[str, ...]
    impact: str | None = None
    digest: str | None = None
    changed: bool = False
    open: bool = True
    keyed: bool = False
    obligations: Obligations = field(default_factory=Obligations)
    by_catalogue: bool = False
    approval: bool = False

    @property
    def exact(self) -> bool:
        """What is decided of a call is all that may be called: nothing goes with it that nobody looked at."""
        return self.approval or self.keyed


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`tools` None: any tool may be called. `sign_ins`: the sign-in that a scope takes. `record_after`: calls of
    tools that the catalogue decides are told of afterwards."""

    tools: Mapping[str, Tool] | None
    implies: Mapping[str, Collection[str]] = field(default_factory=dict)
    sign_ins: Mapping[str, SignIn] = field(default_factory=dict)
    isolation: Isolation = field(default_factory=Isolation)
    record_after: bool = False


@runtime_checkable
class Fetched(Protocol):
    """A source that may wait for a fetch, and says whether it has to."""

    def __call__(self) -> Catalogue: ...

    @property
    def at_hand(self) -> bool: ...

    def kept(self) -> Catalogue: ...


Source = Callable[[], Catalogue] | Fetched
"""The catalogue of now; CatalogueUnavailable."""


class CatalogueUnavailable(Exception):
    """There is none, or it is too old to be followed."""


def by_hand(
    tools: Mapping[str, Sequence[str]] | None, implies: Mapping[str, Collection[str]], isolation: Isolation
) -> Source:
    named = None if tools is None else {name: Tool(name, tuple(scopes)) for name, scopes in tools.items()}
    catalogue = Catalogue(named, implies, isolation=isolation)
    return lambda: catalogue
