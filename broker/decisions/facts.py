"""The record of a decision: who wanted what, for whom, and why it was answered so. Never the token."""

from collections.abc import Mapping

from broker.audit.model import Fact, Outcome
from broker.control.classes import keeps_arguments
from broker.control.model import Act, Refused, Why
from broker.decisions import rules
from broker.decisions.model import MOST_INTENT, Case
from broker.decisions.words import clean, cleaned
from broker.estate.model import Tool
from broker.protocol import json_path

_LONGEST_NAME = 200


def made(case: Case, no: Refused | None = None) -> Fact:
    """`decision.made`; `no`: why not."""
    token, act, question = case.token, case.act, case.question
    return Fact(
        "decision.made",
        Outcome.ALLOWED if no is None else Outcome.DENIED,
        None if no is None else no.why,
        detail=None if no is None or not no.detail else no.detail,
        tenant=token.tenant if token else case.caller.door.tenant,
        subject=token.subject if token else None,
        client=token.client_id if token else None,
        actors=tuple(actor.client_id for actor in token.actors) if token else (),
        resource=case.caller.resource.id,
        scope=act.tool.scopes if act else (),
        jti=token.jti if token else None,
        txn=token.txn if token else None,
        grant_id=token.grant_id if token else None,
        issuer=case.caller.door.issuer,
        tool=act.tool.name if act else cleaned(question.id, question.token)[:_LONGEST_NAME],
        intent=_said(question.intent, question.token),
        arguments_digest=case.digest,
        arguments=_kept(act, question.token) if act else None,
        decision=case.id,
        change=_change(case, no),
    )


def _change(case: Case, no: Refused | None) -> dict[str, object]:
    question, act = case.question, case.act
    tool = rules.tool_of(case.caller.resource, question)
    found: dict[str, object] = {
        "action": cleaned(question.action, question.token),
        "impact": tool.impact.value if tool else None,
        "policies": list(case.verdict.said) if case.verdict and case.verdict.said else None,
        "schema_digest": act.schema_digest if act else None,
        "request": _said(question.request_id, question.token),
    }
    if no is not None and no.why is Why.STAGE and tool is not None:
        found["needed"] = rules.needed(tool)
    return {name: value for name, value in found.items() if value is not None}


def _kept(act: Act, token: str | None) -> Mapping[str, object] | None:
    """The arguments, as far as the tool's class lets them be kept, without what its paths redact."""
    if not keeps_arguments(act.tool):
        return None
    kept = clean(_redacted(act.tool, act.arguments), token)
    return kept if isinstance(kept, Mapping) else None


def _redacted(tool: Tool, arguments: Mapping[str, object]) -> object:
    return json_path.redacted(dict(arguments), [json_path.read(path) for path in tool.redact])


def _said(text: str | None, token: str | None) -> str | None:
    return cleaned(text, token)[:MOST_INTENT] if text else None
