"""OAuth 2.1 section 4.3.1: lines of refresh tokens, rotated with a grace, ended when an old one comes back."""

import base64
import hashlib
import hmac
import json

from broker.identity.clients.model import Client
from broker.protocol import confirmation
from broker.protocol.confirmation import Confirmation
from broker.protocol.errors import Consequence, OAuthError, Reason
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens import store
from broker.tokens.model import Authority, Family
from broker.tokens.store import Refresh

PREFIX = "mcpb_rt_"


def hashed(token: str) -> str:
    """What is stored of a refresh token; the kind is part of it, so that no other secret can pass as one."""
    return hashlib.sha256(b"refresh:" + token.encode()).hexdigest()


class Families:
    """`key` derives successors; `grace` and `lifetime` in seconds; `rotate_confidential` as the setting says."""

    def __init__(
        self, key: bytes, entropy: Entropy, grace: float, lifetime: float, rotate_confidential: bool
    ) -> None:
        self._key, self._entropy = key, entropy
        self._grace, self._lifetime, self._rotate_confidential = grace, lifetime, rotate_confidential

    def begin(self, tx: Transaction, authority: Authority, now: float) -> str:
        """The first token of a line."""
        token = self._entropy.secret(PREFIX)
        self._add(tx, token, authority, None, now)
        return token

    def spend(
        self, tx: Transaction, token: str, door: str, client: Client, held: Confirmation | None, now: float
    ) -> tuple[Refresh, Family | None, bool]:
        """(the row, the line that goes on with the token to hand out, whether this repeats an earlier answer).

        `held` is what the caller proved to hold. OAuthError: `invalid_dpop_proof` when it is not what the line is
        bound to; `invalid_grant`, with the end of the grant as its consequence when an old token came back late.
        Nothing is spent by whoever cannot use it: the refusal takes the unit of work back.
        """
        if not client.public and not self._rotate_confidential:
            return self._keep(tx, token, door, client, held, now), None, False
        row = store.spend(tx, hashed(token), door, client.client_id, now)
        if row is not None:
            _holds(row, client, held)
            return row, Family(self._derive(token, row.id), row.id), False
        row = self._fits(store.find(tx, hashed(token)), door, client, held)
        if row.spent_at is None:
            raise _refused(Reason.REFRESH_EXPIRED)
        # Requests overtake each other between reading their time and spending: a repeat may look a little early.
        if abs(now - row.spent_at) >= self._grace:
            raise _refused(Reason.REFRESH_REPLAYED, Consequence(row.grant_id, row.tenant))
        return row, self._repeat(tx, token, row, client, held, now), True

    def go_on(self, tx: Transaction, family: Family, authority: Authority, now: float) -> None:
        """Store the successor that `spend` derived."""
        self._add(tx, family.token, authority, family.predecessor, now)

    def find(self, tx: Transaction, token: str) -> Refresh | None:
        return store.find(tx, hashed(token))

    def every(self, tx: Transaction) -> list[Refresh]:
        """All tokens of all lines that are kept, spent ones too."""
        return store.every(tx)

    def sweep(self, tx: Transaction, now: float) -> None:
        """Forget tokens so long expired that a replay of them could end nothing."""
        store.sweep(tx, now - 86400)

    def _keep(
        self, tx: Transaction, token: str, door: str, client: Client, held: Confirmation | None, now: float
    ) -> Refresh:
        row = self._fits(store.find(tx, hashed(token)), door, client, held)
        if row.spent_at is not None or row.expires_at <= now:
            raise _refused(Reason.REFRESH_EXPIRED)
        store.keep(tx, row.id, now + self._lifetime)
        return row

    def _fits(self, row: Refresh | None, door: str, client: Client, held: Confirmation | None) -> Refresh:
        if row is None or row.door != door:
            raise _refused(Reason.REFRESH_UNKNOWN)
        if row.client_id != client.client_id:
            raise _refused(Reason.REFRESH_FOREIGN)
        _holds(row, client, held)
        return row

    def _repeat(
        self,
        tx: Transaction,
        token: str,
        row: Refresh,
        client: Client,
        held: Confirmation | None,
        now: float,
    ) -> Family:
        """Within the grace: the same successor again, unless it was used already."""
        derived = self._derive(token, row.id)
        found = store.successor(tx, row.id)
        if found is None or found[1] != hashed(derived) or found[0].spent_at is not None:
            raise _refused(Reason.REFRESH_SUPERSEDED)
        _holds(found[0], client, held)
        if found[0].expires_at <= now:
            raise _refused(Reason.REFRESH_EXPIRED)
        return Family(derived, row.id)

    def _derive(self, token: str, row_id: str) -> str:
        digest = hmac.new(self._key, f"{token}\0{row_id}".encode(), hashlib.sha256).digest()
        return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _add(
        self, tx: Transaction, token: str, authority: Authority, predecessor: str | None, now: float
    ) -> None:
        row = Refresh(
            id=self._entropy.identifier("rft", now),
            tenant=authority.tenant,
            grant_id=authority.grant_id,
            client_id=authority.client.client_id,
            door=authority.issuer,
            predecessor=predecessor,
            expires_at=now + self._lifetime,
            spent_at=None,
            confirmation=json.dumps(authority.confirmation.claim()) if authority.confirmation else None,
        )
        store.add(tx, hashed(token), row)


def _holds(row: Refresh, client: Client, held: Confirmation | None) -> None:
    """RFC 9449 section 5, RFC 8705 section 4: a public client keeps its key; others may change it, not drop it."""
    if row.confirmation is None:
        return
    bound = confirmation.of({"cnf": json.loads(row.confirmation)})
    if held == bound or (held is not None and not client.public):
        return
    by_key = bound is not None and bound.jkt is not None
    mismatch = Reason.DPOP_KEY_MISMATCH if by_key else Reason.CERTIFICATE_MISMATCH
    raise OAuthError(
        "invalid_dpop_proof" if by_key else "invalid_grant",
        f"The refresh token is bound to a {'key' if by_key else 'certificate'}: prove that you hold it.",
        Reason.CONSTRAINT_LOST if held is None else mismatch,
    )


def _refused(reason: Reason, consequence: Consequence | None = None) -> OAuthError:
    return OAuthError(
        "invalid_grant",
        "The refresh token is wrong, expired, revoked or was used before. Start the sign-in again.",
        reason,
        consequence=consequence,
    )
