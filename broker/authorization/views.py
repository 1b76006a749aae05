"""OAuth 2.1 section 7.9: what the pages of the front channel show, from the nouns that the verbs hand over."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from broker.authorization import details
from broker.authorization.model import AuthorizationRequest, Details, Grant
from broker.authorization.question import Question
from broker.estate import rules as estate_rules
from broker.estate.estate import Estate
from broker.estate.model import Impact, Reached, Resource
from broker.identity.clients.documents.rules import client_host, elsewhere, only_local
from broker.identity.clients.model import Registered
from broker.protocol import details as rich
from broker.protocol import redirect_uri
from broker.protocol.names import OPENID
from broker.web import pages, texts
from broker.web.calls import CallLine, argument
from broker.web.device_pages import DeviceNotice
from broker.web.page import duration

Group = Literal["read", "change", "other"]
_CHANGES = (Impact.REVERSIBLE_WRITE, Impact.EXTERNAL_WRITE)
_FORM_ACTION = {"web": "https: http:", "loopback": "http: https:"}
_ORIGINS: dict[Registered, Literal["dynamic", "document"]] = {
    Registered.DYNAMIC: "dynamic",
    Registered.DOCUMENT: "document",
}


def form_action(asked: AuthorizationRequest) -> str:
    """Where a form of this request may lead. A client may redirect on, so the scheme is as close as it gets."""
    return leads_to(asked.redirect_uri)


def leads_to(uri: str) -> str:
    """The same for the address of any client."""
    if not uri:
        return ""
    destination = redirect_uri.destination(uri)
    return _FORM_ACTION.get(destination.kind, f"{destination.host}: https:")


def consent(
    question: Question,
    estate: Estate,
    *,
    action: str,
    account: str,
    other_account: str,
    other_tenant: str,
    csrf: str,
    stays: float,
    wrong: str | None,
    lang: str,
) -> str:
    """The consent page: who asks, where credentials go, for what, for how long, and what lies behind it.

    `other_tenant`: where a person chooses anew who chose before; empty on the page where they do.
    """
    request, resource, device = question.request, question.resource, question.device
    destination = redirect_uri.destination(request.redirect_uri or resource.uri)
    names = {tenant: estate.doors.tenants[tenant].name for tenant in question.tenants}
    several = len(question.tenants) > 1
    choosing = several and (question.remembered is None or not other_tenant)
    standing = () if only_local(question.client) else question.standing
    before = standing[0] if standing else None
    return pages.consent(
        pages.ConsentView(
            action=action,
            csrf=csrf,
            request=request.id,
            client_id=question.client.client_id,
            client_name=question.client.name,
            client_origin=_ORIGINS.get(question.client.registered, "admin"),
            client_host=client_host(question.client),
            elsewhere=bool(request.redirect_uri) and elsewhere(question.client, destination.host),
            only_local=only_local(question.client),
            destination_kind=destination.kind,
            destination_host=destination.host,
            user_name=question.user.name,
            user_id=question.user.id,
            tenant_name=None if choosing else names[question.settled or ""],
            tenants=tuple(names.items()) if choosing else (),
            chosen_tenant=question.remembered,
            other_tenant_url=other_tenant if several and not choosing else None,
            resource_name=resource.name,
            resource_uri=resource.uri,
            only_who=resource.door is not None,
            scopes=scope_lines(question, standing, lang),
            offline=request.offline,
            stays=duration(int(stays), lang),
            downstream=_systems(question),
            duration=duration(resource.lifetime, lang),
            allowed_on=_date(before.created_at) if before else None,
            calls=call_lines(resource, request.details),
            device=DeviceNotice(device.user_code, device.begun_at, device.source, device.agent or "")
            if device
            else None,
            account_url=account,
            other_account_url=other_account,
            error=_wrong(wrong, lang),
            lang=lang,
        )
    )


def scope_lines(question: Question, standing: Sequence[Grant], lang: str) -> tuple[pages.ScopeLine, ...]:
    described = {scope.name: scope.description for scope in question.resource.scopes}
    allowed = [
        (grant, estate_rules.expanded(question.resource, grant.scopes))
        for grant in standing
        if details.covered(grant.details, question.request)
    ]
    already = {scope for grant, implied in allowed for scope in (*grant.scopes, *implied, *grant.identity)}
    who = tuple(
        pages.ScopeLine(
            name,
            texts.say(f"consent.identity.{name}", lang),
            "identity",
            optional=name != OPENID,
            already=name in already,
        )
        for name in question.request.identity
    )
    return who + tuple(
        pages.ScopeLine(
            name,
            described.get(name) or name,
            _group(question.resource, name),
            optional=name not in question.required,
            already=name in already,
        )
        for name in question.request.scopes
        if name not in question.request.identity
    )


def call_lines(resource: Resource, asked: Sequence[Details]) -> tuple[CallLine, ...]:
    impacts = {tool.name: tool.impact for tool in resource.tools}
    return tuple(
        CallLine(
            call.tool,
            impacts.get(call.tool, Impact.EXTERNAL_WRITE).value,
            None
            if call.arguments is None
            else tuple(argument(name, found.members()) for name, found in sorted(call.arguments.items())),
        )
        for detail in rich.stored(asked)
        for call in detail.calls
    )


def _group(resource: Resource, scope: str) -> Group:
    impact = estate_rules.impact_of(resource, scope)
    if impact is None:
        return "other"
    return "change" if impact in _CHANGES else "read"


def _systems(question: Question) -> tuple[pages.DownstreamLine, ...]:
    """Each system once, whatever number of servers reach it."""
    found: dict[str, list[Reached]] = {}
    for reached in question.downstream:
        found.setdefault(reached.target.id, []).append(reached)
    return tuple(
        pages.DownstreamLine(
            ways[0].target.name,
            ways[0].target.uri,
            _descriptions(ways[0].target, tuple(dict.fromkeys(name for way in ways for name in way.scopes))),
            tuple(way.source.name for way in ways)
            if any(way.source.id != question.resource.id for way in ways)
            else (),
        )
        for _, ways in sorted(found.items())
    )


def _descriptions(resource: Resource, scopes: tuple[str, ...]) -> tuple[str, ...]:
    described = {scope.name: scope.description for scope in resource.scopes}
    return tuple(described.get(name) or name for name in scopes)


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %B %Y")


def _wrong(field: str | None, lang: str) -> str | None:
    return None if field is None else texts.say(f"consent.error.{field}", lang)
