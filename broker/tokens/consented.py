"""What a user's grant is worth now: its consent narrowed by membership, client, estate; shared by its grant types."""

from collections.abc import Sequence

from broker.authorization.model import Grant
from broker.denials.model import Kind, Target
from broker.estate import rules as estate_rules
from broker.estate.model import Resource
from broker.identity.clients.documents.rules import trusted, weakened
from broker.identity.users.people import People
from broker.protocol.details import Details
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import IDENTITY_SCOPES, REFRESH_TOKEN
from broker.runtime.database import Transaction
from broker.tokens.model import Authority, Identity, TokenRequest


def resource_asked(request: TokenRequest) -> Resource | None:
    """RFC 8707 section 2.2: the resource named in the request, None when none is; one at most."""
    asked = request.parameters.all("resource")
    if not asked:
        return None
    if len(asked) > 1:
        raise OAuthError("invalid_target", "Send one resource.", Reason.RESOURCE_REPEATED)
    resource = request.estate.by_uri(asked[0])
    if resource is None:
        raise OAuthError("invalid_target", "The resource is not known here.", Reason.RESOURCE_UNKNOWN)
    return resource


def still_worth(
    tx: Transaction, people: People, request: TokenRequest, grant: Grant | None
) -> tuple[Grant, Resource, tuple[str, ...]]:
    """The grant, its resource and the scopes that are left of it; OAuthError when nothing is."""
    if grant is None or grant.expires_at <= request.now:
        raise _gone(Reason.GRANT_EXPIRED)
    resource = request.estate.resource(grant.resource_id, request.door.issuer)
    if resource is None:
        raise OAuthError("invalid_target", "The resource is no longer there.", Reason.RESOURCE_UNKNOWN)
    if grant.tenant not in request.estate.tenants_of(resource, request.door):
        raise OAuthError(
            "invalid_target", "The resource no longer serves the tenant.", Reason.TENANT_NOT_SERVED
        )
    if not resource.asked_by(request.client.resources):
        raise OAuthError(
            "invalid_target", "The client may not ask for this resource.", Reason.RESOURCE_NOT_ALLOWED
        )
    if not request.client.at_door(grant.tenant):
        raise _gone(Reason.TENANT_NOT_SERVED)
    if not trusted(request.client, request.estate.doors.tenants[grant.tenant].documents):
        raise OAuthError(
            "invalid_client", "The client is not trusted here.", Reason.CLIENT_DOCUMENT_DISTRUSTED
        )
    if weakened(grant.client_digest, request.client):
        raise _gone(Reason.CLIENT_METHOD_MISMATCH)
    require_member(tx, people, grant)
    cap = request.client.scopes
    offered = estate_rules.offered(resource)
    left = tuple(scope for scope in grant.scopes if scope in offered and (cap is None or scope in cap))
    if not left:
        raise _gone(Reason.SCOPE_EMPTY)
    return grant, resource, left


def authority(
    request: TokenRequest,
    grant: Grant,
    resource: Resource,
    scopes: tuple[str, ...],
    calls: Details,
    txn: str,
    *,
    also: tuple[str, ...],
    identity: Identity | None,
    first: bool = False,
) -> Authority:
    """What a grant entitles its client to now. `first`: a line of refresh tokens begins, where it may have one."""
    return Authority(
        subject=grant.user_id,
        tenant=grant.tenant,
        resource=resource,
        scopes=scopes,
        details=calls,
        grant_id=grant.id,
        txn=txn,
        issuer=request.door.issuer,
        client=request.client,
        confirmation=request.confirmation,
        latest_expiry=grant.expires_at,
        last_used_at=grant.last_used_at,
        refreshable=first and grant.offline and REFRESH_TOKEN in request.client.grant_types,
        auth=auth_claims(grant),
        targets=(Target(Kind.USER, grant.user_id), Target(Kind.GRANT, grant.id)),
        also=also,
        identity=identity,
    )


def require_member(tx: Transaction, people: People, grant: Grant) -> None:
    """The user of a grant is still there and still of its tenant; OAuthError `invalid_grant` otherwise."""
    user = people.within(tx, grant.user_id)
    if user is None:
        raise _gone(Reason.USER_UNKNOWN)
    if grant.tenant not in user.tenants():
        raise _gone(Reason.NOT_A_MEMBER)


AUTH_CLAIMS = ("auth_time", "acr", "amr")


def auth_claims(grant: Grant) -> dict[str, object]:
    """RFC 9068 section 2.2.1: how the person signed in, only from a verified sign-in."""
    when = {"auth_time": int(grant.auth_time)} if grant.dated else {}
    return {**when, "acr": grant.acr, "amr": list(grant.amr)}


def of_resource(asked: Sequence[str], resource: Resource) -> tuple[str, ...]:
    """Without what is asked about the user, which an id_token answers."""
    return tuple(name for name in asked if name in resource.scope_names or name not in IDENTITY_SCOPES)


def narrowed(asked: Sequence[str], held: tuple[str, ...], resource: Resource) -> tuple[str, ...]:
    """RFC 6749 section 6: what was asked for, if the grant (with what its scopes imply) has it."""
    if not asked:
        return held
    within = estate_rules.expanded(resource, held)
    if any(scope not in within for scope in asked):
        raise OAuthError("invalid_scope", "The scope goes beyond what was allowed.", Reason.SCOPE_WIDENED)
    return tuple(asked)


def _gone(reason: Reason) -> OAuthError:
    return OAuthError("invalid_grant", "The consent is no longer in force. Start the sign-in again.", reason)
