"""What must be live for a token to be minted or believed: one question, asked within the transaction (law 6)."""

from collections.abc import Iterable, Iterator

from broker.denials import live
from broker.denials.model import Kind, Target, edge_id
from broker.estate.estate import Estate
from broker.estate.model import Resource
from broker.guard.verifier import VerifiedToken
from broker.identity.federation.trusted.rules import SEPARATOR
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.database import Transaction
from broker.tokens.model import Authority, TokenRequest

_REASONS = {
    Kind.EVERYTHING: ("invalid_target", Reason.EVERYTHING_OFF),
    Kind.TENANT: ("invalid_target", Reason.TENANT_OFF),
    Kind.RESOURCE: ("invalid_target", Reason.RESOURCE_OFF),
    Kind.EDGE: ("invalid_target", Reason.EDGE_OFF),
    Kind.ISSUER: ("invalid_grant", Reason.ISSUER_OFF),
    Kind.CLIENT: ("invalid_client", Reason.CLIENT_OFF),
    Kind.USER: ("invalid_grant", Reason.USER_OFF),
    Kind.GRANT: ("invalid_grant", Reason.GRANT_OFF),
    Kind.TRANSACTION: ("invalid_grant", Reason.TOKEN_OFF),
    Kind.TOKEN: ("invalid_grant", Reason.TOKEN_OFF),
}

_NOBODY = "?"
"""No resource has this id, so no edge leads from or to it."""


def of_request(request: TokenRequest) -> list[Target]:
    """The client, and whoever alone vouches for it."""
    targets = [Target(Kind.CLIENT, request.client.client_id)]
    if request.vouched_by is not None:
        targets.append(Target(Kind.ISSUER, request.vouched_by))
    return targets


def of_token(token: VerifiedToken) -> list[Target]:
    """Everything whose end ends this token: any actor counts."""
    clients = {token.client_id, *(actor.client_id for actor in token.actors)}
    targets = [
        Target(Kind.TENANT, token.tenant),
        Target(Kind.USER, token.subject),
        Target(Kind.TOKEN, token.jti),
        *(Target(Kind.CLIENT, client) for client in sorted(clients)),
    ]
    issuer = token.claims.get("vouched_by")
    if isinstance(issuer, str):
        targets.append(Target(Kind.ISSUER, issuer))
    if token.grant_id:
        targets.append(Target(Kind.GRANT, token.grant_id))
    if token.txn:
        targets.append(Target(Kind.TRANSACTION, token.txn))
    return targets


def of_authority(authority: Authority) -> list[Target]:
    """What must be on where a token is minted."""
    return [
        Target(Kind.TENANT, authority.tenant),
        Target(Kind.RESOURCE, authority.resource.id),
        *([Target(Kind.ISSUER, authority.vouched_by)] if authority.vouched_by else []),
        *authority.targets,
    ]


def of_chain(token: VerifiedToken, estate: Estate) -> list[Target]:
    """The servers that it went through before it came to its own, and the edges that it came along."""
    found: list[Target] = []
    for source, target in _steps(token, estate):
        found += [Target(Kind.RESOURCE, source), Target(Kind.EDGE, edge_id(source, target))]
    return found


def missing(token: VerifiedToken, estate: Estate, now: float) -> Target | None:
    """An edge that it came along and that is there no more: removed, or ended, or what it led from is."""
    for source, target in _steps(token, estate):
        if estate.edge(source, target, now) is None:
            return Target(Kind.EDGE, edge_id(source, target))
    return None


def _steps(token: VerifiedToken, estate: Estate) -> Iterator[tuple[str, str]]:
    """From where to where it was exchanged, newest first; a client that is no server's any more stands as `?`.

    Whoever acted exchanged from its own resource to that of who acted next. The first to act was given its token, and
    along which ways a trusted issuer's went is for that issuer to know.
    """
    here = _id(estate.by_exact_uri(token.audience))
    for actor in token.actors[:-1]:
        if SEPARATOR in actor.client_id:
            return
        before = _id(estate.of_client(actor.client_id))
        yield before, here
        here = before


def _id(resource: Resource | None) -> str:
    return _NOBODY if resource is None else resource.id


def require(tx: Transaction, targets: Iterable[Target], now: float) -> None:
    """OAuthError for the first that is off."""
    off = live.first_off(tx, targets, now)
    if off is not None:
        raise refused(off)


def refused(off: Target) -> OAuthError:
    """The refusal that something which is off brings. Who a user is stands in no record's text."""
    error, reason = _REASONS[off.kind]
    detail = off.kind.value if off.kind is Kind.USER else f"{off.kind.value} {off.id}"
    return OAuthError(error, "This has been switched off or revoked.", reason, detail=detail)
