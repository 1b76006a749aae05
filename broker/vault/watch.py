"""Law 6 beyond this server: what was handed out and is off here is taken back at its provider, or said to be alive.

A background duty: whoever throws a switch or revokes a grant does not wait for anybody's API.
"""

from collections import defaultdict

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.denials import live
from broker.denials.model import EVERYTHING_ID, Kind, Target
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault import store
from broker.vault.ending import Ending
from broker.vault.farewells.farewells import moment
from broker.vault.releases.model import Release
from broker.vault.releases.releases import Releases

_BATCH = 200
_EVERYTHING = Target(Kind.EVERYTHING, EVERYTHING_ID)


class Watch:
    def __init__(self, world: World, recorder: Recorder, releases: Releases, ending: Ending) -> None:
        self._world, self._recorder = world, recorder
        self._releases, self._ending = releases, ending

    def run(self) -> int:
        """Look at every release that is not over once; how many were found off."""
        after, found = "", 0
        while True:
            batch = self._world.database.read(
                lambda tx, after=after: self._releases.still_good(tx, after, _BATCH)  # type: ignore[misc]
            )
            if not batch:
                return found
            after = batch[-1].id
            for release, off in self._off(batch):
                found += self._ended(release, off)

    def _off(self, batch: list[Release]) -> list[tuple[Release, Target]]:
        """Those of which something is off, each behind the wall of its tenant."""
        by_tenant: dict[str, list[Release]] = defaultdict(list)
        for release in batch:
            by_tenant[release.tenant].append(release)
        found: list[tuple[Release, Target]] = []
        for tenant, releases in by_tenant.items():
            targets = {_EVERYTHING, *(target for release in releases for target in release.targets)}
            off = self._world.database.read(
                lambda tx, targets=targets: live.all_off(tx, targets, self._world.clock.now()),  # type: ignore[misc]
                tenant,
            )
            if not off:
                continue
            everything = _EVERYTHING if _EVERYTHING in off else None
            for release in releases:
                because = everything or next((target for target in release.targets if target in off), None)
                if because is not None:
                    found.append((release, because))
        return found

    def _ended(self, release: Release, off: Target) -> bool:
        why = f"{off.kind.value} off"

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
