"""draft-ietf-oauth-identity-assertion-authz-grant section 4.4, EMA sections 5 and 7: an ID-JAG, and what it gives here.

The person was asked by their company, not here: the issuer's word stands in place of a consent, within what its entry,
the client and the resource allow.
"""

import json
from dataclasses import dataclass

from broker.authorization.grants import Grants
from broker.authorization.model import Grant
from broker.denials.model import Kind, Target
from broker.estate import calls
from broker.estate import rules as estate_rules
from broker.estate.model import Resource
from broker.identity.clients.documents.rules import trusted
from broker.identity.federation.trusted.accounts import Account
from broker.identity.federation.trusted.believe import NotTrusted, Vouched
from broker.identity.federation.trusted.model import Use
from broker.identity.federation.trusted.room import TrustedRoom
from broker.identity.federation.trusted.workloads import invalid_grant
from broker.identity.users.people import People
from broker.protocol import confirmation
from broker.protocol import scope as scope_rules
from broker.protocol.details import Details, members
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import TYP_ID_JAG
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.runtime.once import spend
from broker.tokens import calls as token_calls
from broker.tokens import consented
from broker.tokens.model import Authority, TokenRequest

LIFETIME = 86400.0
"""Seconds for which a grant stands that rests on an issuer's word; the next assertion makes another."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """An ID-JAG that holds, and what the client may have there."""

    vouched: Vouched
    tenant: str
    resource: Resource
    scopes: tuple[str, ...]
    details: Details


class IdentityAssertions:
    def __init__(self, entropy: Entropy, grants: Grants, people: People, room: TrustedRoom) -> None:
        self._entropy, self._grants, self._people, self._room = entropy, grants, people, room

    def verify(self, request: TokenRequest, assertion: str) -> Asserted:
        """OAuthError. Whose account it is comes with the mint: nobody is made for an assertion that gives nothing."""
        try:
            vouched = self._room.trusted.believed(
                assertion,
                Use.ID_JAG,
                request.door,
                types=(TYP_ID_JAG,),
                audiences=(request.door.issuer,),
                now=request.now,
            )
            _check_holder(request, vouched)
            resource = _resource(request, vouched)
            tenant = self._tenant(request, vouched, resource)
            scopes = _scopes(request, vouched, resource)
            details = _details(request, vouched, resource)
        except NotTrusted as error:
            raise invalid_grant(error) from None
        return Asserted(vouched, tenant, resource, scopes, details)

    def redeem(self, tx: Transaction, request: TokenRequest, asserted: Asserted) -> Authority:
        """The account is made, or brought up to date, with the token or not at all."""
        vouched = asserted.vouched
        spend(tx, (vouched.once(invalid_grant(NotTrusted(Reason.ASSERTION_REPLAYED))),))
        account = self._account(tx, request, asserted)
        inside = tx.inside(asserted.tenant)
        grant = self._grants.on_word(
            inside, self._grant(request, asserted, account), asserted.resource.lifetime
        )
        consented.require_member(inside, self._people, grant)
        details, scopes = token_calls.narrowed(
            request, asserted.resource, members(asserted.details), asserted.scopes
        )
        issuer = vouched.entry.id
        return Authority(
            subject=account.user_id,
            tenant=asserted.tenant,
            resource=asserted.resource,
            scopes=scopes,
            details=details,
            grant_id=grant.id,
            txn=self._entropy.identifier("txn", request.now),
            issuer=request.door.issuer,
            client=request.client,
            confirmation=request.confirmation,
            latest_expiry=grant.expires_at,
            last_used_at=grant.last_used_at,
            auth=account.claims(),
            parent_jti=vouched.handle,
            vouched_by=issuer,
            also=("assertion.accepted",),
            targets=(Target(Kind.USER, account.user_id), Target(Kind.GRANT, grant.id)),
        )

    def _account(self, tx: Transaction, request: TokenRequest, asserted: Asserted) -> Account:
        vouched, tenant = asserted.vouched, request.estate.doors.tenants[asserted.tenant]
        if not trusted(request.client, tenant.documents):
            raise OAuthError(
                "invalid_client", "The client is not trusted here.", Reason.CLIENT_DOCUMENT_DISTRUSTED
            )
        try:
            if not self._room.issuers.stands(tx, vouched.entry):
                raise NotTrusted(Reason.ISSUER_UNTRUSTED, f"issuer {vouched.entry.id}")
            return self._room.accounts.of(tx, vouched, tenant, request.now, request.origin)
        except NotTrusted as error:
            raise invalid_grant(error) from None

    def _tenant(self, request: TokenRequest, vouched: Vouched, resource: Resource) -> str:
        """The one tenant that door, issuer, resource and client have in common; else the person's."""
        estate = request.estate
        found = [
            tenant
            for tenant in estate.tenants_of(resource, request.door)
            if tenant in vouched.tenants and request.client.at_door(tenant)
        ]
        said = vouched.text("aud_tenant")
        if said is not None:
            found = [tenant for tenant in found if tenant == said]
        if len(found) > 1:
            theirs = self._room.accounts.tenants(vouched) or ()
            found = [tenant for tenant in found if tenant in theirs]
        if len(found) != 1:
            raise NotTrusted(Reason.TENANT_UNKNOWN if found else Reason.TENANT_NOT_SERVED, "aud_tenant")
        return found[0]

    def _grant(self, request: TokenRequest, asserted: Asserted, account: Account) -> Grant:
        name = self._entropy.identifier("grant", request.now)
        return Grant(
            id=name,
            consent_id=name,
            tenant=asserted.tenant,
            user_id=account.user_id,
            client_id=request.client.client_id,
            door=request.door.issuer,
            resource_id=asserted.resource.id,
            scopes=asserted.scopes,
            offline=False,
            downstream={},
            auth_time=request.now if account.auth_time is None else account.auth_time,
            acr=account.acr,
            amr=account.amr,
            created_at=request.now,
            expires_at=request.now + LIFETIME,
            dated=account.auth_time is not None,
            details=tuple(members(asserted.details)),
            vouched_by=asserted.vouched.entry.id,
        )


