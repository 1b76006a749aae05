"""The room as a whole, its verbs wired to each other."""

from dataclasses import dataclass

from broker.vault.connections import Connections
from broker.vault.visits import Visits


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call: `Broker.vault`."""

    connections: Connections
    visits: Visits
