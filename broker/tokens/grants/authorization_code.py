"""RFC 6749 section 4.1.3, RFC 7636 section 4.6: an authorization code, spent once."""

from dataclasses import dataclass

from broker.authorization import codes
from broker.authorization.grants import Grants
from broker.identity.users.people import People
from broker.protocol import pkce
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import AUTHORIZATION_CODE
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens import calls, consented, who
from broker.tokens.model import Authority, TokenRequest


@dataclass(frozen=True, slots=True)
class _Verified:
    code: str
    challenge: str
    redirect_uri: str | None
    resource_id: str | None


class AuthorizationCode:
    name = AUTHORIZATION_CODE
    parameters = frozenset({"code", "redirect_uri", "code_verifier", "resource", "authorization_details"})
    public_clients = True
    before_walls = False

    def __init__(self, entropy: Entropy, grants: Grants, people: People) -> None:
        self._entropy, self._grants, self._people = entropy, grants, people

    def verify(self, request: TokenRequest) -> _Verified:
        code = request.parameters.require("code")
        verifier = request.parameters.require("code_verifier")
        if not pkce.valid_verifier(verifier):
            raise OAuthError("invalid_grant", "The code_verifier does not fit.", Reason.MALFORMED)
        resource = consented.resource_asked(request)
        return _Verified(
            code,
            pkce.challenge_of(verifier),
            request.parameters.get("redirect_uri"),
            resource.id if resource else None,
        )

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, _Verified)
        code = codes.consume(
            tx,
            verified.code,
            door=request.door.issuer,
            client_id=request.client.client_id,
            challenge=verified.challenge,
            redirect_uri=verified.redirect_uri,
            resource_id=verified.resource_id,
            jkt=request.confirmation.jkt if request.confirmation else None,
            now=request.now,
        )
        inside = tx.inside(code.tenant)
        grant, resource, scopes = consented.still_worth(
            inside, self._people, request, self._grants.within(inside, code.grant_id)
        )
        details, scopes = calls.narrowed(request, resource, grant.details, scopes)
        return consented.authority(
            request,
            grant,
            resource,
            scopes,
            details,
            self._entropy.identifier("txn", request.now),
            also=("code.consumed",),
            identity=who.identity(inside, self._people, grant, resource, nonce=code.nonce),
            first=True,
        )
