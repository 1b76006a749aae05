"""The duty that looks for spikes and tells the administrator's own systems; without a webhook it looks at nothing."""

from collections.abc import Mapping
from typing import Protocol

from broker.audit import counts
from broker.control.idempotency.keys import Keys
from broker.control.webhooks.webhooks import Webhooks
from broker.runtime.database import Transaction
from broker.runtime.world import World

REFUSALS_SECONDS, OPEN_SECONDS = 300.0, 600.0
"""Refusals of the last five minutes; calls that were let through ten minutes ago and more."""
_AGAIN = 3600.0
"""Seconds until the same is told again."""


class Knobs(Protocol):
    """The settings that it takes."""

    alert_refusals: int
    alert_open_outcomes: int


class Spikes:
    def __init__(self, world: World, webhooks: Webhooks, keys: Keys, knobs: Knobs) -> None:
        self._world, self._webhooks, self._keys = world, webhooks, keys
        self._refusals, self._open = knobs.alert_refusals, knobs.alert_open_outcomes

    def look(self) -> None:
        """The background duty."""
        if not self._webhooks.wanted():
            return
        now = self._world.clock.now()

        def unit(tx: Transaction) -> tuple[Mapping[str, int], Mapping[str, int]]:
            return counts.denied(tx, now - REFUSALS_SECONDS), self._keys.open_since(tx, now - OPEN_SECONDS)

        refused, waiting = self._world.database.read(unit)
        self._tell("refusals.spiked", refused, self._refusals, REFUSALS_SECONDS, now)
        self._tell("outcomes.missing", waiting, self._open, OPEN_SECONDS, now)

    def _tell(self, event: str, found: Mapping[str, int], most: int, seconds: float, now: float) -> None:
        for tenant, count in found.items():
            if (
                count < most
                or self._world.ephemeral.hit("alerts", f"{event}|{tenant}", _AGAIN, now).count > 1
            ):
                continue
            data = {"count": count, "threshold": most, "seconds": int(seconds)}

            def unit(tx: Transaction, tenant: str = tenant, data: Mapping[str, int] = data) -> None:
                self._webhooks.queue(tx, tenant, event, data, now)

            self._world.database.write(unit)
