"""`broker run`: a stdio MCP server with a short-lived token of its user, which nobody else sees and no file holds.

Standard input and output are the command's alone; what there is to say goes to standard error.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import click

from broker.cli.callback import Callback
from broker.cli.device import connect
from broker.cli.flow import Asked, Flow, Metadata
from broker.cli.local import Failed
from broker.protocol.names import AUTHORIZATION_CODE, NONE
from broker.runtime.clock import SystemClock
from broker.settings import for_others

VARIABLE = "MCP_ACCESS_TOKEN"
_FORWARDED = (signal.SIGTERM, signal.SIGHUP)


@click.command("run")
@click.option(
    "--issuer",
    envvar="BROKER_ISSUER",
    default="http://127.0.0.1:8400",
    show_default=True,
    metavar="URL",
    help="The broker.",
)
@click.option("--resource", required=True, metavar="ID", help="The resource whose token the command needs.")
@click.option("--scope", help="Space-separated; the resource's defaults when left out.")
@click.option("--client-id", help="A registered public client; left out, one is registered for this run.")
@click.option(
    "--device", is_flag=True, help="No browser here: print a code to type anywhere. Needs --client-id."
)
@click.option("--redirect-port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
@click.option(
    "--wait", type=click.IntRange(1, 3600), default=300, show_default=True, help="Seconds for the sign-in."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    issuer: str,
    resource: str,
    scope: str | None,
    client_id: str | None,
    device: bool,
    redirect_port: int,
    no_browser: bool,
    wait: int,
    command: tuple[str, ...],
) -> None:
    """Sign this machine's user in, and run COMMAND with their token in MCP_ACCESS_TOKEN; it is revoked at the end.

    Put -- before COMMAND. The exit code is the command's.
    """
    if device and client_id is None:
        raise click.UsageError("--device needs --client-id: devices' clients are registered beforehand.")
    uri, door = _published(issuer, resource)
    with ExitStack() as ending:
        flow = ending.enter_context(Flow(door, SystemClock(), tell=lambda _: None))
        metadata = flow.discover()
        if device and client_id is not None:
            asked = Asked(client_id, uri, scope)
            answer = connect(flow, metadata, asked, None, NONE, wait, lambda text: click.echo(text, err=True))
        else:
            callback = ending.enter_context(Callback(redirect_port, "/callback"))
            if client_id is None:
                client_id = ending.enter_context(_registered(flow, metadata, callback.uri, command[0]))
            form = flow.sign_in(
                metadata, Asked(client_id, uri, scope), callback, wait, _shown(not no_browser)
            )
            answer = flow.token(metadata, form, client_id, None, NONE)
        token = str(answer.get("access_token") or "")
        if not token:
            raise Failed("The server's answer has no access token.")
        ending.callback(_quietly, flow.revoke, metadata, token, client_id)
        click.echo(f"Signed in; the token lasts {answer.get('expires_in')} seconds.", err=True)
        code = _command(command, token)
    raise SystemExit(code)


def _shown(launch: bool) -> Callable[[str], None]:
    def show(url: str) -> None:
        click.echo(f"Open this in a browser to sign in:\n\n  {url}\n", err=True)
        if launch:
            with _apart():
                click.launch(url)

    return show


def _published(issuer: str, resource: str) -> tuple[str, str]:
    """RFC 9728 section 3: the URI of a resource and the door for it, which is one of this broker's."""
    parts = urlsplit(issuer)
    origin = f"{parts.scheme}://{parts.netloc}"
    with Flow(origin, SystemClock(), tell=lambda _: None) as flow:
        found = flow.get(f"{origin}/.well-known/oauth-protected-resource/r/{quote(resource, safe='')}")
    doors = found.get("authorization_servers")
    door = doors[0] if isinstance(doors, list) and doors else None
    if not isinstance(door, str) or not (door == origin or door.startswith(f"{origin}/")):
        raise Failed(f"{resource} is not served by {origin}.")
    return str(found.get("resource", "")), door


@contextmanager
def _registered(flow: Flow, metadata: Metadata, redirect_uri: str, command: str) -> Iterator[str]:
    """A client for this run, removed after it."""
    registered = flow.register(
        metadata,
        {
            "client_name": f"{Path(command).name[:60]} on {os.uname().nodename[:60]}",
            "redirect_uris": [redirect_uri],
            "grant_types": [AUTHORIZATION_CODE],
            "token_endpoint_auth_method": NONE,
            "application_type": "native",
        },
    )
    try:
        yield str(registered.get("client_id", ""))
    finally:
        _quietly(flow.unregister, registered)


@contextmanager
def _apart() -> Iterator[None]:
    """What is started here reads nothing that is for the command, and writes nothing among what the command says."""
    given, said = os.dup(0), os.dup(1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    try:
        yield
    finally:
        for kept, number in ((given, 0), (said, 1)):
            os.dup2(kept, number)
            os.close(kept)


def _quietly(act: Callable[..., object], *values: object) -> None:
    """At the end, what cannot be taken back runs out by itself."""
    try:
        act(*values)
    except click.ClickException as error:
        click.echo(f"Not taken back, it will expire: {error.message}", err=True)


def _command(command: tuple[str, ...], token: str) -> int:
    """Run it to its end; signals are passed on. The exit code, 128 and the signal's number for one that was killed."""
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda got, _: waiting.append(got)) for number in _FORWARDED}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, _ignored)  # the terminal tells the command too
    try:
        process = subprocess.Popen(command, env=for_others() | {VARIABLE: token})  # noqa: S603  it is asked for
        for number in _FORWARDED:
            signal.signal(number, lambda got, _: process.send_signal(got))
        for early in waiting:
            process.send_signal(early)
        code = process.wait()
    except OSError as error:
        raise Failed(f"{command[0]} cannot be run: {error.strerror}.") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _ignored(*_: object) -> None:
    """A handler, unlike SIG_IGN, is not inherited by the command."""
