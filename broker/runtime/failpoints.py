"""Named places at which a test build can be made to die or to fail; anywhere else a fail point is one comparison.

`POINT=kill` ends this process as SIGKILL does; `POINT=raise` makes the unit fail as a database does that went away.
`:N` waits for the N-th pass and is done after it.
"""

import os
import re
import signal
import threading

from broker.runtime.database import Unavailable

POINTS = {
    "token.after_live": "everything is live and allowed, nothing is signed",
    "token.after_sign": "the access token is signed",
    "token.before_record": "what was spent and what succeeds it is written, the record is not",
    "token.before_commit": "the record is written, nothing is committed",
    "token.after_commit": "committed, and nobody knows yet",
    "token.before_answer": "the answer is made, and not sent",
    "decision.before_record": "everything that a call takes is used up, the record is not written",
    "decision.before_commit": "the record is written, nothing is committed",
    "keys.after_change": "one step of a key's life is taken and recorded, not committed",
}
"""Every fail point: what has happened by then."""
_ARMED = re.compile(r"([a-z_.]+)=(kill|raise)(?::([1-9][0-9]{0,5}))?")


class _Armed:
    def __init__(self, name: str, kills: bool, passes: int) -> None:
        self.name, self._kills, self._left = name, kills, passes
        self._lock = threading.Lock()

    def meet(self) -> None:
        with self._lock:
            self._left -= 1
            met = self._left == 0
        if met and self._kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if met:
            raise Unavailable(f"fail point {self.name}")


_armed: _Armed | None = None


def failpoint(name: str) -> None:
    """Nothing, unless this very point is armed."""
    if _armed is not None and _armed.name == name:
        _armed.meet()


def arm(order: str | None) -> None:
    """Arm one point for this process, or (None) none; ValueError when there is no such point."""
    global _armed
    _armed = None if order is None else _parse(order)


def _parse(order: str) -> _Armed:
    found = _ARMED.fullmatch(order)
    if found is None or found[1] not in POINTS:
        raise ValueError(
            f"fail_point: POINT=kill or POINT=raise, :N for the N-th pass; points: {', '.join(POINTS)}."
        )
    return _Armed(found[1], found[2] == "kill", int(found[3] or 1))
