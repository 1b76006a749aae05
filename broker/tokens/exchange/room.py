"""How the exchange of access tokens is built, by the types of token that it gives."""

from broker.identity.clients.keys import ClientKeys
from broker.identity.federation.trusted.room import TrustedRoom
from broker.protocol.names import TOKEN_TYPES
from broker.runtime.world import World
from broker.tokens.exchange.actor_token import ActorTokens
from broker.tokens.exchange.along_edges import AlongEdges
from broker.tokens.exchange.model import Exchange
from broker.tokens.exchange.subject_token import SubjectTokens
from broker.tokens.standing import Standings
from broker.tokens.verified import OwnTokens


def along_edges(
    world: World,
    own: OwnTokens,
    trusted: TrustedRoom,
    client_keys: ClientKeys,
    standings: Standings,
) -> dict[str, Exchange]:
    """An access token is a JWT here, whichever of the two is asked for."""
    exchange = AlongEdges(
        world.entropy,
        SubjectTokens(own, trusted.trusted),
        ActorTokens(own, client_keys, trusted.workloads),
        standings,
    )
    return dict.fromkeys(TOKEN_TYPES, exchange)
