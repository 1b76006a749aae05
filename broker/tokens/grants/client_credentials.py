"""RFC 6749 section 4.4, RFC 9068 section 2.2: a client's own work, without a user."""

from broker.protocol.names import CLIENT_CREDENTIALS
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens import own_work
from broker.tokens.model import Authority, TokenRequest
from broker.tokens.own_work import OwnWork


class ClientCredentials:
    name = CLIENT_CREDENTIALS
    parameters = frozenset({"scope", "resource", "authorization_details"})
    public_clients = False
    before_walls = False

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def verify(self, request: TokenRequest) -> OwnWork:
        return own_work.asked(request)

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, OwnWork)
        return own_work.authority(request, verified, self._entropy, request.vouched_by)
