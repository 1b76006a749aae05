"""Budgets, wired: what administrators set is read by every process as it changes."""

from dataclasses import dataclass
from typing import Protocol

from broker.audit.record import Recorder
from broker.control.budgets import store
from broker.control.budgets.alerts import Alerts
from broker.control.budgets.budgets import Budgets
from broker.control.budgets.setting import STAMP, Settings
from broker.control.webhooks.webhooks import Webhooks
from broker.runtime.world import World


class Knobs(Protocol):
    """The settings that the room takes."""

    repeats_per_txn: int


@dataclass(frozen=True, slots=True)
class Room:
    """What decisions and administration call."""

    budgets: Budgets
    settings: Settings


def furnished(world: World, recorder: Recorder, webhooks: Webhooks, knobs: Knobs) -> Room:
    configured = world.snapshots.of(STAMP, store.every)
    return Room(
        Budgets(world, configured.get, Alerts(webhooks), knobs.repeats_per_txn),
        Settings(world, recorder),
    )
