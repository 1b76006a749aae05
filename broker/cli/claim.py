"""`broker resource claim`, `prove`, `vouch`, `claims`, `withdraw`: which tenant speaks for which address."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from broker.app import Broker
from broker.cli.local import Denied, Failed, NotFound, Place, local, opened, origin_of
from broker.cli.nouns import require
from broker.cli.output import done, moment, output, rows
from broker.estate.claims import rules
from broker.estate.claims.claims import Refused
from broker.estate.claims.model import Claim
from broker.protocol.errors import Reason

_WHY = {
    Reason.MALFORMED: "This is not the address of a resource: an absolute URI without fragment is needed.",
    Reason.TENANT_OFF: "The tenant is suspended.",
    Reason.EVERYTHING_OFF: "Everything is switched off.",
    Reason.RATE_LIMITED: "This tenant's addresses were asked often just now: wait a minute.",
    Reason.PROOF_UNREACHABLE: "The address does not answer.",
    Reason.PROOF_MISSING: "There is no resource metadata (RFC 9728), as JSON.",
    Reason.PROOF_OF_ANOTHER: "The metadata there has another `resource`.",
    Reason.PROOF_WITHOUT_DOOR: "The metadata there does not name the tenant's door in `authorization_servers`.",
}


@click.command("claim")
@click.argument("uri")
@click.option("--tenant", required=True, help="Whose it is.")
@local
@output
def claim(uri: str, tenant: str, data: Path | None, database: str | None, output: str) -> None:
    """Say that URI is TENANT's; prints what has to stand where before `broker resource prove`."""
    with opened(Place(data, database)) as broker, _told():
        require(broker, ("tenant", tenant))
        made = broker.claims.make(tenant, uri, origin_of(broker))
        door = _door(broker, made)
    message = (
        f"Claim {made.id} is {made.state.value}. Let {rules.proof_url(uri)} say\n"
        f'  "resource": "{uri}", "authorization_servers": ["{door}"]\n'
        f"and run `broker resource prove {made.id}`."
    )
    done(message, output, **_members(made), proof=rules.proof_url(uri), door=door)


@click.command("prove")
@click.argument("identifier", metavar="CLAIM")
@local
@output
def prove(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """Ask the address of a claim, now."""
    with opened(Place(data, database)) as broker, _told():
        found = broker.claims.prove(identifier, origin_of(broker))
        _report(found, identifier, output)


@click.command("vouch")
@click.argument("identifier", metavar="CLAIM")
@click.option("--why", required=True, help="The reason, for the record.")
@local
@output
def vouch(identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Give an administrator's word in place of a proof."""
    with opened(Place(data, database)) as broker:
        _report(broker.claims.vouch(identifier, why, origin_of(broker)), identifier, output)


@click.command("claims")
@click.option("--tenant", help="Only this tenant's.")
@local
@output
def claims(tenant: str | None, data: Path | None, database: str | None, output: str) -> None:
    """Every claim of an address."""
    with opened(Place(data, database)) as broker:
        found = [_members(one) for one in broker.claims.every(tenant)]
    rows(found, ("claim", "tenant", "uri", "state", "checked", "resource"), output)


@click.command("withdraw")
@click.argument("identifier", metavar="CLAIM")
@local
@output
def withdraw(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """Take a claim back; what is registered at the address stays, and is its tenant's no more."""
    with opened(Place(data, database)) as broker:
        if not broker.claims.withdraw(identifier, origin_of(broker)):
            raise NotFound(f"There is no claim {identifier}.")
    done(f"Claim {identifier} is withdrawn.", output, claim=identifier)


def _report(found: Claim | None, identifier: str, form: str) -> None:
    if found is None:
        raise NotFound(f"There is no claim {identifier}.")
    done(f"{found.uri} is {found.state.value} for {found.tenant}.", form, **_members(found))


def _members(found: Claim) -> dict[str, object]:
    return {
        "claim": found.id,
        "tenant": found.tenant,
        "uri": found.uri,
        "state": found.state.value,
        "made": moment(found.made_at),
        "checked": moment(found.checked_at),
        "resource": found.resource_id,
    }


def _door(broker: Broker, made: Claim) -> str:
    door = broker.estate().doors.for_tenant(made.tenant)
    return door.issuer if door else ""


@contextmanager
def _told() -> Iterator[None]:
    """A refusal in plain words."""
    try:
        yield
    except Refused as refused:
        wrong = refused.reason is Reason.MALFORMED
        raise (Failed if wrong else Denied)(_WHY.get(refused.reason, refused.reason.value)) from None
