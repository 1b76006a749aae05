"""The first half of the order: token, denials, stage, tool, scope and arguments, policy. Nothing is consumed here."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from broker.control import acts
from broker.control.model import Act, Actor, Person, Refused, Why
from broker.control.policy.policies import Policies
from broker.decisions import rules
from broker.decisions.model import CALLS, MOST_INTENT, Case
from broker.decisions.schemas import Schemas
from broker.decisions.words import cleaned
from broker.denials import live as denials
from broker.denials.model import Kind, Target
from broker.estate import rules as estate_rules
from broker.estate.estate import Estate
from broker.estate.model import Resource, Tool
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.identity.users.people import People
from broker.protocol import details
from broker.protocol.errors import Reason
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.tokens import live
from broker.tokens.standing import Standings, foreign, over, own_work
from broker.tokens.verified import OwnTokens


class Judge:
    def __init__(
        self,
        world: World,
        estate: Callable[[], Estate],
        tokens: OwnTokens,
        standings: Standings,
        people: People,
        policies: Policies,
    ) -> None:
        self._world, self._estate = world, estate
        self._tokens, self._standings, self._people = tokens, standings, people
        self._policies, self._schemas = policies, Schemas()

    def judge(self, case: Case, now: float, *, keyed: bool) -> None:
        """Fill the case in as far as it goes; Refused by the first that says no. `keyed`: a key is asked for."""
        token = case.token = self.token(case)
        tool = self._asked(case, token)
        person = self._world.database.read(lambda tx: self.person(tx, case, tool, now), token.tenant)
        self._weigh(case, token, tool, person, now, keyed=keyed)

    def hold(self, tx: Transaction, case: Case, now: float) -> None:
        """Within the decision's transaction: what was judged has to be what is there at its end; Refused.

        Who the act is for, the estate or the policies may be others by now: then it is judged anew.
        """
        token, act, before = case.token, case.act, case.caller.resource
        assert token is not None and act is not None
        resource = self._estate().of_client(case.caller.client.client_id)
        if resource is None or token.audience != resource.uri or not resource.serves(token.tenant):
            raise Refused(Why.TOKEN_INVALID, "audience")
        case.caller = replace(case.caller, resource=resource)
        tool = act.tool if resource is before else self._asked(case, token)
        person = self.person(tx, case, tool, now, hold=True)
        same = resource is before and self._policies.rules(token.tenant) is case.policies
        if not same or person != act.subject:
            self._weigh(case, token, tool, person, now, keyed=True)

    def _asked(self, case: Case, token: VerifiedToken) -> Tool | None:
        tool = rules.tool_of(case.caller.resource, case.question)
        case.digest = _digest(case, token, tool, rules.arguments_of(case.question))
        return tool

    def _weigh(
        self, case: Case, token: VerifiedToken, tool: Tool | None, person: Person, now: float, *, keyed: bool
    ) -> None:
        act = self._act(case, token, tool, rules.arguments_of(case.question), person, now, keyed=keyed)
        case.act, case.policies = act, self._policies.rules(token.tenant)
        case.verdict = self._policies.judge(act, now, CALLS[case.question.action].policy)
        if not case.verdict.permit:
            raise Refused(Why.POLICY_DENIED, case.verdict.error or " ".join(case.verdict.because)[:300])

    def token(self, case: Case) -> VerifiedToken:
        """The token, which is of this door, for the caller's resource and of the subject; Refused."""
        question, resource = case.question, case.caller.resource
        if question.token is None:
            raise Refused(Why.TOKEN_INVALID, "no token")
        try:
            token = self._tokens.verify(question.token, case.caller.door)
        except TokenRefused as refused:
            raise Refused(Why.TOKEN_INVALID, refused.reason) from None
        if token.audience != resource.uri:
            raise Refused(Why.TOKEN_INVALID, "audience")
        if not resource.serves(token.tenant):
            raise Refused(Why.TOKEN_INVALID, "tenant")
        if question.subject not in (None, token.subject):
            raise Refused(Why.TOKEN_INVALID, "subject")
        return token

    def person(
        self, tx: Transaction, case: Case, tool: Tool | None, now: float, *, hold: bool = False
    ) -> Person:
        """Whom the token is of, all that it depends on being live in this transaction (law 6); Refused.

        `hold`: the sign-in behind it cannot be ended before the transaction is over.
        """
        token = case.token
        assert token is not None
        estate, resource = self._estate(), case.caller.resource
        targets = [
            Target(Kind.CLIENT, case.caller.client.client_id),
            *live.of_token(token),
            *live.of_chain(token, estate),
            *rules.targets(resource, tool),
        ]
        standing = self._standings.of(tx, token, targets, now, hold=hold)
        if standing.off is not None:
            raise _off(tx, standing.off, now)
        if live.missing(token, estate, now) is not None:
            raise Refused(Why.TOKEN_INVALID, Reason.EDGE_ENDED.value)
        gone = over(token, standing)
        if gone is not None:
            raise Refused(Why.TOKEN_INVALID, gone.value)
        return self._as_its_tenant_knows(tx, token)

    def _as_its_tenant_knows(self, tx: Transaction, token: VerifiedToken) -> Person:
        if own_work(token) or foreign(token):
            return Person(token.subject, user=foreign(token), account=False)
        user = self._people.within(tx, token.subject)
        memberships = user.memberships if user else ()
        here = next((found for found in memberships if found.tenant == token.tenant), None)
        if here is None:
            raise Refused(Why.TOKEN_INVALID, Reason.NOT_A_MEMBER.value)
        return Person(token.subject, True, here.roles, here.attributes)

    def _act(
        self,
        case: Case,
        token: VerifiedToken,
        found: Tool | None,
        arguments: Mapping[str, object] | None,
        person: Person,
        now: float,
        *,
        keyed: bool,
    ) -> Act:
        resource, question = case.caller.resource, case.question
        rules.require_stage(resource, found)
        tool = rules.require_tool(found, question)
        rules.require_scope(resource, tool, token, now)
        if arguments is None:
            raise Refused(Why.INVALID_ARGUMENTS, "no object", errors=[_NO_OBJECT])
        rules.require_normal(question)
        self._require_arguments(tool, arguments)
        rules.require_kept(tool, arguments)
        rules.require_details(resource, tool, token, arguments)
        if keyed:
            rules.require_key(tool, question)
        assert case.digest is not None
        return _assembled(case, case.digest, token, resource, tool, arguments, person)

    def _require_arguments(self, tool: Tool, arguments: Mapping[str, object]) -> None:
        try:
            faults = self._schemas.faults(tool, arguments)
        except ValueError as error:
            raise Refused(Why.TOOL_CHANGED, f"schema: {error}"[:300]) from None
        if faults:
            said = " ".join(f"{fault['pointer']}:{fault['keyword']}" for fault in faults)
            raise Refused(Why.INVALID_ARGUMENTS, said[:300], errors=faults)

    def callable_tools(self, token: VerifiedToken, resource: Resource, now: float) -> list[Tool]:
        """The tools that the token may call, as far as definition, stage (but `baseline`), scope and details go."""
        found = []
        for tool in estate_rules.callable_tools(resource).values():
            narrow = token.details is not None and tool.name not in details.tools(token.details)
            if not tool.changed and not narrow and rules.enough_scope(resource, tool, token, now):
                found.append(tool)
        return found

    def on(self, tx: Transaction, resource: Resource, tools: list[Tool], now: float) -> list[Tool]:
        """Those that are not switched off, and whose family is not."""
        off = denials.all_off(tx, [target for tool in tools for target in rules.targets(resource, tool)], now)
        return [tool for tool in tools if off.isdisjoint(rules.targets(resource, tool))]


