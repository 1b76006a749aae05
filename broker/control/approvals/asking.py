"""AuthZEN Access Request profile: who waits asks that it is answered, follows what becomes of it, or withdraws."""

import re

from broker.audit.record import Recorder
from broker.control.approvals import store
from broker.control.approvals.evidence import fact
from broker.control.approvals.model import Approval, Not, NotAnswered, State
from broker.control.approvals.notices.notices import Notices
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

LONGEST_WHY = 1000
_KEPT = 90 * 86400.0
"""Seconds for which what ended is remembered."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Asking:
    def __init__(self, world: World, recorder: Recorder, notices: Notices) -> None:
        self._world, self._recorder, self._notices = world, recorder, notices

    def one(self, tx: Transaction, approval_id: str) -> Approval | None:
        """None for what never was, and for what is no id at all, which no database is asked about."""
        return store.get(tx, approval_id) if _ID.fullmatch(approval_id) else None

    def listed(
        self, tx: Transaction, most: int, subject: str | None = None, *, only_open: bool = False
    ) -> list[Approval]:
        """The newest first; `subject`: only who it is for; `only_open`: those that wait for an answer."""
        return store.listed(tx, self._world.clock.now(), most, subject, only_open=only_open)

    def before(self, tx: Transaction, user_id: str, most: int) -> list[Approval]:
        """What somebody wants answered, and what is only offered in this user's name."""
        return store.before(tx, user_id, self._world.clock.now(), most)

    def answered(self, tx: Transaction, user_id: str, most: int) -> list[Approval]:
        """What this user answered last."""
        return store.answered(tx, user_id, most)

    def request(
        self, tx: Transaction, approval: Approval, origin: Origin | None, key: str | None = None
    ) -> bool:
        """Within `tx`: turn an offer into a request, and tell whom it waits for. `key`: see `keyed`."""
        if not store.request(tx, approval.id, self._world.clock.now(), key):
            return False
        self._recorder.record(tx, fact("approval.requested", approval), origin)
        self._notices.queue(tx, approval)
        return True

    def keyed(self, tx: Transaction, key: str) -> str | None:
        """What a request with this key was for."""
        return store.keyed(tx, key)

    def withdraw(
        self, tx: Transaction, approval_id: str, person: str | None, why: str | None, origin: Origin | None
    ) -> Approval:
        """Within `tx`. `person`: the user who withdraws, None for a client or an administrator. NotAnswered."""
        return self._closed(tx, approval_id, State.WITHDRAWN, person, why, origin)

    def deny(
        self, tx: Transaction, approval_id: str, person: str | None, why: str | None, origin: Origin | None
    ) -> Approval:
        """Within `tx`, for who may: `Answering` for people, the command line for administrators. NotAnswered."""
        return self._closed(tx, approval_id, State.DENIED, person, why, origin)

    def sweep(self, tx: Transaction, now: float) -> None:
        """What nobody answered or used in time is over, and an offer that nobody took up is forgotten, as are the
        arguments of what is over and all of what ended long ago."""
        store.discard(tx, now)
        for lapsed in store.lapse(tx, now):
            self._recorder.record(tx, fact("approval.expired", lapsed))
        store.blank(tx, now)
        store.sweep(tx, now - _KEPT)

    def _closed(
        self,
        tx: Transaction,
        approval_id: str,
        state: State,
        person: str | None,
        why: str | None,
        origin: Origin | None,
    ) -> Approval:
        said = (why or "").strip()[:LONGEST_WHY] or None
        closed = store.close(tx, approval_id, state, person, said, self._world.clock.now())
        if closed is None:
            raise NotAnswered(Not.OVER if store.get(tx, approval_id) else Not.GONE)
        approver = person if state is State.DENIED else None
        change: dict[str, object] = {} if person or state is State.WITHDRAWN else {"by": "an administrator"}
        self._recorder.record(
            tx, fact(f"approval.{state}", closed, approver=approver, detail=said, change=change), origin
        )
        return closed
