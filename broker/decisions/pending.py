"""Stands in until the rooms of control are wired."""

from typing import Any

from broker.control import classes
from broker.control.model import Act, Demand, Verdict


class Policies:
    def judge(self, act: Act, now: float) -> Verdict:
        rule = classes.rule(act.tool, user=act.subject.user)
        return Verdict(True, (), None if rule is None else Demand(rule, ()))


class Budgets:
    def enter(self, act: Act, decision_id: str, now: float) -> Any:
        return None

    def back(self, entered: Any) -> None:
        pass

    def spend(self, tx: Any, act: Act, now: float) -> None:
        pass

    def left(self, decision_id: str, call: Any) -> None:
        pass


class Approvals:
    def spend(self, *_: Any) -> Any:
        return None

    def offer(self, *_: Any) -> Any:
        return None
