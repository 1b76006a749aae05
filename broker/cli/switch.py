"""`broker switch`: off at once, and on again."""

from collections.abc import Iterator
from pathlib import Path

import click

from broker.app import Broker
from broker.cli.local import Failed, NotFound, Place, local, opened, origin_of
from broker.cli.nouns import require
from broker.cli.output import done, moment, output, rows
from broker.denials.model import EVERYTHING_ID, Kind, Target, tool_id
from broker.identity.federation.trusted.rules import SEPARATOR

KIND = click.Choice([kind.value for kind in Kind])
_ESTATE = (Kind.TENANT, Kind.USER, Kind.CLIENT, Kind.RESOURCE, Kind.EDGE, Kind.ISSUER)


@click.group("switch")
def switch() -> None:
    """What is off: a tenant, user, client, grant, resource, tool, family, edge, issuer, transaction, token, or
    everything. A tool is named RESOURCE/TOOL."""


@switch.command("list")
@local
@output
def list_command(data: Path | None, database: str | None, output: str) -> None:
    """Every switch that is thrown, in the order thrown."""
    with opened(Place(data, database)) as broker:
        found: list[dict[str, object]] = [
            {
                "number": denial.number,
                "kind": denial.kind.value,
                "id": denial.id,
                "tenant": denial.tenant,
                "thrown": moment(denial.thrown_at),
                "ends": moment(denial.ends_at),
                "why": denial.why,
            }
            for denial in broker.switches.list()
        ]
    rows(found, ("number", "kind", "id", "thrown", "ends", "why"), output)


@switch.command("throw")
@click.argument("kind", type=KIND)
@click.argument("identifier", metavar="ID")
@click.option("--why", required=True, help="The reason, for the record.")
@local
@output
def throw(kind: str, identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Switch something off for issuing, exchange, introspection and decisions; `everything` has the id `*`."""
    target = _target(kind, identifier)
    with opened(Place(data, database)) as broker:
        _exists(broker, target)
        broker.switches.throw(target, why, origin_of(broker))
    done(f"{kind} {identifier} is off.", output, kind=kind, id=identifier, off=True)


@switch.command("lift")
@click.argument("kind", type=KIND)
@click.argument("identifier", metavar="ID")
@click.option("--why", required=True, help="The reason, for the record.")
@local
@output
def lift(kind: str, identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Switch something on again."""
    target = _target(kind, identifier)
    with opened(Place(data, database)) as broker:
        if not broker.switches.lift(target, why, origin_of(broker)):
            raise NotFound(f"{kind} {identifier} is not off.")
    done(f"{kind} {identifier} is on.", output, kind=kind, id=identifier, off=False)


def _target(kind: str, identifier: str) -> Target:
    if (kind == Kind.EVERYTHING) != (identifier == EVERYTHING_ID):
        raise click.UsageError(f"`everything` has the id `{EVERYTHING_ID}`, and nothing else has.")
    return Target(Kind(kind), identifier)


def _exists(broker: Broker, target: Target) -> None:
    """A misspelt id must not look like a thrown switch."""
    if target.kind is Kind.USER and SEPARATOR in target.id:
        return  # somebody of a trusted issuer, whom no list here has
    if target.kind in _ESTATE:
        require(broker, (target.kind.value, target.id))
    elif target.kind in (Kind.TOOL, Kind.FAMILY):
        if target not in _tools(broker):
            raise NotFound(f"There is no {target.kind.value} {target.id}.")
    elif target.kind is Kind.GRANT:
        if broker.world.database.read(lambda tx: broker.grants.within(tx, target.id)) is None:
            raise NotFound(f"There is no grant {target.id}.")
    elif not target.id.strip():
        raise Failed("Give the id.")


def _tools(broker: Broker) -> Iterator[Target]:
    """All tools, and all families that a tool is of."""
    for resource in broker.estate().resources.values():
        for tool in resource.tools:
            yield Target(Kind.TOOL, tool_id(resource.id, tool.name))
            if tool.family is not None:
                yield Target(Kind.FAMILY, tool.family)
