"""Grants as other rooms use them: found within a transaction, ended with everything that came from them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.authorization import store
from broker.authorization.model import Grant
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

KEEP = 86400.0
"""Seconds for which a grant and what ended it are kept once it is over, for clocks that differ and late replays."""
_USED_EVERY = 60.0


class Grants:
    def __init__(self, world: World, recorder: Recorder) -> None:
        self._world, self._recorder = world, recorder

    def within(self, tx: Transaction, grant_id: str) -> Grant | None:
        return store.grant(tx, grant_id)

    def standing(self, tx: Transaction, user_id: str, client_id: str, resource_id: str) -> list[Grant]:
        """What the user allowed this client at this resource before and has not taken back, newest first."""
        now = self._world.clock.now()
        return _live(tx, store.standing(tx, user_id, client_id, resource_id, now), now)

    def on_word(self, tx: Transaction, grant: Grant, lasting: float) -> Grant:
        """Within `tx`: the grant that rests on an issuer's word for just this and is in force; `grant`, if none is.

        One that ends within `lasting` seconds is left to its end. Whatever is made says the same consent, so that two
        that are made at once are taken back as one.
        """
        enough = self._world.clock.now() + lasting
        grant = replace(grant, consent_id=_word(grant))
        known = [
            one
            for one in self.standing(tx, grant.user_id, grant.client_id, grant.resource_id)
            if (one.vouched_by, one.tenant, one.door) == (grant.vouched_by, grant.tenant, grant.door)
            and (one.scopes, one.details) == (grant.scopes, grant.details)
            and (one.acr, one.amr) == (grant.acr, grant.amr)
            and one.expires_at >= enough
        ]
        if not known:
            store.add_grant(tx, grant)
        return known[0] if known else grant

    def of_session(self, tx: Transaction, user_id: str, sid: str) -> list[Grant]:
        """What this user allowed in one browser session, whether or not it is still in force."""
        return store.of_session(tx, user_id, sid)

    def list(self, user_id: str | None = None, tenant: str | None = None) -> list[Grant]:
        """Every grant in force, of one user or of all, of one tenant or of all."""
        now = self._world.clock.now()
        return self._world.database.read(lambda tx: _live(tx, store.grants(tx, user_id, now), now), tenant)

    def ended(self, tx: Transaction, grant_id: str) -> bool:
        return live.first_off(tx, [Target(Kind.GRANT, grant_id)], self._world.clock.now()) is not None

    def used(self, tx: Transaction, grant_id: str, before: float | None) -> None:
        """Within `tx`: a token is made from it. `before`: what is known of its last use; written once a minute."""
        now = self._world.clock.now()
        if before is None or now - before >= _USED_EVERY:
            store.used(tx, grant_id, now, now - _USED_EVERY)

    def over(self, tx: Transaction, grant_id: str) -> bool:
        """Whether it ended for good; a switch can be lifted."""
        return live.ended(tx, Target(Kind.GRANT, grant_id), self._world.clock.now())

    def end(self, tx: Transaction, grant_id: str, tenant: str, why: str, origin: Origin | None) -> bool:
        """Within `tx`: the grant and everything made from it is dead once this commits. False when it was.

        It is kept in mind for as long as anything made from it could live: nothing outlives its grant.
        """
        grant = store.grant(tx, grant_id)
        until = None if grant is None else grant.expires_at + KEEP
        ended = live.end(tx, Target(Kind.GRANT, grant_id), tenant, self._world.clock.now(), why, until)
        if ended:
            fact = Fact(
                "grant.revoked",
                tenant=tenant,
                grant_id=grant_id,
                subject=grant.user_id if grant else None,
                client=grant.client_id if grant else None,
                resource=grant.resource_id if grant else None,
                change={"why": why, **({"until": until} if until else {})},
            )
            self._recorder.record(tx, fact, origin)
        return ended

    def revoke(self, grant_id: str, why: str) -> bool:
        """Take a consent back: this grant and all that repeat it. False when there is none or it ended before."""

        def unit(tx: Transaction) -> bool:
            grant = store.grant(tx, grant_id)
            if grant is None:
                return False
            ids = store.of_consent(tx, grant.consent_id)
            ended = [self.end(tx, found, grant.tenant, why, None) for found in ids]
            return any(ended)

        return self._world.database.write(unit, throwing=True)

    def end_all(self, tx: Transaction, user_id: str, why: str) -> None:
        """Within `tx`: every grant of a user, as when their password was reset."""
        for grant in store.grants(tx, user_id, self._world.clock.now()):
            self.end(tx, grant.id, grant.tenant, why, None)


def _word(grant: Grant) -> str:
    """One name for all that an issuer's word gives a client for a user at a resource, and ends together."""
    about = (
        grant.tenant,
        grant.user_id,
        grant.client_id,
        grant.door,
        grant.resource_id,
        grant.vouched_by or "",
    )
    return "word_" + hashlib.sha256("\0".join(about).encode()).hexdigest()[:48]


def _live(tx: Transaction, found: Sequence[Grant], now: float) -> list[Grant]:
    """Those that have not ended, asked all at once."""
    off = live.all_off(tx, [Target(Kind.GRANT, grant.id) for grant in found], now)
    return [grant for grant in found if Target(Kind.GRANT, grant.id) not in off]
