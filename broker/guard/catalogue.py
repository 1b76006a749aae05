"""What a guard must know of its resource: tools with their scopes and rules, bounds, and the doors of its tokens."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from broker.guard.isolation import Isolation
from broker.guard.obligations import Obligations

KEYED = frozenset({"reversible_write", "external_write"})
"""The impact classes whose calls need an idempotency key."""
READ = "read"


@dataclass(frozen=True, slots=True)
class Tool:
    """`impact` None: not known, as of tools that were given by hand. `open`: its class is within the stage.

    `digest` is of the definition that somebody looked at; `changed`: the server says something else by now.
    """

    name: str
    scopes: tuple[str, ...]
    impact: str | None = None
    digest: str | None = None
    changed: bool = False
    open: bool = True
    obligations: Obligations = field(default_factory=Obligations)

    @property
    def keyed(self) -> bool:
        return self.impact in KEYED


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`tools` None: any tool may be called. `record_after`: calls of `read` tools are told of afterwards."""

    tools: Mapping[str, Tool] | None
    implies: Mapping[str, Collection[str]] = field(default_factory=dict)
    isolation: Isolation = field(default_factory=Isolation)
    record_after: bool = False
    issuers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    default_scopes: tuple[str, ...] = ()


Source = Callable[[], Catalogue]
"""The catalogue of now; CatalogueUnavailable."""


class CatalogueUnavailable(Exception):
    """There is none, or it is too old to be followed."""


def by_hand(
    tools: Mapping[str, Sequence[str]] | None, implies: Mapping[str, Collection[str]], isolation: Isolation
) -> Source:
    named = None if tools is None else {name: Tool(name, tuple(scopes)) for name, scopes in tools.items()}
    catalogue = Catalogue(named, implies, isolation)
    return lambda: catalogue
