"""MCP elicitation, phishing: an address that a server hands on is meant for one person, whom it does not name."""

import base64
import hashlib
import hmac

_BYTES = 16


class Whose:
    """`key` makes the marks: who has it not can neither tell whom one is of, nor make one."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mark(self, user_id: str) -> str:
        """What the address of a page carries that waits for this person."""
        digest = hmac.new(self._key, user_id.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:_BYTES]).rstrip(b"=").decode("ascii")

    def is_for(self, mark: str, user_id: str) -> bool:
        return hmac.compare_digest(mark.encode(), self.mark(user_id).encode())
