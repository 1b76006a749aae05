"""RFC 9068 section 2.2, RFC 8693 section 4.1, RFC 9396 section 9.1: the claims of an access token, for one audience."""

from broker.estate import rules as estate_rules
from broker.identity.tenants.keys import DoorKeys
from broker.protocol import details
from broker.protocol import scope as scope_rules
from broker.protocol.names import TYP_ACCESS_TOKEN
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens.model import Authority, Minted


def mint(tx: Transaction, authority: Authority, keys: DoorKeys, entropy: Entropy, now: float) -> Minted:
    """Sign what the authority allows; never beyond its latest expiry or the resource's lifetime."""
    issued_at = int(now)
    expires_at = int(min(authority.latest_expiry, now + authority.resource.lifetime))
    scopes = estate_rules.expanded(authority.resource, authority.scopes)
    jti = entropy.identifier("tok", now)
    claims: dict[str, object] = {
        "iss": authority.issuer,
        "sub": authority.subject,
        "aud": authority.resource.uri,
        "client_id": authority.client.client_id,
        "tenant": authority.tenant,
        "scope": scope_rules.render(scopes),
        "iat": issued_at,
        "nbf": issued_at,
        "exp": expires_at,
        "jti": jti,
        "txn": authority.txn,
        "grant_id": authority.grant_id,
        **authority.auth,
    }
    if authority.confirmation is not None:
        claims["cnf"] = authority.confirmation.claim()
    if authority.details:
        claims["authorization_details"] = details.members(authority.details)
    if authority.restricted_at:
        claims["restricted_at"] = list(authority.restricted_at)
    if authority.vouched_by is not None:
        claims["vouched_by"] = authority.vouched_by
    if authority.actor is not None:
        claims["act"] = authority.actor.claim()
    token = keys.sign(tx, authority.issuer, authority.resource.algorithm, TYP_ACCESS_TOKEN, claims)
    return Minted(token, jti, scopes, expires_at - issued_at)
