"""All policies that one tenant is judged by, parsed once, and how they are weighed; pure."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache

import cedarpy

from broker.control.policy.model import OBTAIN, Policy, Weighed
from broker.control.policy.question import Question

_FAILED = re.compile(r"error while evaluating policy `([^`]*)`")
_ONCE = frozenset({"now", "auth_age", "arguments"})
"""What makes a question one of a moment, or one that holds what people wrote: its answer is not kept."""
_KEPT = 4096
Answer = tuple[bool, tuple[str, ...], str | None]
"""Whether it is allowed, the ids of the policies that decided that, and what went wrong."""


class Rules:
    """`error`: why they cannot be used, and everything is refused."""

    def __init__(self, policies: Iterable[Policy], error: str | None = None) -> None:
        self.policies = {policy.id: policy for policy in policies}
        self.error = error
        self.on_mint = self.own(OBTAIN)
        self._looks: dict[tuple[str, ...], frozenset[str]] = {}
        whole = {name: policy.document for name, policy in self.policies.items()}
        self._set = cedarpy.PolicySet.from_json_str(
            json.dumps({"staticPolicies": whole, "templates": {}, "templateLinks": []})
        )
        self._kept = lru_cache(maxsize=_KEPT)(self._answered)

    def own(self, *actions: str) -> bool:
        """Whether any of them but the built-in ones can say something of such an action."""
        return self.error is not None or any(
            policy.about(*actions) for policy in self.policies.values() if not policy.built_in
        )

    def looks(self, *actions: str) -> frozenset[str]:
        """What of the context they look at, for such an action: nothing else needs to be said, and costs its time."""
        found = self._looks.get(actions)
        if found is None:
            looking = [policy.looks for policy in self.policies.values() if policy.about(*actions)]
            found = self._looks[actions] = frozenset().union(*looking)
        return found

    def weigh(self, question: Question, now: float) -> Weighed:
        """Asked as though nobody had allowed it; and again as though somebody had, where only that is missing."""
        if self.error is not None:
            return Weighed(error=self.error)
        allowed, because, error = self._asked(question, approved=False)
        asks = tuple(name for name in because if not allowed and self.policies[name].asks)
        if asks and len(asks) == len(because) and error is None:
            allowed, because, error = self._asked(question, approved=True)
        if error is not None:
            return Weighed(error=error)
        if not allowed:
            final = tuple(name for name in because if name not in asks)
            return Weighed(forbids=final or because)
        relaxing = {
            name: until for name in because if (until := self.policies[name].relaxes_until) is not None
        }
        needless = {name for name in asks if self.policies[name].built_in}
        relaxed = tuple(name for name, until in relaxing.items() if needless and now < until)
        return Weighed(
            tuple(name for name in because if name not in relaxing),
            asks=tuple(name for name in asks if not (relaxed and name in needless)),
            relaxed=relaxed,
        )

    def _asked(self, question: Question, *, approved: bool) -> Answer:
        """The same question has the same answer while the policies stand, and these are of one version."""
        request = json.dumps(
            {
                "principal": question.principal,
                "action": question.action,
                "resource": question.resource,
                "context": {**question.context, "approved": approved},
            }
        )
        ask = self._answered if _ONCE & question.context.keys() else self._kept
        return ask(request, question.entities)

    def _answered(self, request: str, entities: str) -> Answer:
        answer = cedarpy.is_authorized(json.loads(request), self._set, _read(entities))
        errors = answer.diagnostics.errors
        if errors or answer.decision is cedarpy.Decision.NoDecision:
            failed = sorted({found[1] for error in errors if (found := _FAILED.search(error))})
            return False, (), f"failed: {', '.join(failed)}" if failed else "the question cannot be asked"
        return answer.allowed, tuple(sorted(answer.diagnostics.reasons)), None


def both(one: Weighed, other: Weighed) -> Weighed:
    """Of two that permit: what either says."""
    return Weighed(
        tuple(dict.fromkeys((*one.permits, *other.permits))),
        asks=tuple(dict.fromkeys((*one.asks, *other.asks))),
        relaxed=tuple(dict.fromkeys((*one.relaxed, *other.relaxed))),
    )


@lru_cache(maxsize=1024)
def _read(entities: str) -> cedarpy.Entities:
    """Who asks about what comes again and again, and reading it is half of an evaluation. ValueError."""
    return cedarpy.Entities.from_json_str(entities)
