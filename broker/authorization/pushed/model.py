"""What is kept of a pushed request, and what is answered to one."""

from dataclasses import dataclass

from broker.protocol.parameters import Parameters

PREFIX = "urn:ietf:params:oauth:request_uri:"


@dataclass(frozen=True, slots=True)
class Pushed:
    """A pushed request's row: its `parameters` without anything by which the client proved itself.

    `user_hint` is whom its id_token_hint named; the token itself is not kept. `tenant` is the door's.
    """

    door: str
    tenant: str | None
    client_id: str
    parameters: Parameters
    user_hint: str | None
    expires_at: float
    spent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """RFC 9126 section 2.2, and a nonce for the client's next proof."""

    request_uri: str
    expires_in: int
    dpop_nonce: str | None = None
