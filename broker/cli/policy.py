"""`broker policy check|test|explain|schema`: whether policies fit the estate, and what they say of a call."""

from pathlib import Path

import click

from broker.admin import policy_cases, policy_entry
from broker.admin.estate_file import read_yaml
from broker.admin.model import EstateProblems
from broker.admin.policy_cases import Call, Tried
from broker.app import Broker
from broker.cli.local import Failed, NotFound, Place, apply_of, local, opened
from broker.cli.output import JSON, done, one, output, rows
from broker.control.policy import schema
from broker.control.policy.model import SERVER, Fault, Policy, PolicyText
from broker.control.policy.policies import Explained, Sets, explained
from broker.protocol import strict_json

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_OF = click.option("--tenant", default=SERVER, help="As policies of this tenant.  [default: of the server]")


@click.command("check")
@click.argument("file", type=FILE)
@_OF
@local
@output
def check(file: Path, tenant: str, data: Path | None, database: str | None, output: str) -> None:
    """Whether the policies in FILE fit the estate; exit code 1 when not."""
    with opened(Place(data, database)) as broker:
        text = _text(file)
        signed = policy_entry.unsigned(PolicyText(tenant, text), apply_of(broker).holdings().users)
        found = [*_faults(broker, text, tenant), *signed]
    if output == JSON or found:
        listed: list[dict[str, object]] = [
            {"line": fault.line, "policy": fault.policy, "text": fault.text} for fault in found
        ]
        rows(listed, ("line", "policy", "text"), output)
    if found:
        raise Failed(f"{file.name} does not fit.")
    if output != JSON:
        click.echo(f"{file.name} fits.")


@click.command("test")
@click.argument("file", type=FILE)
@click.argument("cases", type=FILE)
@_OF
@local
@output
def test(file: Path, cases: Path, tenant: str, data: Path | None, database: str | None, output: str) -> None:
    """Judge CASES as though FILE were in force; exit code 1 when one comes out otherwise than it expects."""
    with opened(Place(data, database)) as broker:
        text = _text(file)
        if wrong := _faults(broker, text, tenant):
            raise Failed("\n  ".join([f"{file.name} does not fit:", *map(str, wrong)]))
        kept = broker.world.database.read(broker.policies.texts)
        sets = Sets([*kept, PolicyText(tenant, text)])
        tried = policy_cases.tried(
            policy_cases.parse(read_yaml(_text(cases))),
            sets,
            apply_of(broker).holdings(),
            broker.estate().resources,
            broker.world.clock.now(),
        )
    rows(
        [_case(i, item) for i, item in enumerate(tried)],
        ("case", "expected", "found", "passed", "because"),
        output,
    )
    failed = sum(not item.passed for item in tried)
    if failed:
        raise Failed(f"{failed} of {len(tried)} cases came out otherwise.")


@click.command("explain")
@click.option("--tenant", required=True, help="Whose token it is.")
@click.option("--user", help="For whom; without, it is the client's own work.")
@click.option("--client", required=True, help="Which client calls.")
@click.option("--resource", required=True, help="The server, by its id.")
@click.option("--tool", required=True, help="Which tool.")
@click.option("--arguments", type=FILE, help="JSON: the arguments of the call.")
@click.option("--acr", help="How the user signed in.")
@click.option("--auth-age", type=int, help="Seconds since the user signed in.")
@local
@output
def explain(
    tenant: str,
    user: str | None,
    client: str,
    resource: str,
    tool: str,
    arguments: Path | None,
    acr: str | None,
    auth_age: int | None,
    data: Path | None,
    database: str | None,
    output: str,
) -> None:
    """What the policies in force say of a call, and which of them said so."""
    call = Call(
        tenant=tenant,
        user=user,
        client=client,
        resource=resource,
        tool=tool,
        arguments=_arguments(arguments),
        acr=acr,
        auth_age=auth_age,
    )
    with opened(Place(data, database)) as broker:
        now = broker.world.clock.now()
        try:
            act = policy_cases.act(call, apply_of(broker).holdings(), broker.estate().resources, now)
        except EstateProblems as error:
            raise NotFound(str(error)) from None
        found = explained(broker.policies.rules(tenant), act, now)
    one(_explained(found), output)


@click.command("schema")
@local
@output
def schema_command(data: Path | None, database: str | None, output: str) -> None:
    """The Cedar schema of this estate: what a policy can look at."""
    with opened(Place(data, database)) as broker:
        text = schema.text(broker.estate().resources.values())
    done(text, output, schema=text)


def _faults(broker: Broker, text: str, tenant: str) -> list[Fault]:
    return policy_entry.faults(PolicyText(tenant, text), broker.estate().resources.values())


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise Failed(f"{file.name} is not UTF-8.") from None


def _arguments(file: Path | None) -> dict[str, object]:
    try:
        found = strict_json.parse(file.read_bytes()) if file is not None else {}
    except ValueError as error:
        raise Failed(f"The arguments are no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Failed("The arguments are no JSON object.")
    return found


def _case(number: int, item: Tried) -> dict[str, object]:
    return {
        "case": number,
        "tool": item.case.tool,
        "expected": item.case.expected,
        "found": item.found,
        "passed": item.passed,
        "because": [policy.id for policy in item.explained.policies],
        "error": item.explained.verdict.error,
    }


def _explained(found: Explained) -> dict[str, object]:
    verdict = found.verdict
    said: dict[str, object] = {"verdict": policy_cases.outcome(verdict), "error": verdict.error}
    if verdict.demand is not None:
        rule = verdict.demand.rule
        said["approval"] = {"by": list(rule.by), "expires": rule.expires, "quorum": rule.quorum}
    if not found.policies and verdict.error is None:
        said["why"] = "no policy permits it"
    said["policies"] = [
        {"id": policy.id, "does": _does(policy, found), "says": policy.says} for policy in found.policies
    ]
    return {name: value for name, value in said.items() if value is not None}


def _does(policy: Policy, found: Explained) -> str:
    if policy.id in found.weighed.asks:
        return "asks for an approval"
    if policy.id in found.weighed.relaxed:
        return "makes the approval needless"
    return "permits" if policy.permits else "forbids"
