"""RFC 6749 section 6, OAuth 2.1 section 4.3: a refresh token, rotated; without `scope` the original comes back."""

from dataclasses import dataclass, replace

from broker.authorization.grants import Grants
from broker.estate.model import Resource
from broker.identity.users.people import People
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import OFFLINE_ACCESS, REFRESH_TOKEN
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens import calls, consented, who
from broker.tokens.families import Families
from broker.tokens.model import Authority, TokenRequest


@dataclass(frozen=True, slots=True)
class _Verified:
    token: str
    scopes: tuple[str, ...]
    resource: Resource | None


class RefreshToken:
    name = REFRESH_TOKEN
    parameters = frozenset({"refresh_token", "scope", "resource", "authorization_details"})
    public_clients = True
    before_walls = False

    def __init__(self, entropy: Entropy, grants: Grants, people: People, families: Families) -> None:
        self._entropy, self._grants, self._people, self._families = entropy, grants, people, families

    def verify(self, request: TokenRequest) -> _Verified:
        try:
            asked = scope_rules.parse(request.parameters.get("scope"))
        except ValueError:
            raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None
        scopes = tuple(name for name in asked if name != OFFLINE_ACCESS)
        return _Verified(
            request.parameters.require("refresh_token"), scopes, consented.resource_asked(request)
        )

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, _Verified)
        row, family, repeated = self._families.spend(
            tx,
            verified.token,
            request.door.issuer,
            request.client,
            request.confirmation,
            request.now,
        )
        inside = tx.inside(row.tenant)
        grant, resource, held = consented.still_worth(
            inside, self._people, request, self._grants.within(inside, row.grant_id)
        )
        if verified.resource is not None and verified.resource.id != resource.id:
            raise OAuthError(
                "invalid_target", "The refresh token is for another resource.", Reason.RESOURCE_MISMATCH
            )
        scopes = consented.narrowed(consented.of_resource(verified.scopes, resource), held, resource)
        details, scopes = calls.narrowed(request, resource, grant.details, scopes)
        authority = consented.authority(
            request,
            grant,
            resource,
            scopes,
            details,
            self._entropy.identifier("txn", request.now),
            also=("refresh.repeated" if repeated else "refresh.rotated",) if family else (),
            identity=who.identity(inside, self._people, grant, resource, asked=verified.scopes),
        )
        if family is None:
            return authority
        if not repeated:
            self._families.go_on(tx, family, authority, request.now)
        return replace(authority, successor=family.token)
