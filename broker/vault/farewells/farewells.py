"""RFC 7009: providers are told which tokens are over, until they know; and what nobody can tell them is recorded.

A farewell is stored with the end that it tells of, and delivered afterwards: whether a provider is there changes
nothing for whoever ended it.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.estate.estate import Estate
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.deliveries import MOST_AT_ONCE, deliver
from broker.runtime.world import World
from broker.vault import reach
from broker.vault.credentials.credentials import Credentials
from broker.vault.farewells import store
from broker.vault.farewells.errand import Errand
from broker.vault.farewells.model import Farewell
from broker.vault.model import Connection, Tokens
from broker.vault.sealing import Sealing
from broker.vault.upstream import Unavailable, Upstream
from keys.sealed import SealError

WAITS = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0)
"""Seconds between one attempt and the next: there is one attempt more than waits."""


class Farewells:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        upstream: Upstream,
        credentials: Credentials,
        sealing: Sealing,
        estate: Callable[[], Estate],
    ) -> None:
        self._world, self._recorder, self._upstream = world, recorder, upstream
        self._credentials, self._sealing, self._estate = credentials, sealing, estate

    def queue(
        self, tx: Transaction, connection: Connection, tokens: Tokens, why: str, *, access_only: bool = False
    ) -> bool:
        """Within `tx`, which ends these tokens here: the provider is to take them back. False: it offers no way."""
        aim = reach.of(self._estate().resources.get(connection.resource_id))
        if aim is None or aim.revocation_endpoint is None:
            return False
        now, secret = self._world.clock.now(), self._secret(tx, connection.resource_id)
        for kind, token in aim.provider.revocation.of(tokens, access_only=access_only):
            identifier = self._world.entropy.identifier("bye", now)
            errand = Errand.to(aim, secret, token).written()
            sealed = self._sealing.alone(errand, _purpose(identifier, connection.tenant))
            ends = tokens.expires_at if kind == "access" else None
            farewell = Farewell(
                identifier,
                connection.tenant,
                connection.id,
                connection.resource_id,
                connection.user_id,
                why[:200],
                ends,
                sealed,
                attempts=0,
                next_at=now,
            )
            store.add(tx, farewell)
        return True

    def outlived(
        self, tx: Transaction, connection: Connection, until: float | None, why: str, origin: Origin | None
    ) -> None:
        """Within `tx`: say that a token is good at the provider until then, whatever is over here."""
        fact = Fact(
            "connection.outlived",
            tenant=connection.tenant,
            subject=connection.user_id,
            downstream=connection.resource_id,
            change={"connection": connection.id, "alive_until": moment(until), "why": why},
        )
        self._recorder.record(tx, fact, origin)

    def deliver(self) -> None:
        """The background duty: try what is due, a few of each provider. One that does not answer puts off its own."""
        now = self._world.clock.now()
        due = self._world.database.read(lambda tx: store.due(tx, now, MOST_AT_ONCE))
        deliver(self._world.clock, due, lambda farewell: farewell.resource_id, self._tried, self._put_off)

    def _put_off(self, resource_id: str, now: float) -> None:
        self._world.database.write(lambda tx: store.put_off(tx, resource_id, now, now + WAITS[0]))

    def _tried(self, farewell: Farewell) -> bool:
        """False when the provider could not be told now."""
        now = self._world.clock.now()
        if farewell.expires_at is not None and farewell.expires_at <= now:
            self._over(farewell, Reason.PROVIDER_UNAVAILABLE, "it ended by itself")
            return True
        if farewell.attempts > len(WAITS):  # whoever made the last attempt did not live to say so
            self._over(farewell, Reason.PROVIDER_UNAVAILABLE, "no answer")
            return True
        again_at = now + WAITS[min(farewell.attempts, len(WAITS) - 1)]
        if not self._world.database.write(lambda tx: store.attempt(tx, farewell, again_at)):
            return True
        last, reached = farewell.attempts == len(WAITS), True
        try:
            failed, detail = self._told(farewell)
        except Unavailable as error:
            failed, detail, reached = Reason.PROVIDER_UNAVAILABLE, str(error), False
        except SealError:  # the key that opens it may come back
            failed, detail = Reason.CONNECTION_UNREADABLE, "what is sealed cannot be opened"
        else:
            last = True
        if last:
            self._over(farewell, failed, detail)
        return reached

    def _told(self, farewell: Farewell) -> tuple[Reason | None, str]:
        """Why it never will be, None when it is; Unavailable or SealError: not this time."""
        errand = Errand.read(self._sealing.of_alone(farewell.token, _purpose(farewell.id, farewell.tenant)))
        aim, secret = reach.of(self._estate().resources.get(farewell.resource_id)), errand.secret
        if aim is None:
            aim = errand.aim(farewell.resource_id)
        else:  # a newer secret is the better one
            secret = self._world.database.read(lambda tx: self._credentials.secret(tx, farewell.resource_id))
        if aim is None:
            return Reason.RESOURCE_UNKNOWN, "the provider is unknown"
        told = self._upstream.revoke(aim, secret, errand.token)
        return None if told else Reason.PROVIDER_UNAVAILABLE, "it takes nothing back"

    def _secret(self, tx: Transaction, resource_id: str) -> str | None:
        """As far as it opens now."""
        try:
            return self._credentials.secret(tx, resource_id)
        except SealError:
            return None

    def _over(self, farewell: Farewell, failed: Reason | None, detail: str) -> None:
        fact = Fact(
            "connection.withdrawn" if failed is None else "connection.outlived",
            Outcome.ALLOWED if failed is None else Outcome.DENIED,
            failed,
            detail=None if failed is None else detail,
            tenant=farewell.tenant,
            subject=farewell.user_id,
            downstream=farewell.resource_id,
            change={
                "connection": farewell.connection_id,
                "why": farewell.why,
                **({} if failed is None else {"alive_until": moment(farewell.expires_at)}),
            },
        )

        def unit(tx: Transaction) -> None:
            if store.drop(tx, farewell.id):
                self._recorder.record(tx, fact, None)

        self._world.database.write(unit)


def moment(at: float | None) -> str:
    """As evidence has it."""
    if at is None:
        return "no end"
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _purpose(identifier: str, tenant: str) -> dict[str, str]:
    return {"farewell": identifier, "tenant": tenant}