_NO_OBJECT = {"pointer": "/arguments", "keyword": "type"}


def _off(tx: Transaction, off: Target, now: float) -> Refused:
    """What was revoked or deleted makes the token worth nothing; what was switched off can be switched on again.

    Who a user is stands in no record's text.
    """
    detail = off.kind.value if off.kind is Kind.USER else f"{off.kind.value} {off.id}"
    if denials.ended(tx, off, now):
        return Refused(Why.TOKEN_INVALID, f"revoked: {detail}")
    return Refused(Why.SWITCHED_OFF, detail, kind=off.kind.value)


def _digest(
    case: Case, token: VerifiedToken, tool: Tool | None, arguments: Mapping[str, object] | None
) -> str | None:
    if arguments is None:
        return None
    question, bound = case.question, token.claims.get("cnf")
    return acts.digest(
        subject=token.subject,
        tenant=token.tenant,
        client_id=token.client_id,
        actors=_actors(token),
        confirmation=bound if isinstance(bound, dict) else None,
        resource=case.caller.resource.uri,
        tool=tool.name if tool else question.id,
        schema_digest=question.schema_digest or (tool.digest if tool else None),
        arguments=arguments,
    )


def _assembled(
    case: Case,
    digest: str,
    token: VerifiedToken,
    resource: Resource,
    tool: Tool,
    arguments: Mapping[str, object],
    person: Person,
) -> Act:
    said = case.question.intent
    bound, held, since = (token.claims.get(name) for name in ("cnf", "acr", "auth_time"))
    return Act(
        digest=digest,
        issuer=token.issuer,
        tenant=token.tenant,
        subject=person,
        client_id=token.client_id,
        actors=_actors(token),
        confirmation=bound if isinstance(bound, dict) else None,
        resource=resource,
        tool=tool,
        schema_digest=case.question.schema_digest or tool.digest,
        arguments=arguments,
        scopes=token.scopes,
        jti=token.jti,
        txn=token.txn,
        grant_id=token.grant_id,
        expires_at=token.expires_at,
        acr=held if isinstance(held, str) else None,
        auth_time=float(since) if isinstance(since, (int, float)) else None,
        intent=cleaned(said, case.question.token)[:MOST_INTENT] if said else None,
    )


def _actors(token: VerifiedToken) -> tuple[Actor, ...]:
    return tuple(Actor(actor.iss, actor.sub, actor.client_id) for actor in token.actors)
