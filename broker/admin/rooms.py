"""The rooms below that administration calls, handed in as one value."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.audit.record import Recorder
from broker.authorization.grants import Grants
from broker.control.budgets.setting import Configured
from broker.control.policy.policies import Policies
from broker.estate.changes import Changes
from broker.estate.claims.claims import Claims
from broker.identity.clients.clients import Clients
from broker.identity.federation.providers import Providers
from broker.identity.federation.trusted.issuers import Issuers
from broker.identity.tenants.tenants import Tenants
from broker.identity.users.model import User
from broker.identity.users.people import People
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault.room import Room as Vault


@dataclass(frozen=True, slots=True)
class Rooms:
    """`prepare_keys` makes the keys in use within a transaction.

    `judge` raises ValueError, in plain words, for a password that its user should not have.
    """

    world: World
    recorder: Recorder
    tenants: Tenants
    people: People
    grants: Grants
    clients: Clients
    changes: Changes
    claims: Claims
    providers: Providers
    vault: Vault
    issuers: Issuers
    policies: Policies
    budgets: Configured
    prepare_keys: Callable[[Transaction], None]
    judge: Callable[[str, User], None]

    def set_password(self, tx: Transaction, user_id: str, hashed: str) -> None:
        """A password that was set anew ends what was begun with the old one: sessions, and grants."""
        self.people.set_password(tx, user_id, hashed)
        self.grants.end_all(tx, user_id, "the password was set anew")
