"""Budgets, wired: what administrators set is read by every process as it changes."""

from dataclasses import dataclass
from typing import Protocol

from broker.control.budgets import store
from broker.control.budgets.alerts import Alerts
from broker.control.budgets.budgets import Budgets
from broker.control.budgets.setting import STAMP, Configured
from broker.control.webhooks.webhooks import Webhooks
from broker.runtime.world import World


class Knobs(Protocol):
    """The settings that the room takes."""

    repeats_per_txn: int


@dataclass(frozen=True, slots=True)
class Room:
    """What decisions and administration call."""

    budgets: Budgets
    configured: Configured


def furnished(world: World, webhooks: Webhooks, knobs: Knobs) -> Room:
    configured = world.snapshots.of(STAMP, store.every)
    return Room(
        Budgets(world, configured.get, Alerts(webhooks), knobs.repeats_per_txn),
        Configured(world),
    )
