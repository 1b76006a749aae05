"""RFC 7523 section 2.1: an assertion as a grant; its `typ` says of whom it speaks: a user (ID-JAG) or a workload."""

from dataclasses import dataclass

from broker.identity.federation.trusted.believe import NotTrusted, Vouched
from broker.identity.federation.trusted.workloads import Workloads, invalid_grant, is_id_jag
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import JWT_BEARER, WORKLOAD_JWT
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.runtime.once import spend
from broker.tokens import own_work
from broker.tokens.caps import Handles
from broker.tokens.identity_assertion import Asserted, IdentityAssertions
from broker.tokens.model import Authority, TokenRequest
from broker.tokens.own_work import OwnWork


@dataclass(frozen=True, slots=True)
class _Workload:
    work: OwnWork
    vouched: Vouched

    @property
    def handles(self) -> Handles:
        return self.work.handles


class JwtBearer:
    name = JWT_BEARER
    parameters = frozenset({"assertion", "scope", "resource", "authorization_details"})
    public_clients = False
    before_walls = True

    def __init__(self, entropy: Entropy, assertions: IdentityAssertions, workloads: Workloads) -> None:
        self._entropy, self._assertions, self._workloads = entropy, assertions, workloads

    def verify(self, request: TokenRequest) -> Asserted | _Workload:
        assertion = request.parameters.require("assertion")
        if is_id_jag(assertion):
            return self._assertions.verify(request, assertion)
        return self._workload(request, assertion)

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        if isinstance(verified, Asserted):
            return self._assertions.redeem(tx, request, verified)
        assert isinstance(verified, _Workload)
        vouched = verified.vouched
        if not self._workloads.stands(tx, vouched, request.client.client_id):
            raise _unknown(vouched)
        if not vouched.entry.reusable:
            once = vouched.once(invalid_grant(NotTrusted(Reason.ASSERTION_REPLAYED)))
            if once.key not in [one.key for one in request.spends]:  # it is not what authenticated the client
                spend(tx, (once,))
        return own_work.authority(request, verified.work, self._entropy, vouched.entry.id, vouched.handle)

    def _workload(self, request: TokenRequest, assertion: str) -> _Workload:
        """What authenticated the client is the grant too, or another token of its platform beside it: used once."""
        if request.client.method != WORKLOAD_JWT or request.vouched_by is None:
            raise invalid_grant(NotTrusted(Reason.ASSERTION_INVALID, "typ"))
        try:
            vouched, client_id = self._workloads.believed(assertion, request.door, request.now, grant=True)
        except NotTrusted as error:
            raise invalid_grant(error) from None
        work = own_work.asked(request)
        if client_id != request.client.client_id or work.tenant not in vouched.tenants:
            raise _unknown(vouched)
        return _Workload(work, vouched)


def _unknown(vouched: Vouched) -> OAuthError:
    return invalid_grant(NotTrusted(Reason.WORKLOAD_UNKNOWN, f"issuer {vouched.entry.id}"))
