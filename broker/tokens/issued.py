"""RFC 6749 section 5.1, RFC 8693 section 2.2.1: what client and evidence are told of a token that was minted."""

from dataclasses import dataclass

from broker.audit.model import Fact
from broker.protocol import details
from broker.protocol import scope as scope_rules
from broker.protocol.errors import About
from broker.tokens.model import Authority, Minted


@dataclass(frozen=True, slots=True)
class Issued:
    """The successful answer of RFC 6749 section 5.1, as its JSON members, and a nonce for the client's next proof.

    `grant_id`: what it was made from, which no answer says.
    """

    members: dict[str, object]
    dpop_nonce: str | None = None
    grant_id: str = ""


def fact(authority: Authority, minted: Minted) -> Fact:
    """The record of the mint: for whom, on whose word, and for which server of others an ID-JAG is."""
    vouching = authority.vouching
    change: dict[str, object] = {**authority.evidence}
    if authority.details:
        change["authorization_details"] = details.evidence(authority.details)
    if authority.vouched_by is not None:
        change["vouched_by"] = authority.vouched_by
    if vouching is not None:
        change |= {"recipient": vouching.recipient, "at": vouching.resource}
    if minted.released is not None:
        change |= minted.released
    return Fact(
        authority.fact if minted.released is None else "token.released",
        tenant=authority.tenant,
        subject=authority.subject,
        client=authority.client.client_id,
        actors=tuple(actor.client_id for actor in authority.actor.chain()) if authority.actor else (),
        resource=authority.via or authority.resource.id,
        downstream=authority.resource.id if authority.via else None,
        scope=minted.scopes,
        jti=minted.jti,
        parent_jti=authority.parent_jti,
        txn=authority.txn,
        grant_id=authority.grant_id,
        issuer=authority.issuer,
        change=change,
    )


def about(authority: Authority) -> About | None:
    """The token that it was made from, where it was."""
    if authority.parent_jti is None:
        return None
    return About(authority.tenant, authority.subject, authority.parent_jti, authority.txn, authority.grant_id)


def _token_type(authority: Authority, minted: Minted) -> str:
    """RFC 8693 section 2.2.1: what is no access token has none; what a provider made is bound to nobody."""
    if authority.vouching is not None:
        return "N_A"
    if minted.released is not None:
        return "Bearer"
    return authority.confirmation.token_type if authority.confirmation else "Bearer"


def answer(
    authority: Authority, minted: Minted, id_token: str | None, refresh: str | None
) -> dict[str, object]:
    about = authority.identity.scopes if authority.identity else ()
    members: dict[str, object] = {
        "access_token": minted.token,
        "token_type": _token_type(authority, minted),
        **({} if minted.expires_in is None else {"expires_in": minted.expires_in}),
        "scope": scope_rules.render((*minted.scopes, *about)),
    }
    if authority.details:
        members["authorization_details"] = details.members(authority.details)
    if id_token is not None:
        members["id_token"] = id_token
    if refresh is not None:
        members["refresh_token"] = refresh
    if authority.issued_token_type is not None:
        members["issued_token_type"] = authority.issued_token_type
    return members
