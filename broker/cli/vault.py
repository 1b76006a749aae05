"""`broker vault`: accounts that people connected at systems that are not ours; never a token of one."""

from pathlib import Path

import click

from broker.app import Broker
from broker.cli.local import NotFound, Place, Unhealthy, local, opened, origin_of
from broker.cli.output import done, moment, one, output, rows
from broker.vault.model import Connection, State
from broker.vault.releases.model import Release


@click.group("vault")
def vault() -> None:
    """Connections to systems that are not ours."""


@vault.command("list")
@click.option("--user", help="Only this user's.")
@click.option("--tenant", help="Only this tenant's.")
@local
@output
def list_command(
    user: str | None, tenant: str | None, data: Path | None, database: str | None, output: str
) -> None:
    """Connections that were not ended."""
    with opened(Place(data, database)) as broker:
        found = [_row(item) for item in broker.vault.connections.every(tenant, user)]
    rows(found, ("id", "tenant", "user", "resource", "account", "state", "expires"), output)


@vault.command("get")
@click.argument("identifier", metavar="ID")
@local
@output
def get_command(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """One connection, and which servers were given its token."""
    with opened(Place(data, database)) as broker:
        found = _required(broker, identifier)
        released = [_released(item) for item in broker.vault.releases.of(found.id, found.tenant)]
    one({**_row(found), "released": released}, output)


@vault.command("disconnect")
@click.argument("identifier", metavar="ID")
@click.option("--why", default="by an administrator", show_default=True, help="For the record.")
@local
@output
def disconnect(identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Erase its tokens, and have the provider revoke them."""
    with opened(Place(data, database)) as broker:
        _required(broker, identifier)
        ended = broker.vault.connections.disconnect(None, identifier, origin_of(broker), why)
        if ended is None:
            raise NotFound(f"Connection {identifier} was ended before.")
        broker.vault.farewells.deliver()
    done(f"Connection {identifier} ended.", output, connection=identifier)


@vault.command("rewrap")
@local
@output
def rewrap(data: Path | None, database: str | None, output: str) -> None:
    """Seal every data key, and this server's secrets at providers, under the sealing key of now."""
    with opened(Place(data, database)) as broker:
        connections = broker.vault.connections.rewrap()
        secrets = broker.world.database.write(broker.vault.credentials.rewrap)
    done(f"{connections} connections, {secrets} secrets.", output, connections=connections, secrets=secrets)


@vault.command("health")
@local
@output
def health(data: Path | None, database: str | None, output: str) -> None:
    """What is wrong with connections; exit code 5 when anything is."""
    with opened(Place(data, database)) as broker:
        unreadable = set(broker.vault.connections.unreadable())
        found = [
            {**_row(item), "state": "unreadable" if item.id in unreadable else item.state.value}
            for item in broker.vault.connections.every()
            if item.id in unreadable or item.state is not State.CONNECTED or item.failures
        ]
    rows(found, ("id", "tenant", "user", "resource", "state", "failures", "why"), output)
    if found:
        raise Unhealthy(f"{len(found)} connections are not well.")


def _required(broker: Broker, identifier: str) -> Connection:
    found = broker.vault.connections.get(identifier)
    if found is None:
        raise NotFound(f"There is no connection {identifier}.")
    return found


def _row(item: Connection) -> dict[str, object]:
    return {
        "id": item.id,
        "tenant": item.tenant,
        "user": item.user_id,
        "resource": item.resource_id,
        "provider": item.provider,
        "account": item.account.name,
        "account_id": item.account.id,
        "scopes": list(item.scopes),
        "wider": list(item.wider),
        "state": item.state.value,
        "version": item.version,
        "expires": _when(item.expires_at),
        "connected": moment(item.connected_at),
        "used": _when(item.used_at),
        "failures": item.failures,
        "why": item.why,
    }


def _released(item: Release) -> dict[str, object]:
    """What became of it: `told` the provider, or else alive until its token ends."""
    return {
        "id": item.id,
        "to": item.via,
        "client": item.client_id,
        "token": item.jti_hash,
        "at": moment(item.released_at),
        "expires": _when(item.expires_at),
        "ended": _when(item.ended_at),
        "told": item.withdrawn,
    }


def _when(at: float | None) -> str | None:
    return None if at is None else moment(at)