def _check_holder(request: TokenRequest, vouched: Vouched) -> None:
    """Sections 4.4.1 and 8.6: made for this client, and for whoever holds its key, where it names one."""
    if vouched.claims.get("client_id") != request.client.client_id:
        raise NotTrusted(Reason.ASSERTION_FOREIGN, "client_id")
    try:
        bound = confirmation.of(vouched.claims)
    except ValueError:
        raise NotTrusted(Reason.ASSERTION_INVALID, "cnf") from None
    if bound is not None and bound != request.confirmation:
        mismatch = Reason.DPOP_KEY_MISMATCH if bound.jkt else Reason.CERTIFICATE_MISMATCH
        raise NotTrusted(Reason.CONSTRAINT_LOST if request.confirmation is None else mismatch)


def _resource(request: TokenRequest, vouched: Vouched) -> Resource:
    """EMA section 7.6.2: one of those in the claim; the request may say which, and no other."""
    claimed = _claimed(request, vouched)
    asked = consented.resource_asked(request)
    if asked is not None and asked not in claimed:
        raise OAuthError("invalid_target", "The assertion is for another resource.", Reason.RESOURCE_MISMATCH)
    found = claimed if asked is None else [asked]
    if len(found) > 1:
        raise OAuthError("invalid_target", "Name the resource.", Reason.RESOURCE_MISSING)
    if found[0].door is not None or not found[0].asked_by(request.client.resources):
        raise OAuthError(
            "invalid_target", "The client may not ask for this resource.", Reason.RESOURCE_NOT_ALLOWED
        )
    return found[0]


def _claimed(request: TokenRequest, vouched: Vouched) -> list[Resource]:
    """Without the claim it is for the client's only resource, or the one that is the default."""
    said = vouched.claims.get("resource")
    if said is None:
        only = request.estate.only_of(request.client) or request.estate.default_at(request.door)
        if only is None:
            raise NotTrusted(Reason.RESOURCE_MISSING)
        return [only]
    named = said if isinstance(said, list) else [said]
    found = [request.estate.by_uri(uri) for uri in named if isinstance(uri, str)]
    known = [resource for resource in found if resource is not None]
    if not named or len(known) != len(named):
        raise NotTrusted(Reason.RESOURCE_UNKNOWN)
    return list({resource.id: resource for resource in known}.values())


def _scopes(request: TokenRequest, vouched: Vouched, resource: Resource) -> tuple[str, ...]:
    """EMA section 7.2.1: what claim, request, client and resource have in common; what is left out asks for all."""
    said = vouched.claims.get("scope")
    try:
        claimed = scope_rules.parse(said) if isinstance(said, str) else None
    except ValueError:
        claimed = ()
    if said is not None and not isinstance(said, str):
        claimed = ()
    try:
        asked = scope_rules.parse(request.parameters.get("scope"))
    except ValueError:
        raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None
    cap = request.client.scopes
    allowed = [name for name in estate_rules.offered(resource) if cap is None or name in cap]
    if claimed is not None:
        within = estate_rules.expanded(resource, [name for name in claimed if name in allowed])
        allowed = [name for name in allowed if name in within]
    wanted = asked or claimed or (allowed if cap is not None else estate_rules.defaults(resource))
    scopes = tuple(name for name in dict.fromkeys(wanted) if name in allowed)
    if not scopes:
        raise OAuthError(
            "invalid_scope", "Nothing is left of the scope that the assertion allows.", Reason.SCOPE_EMPTY
        )
    return scopes


def _details(request: TokenRequest, vouched: Vouched, resource: Resource) -> Details:
    """Calls that the issuer narrows it to; what cannot be understood narrows it to nothing."""
    said = vouched.claims.get(calls.PARAMETER)
    if said is None:
        return ()
    try:
        return calls.judged(json.dumps(said), request.client, resource)
    except OAuthError as error:
        raise NotTrusted(error.reason, calls.PARAMETER) from None
