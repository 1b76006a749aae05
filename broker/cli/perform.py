"""`broker perform`: a flow as a client would run it, every request and answer shown (RFC 6749, RFC 8628, RFC 8693)."""

from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ec

from broker.cli.callback import Callback
from broker.cli.device import connect
from broker.cli.flow import Asked, Flow
from broker.cli.hidden import read_hidden
from broker.protocol.dpop import ProofKey
from broker.protocol.names import (
    ACCESS_TOKEN_TYPE,
    CLIENT_CREDENTIALS,
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    TOKEN_EXCHANGE,
)
from broker.runtime.clock import SystemClock

_SECRET_FILE = click.option(
    "--secret-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="The client's secret; - is standard input.",
)
_METHOD = click.option(
    "--method", type=click.Choice([CLIENT_SECRET_BASIC, CLIENT_SECRET_POST]), default=CLIENT_SECRET_BASIC
)
_DPOP = click.option(
    "--dpop", is_flag=True, help="Bind the token to a key that is made for it and then forgotten."
)


@click.group("perform")
def perform() -> None:
    """Run a flow as a client and show every request and answer; tokens are shown, secrets are not."""


@perform.command("authorization-code")
@click.option("--issuer", required=True, metavar="URL", help="The door.")
@click.option("--client-id", required=True)
@click.option("--resource", required=True, metavar="URI", help="The MCP server.")
@click.option("--scope", help="Space-separated; the resource's defaults when left out.")
@click.option("--redirect-port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--redirect-path", default="/callback", show_default=True, help="As registered.")
@click.option("--no-browser", is_flag=True, help="Only print the URL to open.")
@click.option(
    "--wait", type=click.IntRange(1, 3600), default=300, show_default=True, help="Seconds for the sign-in."
)
@_SECRET_FILE
@_METHOD
@_DPOP
def authorization_code(
    issuer: str,
    client_id: str,
    resource: str,
    scope: str | None,
    redirect_port: int,
    redirect_path: str,
    no_browser: bool,
    wait: int,
    secret_file: Path | None,
    method: str,
    dpop: bool,
) -> None:
    """Sign in with a browser and get a user's token (RFC 6749 section 4.1, with PKCE and a loopback redirect)."""
    secret = read_hidden(secret_file, "Client secret") if secret_file else None

    def show(url: str) -> None:
        click.echo(f"Open this in a browser:\n\n  {url}\n")
        if not no_browser:
            click.launch(url)

    with (
        Flow(issuer, SystemClock(), key=_key(dpop)) as flow,
        Callback(redirect_port, redirect_path) as callback,
    ):
        metadata = flow.discover()
        form = flow.sign_in(metadata, Asked(client_id, resource, scope), callback, wait, show)
        flow.token(metadata, form, client_id, secret, method)


@perform.command("device")
@click.option("--issuer", required=True, metavar="URL", help="The door.")
@click.option("--client-id", required=True)
@click.option("--resource", required=True, metavar="URI", help="The MCP server.")
@click.option("--scope", help="Space-separated; the resource's defaults when left out.")
@click.option(
    "--wait", type=click.IntRange(1, 3600), default=600, show_default=True, help="Seconds for the answer."
)
@_SECRET_FILE
@_METHOD
@_DPOP
def device(
    issuer: str,
    client_id: str,
    resource: str,
    scope: str | None,
    wait: int,
    secret_file: Path | None,
    method: str,
    dpop: bool,
) -> None:
    """Show a code, have it typed in a browser anywhere, and get a user's token (RFC 8628)."""
    secret = read_hidden(secret_file, "Client secret") if secret_file else None
    with Flow(issuer, SystemClock(), key=_key(dpop)) as flow:
        asked = Asked(client_id, resource, scope)
        connect(flow, flow.discover(), asked, secret, method, wait, click.echo)


@perform.command("client-credentials")
@click.option("--issuer", required=True, metavar="URL", help="The door.")
@click.option("--client-id", required=True)
@click.option("--resource", metavar="URI")
@click.option("--scope", help="Space-separated.")
@_SECRET_FILE
@_METHOD
@_DPOP
def client_credentials(
    issuer: str,
    client_id: str,
    resource: str | None,
    scope: str | None,
    secret_file: Path | None,
    method: str,
    dpop: bool,
) -> None:
    """Get a token for the client's own work (RFC 6749 section 4.4)."""
    secret = read_hidden(secret_file, "Client secret")
    form = {"grant_type": CLIENT_CREDENTIALS, **_given(resource=resource, scope=scope)}
    with Flow(issuer, SystemClock(), key=_key(dpop)) as flow:
        flow.token(flow.discover(), form, client_id, secret, method)


@perform.command("token-exchange")
@click.option("--issuer", required=True, metavar="URL", help="The door, the subject token's issuer.")
@click.option("--client-id", required=True, help="The resource's own client.")
@click.option("--resource", metavar="URI", help="The target.")
@click.option("--audience", help="The target by its id, instead of --resource.")
@click.option("--scope", help="Space-separated, to narrow.")
@click.option(
    "--subject-token-file",
    type=click.Path(path_type=Path, allow_dash=True),
    required=True,
    help="The token to exchange; - is standard input.",
)
@_SECRET_FILE
@_METHOD
@_DPOP
def token_exchange(
    issuer: str,
    client_id: str,
    resource: str | None,
    audience: str | None,
    scope: str | None,
    subject_token_file: Path,
    secret_file: Path | None,
    method: str,
    dpop: bool,
) -> None:
    """Exchange a token along an edge (RFC 8693)."""
    if (resource is None) == (audience is None):
        raise click.UsageError("Give --resource or --audience.")
    if str(subject_token_file) == "-" and secret_file is None:
        raise click.UsageError("Standard input holds the token: give --secret-file.")
    subject = read_hidden(subject_token_file, "Subject token")
    secret = read_hidden(secret_file, "Client secret")
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN_TYPE,
        **_given(resource=resource, audience=audience, scope=scope),
    }
    with Flow(issuer, SystemClock(), key=_key(dpop)) as flow:
        flow.token(flow.discover(), form, client_id, secret, method)


def _key(wanted: bool) -> ProofKey | None:
    return ProofKey(ec.generate_private_key(ec.SECP256R1())) if wanted else None


def _given(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}
