"""`broker resource tools import|list|get|review`: what a live server says of its tools, held against the estate."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import yaml

from broker.app import Broker
from broker.cli.answers import printable
from broker.cli.hidden import read_hidden
from broker.cli.local import Denied, Failed, NotFound, Place, local, opened, origin_of
from broker.cli.output import JSON, done, moment, one, output, rows
from broker.estate.catalogue import listing, rules
from broker.estate.catalogue.catalogue import Imported, NotReviewed
from broker.estate.catalogue.listing import NotListed
from broker.estate.catalogue.model import Definition, Kept, Listed
from broker.estate.catalogue.rules import Proposal
from broker.estate.model import Resource, ResourceKind
from broker.protocol import resource as resource_uri
from broker.runtime.egress import Egress


@click.group("tools")
def tools() -> None:
    """The tools of a resource: as its server lists them, and as somebody looked at them."""


@tools.command("import")
@click.argument("source", metavar="URL|RESOURCE_ID")
@click.option("--at", metavar="URL", help="Ask there, not at the resource's own address.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where the access token is that the server wants; - is standard input.",
)
@click.option("--accept", is_flag=True, help="Take everything that is listed as looked at.")
@local
@output
def import_command(
    source: str,
    at: str | None,
    token_file: Path | None,
    accept: bool,
    data: Path | None,
    database: str | None,
    output: str,
) -> None:
    """Ask a live MCP server for its tools, remember what it says, and propose what the estate file lacks.

    Nothing is called, and the estate stays as it is: paste what you want into the file and apply it.
    """
    token = read_hidden(token_file, "Access token") if token_file else None
    with opened(Place(data, database)) as broker:
        resource = _named(broker, source)
        if resource is None and accept:
            raise Failed("No resource has this address: there is nothing to take as looked at.")
        url = at or (resource.uri if resource else source)
        listed = _asked(broker, url, token)
        proposed = rules.proposals(resource, listed)
        kept = broker.catalogue.of(resource.id) if resource else {}
        came = broker.catalogue.keep(resource, listed, origin_of(broker), accept=accept) if resource else None
    if output == JSON:
        click.echo(json.dumps(_members(url, resource, listed, proposed, came), ensure_ascii=False, indent=2))
    else:
        for line in _lines(url, resource, listed, proposed, came, kept):
            click.echo(printable(line))


@tools.command("list")
@click.argument("identifier", metavar="RESOURCE_ID")
@local
@output
def list_command(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """Every tool that the estate has, or that its server listed at the last look."""
    with opened(Place(data, database)) as broker:
        resource = _required(broker, identifier)
        kept = broker.catalogue.of(resource.id)
    known = {tool.name: tool for tool in resource.tools}
    found: list[dict[str, object]] = []
    for name in dict.fromkeys((*known, *kept)):
        tool, one_kept = known.get(name), kept.get(name)
        looked = rules.reviewed(tool, one_kept)
        found.append(
            {
                "name": name,
                "impact": tool.impact.value if tool else None,
                "scopes": list(tool.scopes) if tool else None,
                "definition": rules.standing(tool, one_kept),
                "digest": looked.digest if looked else None,
                "seen": moment(one_kept.seen_at) if one_kept else None,
                "reviewed": moment(one_kept.reviewed_at) if one_kept else None,
                "by": one_kept.reviewed_by if one_kept else None,
            }
        )
    rows(found, ("name", "impact", "scopes", "definition", "seen", "reviewed", "by"), output)


@tools.command("get")
@click.argument("identifier", metavar="RESOURCE_ID")
@click.argument("tool", metavar="TOOL")
@local
@output
def get_command(identifier: str, tool: str, data: Path | None, database: str | None, output: str) -> None:
    """What the server says of one tool, beside what somebody looked at."""
    with opened(Place(data, database)) as broker:
        resource = _required(broker, identifier)
        kept = broker.catalogue.of(resource.id).get(tool)
    known = next((one for one in resource.tools if one.name == tool), None)
    if kept is None and known is None:
        raise NotFound(f"There is no tool {tool} of {identifier}.")
    found = {
        "name": tool,
        "definition": rules.standing(known, kept),
        "seen": _definition(kept.seen if kept else None),
        "reviewed": _definition(rules.reviewed(known, kept)),
    }
    one(found, output)


@tools.command("review")
@click.argument("identifier", metavar="RESOURCE_ID")
@click.argument("tool", metavar="[TOOL]", required=False)
@click.option("--digest", help="Only the definition of this digest, as `get` shows it.")
@local
@output
def review(
    identifier: str,
    tool: str | None,
    digest: str | None,
    data: Path | None,
    database: str | None,
    output: str,
) -> None:
    """Take what the server said of a tool, or of all, at the last look as looked at: calls go by that from now on."""
    if digest is not None and tool is None:
        raise click.UsageError("Name the tool that --digest is of.")
    with opened(Place(data, database)) as broker:
        resource = _required(broker, identifier)
        try:
            reviewed = broker.catalogue.review(resource, tool, origin_of(broker), digest)
        except NotReviewed as error:
            raise Failed(str(error)) from None
    said = f"Looked at: {', '.join(reviewed)}." if reviewed else "Nothing is new since the last review."
    done(printable(said), output, resource=identifier, reviewed=reviewed)


def _named(broker: Broker, source: str) -> Resource | None:
    """The resource of that id or address as the estate file has it; None for an address that nobody registered."""
    found = broker.world.database.read(broker.changes.resources)
    if "://" not in source:
        return _required(broker, source)
    if not resource_uri.valid(source):
        raise Failed("This is not the address of an MCP server: an http or https URL is needed.")
    same = [one for one in found if resource_uri.folded(one.uri) == resource_uri.folded(source)]
    return _mcp(same[0]) if same else None


def _required(broker: Broker, identifier: str) -> Resource:
    for found in broker.world.database.read(broker.changes.resources):
        if found.id == identifier:
            return _mcp(found)
    raise NotFound(f"There is no resource {identifier}.")


def _mcp(resource: Resource) -> Resource:
    if resource.kind is not ResourceKind.MCP:
        raise Failed(f"{resource.id} is no MCP server: it lists no tools.")
    return resource


def _asked(broker: Broker, url: str, token: str | None) -> list[Listed]:
    with _egress(broker) as egress:
        try:
            return listing.look(egress, url, token)
        except NotListed as error:
            if error.challenged:
                hint = "" if token else " Give one with --token-file, for all scopes of the resource."
                raise Denied(f"{error}{hint}") from None
            hint = (
                " `catalogue_origins` names origins that may be." if "may not be asked" in str(error) else ""
            )
            raise Failed(f"{error}{hint}") from None


@contextmanager
def _egress(broker: Broker) -> Iterator[Egress]:
    settings = broker.settings
    egress = Egress(
        settings.development and settings.loopback,
        broker.world.clock,
        authorities=settings.egress_authorities,
        origins=settings.catalogue_origins,
    )
    try:
        yield egress
    finally:
        egress.close()


def _entry(proposal: Proposal) -> dict[str, object]:
    """In the shape of the estate file."""
    undo = {"undo": proposal.undo} if proposal.undo else {}
    scopes, impact = list(proposal.scopes), proposal.impact.value
    return {"name": proposal.name, "scopes": scopes, "impact": impact, **undo}


def _members(
    url: str,
    resource: Resource | None,
    listed: Sequence[Listed],
    proposed: Sequence[Proposal],
    came: Imported | None,
) -> dict[str, object]:
    compared = came.compared if came else None
    return {
        "url": url,
        "resource": resource.id if resource else None,
        "listed": [one.definition.name for one in listed],
        "new": [proposal.name for proposal in proposed],
        "gone": list(compared.gone) if compared else [],
        "changed": list(compared.changed) if compared else [],
        "unseen": list(compared.unseen) if compared else [],
        "unusable": {one.definition.name: one.unusable for one in listed if one.unusable},
        "reviewed": list(came.reviewed) if came else [],
        "proposed": [{**_entry(proposal), "why": proposal.why} for proposal in proposed],
    }


def _lines(
    url: str,
    resource: Resource | None,
    listed: Sequence[Listed],
    proposed: Sequence[Proposal],
    came: Imported | None,
    kept: Mapping[str, Kept],
) -> Iterator[str]:
    where = f"resource {resource.id}" if resource else "no resource has this address, so nothing is kept"
    yield f"{url} lists {len(listed)} tools ({where})."
    if resource is not None and came is not None:
        known = {tool.name: tool for tool in resource.tools}
        for one_listed in listed:
            if (name := one_listed.definition.name) in came.compared.changed:
                yield from _difference(rules.reviewed(known.get(name), kept.get(name)), one_listed.definition)
        if came.compared.unseen and not came.reviewed:
            yield f"nobody looked at: {', '.join(came.compared.unseen)}"
        if came.compared.gone:
            yield f"gone: {', '.join(came.compared.gone)}"
        if came.reviewed:
            yield f"looked at: {', '.join(came.reviewed)}"
        elif came.compared.changed:
            yield f"Calls of what changed are refused until `broker resource tools review {resource.id}`."
    for one_listed in listed:
        if one_listed.unusable:
            yield f"{one_listed.definition.name} cannot be reviewed: {one_listed.unusable}"
    if proposed:
        yield f"new, for the estate file; choose scopes where it says {rules.CHOOSE}:"
        yield "    tools:"
        for proposal in proposed:
            yield f"      # {proposal.why}"
            text = yaml.safe_dump(_entry(proposal), default_flow_style=True, sort_keys=False, width=10_000)
            yield f"      - {text.strip()}"


def _difference(before: Definition | None, after: Definition) -> Iterator[str]:
    yield f"changed: {after.name}"
    if before is None:
        return
    if before.description != after.description:
        yield f"    description: {before.description!r}"
        yield f"            now: {after.description!r}"
    if before.schema != after.schema:
        yield f"    schema: {json.dumps(before.schema, ensure_ascii=False)}"
        yield f"       now: {json.dumps(after.schema, ensure_ascii=False)}"


def _definition(found: Definition | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {"description": found.description, "schema": dict(found.schema), "digest": found.digest}
