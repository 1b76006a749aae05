"""RFC 8693 sections 4.4 and 5: may this caller act? Asked of the caller alone; whose token it holds plays no part.

What of the caller is switched off (its client, resource and edge) is asked by the pipeline, within the transaction.
"""

from collections.abc import Collection

from broker.denials.model import edge_id
from broker.estate.estate import Estate
from broker.estate.model import Edge, Resource, ResourceKind
from broker.protocol.errors import OAuthError, Reason
from broker.tokens.exchange.model import ActorToken, Subject, bad_subject
from broker.tokens.model import TokenRequest

_MAY_ACT = ("iss", "sub", "client_id")


def resource_of(request: TokenRequest) -> Resource:
    """The resource whose own client calls; OAuthError for everybody else."""
    found = request.estate.of_client(request.client.client_id)
    if found is None:
        raise OAuthError(
            "unauthorized_client", "Only a resource's own client exchanges tokens.", Reason.CLIENT_GRANT_TYPE
        )
    return found


def may_act(
    request: TokenRequest, caller: Resource, subject: Subject, target: Resource, actor: ActorToken | None
) -> Edge:
    """The edge along which the caller may act; OAuthError when it may not.

    A `may_act` in the subject token can only forbid: that the caller is named there is no edge.
    """
    token = subject.token
    if token.audience != caller.uri:
        raise bad_subject(Reason.SUBJECT_TOKEN_FOREIGN, "audience")
    if not caller.serves(token.tenant):
        raise bad_subject(Reason.SUBJECT_TOKEN_FOREIGN, "tenant")
    if token.confirmation is not None and request.confirmation is None:
        raise OAuthError(
            "invalid_request",
            "The subject_token is bound to a key: bind yours too, with a DPoP proof or your certificate.",
            Reason.CONSTRAINT_LOST,
        )
    if "may_act" in token.claims:
        client_id = request.client.client_id
        names = {(request.door.issuer, client_id)} | ({(actor.issuer, actor.subject)} if actor else set())
        if not named(token.claims["may_act"], names, client_id):
            raise bad_subject(Reason.MAY_ACT_OTHER)
    return _edge(request.estate, caller, target, request.now)


def named(claim: object, names: Collection[tuple[str, str]], client_id: str) -> bool:
    """Whether `may_act` means the caller, known by these pairs of issuer and subject and by its client_id.

    What is not understood of it means somebody else.
    """
    if not isinstance(claim, dict) or not claim or set(claim) - set(_MAY_ACT):
        return False
    if "client_id" in claim and claim["client_id"] != client_id:
        return False
    if "sub" not in claim:
        return "client_id" in claim and ("iss" not in claim or claim["iss"] in {iss for iss, _ in names})
    return any(claim["sub"] == sub and claim.get("iss", iss) == iss for iss, sub in names)


def _edge(estate: Estate, caller: Resource, target: Resource, now: float) -> Edge:
    edge = estate.edge(caller.id, target.id, now)
    ended = edge is None and (caller.id, target.id) in estate.edges
    if edge is None:
        raise OAuthError(
            "invalid_target",
            "There is no edge to that resource.",
            Reason.EDGE_ENDED if ended else Reason.NO_EDGE,
            detail=edge_id(caller.id, target.id),
        )
    if target.kind is ResourceKind.VAULT and not edge.release:
        raise OAuthError(
            "invalid_target",
            "That edge releases no token of the system's provider.",
            Reason.RELEASE_NOT_ALLOWED,
            detail=edge_id(caller.id, target.id),
        )
    return edge
