"""RFC 8693 section 2.2: the release of a provider's own access token, as it is, never of its refresh token."""

import hashlib

from broker.audit.record import jti_hash
from broker.denials.model import Kind, Target
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.database import Transaction
from broker.tokens import live
from broker.tokens.model import Authority, Minted
from broker.vault.releases.model import Release
from broker.vault.room import Room as Vault
from broker.vault.use import Handed

_OF_ONE_CALL = (Kind.TRANSACTION, Kind.TOKEN)


def mint(tx: Transaction, authority: Authority, vault: Vault, now: float, *, patient: bool) -> Minted:
    """Note who holds it from now on, and what ends that. OAuthError; Stale, where it has to be refreshed first."""
    if not authority.user or authority.via is None:
        raise OAuthError("invalid_request", "That system is for tokens of people.", Reason.SUBJECT_IS_NO_USER)
    handed = vault.use.token(
        tx,
        authority.tenant,
        authority.subject,
        authority.resource,
        authority.scopes,
        authority.issuer,
        patient=patient,
    )
    vault.releases.note(tx, _release(authority, authority.via, handed, now))
    connection = handed.connection
    left = None if handed.expires_at is None else max(0, int(handed.expires_at - now))
    return Minted(
        handed.token,
        handed.token,
        handed.scopes,
        left,
        released={
            "connection": connection.id,
            "version": connection.version,
            "account": connection.account.id,
        },
    )


def _release(authority: Authority, via: str, handed: Handed, now: float) -> Release:
    clients = {authority.client.client_id}
    if authority.actor is not None:
        clients |= {actor.client_id for actor in authority.actor.chain()}
    targets = {
        Target(Kind.USER, authority.subject),
        Target(Kind.GRANT, authority.grant_id),
        Target(Kind.TRANSACTION, authority.txn),
        *(Target(Kind.CLIENT, client) for client in clients),
        *([Target(Kind.TOKEN, authority.parent_jti)] if authority.parent_jti else []),
        *live.of_authority(authority),
    }
    held, ending = handed.connection, tuple(sorted(targets, key=lambda target: (target.kind, target.id)))
    return Release(
        _id(held.id, held.version, ending),
        authority.tenant,
        handed.connection.id,
        handed.connection.version,
        authority.subject,
        authority.resource.id,
        via,
        authority.client.client_id,
        authority.grant_id,
        authority.txn,
        jti_hash(handed.token),
        ending,
        now,
        handed.expires_at,
    )


def _id(connection_id: str, version: int, targets: tuple[Target, ...]) -> str:
    """The same for the same token in the same hands for the same cause, however many calls it serves."""
    causes = [f"{target.kind} {target.id}" for target in targets if target.kind not in _OF_ONE_CALL]
    digest = hashlib.sha256("\0".join([connection_id, str(version), *causes]).encode()).hexdigest()
    return f"rel_{digest[:32]}"
