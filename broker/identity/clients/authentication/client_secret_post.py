"""RFC 6749 section 2.3.1: the secret as a parameter of the body."""

import hmac

from broker.identity.clients.authentication.model import Attempt, Candidate, Presented
from broker.identity.clients.clients import secret_hash
from broker.identity.tenants.model import Door
from broker.runtime.once import Spend

name = "client_secret_post"


def presented(attempt: Attempt, door: Door) -> Presented | None:
    secret = attempt.parameters.get("client_secret")
    if secret is None:
        return None
    return Presented(((attempt.parameters.require("client_id"), secret),))


def proves(credential: str, candidate: Candidate) -> tuple[Spend, ...] | None:
    """Compare with every secret in force, in constant time; never true for an empty one."""
    found = secret_hash(credential).encode()
    matches = [hmac.compare_digest(found, kept.hash.encode()) for kept in candidate.secrets]
    return () if credential and any(matches) else None
