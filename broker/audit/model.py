"""The audit record: its members and the closed list of facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

FACTS = {
    "token.issued": "An access token was minted.",
    "id_token.issued": "An id_token was minted beside an access token.",
    "userinfo.told": "A client was told who its user is.",
    "userinfo.refused": "A request to /userinfo was refused.",
    "logout.delivered": "A client was told, at its back-channel address, that a user signed out.",
    "logout.failed": "A client could not be told that a user signed out, and will not be.",
    "logout.refused": "A request to sign out was refused.",
    "token.refused": "The token endpoint refused a request.",
    "token.revoked": "One token was revoked by its holder.",
    "token.introspected": "A caller asked about a token that is not its own.",
    "code.issued": "An authorization code was handed to the user's browser.",
    "code.consumed": "An authorization code was redeemed.",
    "code.replayed": "A spent authorization code was presented again by its own client; its grant ended.",
    "device.started": "A device asked to be connected and was given a device code.",
    "device.refused": "A device was refused a code, or somebody typed a code that is none.",
    "device.approved": "A user connected a device by its code.",
    "device.denied": "A user refused a device.",
    "device.redeemed": "A device code was redeemed.",
    "device.replayed": "A redeemed device code was presented again by its own client; its grant ended.",
    "refresh.rotated": "A refresh token was exchanged for its successor.",
    "refresh.repeated": "A refresh token was repeated within its grace and got the same successor.",
    "refresh.reused": "A spent refresh token was presented again; its grant ended.",
    "assertion.accepted": "What a trusted issuer said of a user was used up for an access token.",
    "id_jag.issued": "An assertion was minted, with which a client may reach a server of others for its user.",
    "exchange.granted": "A token was exchanged along an edge.",
    "consent.granted": "A user allowed a client access to a resource.",
    "tenant.chosen": "A user with several tenants chose for which of them a client works.",
    "tenant.forgotten": "A user will be asked again for which of their tenants a client works.",
    "consent.denied": "A user refused a client.",
    "grant.revoked": "A grant ended, with everything that was made from it.",
    "authorization.refused": "The authorization endpoint refused a request.",
    "request.pushed": "A client pushed an authorization request, for a browser to come with.",
    "request.refused": "A pushed authorization request was refused.",
    "session.started": "A user signed in.",
    "session.ended": "A user signed out, or a session was ended.",
    "session.refused": "A sign-in failed.",
    "password.accepted": "A user's password was right; a further factor is asked for.",
    "password.changed": "A user set a new password, or was given one by a reset link.",
    "reset.offered": "A link was made by which a user may set a new password.",
    "credential.added": "A user added a passkey, an authenticator app or a set of recovery codes.",
    "credential.renamed": "A user gave a passkey another name.",
    "credential.removed": "A passkey, an authenticator app or a set of recovery codes was removed.",
    "credential.spent": "A recovery code was used to sign in.",
    "credential.refused": "A change to a user's ways in was refused.",
    "user.created": "A provider vouched for somebody who had no account; it was made.",
    "identity.linked": "A person at an identity provider was linked to an account.",
    "identity.unlinked": "A link from an identity provider to an account was removed.",
    "membership.mapped": "What a provider says of a member changed their roles or attributes.",
    "client.registered": "A client registered itself.",
    "client.refused": "A registration, or its management, was refused.",
    "client.updated": "A client that registered itself changed its registration.",
    "client.deleted": "A client that registered itself ended its registration, with everything granted to it.",
    "client.fetched": "A client became known by its metadata document, or the document had changed.",
    "client.expired": "A registered client that was not used in time, or gave way to the same client, was removed.",
    "token.released": "The access token of a provider was handed to a server along an edge.",
    "release.ended": "What a released token was good for is off: its provider is told, or it is good there until then.",
    "connection.made": "A user connected their account at a system that is not ours.",
    "connection.refreshed": "The tokens of a connection were refreshed at its provider.",
    "connection.broken": "A provider does not take a connection's tokens any more: its user has to connect again.",
    "connection.ended": "A connection was ended and its tokens erased.",
    "connection.withdrawn": "A provider was told that a token is over.",
    "connection.outlived": "A provider could not be told, or takes nothing back: a token is good there until then.",
    "connection.refused": "An account was not connected.",
    "connection.unreadable": "The sealed tokens of a connection did not open when they were to be used.",
    "connection.rewrapped": "A connection's data key was sealed under another key-encryption key.",
    "decision.made": "A server asked whether one exact call may happen, and was answered.",
    "decision.refused": "A request for a decision, or to report one, was refused before it was judged.",
    "outcome.reported": "A server said what a call did that it had been allowed.",
    "call.reported": "A server told afterwards of a call of a reading tool, which its guard had decided.",
    "approval.requested": "A client, or the user of a call, asked that somebody allows one exact call.",
    "approval.voted": "A person allowed one exact call of which more people have to.",
    "approval.granted": "One exact call was allowed, by as many people as it takes.",
    "approval.denied": "A person refused one exact call.",
    "approval.withdrawn": "A request to allow one exact call was withdrawn.",
    "approval.expired": "Nobody answered in time, or what was allowed was not used in time.",
    "approval.spent": "What was allowed was used up by a decision.",
    "approval.refused": "A request to allow a call, or an answer to one, was refused.",
    "approval.notified": "Somebody was told that a call waits for them, or could not be told.",
    "switch.thrown": "A tenant, user, client, grant, resource, tool, family, edge or issuer, or all, was switched off.",
    "switch.lifted": "A switch was lifted.",
    "resource.claimed": "A tenant claimed an address, to register it as a resource.",
    "resource.proved": "An address said that a tenant speaks for it.",
    "resource.unproved": "An address did not say that a tenant speaks for it, or could not be asked.",
    "resource.lapsed": "An address that was proved says something else by now.",
    "resource.vouched": "An administrator of the server gave their word for a tenant's claim of an address.",
    "resource.withdrawn": "A tenant's claim of an address was withdrawn.",
    "tool.imported": "A live server was asked for its tools, and what it said of them was kept.",
    "tool.changed": "A server says something else of a tool than what somebody looked at: no call of it is allowed.",
    "tool.reviewed": "Somebody looked at what a server says of a tool, and took it as it is.",
    "key.created": "A signing key was made.",
    "key.activated": "A signing key began to sign.",
    "key.retiring": "A signing key stopped signing.",
    "key.retired": "A signing key left the JWKS and its private part was destroyed.",
    "estate.applied": "An object of the estate was created, changed or deleted.",
    "webhook.delivered": "An administrator's own system was told of something.",
    "webhook.failed": "An administrator's own system could not be told of something, and will not be.",
    "refusals.counted": "Further refusals of one source within a minute, as a number.",
}
"""Every `fact` with one sentence; documented in docs/audit.md, checked by a test."""


class Outcome(StrEnum):
    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened. Members that do not apply stay None and are left out of the record.

    `reason` is a `Reason`, of a decision one of those that a decision answers with (`control.model.Why`).
    `arguments_digest` is of the whole act, to which an approval is bound. `approver` is a user, as `subject` may be.
    `arguments` and `intent` are a client's words, `words` those of who answered: kept beside the record, as personal
    values are.
    `initiator` is the address from which a device began what somebody answers from another (`source`).
    """

    fact: str
    outcome: Outcome = Outcome.ALLOWED
    reason: StrEnum | None = None
    detail: str | None = None
    tenant: str | None = None
    subject: str | None = None
    client: str | None = None
    actors: tuple[str, ...] = ()
    resource: str | None = None
    downstream: str | None = None
    scope: tuple[str, ...] = ()
    jti: str | None = None
    parent_jti: str | None = None
    txn: str | None = None
    grant_id: str | None = None
    issuer: str | None = None
    count: int | None = None
    tool: str | None = None
    intent: str | None = None
    arguments_digest: str | None = None
    arguments: Mapping[str, object] | None = None
    decision: str | None = None
    approval: str | None = None
    approver: str | None = None
    downstream_request_id: str | None = None
    result_digest: str | None = None
    result_size: int | None = None
    initiator: str | None = None
    words: str | None = None
    change: dict[str, object] = field(default_factory=dict)


_MAKINGS = ("token.issued", "exchange.granted", "id_jag.issued", "token.released")


def made(members: Mapping[str, object]) -> str | None:
    """The hash of the token whose making a record tells; None for any other record."""
    hashed = members.get("jti_hash")
    return hashed if members.get("fact") in _MAKINGS and isinstance(hashed, str) else None


@dataclass(frozen=True, slots=True)
class Record:
    """A stored fact as readers see it: `members` is the JSON object of docs/audit.md, personal values put back."""

    seq: int | None
    members: dict[str, object]
