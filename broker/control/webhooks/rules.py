"""Standard Webhooks 1.0.0 (standardwebhooks.com): the payload, its headers and their HMAC-SHA-256 signature."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

Data = Mapping[str, str | int | float | None]
"""Ids and numbers: never a text that somebody outside wrote, a token or a secret."""
_PREFIX = "whsec_"
SHORTEST = 24
"""Bytes of a secret, as the specification asks."""


def secret(text: str) -> bytes:
    """What a secret file says: `whsec_` and base64, or any text as it stands. ValueError in plain words."""
    text = text.strip()
    try:
        given = (
            base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else None
        )
    except binascii.Error:
        raise ValueError("after `whsec_` there has to be base64") from None
    found = text.encode() if given is None else given
    if len(found) < SHORTEST:
        raise ValueError(f"it has to be {SHORTEST} bytes or more")
    return found


def read_secret(path: Path) -> bytes:
    """ValueError in plain words."""
    try:
        return secret(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ValueError(f"{path} is no secret for webhooks: {error}") from None


def body(identifier: str, event: str, tenant: str, data: Data, now: float) -> str:
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"id": identifier, "type": event, "timestamp": at, "tenant": tenant, "data": dict(data)}
    return json.dumps(said, separators=(",", ":"))


def headers(identifier: str, content: bytes, key: bytes, now: float) -> dict[str, str]:
    """The id stays over attempts, time and signature are each attempt's own."""
    moment = str(int(now))
    signed = hmac.digest(key, b".".join((identifier.encode(), moment.encode(), content)), hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": identifier,
        "webhook-timestamp": moment,
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }
