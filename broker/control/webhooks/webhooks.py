"""Webhooks: queued with what they tell of, sent by the worker, tried again with growing pauses, then given up."""

from collections.abc import Mapping

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.control.webhooks import rules, store
from broker.control.webhooks.model import ALERTS, Notice, Target
from broker.protocol.errors import Reason
from broker.runtime.database import Transaction
from broker.runtime.deliveries import MOST_AT_ONCE, deliver
from broker.runtime.egress import Egress, EgressFailed, EgressRefused
from broker.runtime.world import World

WAITS = (10.0, 60.0, 300.0, 1800.0, 7200.0)
"""Seconds between one attempt and the next: there is one attempt more than waits."""
_LARGEST, _SECONDS = 16 * 1024, 5.0


class Webhooks:
    """`targets` by name; for a name that is not among them nothing is queued."""

    def __init__(
        self, world: World, recorder: Recorder, egress: Egress, targets: Mapping[str, Target]
    ) -> None:
        self._world, self._recorder = world, recorder
        self._egress, self._targets = egress, targets

    def wanted(self, target: str = ALERTS) -> bool:
        """Whether anybody is told."""
        return target in self._targets

    def queue(
        self,
        tx: Transaction,
        tenant: str,
        event: str,
        data: rules.Data,
        now: float,
        target: str = ALERTS,
    ) -> None:
        """Within `tx`: tell of `event` (`noun.past`, 64 characters) once it commits. `data`: ids and numbers alone."""
        if target not in self._targets:
            return
        identifier = self._world.entropy.identifier("msg", now)
        text = rules.body(identifier, event, tenant, data, now)
        store.add(tx, Notice(identifier, tenant, target, event, text, attempts=0, next_at=now))

    def deliver(self) -> None:
        """The background duty: try what is due. A target that does not answer puts off its own."""
        now = self._world.clock.now()
        due = self._world.database.read(lambda tx: store.due(tx, now, MOST_AT_ONCE))
        deliver(self._world.clock, due, lambda notice: notice.target, self._tried, self._put_off)

    def _put_off(self, target: str, now: float) -> None:
        self._world.database.write(lambda tx: store.put_off(tx, target, now, now + WAITS[0]))

    def _tried(self, notice: Notice) -> bool:
        """False when the target could not be told now."""
        if notice.attempts > len(WAITS):  # whoever made the last attempt did not live to say so
            self._over(notice, "no answer")
            return True
        again_at = self._world.clock.now() + WAITS[min(notice.attempts, len(WAITS) - 1)]
        if not self._world.database.write(lambda tx: store.attempt(tx, notice, again_at)):
            return True
        target = self._targets.get(notice.target)
        if target is None:
            self._over(notice, "nobody is told any more")
            return True
        try:
            failed = self._sent(notice, target)
        except EgressRefused as error:  # no other attempt will come to more
            self._over(notice, str(error))
            return False
        if failed is None or notice.attempts == len(WAITS):
            self._over(notice, failed)
        return failed is None

    def _sent(self, notice: Notice, target: Target) -> str | None:
        """Why it was not taken, None when it was; EgressRefused where nothing may be sent."""
        content = notice.body.encode()
        signed = rules.headers(notice.id, content, target.secret, self._world.clock.now())
        try:
            answer = self._egress.send(
                "POST", target.url, content, signed, largest=_LARGEST, seconds=_SECONDS
            )
        except EgressFailed as error:
            return str(error)
        return None if 200 <= answer.status < 300 else f"status {answer.status}"

    def _over(self, notice: Notice, failed: str | None) -> None:
        fact = Fact(
            "webhook.delivered" if failed is None else "webhook.failed",
            Outcome.ALLOWED if failed is None else Outcome.DENIED,
            None if failed is None else Reason.WEBHOOK_UNDELIVERED,
            detail=failed,
            tenant=notice.tenant,
            change={"notice": notice.id, "event": notice.event},
        )

        def unit(tx: Transaction) -> None:
            if store.drop(tx, notice.id):
                self._recorder.record(tx, fact, None)

        self._world.database.write(unit)
