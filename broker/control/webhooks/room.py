"""Webhooks, wired: one target for each setting that names one."""

from pathlib import Path
from typing import Protocol

from broker.audit.record import Recorder
from broker.control.webhooks import rules
from broker.control.webhooks.model import ALERTS, APPROVALS, Target
from broker.control.webhooks.webhooks import Webhooks
from broker.runtime.egress import Egress
from broker.runtime.world import World


class Knobs(Protocol):
    """The settings that the room takes."""

    alert_webhook_url: str | None
    alert_webhook_secret_file: Path | None
    approval_webhook_url: str | None
    approval_webhook_secret_file: Path | None


def furnished(world: World, recorder: Recorder, egress: Egress, knobs: Knobs) -> Webhooks:
    """ValueError, in plain words, where the secret cannot be read."""
    targets = {}
    for name, url, file in (
        (ALERTS, knobs.alert_webhook_url, knobs.alert_webhook_secret_file),
        (APPROVALS, knobs.approval_webhook_url, knobs.approval_webhook_secret_file),
    ):
        if url is not None and file is not None:
            targets[name] = Target(url, rules.read_secret(file))
    return Webhooks(world, recorder, egress, targets)
