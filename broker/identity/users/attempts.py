"""OWASP ASVS V6.3.1: one count for every way of guessing, and none that a stranger can turn into a lock-out.

Passwords, one-time codes and recovery codes count together, wherever they are typed. A browser in which the person
signed in before counts by itself, so that it gets in while strangers are told to wait; so does a passkey, which
cannot be guessed and is not counted here.
"""

from dataclasses import dataclass

from broker.audit.refusals import source_key
from broker.protocol.origin import Origin
from broker.runtime.world import World

_MINUTE, _QUARTER, _HOUR, _DAY = 60.0, 900.0, 3600.0, 86400.0
_GROWTH = ((_QUARTER, 3), (_DAY, 10))
"""Longer windows and how many times a minute's attempts each allows: whoever goes on waits longer and longer."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Attempts that were counted, to be taken back when they turn out well."""

    hits: tuple[tuple[str, str], ...]


class Attempts:
    """`per_source` and `per_account` a minute; `strangers` for one account in an hour, whoever they are."""

    def __init__(self, world: World, per_source: int, per_account: int, strangers: int) -> None:
        self._world = world
        self._per_source, self._per_account, self._strangers = per_source, per_account, strangers

    def admit(self, account: str, origin: Origin, browser: str | None) -> Counted | int:
        """Count one more attempt at `account` before it is made; or the seconds to wait.

        `browser` names one that the person of this account signed in with before; None is a stranger's.
        """
        now, hits = self._world.clock.now(), []
        source = source_key(origin.source)
        if (
            browser is None
        ):  # one that was told to wait makes no further keys, whatever names it goes on to try
            tried = self._world.ephemeral.seen("sign-in", source, _MINUTE, now)
            if tried.count >= self._per_source:
                return int(tried.ends_in) + 1
        for bucket, key, window, limit in self._limits(account, source, browser):
            counted = self._world.ephemeral.hit(bucket, key, window, now)
            if counted.count > limit:
                return int(counted.ends_in) + 1
            hits.append((bucket, key))
        return Counted(tuple(hits))

    def forgive(self, counted: Counted) -> None:
        for bucket, key in counted.hits:
            self._world.ephemeral.forgive(bucket, key)

    def _limits(self, account: str, source: str, browser: str | None) -> list[tuple[str, str, float, int]]:
        who = f"{source} {account}" if browser is None else f"browser {browser} {account}"
        limits = [("sign-in", who, _MINUTE, self._per_account)]
        limits += [(f"sign-in-{window:.0f}", who, window, self._per_account * n) for window, n in _GROWTH]
        if browser is None:
            limits += [
                ("sign-in", source, _MINUTE, self._per_source),
                ("sign-in-account", account, _HOUR, self._strangers),
            ]
        return limits
