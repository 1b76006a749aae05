"""AuthZEN Authorization API 1.0 section 9.1, Access Request profile: what a door says of its decisions."""

from wellknown.authorization_server import DocumentMembers

ACCESS_REQUESTS = "urn:openid:authzen:capability:access-request"


def document(issuer: str) -> DocumentMembers:
    """The door's identifier as a decision point is its issuer."""
    return {
        "policy_decision_point": issuer,
        "access_evaluation_endpoint": f"{issuer}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{issuer}/access/v1/evaluations",
        "access_request_endpoint": f"{issuer}/access/v1/requests",
        "jwks_uri": f"{issuer}/jwks",
        "capabilities": [ACCESS_REQUESTS],
    }
