"""RFC 8628 as a device runs it: begin, say where to go with which code, and poll until somebody has answered."""

import time
from collections.abc import Callable

import click

from broker.cli.answers import printable, refused
from broker.cli.flow import Asked, Flow, Metadata
from broker.cli.local import Failed
from broker.protocol import pkce
from broker.protocol.names import DEVICE_CODE
from broker.runtime.clock import ticking
from broker.runtime.entropy import SystemEntropy

_PACE = 5
_SLOWER = 5
_WAITING = ("authorization_pending", "slow_down")
pause: Callable[[float], object] = time.sleep


def connect(
    flow: Flow,
    metadata: Metadata,
    asked: Asked,
    secret: str | None,
    method: str,
    wait: float,
    tell: Callable[[str], object],
) -> dict[str, object]:
    """The token endpoint's answer, once a person has allowed it; Denied when they refuse, Failed after `wait` seconds.

    `tell` gets what the person needs to know.
    """
    if not metadata.device_authorization_endpoint:
        raise Failed(f"{metadata.issuer} does not connect devices.")
    verifier = SystemEntropy().secret()
    begin = {
        "resource": asked.resource,
        "code_challenge": pkce.challenge_of(verifier),
        "code_challenge_method": "S256",
        **({"scope": asked.scope} if asked.scope else {}),
        **({"dpop_jkt": flow.jkt} if flow.jkt else {}),
    }
    status, begun = flow.ask(metadata.device_authorization_endpoint, begin, asked.client_id, secret, method)
    code = begun.get("device_code")
    if status != 200 or not isinstance(code, str):
        raise refused(status, begun)
    tell(_where(begun))
    form = {"grant_type": DEVICE_CODE, "device_code": code, "code_verifier": verifier}
    return _polled(
        flow, metadata, asked.client_id, secret, method, form, _number(begun.get("interval")), wait
    )


def _polled(
    flow: Flow,
    metadata: Metadata,
    client_id: str,
    secret: str | None,
    method: str,
    form: dict[str, str],
    pace: float,
    wait: float,
) -> dict[str, object]:
    """RFC 8628 section 3.5: as fast as the server said, and slower each time that it says so."""
    until = ticking() + wait
    while ticking() < until:
        pause(pace)
        status, answer = flow.ask(metadata.token_endpoint, form, client_id, secret, method)
        if status == 200:
            flow.show_tokens(answer)
            return answer
        if answer.get("error") not in _WAITING:
            raise refused(status, answer)
        pace += _SLOWER if answer.get("error") == "slow_down" else 0
    raise Failed("Nobody answered in time.")


def _where(begun: dict[str, object]) -> str:
    page, code = (printable(str(begun.get(name, ""))) for name in ("verification_uri", "user_code"))
    whole = printable(str(begun.get("verification_uri_complete") or ""))
    shown = f"Open this in a browser, on any device:\n\n  {page}\n\n"
    shown += f"and type this code:\n\n  {click.style(code, bold=True)}\n"
    return f"{shown}\nOr open this, and compare the code:\n\n  {whole}\n" if whole else shown


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 3600 else _PACE
