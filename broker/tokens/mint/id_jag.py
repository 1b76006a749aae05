"""draft-ietf-oauth-identity-assertion-authz-grant section 3: an ID-JAG, for an authorization server of others."""

from broker.identity.tenants.keys import DoorKeys
from broker.protocol import scope as scope_rules
from broker.protocol.names import DEFAULT_ALGORITHM, TYP_ID_JAG
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens.model import Authority, Minted, Vouching


def mint(
    tx: Transaction, authority: Authority, vouching: Vouching, keys: DoorKeys, entropy: Entropy, now: float
) -> Minted:
    """Sign who the user is and what one client may ask for there."""
    issued_at = int(now)
    expires_at = int(min(authority.latest_expiry, now + vouching.lifetime))
    jti = entropy.identifier("jag", now)
    claims: dict[str, object] = {
        "iss": authority.issuer,
        "sub": authority.subject,
        "aud": vouching.audience,
        "client_id": vouching.known_as,
        "resource": vouching.resource,
        "scope": scope_rules.render(vouching.scopes),
        "iat": issued_at,
        "exp": expires_at,
        "jti": jti,
        "txn": authority.txn,
        **authority.auth,
    }
    if vouching.tenant is not None:
        claims["tenant"] = vouching.tenant
    if authority.confirmation is not None:
        claims["cnf"] = authority.confirmation.claim()
    token = keys.sign(tx, authority.issuer, DEFAULT_ALGORITHM, TYP_ID_JAG, claims)
    return Minted(token, jti, vouching.scopes, expires_at - issued_at)
