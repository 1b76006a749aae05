"""How much one grant, and one transaction of many exchanges, may make: counted before the unit of work or after it.

A unit never waits for the counters. Where the grant is known before (exchange, a client's own work), what is asked for
counts before, exactly; where it is found within (code, device, refresh), what was made counts after, and a grant that
made too much is known here until its minute is over: as many more as were on their way may be made.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from broker.control.budgets.budgets import Budgets
from broker.control.budgets.model import Call
from broker.control.budgets.rules import TXN_SECONDS
from broker.control.model import Refused
from broker.protocol.errors import About, OAuthError, Reason, concerning, too_many
from broker.runtime.database import Transaction
from broker.runtime.ephemeral.memory import Memory
from broker.runtime.ephemeral.model import Ephemeral
from broker.tokens.model import Authority

_GRANT, _FAN_OUT, _MINUTE = "grant-tokens", "fan-out", 60.0


@dataclass(frozen=True, slots=True)
class Handles:
    """What a request is known to be of before it is redeemed. `txn`: of an exchange, with its tenant.

    `about`: the token that it is asked for with.
    """

    grant_id: str
    txn: str | None = None
    about: About | None = None


@runtime_checkable
class Handled(Protocol):
    """What a grant type verified, where that tells."""

    @property
    def handles(self) -> Handles | None: ...


class Caps:
    """`per_grant` tokens in a minute; `per_txn` exchanges in its life."""

    def __init__(self, ephemeral: Ephemeral, budgets: Budgets, per_grant: int, per_txn: int) -> None:
        self._ephemeral, self._budgets = ephemeral, budgets
        self._per_grant, self._per_txn = per_grant, per_txn
        self._over = Memory()

    def enter(self, verified: object, now: float) -> tuple[tuple[str, str], ...]:
        """Before the unit of work: count it, as far as it is known whose it is. OAuthError 429, and nothing counted."""
        handles = verified.handles if isinstance(verified, Handled) else None
        taken: tuple[tuple[str, str], ...] = ()
        if handles is None:
            return taken
        wanted = [(_GRANT, handles.grant_id, _MINUTE, self._per_grant)]
        if handles.txn is not None:
            wanted.append((_FAN_OUT, handles.txn, TXN_SECONDS, self._per_txn))
        for bucket, key, window, most in wanted:
            hits = self._ephemeral.hit(bucket, key, window, now)
            taken = (*taken, (bucket, key))
            if hits.count > most:
                self.back(taken)
                with concerning(handles.about):
                    raise _fan_out(hits.ends_in) if bucket == _FAN_OUT else _too_many(hits.ends_in)
        return taken

    def back(self, taken: tuple[tuple[str, str], ...]) -> None:
        """Outside of units of work: nothing was made."""
        for bucket, key in taken:
            self._ephemeral.forgive(bucket, key)

    def require(self, tx: Transaction, authority: Authority, now: float) -> None:
        """Within the unit: its grant made no more than it may, and what it is for has a budget left. OAuthError 429.

        No statement where no budget is for it.
        """
        over = self._over.seen(_GRANT, authority.grant_id, _MINUTE, now)
        if over.count:
            raise _too_many(over.ends_in)
        call = Call(
            authority.tenant, authority.subject, authority.client.client_id, authority.resource, tool=None
        )
        try:
            self._budgets.require_left(tx, call, now)
        except Refused as refused:
            raise OAuthError(
                "temporarily_unavailable",
                "The budget of today is used up.",
                Reason.BUDGET_EXHAUSTED,
                status=429,
                detail=refused.detail,
                retry_after=int(str(refused.members["retry_after"])),
            ) from None

    def made(self, grant_id: str, now: float) -> None:
        """After the unit: count it, where it was not known before whose it is."""
        hits = self._ephemeral.hit(_GRANT, grant_id, _MINUTE, now)
        if hits.count >= self._per_grant:
            self._over.hit(_GRANT, grant_id, hits.ends_in, now)


def _too_many(ends_in: float) -> OAuthError:
    return too_many(
        "Too many tokens were made from this grant. Wait, and use each until it expires.", ends_in
    )


def _fan_out(ends_in: float) -> OAuthError:
    error = too_many("Too many exchanges were made for one call of a user.", ends_in)
    error.reason = Reason.FAN_OUT
    return error
