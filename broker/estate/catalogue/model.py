"""What a server says of one of its tools, what somebody looked at, and what a look at a server came to."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from broker.protocol.definition import schema_digest


@dataclass(frozen=True, slots=True)
class Definition:
    """`schema` is of the arguments; `digest` of all three, also where there is no canonical form to digest."""

    name: str
    description: str
    schema: Mapping[str, object]
    digest: str

    @classmethod
    def of(cls, name: str, description: str | None, schema: Mapping[str, object]) -> "Definition":
        try:
            digest = schema_digest(name, description, schema)
        except ValueError:
            members = json.dumps([name, description, schema], sort_keys=True)
            digest = hashlib.sha256(b"no canonical form\0" + members.encode()).hexdigest()
        return cls(name, description or "", schema, digest)


@dataclass(frozen=True, slots=True)
class Kept:
    """One tool as it is remembered: `seen` at the last look (None: it was not there), and as it was `reviewed`."""

    resource_id: str
    tool: str
    seen: Definition | None
    seen_at: float
    reviewed: Definition | None = None
    reviewed_at: float | None = None
    reviewed_by: str | None = None

    @property
    def changed(self) -> bool:
        """The server says something else than what somebody looked at."""
        return (
            self.seen is not None and self.reviewed is not None and self.seen.digest != self.reviewed.digest
        )


@dataclass(frozen=True, slots=True)
class Hints:
    """MCP's annotations: what a server says of a tool's manners. Hints, from whoever wrote the server."""

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool in an answer to tools/list. `unusable`: why its definition cannot be judged by, in plain words."""

    definition: Definition
    hints: Hints
    unusable: str | None = None
