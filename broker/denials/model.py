"""A denial: one thing that is off, from the moment its transaction commits."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can be off. `everything` has the id `*`; an edge is `from->to`; an issuer is a trusted one, by
    the id of its entry; a transaction by its txn, a token by its jti; a tool is `RESOURCE/TOOL`, a family a name."""

    EVERYTHING = "everything"
    TENANT = "tenant"
    USER = "user"
    CLIENT = "client"
    GRANT = "grant"
    RESOURCE = "resource"
    TOOL = "tool"
    FAMILY = "family"
    EDGE = "edge"
    ISSUER = "issuer"
    TRANSACTION = "transaction"
    TOKEN = "token"  # noqa: S105  a kind


EVERYTHING_ID = "*"


@dataclass(frozen=True, slots=True)
class Target:
    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Denial:
    """`final`: revoked or deleted, never lifted; otherwise a switch."""

    number: int
    kind: Kind
    id: str
    tenant: str | None
    thrown_at: float
    ends_at: float | None
    final: bool
    why: str


def edge_id(source: str, target: str) -> str:
    return f"{source}->{target}"


def tool_id(resource_id: str, tool: str) -> str:
    return f"{resource_id}/{tool}"


def edge_ends(identifier: str) -> tuple[str, str]:
    """(source, target)"""
    source, _, target = identifier.partition("->")
    return source, target
