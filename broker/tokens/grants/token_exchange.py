"""RFC 8693: one token for another; what is asked for (`requested_token_type`) says by which way."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE
from broker.runtime.database import Transaction
from broker.tokens.caps import Handled, Handles
from broker.tokens.exchange.model import Exchange
from broker.tokens.model import Authority, TokenRequest


@dataclass(frozen=True, slots=True)
class _Verified:
    way: Exchange
    what: object

    @property
    def handles(self) -> Handles | None:
        return self.what.handles if isinstance(self.what, Handled) else None


class TokenExchange:
    """`ways`: by the type of token that each gives. Without a wish it is an access token."""

    name = TOKEN_EXCHANGE
    parameters = frozenset(
        {
            "subject_token",
            "subject_token_type",
            "actor_token",
            "actor_token_type",
            "requested_token_type",
            "resource",
            "audience",
            "scope",
            "authorization_details",
        }
    )
    public_clients = False
    before_walls = False

    def __init__(self, ways: Mapping[str, Exchange]) -> None:
        self._ways = ways

    def verify(self, request: TokenRequest) -> _Verified:
        way = self._ways.get(request.parameters.get("requested_token_type") or ACCESS_TOKEN_TYPE)
        if way is None:
            raise OAuthError(
                "invalid_request",
                "The requested_token_type is not offered.",
                Reason.REQUESTED_TOKEN_TYPE,
            )
        return _Verified(way, way.verify(request))

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, _Verified)
        return verified.way.redeem(tx, request, verified.what)
