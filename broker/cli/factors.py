"""`broker user factors`, `remove-factors` and `reset`: for people who lost a way in."""

from pathlib import Path

import click

from broker.cli.local import NotFound, Place, local, opened, origin_of
from broker.cli.output import done, moment, one, output
from broker.identity.users.credentials.begun import RESET_LIFETIME
from broker.protocol.acr import ORDER


@click.command("factors")
@click.argument("identifier", metavar="ID")
@local
@output
def factors(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """With what a user can sign in: whether there is a password and an app, passkeys by name, recovery codes left."""
    with opened(Place(data, database)) as broker:
        if broker.people.get(identifier) is None:
            raise NotFound(f"There is no user {identifier}.")
        found, passkeys = broker.signing_in.ways_in.of(identifier)
    strongest = found.strongest
    one(
        {
            "password": found.password,
            "app": found.totp,
            "recovery_codes": found.recovery,
            "passkeys": [
                {
                    "id": passkey.id,
                    "name": passkey.name,
                    "synced": passkey.backed_up,
                    "created": moment(passkey.created_at),
                    "used": moment(passkey.last_used_at),
                }
                for passkey in passkeys
            ],
            "strongest": strongest if strongest in ORDER else None,
        },
        output,
    )


@click.command("remove-factors")
@click.argument("identifier", metavar="ID")
@click.option("--passkey", metavar="PASSKEY", help="Only this passkey, by its id.")
@local
@output
def remove_factors(
    identifier: str, passkey: str | None, data: Path | None, database: str | None, output: str
) -> None:
    """Take away a user's passkeys, app and recovery codes, or one passkey; ends every session of theirs.

    The password stays: it is then the only way in. For who lost what they signed in with.
    """
    with opened(Place(data, database)) as broker:
        if broker.people.get(identifier) is None:
            raise NotFound(f"There is no user {identifier}.")
        custody = broker.signing_in.custody
        try:
            if passkey is not None:
                custody.take_passkey(identifier, passkey, origin_of(broker))
                taken = 1
            else:
                taken = custody.take_all(identifier, origin_of(broker))
        except LookupError:
            raise NotFound(f"{identifier} has no passkey {passkey}.") from None
    done(f"Removed from {identifier}: {taken}.", output, user=identifier, removed=taken)


@click.command("reset")
@click.argument("identifier", metavar="ID")
@local
@output
def reset(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """Make a link with which a user sets a new password: once, within 15 minutes. Shown now and never again.

    Hand it to that person alone. It takes no other factor away; a link made before stops working.
    """
    with opened(Place(data, database)) as broker:
        try:
            secret = broker.signing_in.new_passwords.offer_reset(identifier, origin_of(broker))
        except LookupError:
            raise NotFound(f"There is no user {identifier}.") from None
        door = broker.estate().doors.root
    link = f"{door.url('/login/reset')}?token={secret}"
    done(link, output, user=identifier, link=link, seconds=int(RESET_LIFETIME))
