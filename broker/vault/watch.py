"""Law 6 beyond this server: what was handed out and is off here is taken back at its provider, or said to be alive.

A background duty: whoever throws a switch or revokes a grant does not wait for anybody's API.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.denials import live
from broker.denials.model import EVERYTHING_ID, Kind, Target
from broker.estate.estate import Estate
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault import store
from broker.vault.ending import Ending
from broker.vault.farewells.farewells import moment
from broker.vault.releases.model import Release
from broker.vault.releases.releases import Releases

EVERY = 60.0
"""Seconds after which all is looked at though nothing was thrown or changed: time ends edges and grants too."""
_FOLD_EVERY = 3600.0
_BATCH = 200
_EVERYTHING = Target(Kind.EVERYTHING, EVERYTHING_ID)


class Lasting(Protocol):
    """What of a grant matters here."""

    @property
    def expires_at(self) -> float: ...


Granted = Callable[[Transaction, str], Lasting | None]


class Watch:
    """`granted`: the grant of that id within a transaction, None when it is no more."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        releases: Releases,
        ending: Ending,
        estate: Callable[[], Estate],
        granted: Granted,
    ) -> None:
        self._world, self._recorder = world, recorder
        self._releases, self._ending = releases, ending
        self._estate, self._granted = estate, granted
        self._looked: tuple[tuple[int, str] | None, Estate] | None = None
        self._next = self._next_fold = float("-inf")

    def run(self) -> int:
        """Look at every release that is not over, once something could have ended one; how many were found off."""
        now, estate = self._world.clock.now(), self._estate()
        seen = self._world.database.read(live.newest), estate
        if seen == self._looked and now < self._next:
            return 0
        fold = now >= self._next_fold
        found = self._all(estate, now, fold=fold)
        self._looked, self._next = seen, now + EVERY
        if fold:
            self._next_fold = now + _FOLD_EVERY
        return found

    def _all(self, estate: Estate, now: float, *, fold: bool) -> int:
        after, found = "", 0
        while True:
            batch = self._after(after)
            if not batch:
                return found
            after = batch[-1].id
            by_tenant: dict[str, list[Release]] = defaultdict(list)
            for release in batch:
                by_tenant[release.tenant].append(release)
            for tenant, releases in by_tenant.items():
                for release, why in self._off(tenant, releases, estate, now):
                    found += self._ended(release, why)
                if fold:
                    self._fold(tenant, releases, now)

    def _after(self, last: str) -> list[Release]:
        return self._world.database.read(lambda tx: self._releases.still_good(tx, last, _BATCH))

    def _off(
        self, tenant: str, releases: list[Release], estate: Estate, now: float
    ) -> list[tuple[Release, str]]:
        """Those of one tenant of which something is off, or that came along a way that is none any more."""
        targets = {_EVERYTHING, *(target for release in releases for target in release.targets)}
        off = self._world.database.read(lambda tx: live.all_off(tx, targets, now), tenant)
        found: list[tuple[Release, str]] = []
        for release in releases:
            because = (
                _EVERYTHING
                if _EVERYTHING in off
                else next((target for target in release.targets if target in off), None)
            )
            if because is not None:
                found.append((release, f"{because.kind.value} off"))
            elif not _leads(release, estate, now):
                found.append((release, "edge ended"))
        return found

    def _fold(self, tenant: str, releases: list[Release], now: float) -> None:
        """A token without an end is remembered once for each holder, however many grants it was released for."""

        def unit(tx: Transaction) -> None:
            for release in releases:
                if release.expires_at is None:
                    grant = self._granted(tx, release.grant_id)
                    if grant is None or grant.expires_at <= now:
                        self._releases.fold(tx, release)

        if any(release.expires_at is None for release in releases):
            self._world.database.write(unit, tenant)

    def _ended(self, release: Release, why: str) -> bool:
        def unit(tx: Transaction) -> bool:
            known = store.get(tx, release.connection_id)
            told = known is not None and self._ending.take_back(tx, *known, release, why)
            if not self._releases.end(tx, release.id, withdrawn=told):
                return False
            if told:  # the same token, in the hands of others
                self._releases.end_all(tx, release.connection_id, withdrawn=True, version=release.version)
            fact = Fact(
                "release.ended",
                tenant=release.tenant,
                subject=release.user_id,
                client=release.client_id,
                resource=release.via,
                downstream=release.resource_id,
                txn=release.txn,
                grant_id=release.grant_id,
                change={
                    "connection": release.connection_id,
                    "token": release.jti_hash,
                    "why": why,
                    "told": told,
                    **({} if told else {"alive_until": moment(release.expires_at)}),
                },
            )
            self._recorder.record(tx, fact, None)
            return True

        return self._world.database.write(unit, release.tenant)


def _leads(release: Release, estate: Estate, now: float) -> bool:
    """Every edge that it came along is still there, and the last one still releases."""
    last = estate.edge(release.via, release.resource_id, now)
    ways = [target.id.partition("->") for target in release.targets if target.kind is Kind.EDGE]
    return (
        last is not None
        and last.release
        and all(estate.edge(source, aim, now) is not None for source, _, aim in ways)
    )
