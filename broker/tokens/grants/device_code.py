"""RFC 8628 sections 3.4 and 3.5: a device code, polled until a person answers, and redeemed once."""

from broker.authorization.device import codes
from broker.authorization.device.codes import Presented
from broker.authorization.device.model import Poll
from broker.authorization.grants import Grants
from broker.denials.model import Kind, Target
from broker.identity.users.people import People
from broker.protocol import pkce
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import DEVICE_CODE
from broker.runtime.database import Transaction
from broker.runtime.once import spend
from broker.runtime.world import World
from broker.tokens import calls, consented, live, who
from broker.tokens.model import Authority, TokenRequest


class DeviceCode:
    name = DEVICE_CODE
    parameters = frozenset({"device_code", "code_verifier", "resource", "authorization_details"})
    public_clients = True
    before_walls = False

    def __init__(self, world: World, grants: Grants, people: People) -> None:
        self._world, self._grants, self._people = world, grants, people

    def verify(self, request: TokenRequest) -> Presented:
        """A poll that comes before the answer ends here: how fast they come is kept, whatever becomes of them."""
        if not request.estate.doors.devices_at(request.door):
            raise OAuthError(
                "unsupported_grant_type", "Devices are not connected here.", Reason.DEVICE_NOT_ALLOWED
            )
        code = request.parameters.require("device_code")
        verifier = request.parameters.get("code_verifier")
        if verifier is not None and not pkce.valid_verifier(verifier):
            raise OAuthError("invalid_grant", "The code_verifier does not fit.", Reason.MALFORMED)
        resource = consented.resource_asked(request)
        presented = Presented(
            code,
            request.door.issuer,
            request.client.client_id,
            "" if verifier is None else pkce.challenge_of(verifier),
            resource.id if resource else None,
            request.confirmation.jkt if request.confirmation else None,
            request.now,
        )
        poll = self._world.database.write(lambda tx: self._poll(tx, request, presented), request.door.tenant)
        if poll is not None:
            raise codes.too_fast(poll) if poll.hurried else codes.pending()
        return presented

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, Presented)
        device = codes.redeem(tx, verified)
        assert device.tenant is not None and device.grant_id is not None
        tenant = request.estate.doors.tenants.get(device.tenant)
        if tenant is None or not tenant.device:
            raise codes.refused(Reason.DEVICE_NOT_ALLOWED)
        inside = tx.inside(device.tenant)
        grant, resource, scopes = consented.still_worth(
            inside, self._people, request, self._grants.within(inside, device.grant_id)
        )
        details, scopes = calls.narrowed(request, resource, grant.details, scopes)
        return consented.authority(
            request,
            grant,
            resource,
            scopes,
            details,
            self._world.entropy.identifier("txn", request.now),
            also=("device.redeemed",),
            identity=who.identity(inside, self._people, grant, resource, nonce=None),
            first=True,
        )

    def _poll(self, tx: Transaction, request: TokenRequest, presented: Presented) -> Poll | None:
        live.require(tx, [Target(Kind.CLIENT, request.client.client_id)], request.now)
        poll = codes.poll(tx, presented)
        if poll is not None:
            spend(tx, request.spends)
        return poll
