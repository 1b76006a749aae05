"""RFC 6749 section 2.1, RFC 7591 section 2: a public client names itself and proves nothing."""

from broker.identity.clients.authentication.model import Attempt, Candidate, Presented
from broker.identity.tenants.model import Door
from broker.runtime.once import Spend

name = "none"


def presented(attempt: Attempt, door: Door) -> Presented | None:
    client_id = attempt.parameters.get("client_id")
    return Presented(((client_id, ""),)) if client_id else None


def proves(credential: str, candidate: Candidate) -> tuple[Spend, ...] | None:
    return ()
