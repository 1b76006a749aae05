"""How the grant types are built: the one list of them, from which discovery and registration follow."""

from broker.authorization.grants import Grants
from broker.authorization.hints import Hints
from broker.identity.clients.keys import ClientKeys
from broker.identity.federation.trusted.room import TrustedRoom
from broker.identity.sessions.sessions import Sessions
from broker.identity.users.people import People
from broker.protocol.names import ID_JAG_TOKEN_TYPE
from broker.runtime.world import World
from broker.tokens.exchange.room import along_edges
from broker.tokens.exchange.to_id_jag import ToIdJag
from broker.tokens.families import Families
from broker.tokens.grants.authorization_code import AuthorizationCode
from broker.tokens.grants.client_credentials import ClientCredentials
from broker.tokens.grants.device_code import DeviceCode
from broker.tokens.grants.jwt_bearer import JwtBearer
from broker.tokens.grants.refresh_token import RefreshToken
from broker.tokens.grants.token_exchange import TokenExchange
from broker.tokens.identity_assertion import IdentityAssertions
from broker.tokens.model import GrantType
from broker.tokens.standing import Standings
from broker.tokens.verified import OwnTokens


def grant_types(
    world: World,
    own: OwnTokens,
    hints: Hints,
    client_keys: ClientKeys,
    grants: Grants,
    people: People,
    families: Families,
    sessions: Sessions,
    trusted: TrustedRoom,
    standings: Standings,
) -> tuple[GrantType, ...]:
    entropy = world.entropy
    exchanges = along_edges(world, own, trusted, client_keys, standings)
    exchanges[ID_JAG_TOKEN_TYPE] = ToIdJag(
        entropy, hints, grants, people, families, sessions, trusted.issuers
    )
    assertions = IdentityAssertions(entropy, grants, people, trusted)
    return (
        AuthorizationCode(entropy, grants, people),
        RefreshToken(entropy, grants, people, families),
        ClientCredentials(entropy),
        DeviceCode(world, grants, people),
        TokenExchange(exchanges),
        JwtBearer(entropy, assertions, trusted.workloads),
    )
