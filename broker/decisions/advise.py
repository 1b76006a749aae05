"""AuthZEN 1.0 section 7, COAZ-MCP default mappings: what would be answered. Nothing is consumed, nothing recorded."""

from broker.control.model import Refused, Why
from broker.decisions import rules
from broker.decisions.judge import Judge
from broker.decisions.model import TOOLS_LIST, Answer, Caller, Case, Malformed, Question
from broker.decisions.question import Several
from broker.estate.model import Tool
from broker.protocol.errors import OAuthError
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Advice:
    def __init__(self, world: World, judge: Judge) -> None:
        self._world, self._judge = world, judge

    def of_all(self, caller: Caller, asked: Several, origin: Origin) -> list[Answer]:
        """The answers in the order of the questions, as far as their semantic lets them be looked at."""
        answers: list[Answer] = []
        for question in asked.questions:
            answers.append(self._one_of_several(caller, question, origin))
            if asked.until is answers[-1].decision:
                break
        return answers

    def of(self, caller: Caller, question: Question, origin: Origin) -> Answer:
        """What a decision would say of it as far as token, catalogue and policy go, and whether approval is asked.

        OAuthError 403 when it is about a resource that is not the caller's.
        """
        rules.require_own(caller.resource, question)
        now = self._world.clock.now()
        case = Case("", caller, question, origin)
        try:
            if not rules.decided(question.action):
                return self.around(case, now)
            self._judge.judge(case, now, keyed=False)
            assert case.act is not None and case.verdict is not None
            if case.verdict.demand is not None:
                raise Refused(Why.APPROVAL_REQUIRED)
        except Refused as no:
            return Answer(False, {"reason": no.why.value, **no.members})
        return Answer(True, {"obligations": rules.obligations(case.act.tool)})

    def _one_of_several(self, caller: Caller, question: Question | Malformed, origin: Origin) -> Answer:
        """Section 7.2.1: what is wrong with one question is its answer."""
        if isinstance(question, Malformed):
            return Answer(False, {"error": {"status": 400, "message": str(question)}})
        try:
            return self.of(caller, question, origin)
        except OAuthError as error:
            return Answer(False, {"error": {"status": error.status, "message": error.description}})

    def around(self, case: Case, now: float) -> Answer:
        """What is not decided call by call: permitted to whoever has a live token, with the tools it may call."""
        action, resource = case.question.action, case.caller.resource
        if not rules.around(action):
            raise Refused(Why.UNKNOWN_TOOL, "method")
        token = case.token = self._judge.token(case)
        lists = action == TOOLS_LIST
        tools = self._judge.callable_tools(token, resource, now) if lists else []

        def read(tx: Transaction) -> list[Tool]:
            self._judge.person(tx, case, None, now)
            return self._judge.on(tx, resource, tools, now)

        found = self._world.database.read(read, token.tenant)
        return Answer(True, {"tools": [tool.name for tool in found]} if lists else {})
