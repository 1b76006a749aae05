"""Connections as pages, the command line and other rooms see them; never with a token."""

from broker.estate.estate import Estate
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.vault.model import Connection, Offer


class Connections:
    def offered(self, estate: Estate, door: Door, user_id: str, tenants: tuple[str, ...]) -> list[Offer]:
        """What this person can connect at this door, in these of their tenants; by name of the resource."""
        raise NotImplementedError

    def of(self, user_id: str, tenants: tuple[str, ...]) -> list[Connection]:
        """Every connection of this person in these tenants that they did not end."""
        raise NotImplementedError

    def disconnect(self, user_id: str, connection_id: str, origin: Origin) -> Connection | None:
        """End it: its tokens are erased here, and the provider is told once that is committed. None: not theirs."""
        raise NotImplementedError

    def end_all(self, tx: Transaction, user_id: str, why: str) -> None:
        """Within `tx`: every connection of a user, as when they are removed."""
        raise NotImplementedError
