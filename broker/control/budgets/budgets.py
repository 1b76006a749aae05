"""The verbs that decisions call: enter (rates, calls at once, repeats), back, spend (the day's budgets), left."""

from collections.abc import Callable, Iterable

from broker.control.budgets import rules, store
from broker.control.budgets.alerts import Alerts
from broker.control.budgets.model import Bound, Budget, Call, Entered, Lease
from broker.control.model import Act, Refused, Why
from broker.runtime.database import Transaction
from broker.runtime.world import World

_REPEATS = "repeats"


class Budgets:
    """`configured`: what administrators set, read before and within units of work alike.

    `repeats`: how often one exact act may happen under one `txn`.
    """

    def __init__(
        self, world: World, configured: Callable[[], Iterable[Budget]], alerts: Alerts, repeats: int
    ) -> None:
        self._ephemeral, self._configured = world.ephemeral, configured
        self._alerts, self._repeats = alerts, repeats

    def enter(self, act: Act, decision_id: str, now: float) -> Entered:
        """Before the transaction, as it may wait for Redis: take what the call takes of rates, places and repeats.

        Refused (RATE_LIMITED) with `retry_after` (whole seconds) and `limit` (which kind), and then nothing was taken.
        The places are held under `decision_id` until `left`, or the resource's `isolation.timeout` later.
        """
        bounds = rules.applied(Call.of(act), self._configured())
        rates = rules.rates(bounds)
        refused = self._ephemeral.take(rates, now) if rates else None
        if refused is not None:
            raise _limited(refused.bucket.bucket, refused.seconds)
        entered = Entered(decision_id, rates)
        for lease in rules.leases(bounds, act.resource.isolation):
            if not self._ephemeral.lease(
                lease.bucket, lease.key, decision_id, lease.most, lease.seconds, now
            ):
                self.back(entered)
                raise _limited(lease.bucket, 1)
            entered = Entered(decision_id, rates, (*entered.leases, lease))
        again = f"{act.tenant}|{act.txn or act.jti}|{act.digest}"
        hits = self._ephemeral.hit(_REPEATS, again, rules.TXN_SECONDS, now)
        entered = Entered(decision_id, rates, entered.leases, again)
        if hits.count > self._repeats:
            self.back(entered)
            raise _limited("repeated", hits.ends_in)
        return entered

    def back(self, entered: Entered) -> None:
        """Outside of transactions: the act was refused for another reason, so all that it took is given back."""
        if entered.rates:
            self._ephemeral.give_back(entered.rates)
        self._release(entered.holder, entered.leases)
        if entered.repeats is not None:
            self._ephemeral.forgive(_REPEATS, entered.repeats)

    def spend(self, tx: Transaction, act: Act, now: float) -> None:
        """Within the decision's transaction, whose end without a commit gives it back: what the day's budgets lose.

        Refused (BUDGET_EXHAUSTED) with `retry_after` (seconds until the next day, UTC) and `limit`. No statement where
        no budget is for the call.
        """
        cost, day = rules.cost(act.tool), rules.day(now)
        for bound in rules.daily(rules.applied(Call.of(act), self._configured())):
            spent = store.spend(tx, act.tenant, bound, day, cost)
            if spent is None:
                raise _exhausted(bound, now)
            self._alerts.spent(tx, bound, spent, cost, now)

    def correct(self, tx: Transaction, call: Call, made_at: float, cost: float, now: float) -> None:
        """Within a transaction: the call, let through at `made_at`, cost this much and not what was spent for it."""
        assert call.tool is not None
        more, day = cost - rules.cost(call.tool), rules.day(made_at)
        for bound in rules.daily(rules.applied(call, self._configured())) if more else ():
            spent = store.correct(tx, call.tenant, bound, day, more)
            if spent is not None:
                self._alerts.spent(tx, bound, spent, more, now, calls=0)

    def require_left(self, tx: Transaction, call: Call, now: float) -> None:
        """Within a transaction that spends nothing, as it only makes a token: whether anything is left of the day's
        budgets. Refused (BUDGET_EXHAUSTED) as `spend`; no statement where no budget is for it."""
        day = rules.day(now)
        for bound in rules.daily(rules.applied(call, self._configured())):
            spent = store.spent_of(tx, call.tenant, bound, day)
            if rules.is_spent(bound, spent):
                raise _exhausted(bound, now)

    def left(self, decision_id: str, call: Call) -> None:
        """Outside of transactions: the outcome came, so the call's places are free. `call` as it was decided."""
        bounds = rules.applied(call, self._configured())
        self._release(decision_id, rules.leases(bounds, call.resource.isolation))

    def _release(self, holder: str, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._ephemeral.release(lease.bucket, lease.key, holder)


def _exhausted(bound: Bound, now: float) -> Refused:
    """Whose it is stands in no detail, which nobody can erase."""
    until = rules.until_tomorrow(now)
    return Refused(Why.BUDGET_EXHAUSTED, bound.level, retry_after=until, limit=bound.level)


def _limited(limit: str, seconds: float) -> Refused:
    return Refused(Why.RATE_LIMITED, limit, retry_after=int(seconds) + 1, limit=limit)
