"""`broker approval`: calls that wait for people. Who is at a terminal can refuse and withdraw, and never allow."""

from pathlib import Path

import click

from broker.app import Broker
from broker.cli.local import Denied, NotFound, Place, local, opened, origin_of
from broker.cli.output import done, moment, one, output, rows
from broker.control.approvals.binding import form_url
from broker.control.approvals.model import Approval, NotAnswered

_MOST = 1000


@click.group("approval")
def approval() -> None:
    """Approvals of single calls. Allowing one needs a person who is signed in in a browser."""


@approval.command("list")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--user", help="Only those asked in this user's name.")
@click.option("--all", "everything", is_flag=True, help="Those that are over too.")
@local
@output
def list_command(
    tenant: str | None,
    user: str | None,
    everything: bool,
    data: Path | None,
    database: str | None,
    output: str,
) -> None:
    """Those that wait, the newest first."""
    with opened(Place(data, database)) as broker:
        found = broker.world.database.read(
            lambda tx: broker.approvals.asking.listed(tx, _MOST, user, only_open=not everything), tenant
        )
        listed = [_row(item) for item in found]
    rows(listed, ("id", "tenant", "resource", "tool", "client", "subject", "state", "expires"), output)


@approval.command("show")
@click.argument("identifier", metavar="ID")
@local
@output
def show(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """One of them, with the arguments of the call."""
    with opened(Place(data, database)) as broker:
        found = _required(broker, identifier)
        voted = broker.world.database.read(
            lambda tx: broker.approvals.answering.voted(tx, found), found.tenant
        )
    one({**_row(found), **_rest(found), "votes": voted}, output)


@approval.command("withdraw")
@click.argument("identifier", metavar="ID")
@click.option("--why", default="by an administrator", show_default=True, help="For the record.")
@local
@output
def withdraw(identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Nobody is asked any more."""
    _close("withdraw", identifier, why, Place(data, database), output)


@approval.command("deny")
@click.argument("identifier", metavar="ID")
@click.option("--why", default="by an administrator", show_default=True, help="Told to whoever asked.")
@local
@output
def deny(identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Refuse the call."""
    _close("deny", identifier, why, Place(data, database), output)


def _close(verb: str, identifier: str, why: str, place: Place, output: str) -> None:
    with opened(place) as broker:
        found, asking = _required(broker, identifier), broker.approvals.asking
        close = asking.deny if verb == "deny" else asking.withdraw
        try:
            closed = broker.world.database.write(
                lambda tx: close(tx, found.id, None, why, origin_of(broker)), found.tenant
            )
        except NotAnswered:
            raise Denied(f"Approval {identifier} is over: {found.state}.") from None
    done(f"Approval {identifier} {closed.state}.", output, approval=identifier, state=closed.state.value)


def _required(broker: Broker, identifier: str) -> Approval:
    found = broker.world.database.read(lambda tx: broker.approvals.asking.one(tx, identifier))
    if found is None:
        raise NotFound(f"There is no approval {identifier}.")
    return found


def _row(found: Approval) -> dict[str, object]:
    return {
        "id": found.id,
        "tenant": found.tenant,
        "resource": found.question.resource_id,
        "tool": found.question.tool,
        "impact": found.question.impact.value,
        "client": found.client_id,
        "subject": found.subject,
        "state": found.state.value,
        "created": moment(found.created_at),
        "expires": moment(found.expires_at),
    }


def _rest(found: Approval) -> dict[str, object]:
    question = found.question
    return {
        "arguments": None if question.arguments is None else dict(question.arguments),
        "intent": question.intent,
        "because": list(question.because),
        "actors": [actor.client_id for actor in question.actors],
        "by": list(found.rule.by),
        "quorum": found.rule.quorum,
        "digest": found.digest,
        "answered": moment(found.answered_at),
        "answered_by": found.answered_by,
        "why": found.why,
        "spent": moment(found.spent_at),
        "decision": found.decision_id,
        "url": form_url(found),
    }
