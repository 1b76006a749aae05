"""Webhooks, wired: one target for each setting that names one."""

from pathlib import Path
from typing import Protocol

from broker.audit.record import Recorder
from broker.control.webhooks import rules
from broker.control.webhooks.model import ALERTS, Target
from broker.control.webhooks.webhooks import Webhooks
from broker.runtime.egress import Egress
from broker.runtime.world import World


class Knobs(Protocol):
    """The settings that the room takes."""

    alert_webhook_url: str | None
    alert_webhook_secret_file: Path | None


def furnished(world: World, recorder: Recorder, egress: Egress, knobs: Knobs) -> Webhooks:
    """OSError or ValueError, in plain words, where the secret cannot be read."""
    targets = {}
    if knobs.alert_webhook_url is not None and knobs.alert_webhook_secret_file is not None:
        secret = rules.read_secret(knobs.alert_webhook_secret_file)
        targets[ALERTS] = Target(knobs.alert_webhook_url, secret)
    return Webhooks(world, recorder, egress, targets)
