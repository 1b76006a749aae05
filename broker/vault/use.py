"""RFC 8693 section 2.2: the access token of a user's connection, for a mint that has judged everything else."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from broker.estate import rules
from broker.estate.model import Resource
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault import store
from broker.vault.model import Connection, State
from broker.vault.refused import unreadable
from broker.vault.sealing import Sealing
from broker.vault.whose import Whose
from keys.sealed import SealError

MARGIN = 60.0
"""Seconds before its end at which an access token is refreshed."""
_LEAST = 1.0
_USED_EVERY = 60.0
_CAN_MORE = (
    "The connected account's token can do more than this one may, and cannot be narrowed. "
    "Ask for all of it, or let the user connect the account for less."
)
_GAVE_MORE = (
    "That system gave more than was asked for, which cannot be narrowed. Let the user connect the account again; "
    "what it always gives has to be in the scopes of its resource and of the edge."
)


@dataclass(frozen=True, slots=True)
class Handed:
    """An access token, what was granted with it, and its end; None where its provider names none."""

    connection: Connection
    token: str = field(repr=False)
    scopes: tuple[str, ...]
    expires_at: float | None


class Stale(Exception):
    """The access token has to be refreshed first, outside of this transaction: then all is judged again."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.id)
        self.connection = connection


class Use:
    def __init__(self, world: World, sealing: Sealing, whose: Whose) -> None:
        self._world, self._sealing, self._whose = world, sealing, whose

    def token(
        self,
        tx: Transaction,
        tenant: str,
        user_id: str,
        resource: Resource,
        scopes: tuple[str, ...],
        issuer: str,
        *,
        patient: bool = True,
    ) -> Handed:
        """Within `tx`. OAuthError with where to send the user; Stale, unless not `patient` and some life is left.

        What is handed over can do neither less nor more than `scopes`: a provider's token cannot be narrowed.
        """
        now = self._world.clock.now()
        found = store.find(tx, tenant, user_id, resource.id)
        wanted = rules.expanded(resource, scopes)
        ask = _Ask(issuer, tenant, resource.id, wanted, self._whose.mark(user_id))
        if found is None or found[0].state is State.DISCONNECTED:
            raise ask.user("connect their account at that system", Reason.CONNECTION_MISSING)
        connection, sealed = found
        if connection.state is not State.CONNECTED or sealed is None:
            raise ask.user("connect their account at that system again", Reason.CONNECTION_BROKEN)
        has = rules.expanded(resource, connection.scopes)
        if any(name not in has for name in wanted):
            raise ask.user("allow more at that system", Reason.CONNECTION_NARROW)
        if beyond := [name for name in connection.holds if name not in wanted]:
            more = any(name in connection.wider for name in beyond)
            raise OAuthError(
                "invalid_scope",
                _GAVE_MORE if more else _CAN_MORE,
                Reason.CONNECTION_WIDE,
                detail=" ".join(beyond)[:300],
            )
        left = None if connection.expires_at is None else connection.expires_at - now
        if left is not None and left <= MARGIN:
            if connection.refreshable and patient:
                raise Stale(connection)
            if left < _LEAST and not connection.refreshable:
                raise ask.user("connect their account at that system again", Reason.CONNECTION_BROKEN)
            if left < _LEAST:
                raise OAuthError(
                    "temporarily_unavailable",
                    "The provider of that system gives no token that lasts.",
                    Reason.PROVIDER_UNAVAILABLE,
                    retry_after=5,
                )
        try:
            tokens = self._sealing.opened(connection, sealed)
        except SealError:
            raise unreadable(connection) from None
        if connection.used_at is None or now - connection.used_at >= _USED_EVERY:
            store.used(tx, connection.id, now, now - _USED_EVERY)
        return Handed(connection, tokens.access, connection.scopes, connection.expires_at)


@dataclass(frozen=True, slots=True)
class _Ask:
    issuer: str
    tenant: str
    resource_id: str
    scopes: tuple[str, ...]
    mark: str

    def user(self, what: str, reason: Reason) -> OAuthError:
        """The user has to do something that nobody else can: the server hands them the address (MCP elicitation)."""
        return OAuthError(
            "interaction_required",
            f"The user has to {what}. Send them to interaction_uri.",
            reason,
            interaction_uri=address(self.issuer, self.tenant, self.resource_id, self.scopes, self.mark),
        )


def address(issuer: str, tenant: str, resource_id: str, scopes: tuple[str, ...], mark: str) -> str:
    """The page on which a person connects an account at a resource, at a door. `mark`: see `Whose`."""
    asked = urlencode({"tenant": tenant, "scope": scope_rules.render(scopes), "for": mark})
    return f"{issuer}/connections/{resource_id}?{asked}"
