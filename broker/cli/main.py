"""The entry point: `broker COMMAND`."""

from importlib.metadata import PackageNotFoundError, version

import click

from broker.admin.model import NOUNS
from broker.cli.approval import approval
from broker.cli.audit import audit
from broker.cli.budget import set_command, spent
from broker.cli.claim import claim, claims, prove, vouch, withdraw
from broker.cli.credentials import rotate_secret, set_password
from broker.cli.decision import decision
from broker.cli.dev import dev
from broker.cli.doctor import doctor
from broker.cli.estate import apply_command, export_command
from broker.cli.factors import factors, remove_factors, reset
from broker.cli.grant import grant
from broker.cli.idp import test_claims
from broker.cli.init import init
from broker.cli.invariants import invariants
from broker.cli.key import key
from broker.cli.migrate import migrate
from broker.cli.nouns import noun_group
from broker.cli.output import done, output
from broker.cli.perform import perform
from broker.cli.policy import check, explain, schema_command, test
from broker.cli.run import run
from broker.cli.serve import serve_command
from broker.cli.session import session
from broker.cli.switch import switch
from broker.cli.tenant import resume, suspend
from broker.cli.tools import tools
from broker.cli.vault import vault
from broker.cli.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The OAuth 2.1 authorization server and token broker for MCP.

    Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 denied, 5 unhealthy.
    """


@main.command("version")
@output
def version_command(output: str) -> None:
    """Which release this is."""
    try:
        number = version("mcp-token-broker")
    except PackageNotFoundError:
        number = "unknown"
    done(number, output, version=number)


_NOUNS = {noun: noun_group(noun) for noun in NOUNS}
for _more in (set_password, factors, remove_factors, reset):
    _NOUNS["user"].add_command(_more)
for _more in (suspend, resume):
    _NOUNS["tenant"].add_command(_more)
for _more in (claim, claims, prove, vouch, withdraw, tools):
    _NOUNS["resource"].add_command(_more)
for _more in (set_command, spent):
    _NOUNS["budget"].add_command(_more)
_NOUNS["client"].add_command(rotate_secret)
for _more in (check, test, explain, schema_command):
    _NOUNS["policy"].add_command(_more)
_NOUNS["idp"].add_command(test_claims)
for _command in (
    dev,
    serve_command,
    worker,
    init,
    doctor,
    migrate,
    apply_command,
    export_command,
    *_NOUNS.values(),
    switch,
    key,
    invariants,
    session,
    approval,
    decision,
    vault,
    grant,
    audit,
    perform,
    run,
):
    main.add_command(_command)
