"""The outside world as one value, handed to every room when the server is composed."""

from dataclasses import dataclass

from broker.runtime.clock import Clock
from broker.runtime.database import Database
from broker.runtime.entropy import Entropy
from broker.runtime.ephemeral.model import Ephemeral
from broker.runtime.snapshot import Snapshots


@dataclass(frozen=True, slots=True)
class World:
    clock: Clock
    entropy: Entropy
    database: Database
    ephemeral: Ephemeral
    snapshots: Snapshots
