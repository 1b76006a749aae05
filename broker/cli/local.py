"""What commands on local data share: where the data is, the composed broker, the exit codes."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
from pydantic import ValidationError

from broker import app
from broker.admin.apply import Apply
from broker.admin.credentials import Credentials
from broker.admin.model import EstateProblems
from broker.admin.rooms import Rooms
from broker.identity.users.model import User
from broker.protocol.origin import Origin
from broker.runtime.database import Unavailable
from broker.settings import Settings

F = TypeVar("F", bound=Callable[..., object])
SQLITE = "sqlite:///"
MARKER = "development.json"


class Failed(click.ClickException):
    """The command did not do it: exit code 1."""

    exit_code = 1


class NotFound(Failed):
    exit_code = 3


class Denied(Failed):
    exit_code = 4


class Unhealthy(Failed):
    exit_code = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data is, as the options said."""

    data: Path | None
    database: str | None


def local(command: F) -> F:
    """The options of every command that works on local data; the command receives `place`."""
    command = click.option("--database", metavar="URL", help="The database (also BROKER_DATABASE_URL).")(
        command
    )
    return click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")(
        command
    )


def settings_for(place: Place, **more: object) -> Settings:
    """The settings in force; what `broker dev` noted in the data folder goes before the environment."""
    given: dict[str, object] = {}
    if place.data is not None:
        given["data"] = place.data
    if place.database is not None:
        given["database_url"] = place.database
    try:
        # Only to find the folder: what it notes decides whether the rest is to be judged as development.
        place_of = Settings.model_validate({**given, **more, "development": True})
        marker = place_of.data / MARKER
        if place_of.database_url is None and marker.is_file():
            given |= {**json.loads(marker.read_text("utf-8")), "development": True}
        return Settings.model_validate({**given, **more})
    except ValidationError as error:
        texts = [
            f"{'.'.join(map(str, item['loc']))} {item['msg']}".strip()
            for item in error.errors(include_input=False)
        ]
        raise Failed("The settings do not fit: " + "; ".join(texts)) from None
    except (OSError, ValueError):
        raise Failed("The settings cannot be read.") from None


def note_development(settings: Settings) -> None:
    """Let later commands on this folder know which broker it is of."""
    (settings.data / MARKER).write_text(json.dumps({"issuer": settings.issuer}) + "\n", "utf-8")


def sqlite_file(url: str) -> Path | None:
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


@contextmanager
def opened(place: Place) -> Iterator[app.Broker]:
    """The broker behind local data, closed again; failures in plain words."""
    settings = settings_for(place)
    with reported():
        broker = composed(settings)
        try:
            yield broker
        finally:
            broker.close()


def composed(settings: Settings) -> app.Broker:
    """The broker of these settings; Failed with what to do first."""
    path = sqlite_file(settings.database)
    if path is not None and not path.exists():
        raise Failed(f"There is no database at {path}: run `broker dev` or `broker migrate` first.")
    if app.migrations_pending(settings.database):
        raise Failed("The database is of an earlier release: run `broker migrate` first.")
    try:
        return app.compose(settings)
    except FileNotFoundError as error:
        raise Failed(f"There is no sealing key at {error.filename}: `broker dev` makes one.") from None
    except (OSError, ValueError) as error:
        raise Failed(str(error)) from None


@contextmanager
def reported() -> Iterator[None]:
    """Known failures as messages and exit codes."""
    try:
        yield
    except EstateProblems as error:
        raise Failed("\n  ".join(["This does not fit:", *map(str, error.problems)])) from None
    except Unavailable:
        raise Unhealthy("The database does not answer.") from None
    except OSError as error:
        raise Failed(f"{error.filename or 'Input'}: {error.strerror}") from None


def rooms_of(broker: app.Broker) -> Rooms:
    return Rooms(
        world=broker.world,
        recorder=broker.recorder,
        tenants=broker.tenants,
        people=broker.people,
        grants=broker.grants,
        clients=broker.clients,
        changes=broker.changes,
        claims=broker.claims,
        providers=broker.providers,
        vault=broker.vault,
        issuers=broker.federation.trusted.issuers,
        policies=broker.policies,
        budgets=broker.budgets.configured,
        prepare_keys=broker.prepare_keys,
        judge=_any if broker.settings.development else broker.signing_in.new_passwords.judge,
    )


def _any(password: str, user: User) -> None:
    """In development any password does that can be one: demonstrations write theirs down."""


def apply_of(broker: app.Broker) -> Apply:
    return Apply(rooms_of(broker))


def credentials_of(broker: app.Broker) -> Credentials:
    rooms = rooms_of(broker)
    return Credentials(rooms, Apply(rooms))


def origin_of(broker: app.Broker) -> Origin:
    """Who acts, for the records: this terminal, through the root door."""
    identifier = broker.world.entropy.identifier("req", broker.world.clock.now())
    return Origin(identifier, "cli", broker.settings.issuer)
