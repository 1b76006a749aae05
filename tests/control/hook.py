"""The receiver of webhooks of a test, on loopback: verifies as any library of Standard Webhooks does."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path

from broker.runtime.egress import Egress
from tests.lab import Lab
from tests.vault.listening import Answer, Asked, Held, Listener

SECRET = b"0123456789abcdef0123456789abcdef"


def signature(headers: dict[str, str], sent: str, secret: bytes = SECRET) -> str:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{sent}".encode()
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


class Hook:
    """`asked` are the requests that came; `answer` is what each gets, None where the connection just ends."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Answer | None = (204, {}, b"")
        self.held: Held | None = None
        self._listener = Listener(self._answered)
        self.url = f"http://127.0.0.1:{self._listener.port}/hook"

    def settings(self, folder: Path) -> dict[str, object]:
        file = folder / "webhook-secret"
        file.write_text("whsec_" + base64.b64encode(SECRET).decode() + "\n", "utf-8")
        return {"alert_webhook_url": self.url, "alert_webhook_secret_file": file}

    def said(self) -> list[dict[str, object]]:
        """What came since it was last asked, each verified."""
        asked, self.asked = self.asked, []
        for one in asked:
            assert one.headers["webhook-signature"] == signature(one.headers, one.sent)
        return [json.loads(one.sent) for one in asked]

    def close(self) -> None:
        self._listener.close()

    def _answered(self, asked: Asked) -> Answer | None:
        self.asked.append(asked)
        if self.held is not None:
            self.held.stop_here()
        return self.answer


def reached(lab: Lab, resolver: Callable[[str, int], list[str]] | None = None) -> None:
    """The lab's egress reaches this machine, as in development; or what `resolver` says, and nothing private."""
    more = {} if resolver is None else {"resolver": resolver}
    lab.broker.webhooks._egress = Egress(resolver is None, lab.clock, **more)
