"""MCP security best practices (confused deputy), RFC 9207: a person allows one client one resource, or does not."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.authorization import details, rules
from broker.authorization.authorize import back
from broker.authorization.choices.choices import Choices
from broker.authorization.device.devices import Devices
from broker.authorization.giving import Giving
from broker.authorization.interaction import Interactions, unknown
from broker.authorization.model import AuthorizationRequest, Grant, Leave
from broker.authorization.question import Question, Questions
from broker.authorization.wishes import unmet
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import OFFLINE_ACCESS, OPENID
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


@dataclass(frozen=True, slots=True)
class Answer:
    """What the form said. `scopes` are the ticked boxes; `tenant` the choice, None where nothing was chosen."""

    allow: bool
    scopes: frozenset[str]
    tenant: str | None


class Incomplete(Exception):
    """An answer that cannot stand; `field` says what to look at again."""

    def __init__(self, field: Literal["changed", "tenant", "scope"]) -> None:
        super().__init__(field)
        self.field = field


class Consent:
    """`reachable`: the strongest class of sign-in for which a user has what it takes."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        interactions: Interactions,
        sessions: Sessions,
        questions: Questions,
        giving: Giving,
        devices: Devices,
        choices: Choices,
        reachable: Callable[[str], str | None],
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._interactions, self._questions, self._giving = interactions, questions, giving
        self._sessions, self._reachable = sessions, reachable
        self._devices, self._choices = devices, choices

    def visit(
        self,
        door: Door,
        request: AuthorizationRequest,
        cookie: str,
        session: Session | None,
        origin: Origin,
        *,
        answering: bool = False,
    ) -> Question | Leave | None:
        """What comes next for this browser: a question, the way back to the client, or (None) signing in.

        `answering`: the person is about to answer, so nothing is decided for them from what they allowed before.
        OAuthError, never redirectable, when nothing can come next.
        """
        question = None
        try:
            question = self._question(door, request, session)
            if question is None or session is None:
                return None
            tenant = question.settled
            before = rules.covering(
                request, question.standing, question.reach(tenant), tenant, question.resource
            )
            if before is not None and not answering and rules.remembered(request, question.client):
                return self._repeat(door, question, cookie, session, before, origin)
            if "none" in request.prompt:
                error = "consent_required" if before is None else "interaction_required"
                raise OAuthError(error, "The user has to be asked.", Reason.CONSENT_REQUIRED)
        except OAuthError as error:
            known = question is not None and bool(question.standing)
            leave = self._back(door, request, session, error, origin)
            return leave if known else replace(leave, unchecked=self._questions.unchecked(door, request))
        return question

    def decide(
        self, door: Door, shown: Question, cookie: str, session: Session, answer: Answer, origin: Origin
    ) -> Leave:
        """Claim the request once, record the answer, and leave for the client with a code or an error.

        `Incomplete` when the form can be corrected and sent again.
        """
        try:
            return self._world.database.write(
                lambda tx: self._decide(tx, door, shown, cookie, session, answer, origin), door.tenant
            )
        except OAuthError as error:
            return self._back(door, shown.request, session, error, origin)

    def _repeat(
        self, door: Door, shown: Question, cookie: str, session: Session, before: Grant, origin: Origin
    ) -> Leave:
        def unit(tx: Transaction) -> Leave:
            request = self._interactions.claim(tx, shown.request.id, cookie)
            if not self._sessions.goes_on(tx, session):
                raise unknown()
            if self._questions.ask(tx, door, request, session).fingerprint != shown.fingerprint:
                raise unknown()
            return self._giving.again(tx.inside(before.tenant), shown, session, before, origin)

        return self._world.database.write(unit, door.tenant)

    def _question(
        self, door: Door, request: AuthorizationRequest, session: Session | None
    ) -> Question | None:
        """None when the person has to sign in first."""
        wanted = rules.demand(request)
        reachable = self._reachable(session.user_id) if session is not None and wanted.acr else None

        def read(tx: Transaction) -> Question | None:
            if session is None or self._questions.stranger(tx, door, session):
                return None
            if not wanted.met_by(session):
                if rules.out_of_reach(wanted, session, reachable):
                    raise unmet("The user has no way to sign in that is strong enough.")
                return None
            return self._questions.ask(tx, door, request, session)

        question = self._world.database.read(read, door.tenant)
        if question is None and "none" in request.prompt:
            raise OAuthError("login_required", "The user is not signed in.", Reason.LOGIN_REQUIRED)
        return question

    def _decide(
        self,
        tx: Transaction,
        door: Door,
        shown: Question,
        cookie: str,
        session: Session,
        answer: Answer,
        origin: Origin,
    ) -> Leave:
        request = self._interactions.claim(tx, shown.request.id, cookie)
        if not self._sessions.goes_on(tx, session):
            raise Incomplete("changed")  # who comes back with it has to sign in
        if not answer.allow:
            self._recorder.record(
                tx, _refusal("consent.denied", door, request, session, Reason.USER_DENIED), origin
            )
            if request.extends:
                return Leave("", ())
            if request.device:
                self._devices.deny(tx, request.device, session, origin)
                return Leave("", (), device="refused")
            where = (door.issuer, request.redirect_uri, request.state)
            return back(*where, "access_denied", "The user refused.", request.response_mode)
        question = self._questions.ask(tx, door, request, session)
        if question.fingerprint != shown.fingerprint:
            raise Incomplete("changed")
        if request.extends:
            return self._giving.wider(tx, request.extends, session, origin)
        several = len(question.tenants) > 1
        tenant = (answer.tenant or question.settled) if several else question.settled
        if tenant is None or tenant not in question.tenants:
            raise Incomplete("tenant")
        allowed = tuple(s for s in request.scopes if s in question.required or s in answer.scopes)
        calls, allowed = details.left(question.resource, request.details, allowed)
        if not allowed or (request.details and not calls):
            raise Incomplete("scope")
        identity = tuple(s for s in request.identity if s == OPENID or s in answer.scopes)
        offline = request.offline and OFFLINE_ACCESS in answer.scopes
        if several:
            self._choices.remember(tx, session.user_id, question.client.client_id, tenant, origin)
        return self._giving.first(tx.inside(tenant), question, session, allowed, identity, offline, origin)

    def _back(
        self,
        door: Door,
        request: AuthorizationRequest,
        session: Session | None,
        error: OAuthError,
        origin: Origin,
    ) -> Leave:
        """Record why it came to nothing; to the client if it may know, else the error itself."""
        fact = _refusal("authorization.refused", door, request, session, error.reason)
        self._refusals.record(fact, origin, known=session is not None)
        if not error.redirectable or not request.redirect_uri:
            raise error
        where = (door.issuer, request.redirect_uri, request.state)
        return back(*where, error.error, error.description, request.response_mode)


def _refusal(
    name: str, door: Door, request: AuthorizationRequest, session: Session | None, reason: Reason
) -> Fact:
    return Fact(
        name,
        Outcome.DENIED,
        reason,
        tenant=door.tenant,
        subject=session.user_id if session else None,
        client=request.client_id,
        resource=request.resource_id,
        scope=request.scopes,
    )
