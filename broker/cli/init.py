"""`broker init`: from nothing to a broker that can be served: settings file, sealing key, schema, tenant, owner."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import click

from broker import app
from broker.admin.estate_file import parse
from broker.admin.load import judged
from broker.admin.model import EstateProblems, Wanted
from broker.audit import trace as evidence
from broker.cli.hidden import read_hidden
from broker.cli.local import (
    MARKER,
    Failed,
    Place,
    apply_of,
    composed,
    local,
    origin_of,
    reported,
    settings_for,
    sqlite_file,
)
from broker.cli.output import done, output
from broker.identity.users.password import Passwords
from broker.runtime.engines import open_database
from broker.runtime.facts import facts
from broker.settings import Settings
from keys.sealed import create_key_file

ROLE = "owner"
_NEXT = ("broker doctor", "broker serve")


@click.command("init")
@click.option("--issuer", metavar="URL", help="The address that clients reach: https://HOST.")
@click.option("--host", help="The address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to listen on (8400).")
@click.option("--tenant", metavar="ID", help="The first tenant.")
@click.option("--tenant-name", metavar="NAME", help="What people read; the id by default.")
@click.option("--admin", metavar="ID", help="The first user, owner of that tenant.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Read the user's password here; - is standard input.",
)
@click.option("--non-interactive", is_flag=True, help="Ask nothing: what is missing is an error.")
@local
@output
def init(
    issuer: str | None,
    host: str | None,
    port: int | None,
    tenant: str | None,
    tenant_name: str | None,
    admin: str | None,
    password_file: Path | None,
    non_interactive: bool,
    data: Path | None,
    database: str | None,
    output: str,
) -> None:
    """Make the first settings file and the first tenant with its owner; refuses when something is there already.

    The settings file is broker.toml in this folder, the data folder .broker unless --data names another.
    """
    if non_interactive and password_file is None and sys.stdin.isatty():
        raise click.UsageError("--non-interactive needs --password-file, or the password on standard input.")
    asking = not non_interactive and sys.stdin.isatty()
    config = Path(str(Settings.model_config.get("toml_file")))
    if os.path.lexists(config):
        raise Failed(f"There is a settings file already: {config.resolve()}.")
    given: dict[str, object] = {"issuer": issuer, "host": host, "port": port, "database_url": database}
    given = {name: value for name, value in given.items() if value is not None}
    settings = settings_for(Place(data, database), **given)
    _refuse_used(settings)
    if "issuer" not in settings.model_fields_set:
        given["issuer"] = _asked("issuer", None, "Issuer (https://HOST)", asking)
        settings = settings_for(Place(data, database), **given)
    given = {**given, "issuer": settings.issuer, "data": str(settings.data.resolve())}
    tenant = _asked("tenant", tenant, "Id of the first tenant", asking)
    admin = _asked("admin", admin, "Id of its owner", asking)
    password = read_hidden(password_file, f"Password of {admin}", confirm=True)
    with reported():
        wanted = first(tenant, tenant_name, admin, password, settings)
        said = make(config, given, settings, wanted)
    lines = [*(f"made  {line}" for line in said)]
    lines += [f"{admin} is {ROLE} of {tenant}; what roles may do comes with later releases.", "next"]
    done("\n".join([*lines, *(f"      {line}" for line in _NEXT)]), output, made=said, next=list(_NEXT))


def first(tenant: str, name: str | None, admin: str, password: str, settings: Settings) -> Wanted:
    """The first tenant and its owner, judged before anything is made; EstateProblems or Failed."""
    member = {"id": tenant, "roles": [ROLE]}
    file = parse(
        {
            "tenants": [{"id": tenant, "name": name}],
            "users": [{"id": admin, "password": password, "tenants": [member]}],
        }
    )
    wanted = judged(file, Path())
    if wanted.problems:
        raise EstateProblems(list(wanted.problems))
    try:
        Passwords(settings.argon2_memory_kib, settings.argon2_iterations).hash(password)
    except ValueError as error:
        raise Failed(str(error)) from None
    return wanted


def make(config: Path, given: Mapping[str, object], settings: Settings, wanted: Wanted) -> list[str]:
    """Everything, or nothing: what was made is undone when a later part fails. Says what was made."""
    said: list[str] = []
    with ExitStack() as undo:
        _folder(settings.data, undo, said)
        _sealing_key(settings, undo, said)
        _schema(settings, undo, said)
        _settings_file(config, given, undo, said)
        _same(settings)
        if sqlite_file(settings.database) is None:
            undo.pop_all()  # from here on a server's database has keys that the sealing key must outlive
        broker = composed(settings)
        try:
            changes = apply_of(broker).apply(wanted, origin_of(broker))
        finally:
            broker.close()
        said += [f"{change.noun} {change.id}" for change in changes]
        undo.pop_all()
    return said


def _asked(name: str, value: str | None, prompt: str, asking: bool) -> str:
    if value is not None:
        return value
    if not asking:
        raise click.UsageError(f"Give --{name}.")
    answer: str = click.prompt(prompt)
    return answer


def _refuse_used(settings: Settings) -> None:
    """Failed when there is a broker, or a part of one."""
    path = sqlite_file(settings.database)
    own_key = _key_file(settings)
    for found in (settings.data / MARKER, path, own_key):
        if found is not None and os.path.lexists(found):
            raise Failed(f"There is something already: {found}. Nothing was changed.")


def _key_file(settings: Settings) -> Path | None:
    """Where the sealing key is to be made; None when it is provided from elsewhere."""
    if settings.key_encryption_key is not None:
        return None
    if settings.key_encryption_key_file is None and settings.credentials_directory is not None:
        return None
    return settings.key_encryption_key_file or settings.data / "kek"


def _folder(folder: Path, undo: ExitStack, said: list[str]) -> None:
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True)
    undo.callback(folder.rmdir)
    said.append(f"data folder {folder.resolve()}")


def _sealing_key(settings: Settings, undo: ExitStack, said: list[str]) -> None:
    path = _key_file(settings)
    if path is not None:
        create_key_file(path)
        undo.callback(path.unlink)
        said.append(
            f"sealing key {path.resolve()} (keep a copy elsewhere: nothing else opens the private keys)"
        )


def _schema(settings: Settings, undo: ExitStack, said: list[str]) -> None:
    path = sqlite_file(settings.database)
    if path is not None:
        _private(path, b"")
        for suffix in ("", "-wal", "-shm"):
            undo.callback(Path(f"{path}{suffix}").unlink, missing_ok=True)
    try:
        database = open_database(settings.database)
    except ValueError as error:
        raise Failed(str(error)) from None
    try:
        database.read(facts)  # whether it answers at all
        if app.migrations_pending(settings.database):  # else its owner has run `broker migrate` before
            app.migrate(settings.database)
        if evidence.query(database, most=1):
            raise Failed("The database holds a broker already. Nothing was changed.")
    finally:
        database.close()
    said.append(f"database {path.resolve() if path else 'schema'}")


def _settings_file(config: Path, given: Mapping[str, object], undo: ExitStack, said: list[str]) -> None:
    # A JSON text or number is one of TOML too.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(given.items())]
    _private(config, "\n".join(["# Every setting: docs/settings.md", *lines, ""]).encode())
    undo.callback(config.unlink)
    said.insert(0, f"settings {config.resolve()}")


def _same(settings: Settings) -> None:
    """Failed when later commands would read something else: the environment goes before the file."""
    again = settings_for(Place(None, None))
    for name in ("issuer", "host", "port", "database"):
        if getattr(again, name) != getattr(settings, name):
            raise Failed(f"BROKER_* in the environment says otherwise of {name}: unset it, or give the same.")


def _private(path: Path, content: bytes) -> None:
    """A new file of its owner alone; FileExistsError when somebody was faster."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
