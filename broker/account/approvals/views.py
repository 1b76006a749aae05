"""OWASP AISVS 10.2.7: what the pages of approvals show, from the nouns that the verbs hand over."""

from collections.abc import Iterable, Mapping

from broker.account.approvals.mine import Seen
from broker.account.views import Around, Sending
from broker.control.approvals.model import Approval
from broker.control.policy.model import Policy
from broker.estate.estate import Estate
from broker.identity.clients.model import Registered
from broker.web import approval_pages, arguments, page
from broker.web.approval_pages import ApprovalLine, Asker, ExactLine, Part

_MINUTE = 60


def listed(
    around: Around,
    waiting: Iterable[Seen],
    asked: Iterable[Seen],
    answered: Iterable[Seen],
    estate: Estate,
    now: float,
) -> str:
    def lines(found: Iterable[Seen]) -> tuple[ApprovalLine, ...]:
        return tuple(_line(seen, around, estate, now) for seen in found)

    return approval_pages.approvals(
        approval_pages.ApprovalsView(
            waiting=lines(waiting), asked=lines(asked), answered=lines(answered), **around
        )
    )


def one(
    around: Around,
    seen: Seen,
    estate: Estate,
    now: float,
    form: Sending,
    *,
    part: Part,
    prove: bool,
    factor_url: str,
    over: bool,
    policies: Mapping[str, Policy],
) -> str:
    approval, question, lang = seen.approval, seen.approval.question, around["lang"]
    left = int(approval.expires_at - now)
    return approval_pages.approval(
        approval_pages.ApprovalView(
            id=approval.id,
            line=_line(seen, around, estate, now),
            resource_uri=question.resource,
            user=(_name(seen, approval.subject), approval.subject) if approval.user else None,
            through=tuple(actor.client_id for actor in question.actors),
            because=tuple((name, _says(policies.get(name))) for name in question.because),
            tool_says=question.tool_says or "",
            intent=question.intent or "",
            rows=arguments.rows(dict(question.arguments or {})),
            back=seen.back,
            forgotten=question.arguments is None,
            left=_span(left, lang) if approval.waits(now) else "",
            good_for=page.duration(approval.rule.expires, lang),
            quorum=approval.rule.quorum,
            voted=tuple(_name(seen, user_id) for user_id in seen.voted),
            part=part,
            action=form.action,
            csrf=form.csrf,
            prove=prove,
            factor_url=factor_url,
            stop=approval.grant_id is not None,
            over=over,
            answered_by=_name(seen, approval.answered_by) if approval.answered_by else "",
            answered_at=approval.answered_at,
            why=approval.why or "",
            exact=_exact(approval),
            **around,
        )
    )


def _line(seen: Seen, around: Around, estate: Estate, now: float) -> ApprovalLine:
    approval = seen.approval
    question, client = approval.question, seen.client
    resource = estate.resources.get(question.resource_id)
    tenant = estate.doors.tenants.get(approval.tenant)
    known = client is not None and client.registered is Registered.ADMIN
    alive = approval.state in ("offered", "requested", "approved") and now < approval.expires_at
    lapsed = approval.state in ("offered", "requested", "approved") and not alive
    return ApprovalLine(
        tool=question.tool,
        resource=resource.name if resource else question.resource_id,
        asker=Asker(approval.client_id, client.name or client.client_id if client else "", known),
        user=_name(seen, approval.subject) if approval.user else "",
        tenant=tenant.name if tenant else approval.tenant,
        impact=question.impact.value,
        state="expired" if lapsed else approval.state.value,
        created=approval.created_at,
        until=approval.expires_at if alive else None,
        url=f"{around['approvals']}/{approval.id}",
    )


def _says(policy: Policy | None) -> str:
    return policy.says or "" if policy else ""


def _name(seen: Seen, user_id: str) -> str:
    return seen.people.get(user_id) or user_id


def _span(seconds: int, lang: str) -> str:
    """In whole minutes, and the last one in seconds."""
    return page.duration(seconds // _MINUTE * _MINUTE if seconds >= _MINUTE else max(seconds, 1), lang)


def _exact(approval: Approval) -> tuple[ExactLine, ...]:
    found = (
        ExactLine("id", approval.id),
        ExactLine("digest", approval.digest),
        ExactLine("schema", approval.question.schema_digest or ""),
        ExactLine("txn", approval.txn or ""),
    )
    return tuple(line for line in found if line.value)
