"""What a diagnosis says of policies: whether they still fit the estate, and which make approvals needless no more."""

from collections.abc import Iterator, Sequence

from broker.admin import policy_entry
from broker.admin.doctor import Finding, checked, fail, listed, warn
from broker.control.policy import reading
from broker.control.policy.model import PolicyText, Unreadable
from broker.estate.model import Resource


def findings(texts: Sequence[PolicyText], resources: Sequence[Resource], now: float) -> list[Finding]:
    """`resources` with what is kept of their tools: a review can change what an argument is."""
    return [
        *checked("policies.fit", "Every policy fits the estate.", _fit(texts, resources)),
        *checked("policies.relaxed", "No policy that made approvals needless has ended.", _ended(texts, now)),
    ]


def _fit(texts: Sequence[PolicyText], resources: Sequence[Resource]) -> Iterator[Finding]:
    for text in texts:
        if wrong := policy_entry.faults(text, resources):
            what = f"Policies of {text.tenant} do not fit: {listed([str(fault) for fault in wrong])}."
            yield fail("policies.fit", what, "What they look at is refused: mend them, or what they look at.")


def _ended(texts: Sequence[PolicyText], now: float) -> Iterator[Finding]:
    for text in texts:
        try:
            policies = reading.read(text.text, text.tenant)
        except Unreadable:
            continue
        over = [one.id for one in policies if one.relaxes_until is not None and one.relaxes_until <= now]
        if over:
            fix = "Take them out, or have two people sign them anew, citing a report."
            yield warn("policies.relaxed", f"Approvals are asked for again: {listed(over)} ended.", fix)
