"""OpenID Connect Core section 10.1.1: when a ring gets its next key and loses its last, as pure rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from keys.model import KeyRecord, KeyState


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """Seconds. `publish_before`: a pending key is published before it signs; longer than any verifier caches
    the key set. `active_for`: how long a key signs. `retire_after`: it stays published after it stopped; at
    least the longest life of what it signed, and clock skew."""

    publish_before: float = 900
    active_for: float = 30 * 86400
    retire_after: float = 900

    def __post_init__(self) -> None:
        if self.publish_before <= 0 or self.retire_after <= 0:
            raise ValueError("publish_before and retire_after must be positive")
        if self.active_for <= self.publish_before:
            raise ValueError("active_for must be longer than publish_before")


@dataclass(frozen=True, slots=True)
class Create:
    """Make a key in `state`. A plan leaves `kid` empty; what was done has it."""

    state: KeyState
    kid: str = ""


@dataclass(frozen=True, slots=True)
class Activate:
    """Pending to active: from now on it signs."""

    kid: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Active to retiring: it stopped signing and stays published."""

    kid: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Retiring to retired: no longer published, private part destroyed."""

    kid: str


Change: TypeAlias = Create | Activate | Retire | Remove


def plan(
    ring: Sequence[KeyRecord], now: float, policy: RotationPolicy, *, force: bool = False
) -> tuple[Change, ...]:
    """What is due in one ring, in the order to do it. `force` asks for the next key though none is due.

    A pending key always takes over once it was published long enough, so a forced rotation needs no memory.
    A clock that went backwards makes every age smaller, hence delays and never hastens.
    """
    if not ring:
        # Nobody can hold a cached key set that lacks the first key and knows an earlier one.
        return (Create(KeyState.ACTIVE),)
    active = next((key for key in ring if key.state is KeyState.ACTIVE), None)
    pending = next((key for key in ring if key.state is KeyState.PENDING), None)
    changes: list[Change] = []
    if pending is None:
        if (
            active is None
            or force
            or _due(active.activated_at, now, policy.active_for - policy.publish_before)
        ):
            changes.append(Create(KeyState.PENDING))
    elif _due(pending.created_at, now, policy.publish_before):
        if active is not None:
            changes.append(Retire(active.kid))  # first, so that no moment has two active keys
        changes.append(Activate(pending.kid))
    changes.extend(
        Remove(key.kid)
        for key in ring
        if key.state is KeyState.RETIRING and _due(key.retiring_at, now, policy.retire_after)
    )
    return tuple(changes)


def stamp(ring: Sequence[KeyRecord], now: float) -> float:
    """The time to write on a change: never before anything that already happened to the ring, so that a clock
    that was behind for a while does not make a key look long published once it is right again."""
    return max([now, *(key.latest for key in ring)])


def _due(since: float | None, now: float, age: float) -> bool:
    return since is not None and now - since >= age
