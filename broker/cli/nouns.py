"""`broker tenant|idp|user|client|resource|edge`: one object of the estate at a time, through the same way as a file."""

from pathlib import Path
from typing import IO

import click

from broker.admin.estate_file import SECTIONS, EstateFile, parse_one, read_yaml
from broker.admin.export import entry
from broker.admin.load import judged
from broker.admin.model import Holdings, Key, Wanted
from broker.admin.policy_entry import names
from broker.admin.shape import full
from broker.app import Broker
from broker.cli.estate import show
from broker.cli.local import Failed, NotFound, Place, apply_of, local, opened, origin_of, reported
from broker.cli.output import moment, one, output, rows
from broker.control.budgets.model import Budget
from broker.control.policy.model import PolicyText
from broker.estate.model import Edge

_COLUMNS = {
    "tenant": ("id", "name", "root_door", "suspended"),
    "idp": ("id", "name", "issuer", "tenant", "accounts"),
    "issuer": ("id", "issuer", "tenants", "trusted_for"),
    "user": ("id", "name", "email", "tenants"),
    "client": ("client_id", "name", "type", "tenant", "grant_types", "registered"),
    "workload": ("id", "issuer", "client_id", "claims"),
    "resource": ("id", "kind", "uri", "tenants", "stage"),
    "recipient": ("id", "issuer", "tenants", "clients"),
    "policy": ("tenant", "version", "changed", "policies"),
    "budget": ("budget", "per_minute", "concurrent", "calls_per_day", "budget_per_day"),
    "edge": ("from", "to", "scopes", "consent", "purpose", "expires", "created", "created_by"),
}

_FILE = click.option(
    "--file", type=click.File("r", encoding="utf-8"), required=True, help="YAML or JSON; - is standard input."
)


def noun_group(noun: str) -> click.Group:
    """list, get, create, update and delete of one noun."""
    authority = click.option(
        "--tenant",
        "within",
        metavar="TENANT",
        hidden=noun not in ("resource", "policy"),
        help="With the authority of this tenant's admins: what is its own to change.",
    )

    @click.group(noun, help=f"The {SECTIONS[noun].replace('_', ' ')} of the estate.")
    def group() -> None:
        pass

    @group.command("list", help=f"Every {noun}.")
    @local
    @output
    def list_command(data: Path | None, database: str | None, output: str) -> None:
        with opened(Place(data, database)) as broker:
            holdings = apply_of(broker).holdings()
            off = {(denial.kind.value, denial.id) for denial in broker.switches.list()}
        found = [_row(key, holdings) for key in sorted(holdings.held) if key[0] == noun]
        if noun == "tenant":
            found = [{**row, "suspended": (noun, str(row["id"])) in off} for row in found]
        rows(found, _COLUMNS[noun], output)

    @group.command("get", help=f"One {noun}, in the shape of the estate file.")
    @click.argument("identifier", metavar="ID")
    @local
    @output
    def get_command(identifier: str, data: Path | None, database: str | None, output: str) -> None:
        with opened(Place(data, database)) as broker:
            holdings = apply_of(broker).holdings()
        found = holdings.get((noun, identifier))
        if found is None:
            raise NotFound(f"There is no {noun} {identifier}.")
        one(entry(found, holdings.clients), output)

    @group.command("create", help=f"Add a {noun}, given in the shape of the estate file.")
    @_FILE
    @authority
    @local
    @output
    def create_command(
        file: IO[str], within: str | None, data: Path | None, database: str | None, output: str
    ) -> None:
        with opened(Place(data, database)) as broker:
            wanted, key = _one(noun, file)
            if apply_of(broker).holdings().get(key) is not None:
                raise Failed(f"There is a {noun} {key[1]} already: use `broker {noun} update`.")
            show(apply_of(broker).apply(wanted, origin_of(broker), within=within), output)

    @group.command("update", help=f"Make a {noun} what the file says.")
    @_FILE
    @authority
    @local
    @output
    def update_command(
        file: IO[str], within: str | None, data: Path | None, database: str | None, output: str
    ) -> None:
        with opened(Place(data, database)) as broker:
            wanted, key = _one(noun, file)
            if apply_of(broker).holdings().get(key) is None:
                raise NotFound(f"There is no {noun} {key[1]}: use `broker {noun} create`.")
            show(apply_of(broker).apply(wanted, origin_of(broker), within=within), output)

    @group.command("delete", help=f"Remove a {noun}; its id is never given again.")
    @click.argument("identifier", metavar="ID")
    @authority
    @local
    @output
    def delete_command(
        identifier: str, within: str | None, data: Path | None, database: str | None, output: str
    ) -> None:
        with opened(Place(data, database)) as broker:
            require(broker, (noun, identifier))
            gone = {(noun, identifier)}
            nothing = Wanted(Holdings({}))
            changes = apply_of(broker).apply(
                nothing, origin_of(broker), removal=lambda _, __: gone, within=within
            )
            show(changes, output)

    return group


def require(broker: Broker, key: Key) -> None:
    """NotFound unless there is such an object."""
    if apply_of(broker).holdings().get(key) is None:
        raise NotFound(f"There is no {key[0]} {key[1]}.")


def _row(key: Key, holdings: Holdings) -> dict[str, object]:
    held = holdings.held[key]
    found = {"registered": "admin", **full(held)} if key[0] == "client" else full(held)
    if isinstance(held, Edge):
        found |= {"created": moment(held.created_at), "created_by": held.created_by}
    if isinstance(held, Budget):
        found["budget"] = held.key
    if isinstance(held, PolicyText):
        found |= {"tenant": held.tenant, "version": held.version, "changed": moment(held.changed_at)}
        found["policies"] = names(held)
    if key[0] == "user":
        memberships = found["tenants"]
        found["tenants"] = [item["id"] for item in memberships] if isinstance(memberships, list) else []
    return found


def _one(noun: str, file: IO[str]) -> tuple[Wanted, Key]:
    """The one object in the file; secret files stand beside it."""
    with reported():
        folder = Path() if file.name in ("-", "<stdin>") else Path(file.name).parent
        found: EstateFile = parse_one(noun, read_yaml(file.read()))
        wanted = judged(found, folder)
    key = next(key for key in wanted.paths if key[0] == noun)
    return wanted, key
