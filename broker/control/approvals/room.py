"""The room as a whole, its verbs wired to each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.control.approvals.answering import Answering
from broker.control.approvals.approvals import Approvals
from broker.control.approvals.asking import Asking
from broker.control.approvals.binding import Bindings
from broker.control.approvals.eligible import Eligible
from broker.control.approvals.model import Limits
from broker.control.approvals.notices.notices import Notices
from broker.control.webhooks.webhooks import Webhooks
from broker.denials.switch import Switches
from broker.identity.federation.links import Links
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.keys import DoorKeys
from broker.identity.users.people import People
from broker.runtime.mail import Mail, MailServer, Tls
from broker.runtime.world import World


class Knobs(Protocol):
    """The settings that the room takes."""

    server_name: str
    approvals_per_minute: int
    approvals_waiting: int
    approval_factor: bool
    mail_host: str | None
    mail_port: int
    mail_from: str | None
    mail_tls: Tls
    mail_user: str | None
    mail_password_file: Path | None


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call: `Broker.approvals`."""

    approvals: Approvals
    bindings: Bindings
    asking: Asking
    answering: Answering
    notices: Notices


def furnished(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    keys: DoorKeys,
    people: People,
    links: Links,
    sessions: Sessions,
    webhooks: Webhooks,
    knobs: Knobs,
) -> Room:
    """OSError, in plain words, where the password of the mail server cannot be read."""
    eligible, bindings, mail = (
        Eligible(people, links),
        Bindings(keys),
        Mail(_server(knobs), knobs.server_name),
    )
    limits = Limits(knobs.approvals_per_minute, knobs.approvals_waiting)
    notices = Notices(world, recorder, people, eligible, mail, webhooks)
    asking = Asking(world, recorder, notices)
    switches = Switches(world, recorder)
    return Room(
        Approvals(world, recorder, eligible, asking, bindings, limits),
        bindings,
        asking,
        Answering(
            world, recorder, refusals, eligible, asking, sessions, switches, factor=knobs.approval_factor
        ),
        notices,
    )


def _server(knobs: Knobs) -> MailServer | None:
    if knobs.mail_host is None or knobs.mail_from is None:
        return None
    file = knobs.mail_password_file
    password = None if file is None else file.read_text("utf-8").strip()
    return MailServer(
        knobs.mail_host, knobs.mail_port, knobs.mail_from, knobs.mail_tls, knobs.mail_user, password
    )
