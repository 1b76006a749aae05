"""RFC 7523 section 2.1: an assertion as a grant; its `typ` says of whom it speaks: a user (ID-JAG) or a workload."""

from dataclasses import dataclass

from broker.identity.federation.trusted.believe import NotTrusted
from broker.identity.federation.trusted.workloads import Workloads, invalid_grant, is_id_jag
from broker.protocol.errors import Reason
from broker.protocol.names import JWT_BEARER, WORKLOAD_JWT
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens import own_work
from broker.tokens.identity_assertion import Asserted, IdentityAssertions
from broker.tokens.model import Authority, TokenRequest
from broker.tokens.own_work import OwnWork


@dataclass(frozen=True, slots=True)
class _Workload:
    work: OwnWork
    vouched_by: str
    jti: str | None


class JwtBearer:
    name = JWT_BEARER
    parameters = frozenset({"assertion", "scope", "resource", "authorization_details"})
    public_clients = False

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
        return own_work.authority(request, verified.work, self._entropy, verified.vouched_by, verified.jti)

    def _workload(self, request: TokenRequest, assertion: str) -> _Workload:
        """What authenticated the client is the grant too; its `jti` is spent with the request."""
        if request.client.method != WORKLOAD_JWT or request.vouched_by is None:
            raise invalid_grant(NotTrusted(Reason.ASSERTION_INVALID, "typ"))
        try:
            vouched, client_id = self._workloads.believed(assertion, request.door, request.now, grant=True)
        except NotTrusted as error:
            raise invalid_grant(error) from None
        work = own_work.asked(request)
        if client_id != request.client.client_id or work.tenant not in vouched.tenants:
            raise invalid_grant(NotTrusted(Reason.WORKLOAD_UNKNOWN, f"issuer {vouched.entry.id}"))
        return _Workload(work, vouched.entry.id, vouched.text("jti"))
