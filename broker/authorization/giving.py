"""RFC 6749 section 4.1.2, RFC 9207: what a yes leaves behind: a grant, its record, and a code for the client."""

from collections.abc import Callable
from dataclasses import replace

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.authorization import codes, details, rules, store
from broker.authorization.device.devices import Devices
from broker.authorization.grants import Grants
from broker.authorization.interaction import unknown
from broker.authorization.model import AuthorizationRequest, Grant, Leave
from broker.authorization.question import Question
from broker.estate.calls import PARAMETER
from broker.estate.estate import Estate
from broker.identity.clients.documents.rules import digest
from broker.identity.sessions.model import Session
from broker.protocol import details as rich
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Giving:
    """Lifetimes in seconds. Every verb works within a transaction behind the wall of the grant's tenant."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        grants: Grants,
        estate: Callable[[], Estate],
        devices: Devices,
        code_lifetime: float,
        grant_lifetime: float,
    ) -> None:
        self._world, self._recorder, self._grants, self._estate = world, recorder, grants, estate
        self._devices = devices
        self._code_lifetime, self.grant_lifetime = code_lifetime, grant_lifetime

    def first(
        self,
        tx: Transaction,
        question: Question,
        session: Session,
        allowed: tuple[str, ...],
        identity: tuple[str, ...],
        offline: bool,
        origin: Origin,
    ) -> Leave:
        """A new consent for the scopes that were left ticked."""
        assert tx.tenant is not None
        now = self._world.clock.now()
        identifier = self._world.entropy.identifier("gra", now)
        grant = Grant(
            id=identifier,
            consent_id=identifier,
            tenant=tx.tenant,
            user_id=session.user_id,
            client_id=question.client.client_id,
            door=question.request.door,
            resource_id=question.resource.id,
            scopes=allowed,
            offline=offline,
            downstream=self._reach(question.resource.id, allowed, tx.tenant),
            auth_time=session.auth_time,
            dated=session.dated,
            acr=session.acr,
            amr=session.amr,
            created_at=now,
            expires_at=now + self.grant_lifetime,
            client_digest=digest(question.client),
            identity=identity,
            details=details.left(question.resource, question.request.details, allowed)[0],
            sid=session.sid,
        )
        store.add_grant(tx, grant)
        self._record(tx, "consent.granted", grant, origin, session)
        return self._leave(tx, question.request, grant, origin)

    def again(
        self, tx: Transaction, question: Question, session: Session, before: Grant, origin: Origin
    ) -> Leave:
        """A grant under an earlier consent: no wider, and it ends when that one does.

        The one that is there already, where nothing about it would differ and no line of refresh tokens begins.
        """
        now = self._world.clock.now()
        grant = replace(
            before,
            id=self._world.entropy.identifier("gra", now),
            scopes=question.request.scopes,
            offline=question.request.offline,
            downstream=question.reach(before.tenant),
            auth_time=session.auth_time,
            dated=session.dated,
            acr=session.acr,
            amr=session.amr,
            created_at=now,
            identity=question.request.identity,
            details=question.request.details,
            sid=session.sid,
            last_used_at=None,
        )
        same = next((one for one in question.standing if rules.repeats(grant, one)), None)
        if self._grants.ended(tx, before.id) or (same and self._grants.ended(tx, same.id)):
            raise unknown()
        if same is None:
            store.add_grant(tx, grant)
        return self._leave(tx, question.request, same or grant, origin)

    def wider(self, tx: Transaction, grant_id: str, session: Session, origin: Origin) -> Leave:
        """The same grant, reaching everything that edges lead to by now."""
        grant = self._grants.within(tx, grant_id)
        assert grant is not None
        grant = replace(grant, downstream=self._reach(grant.resource_id, grant.scopes, grant.tenant))
        store.widen(tx, grant.id, grant.downstream)
        self._record(tx, "consent.granted", grant, origin, session)
        return Leave("", (), extended=True)

    def _reach(self, resource_id: str, scopes: tuple[str, ...], tenant: str) -> dict[str, tuple[str, ...]]:
        estate = self._estate()
        resource = estate.resources.get(resource_id)  # from a door's own, no edge leads on
        reachable = estate.reachable(resource, scopes, tenant, self._world.clock.now()) if resource else []
        return {reached.along: reached.scopes for reached in reachable}

    def _leave(self, tx: Transaction, request: AuthorizationRequest, grant: Grant, origin: Origin) -> Leave:
        if request.device:
            self._devices.approve(tx, request.device, grant, origin)
            return Leave("", (), device="connected")
        expires_at = self._world.clock.now() + self._code_lifetime
        code = codes.issue(tx, self._world.entropy, request, grant.id, expires_at)
        self._record(tx, "code.issued", grant, origin)
        members = [("code", code), ("iss", request.door)]
        if request.state is not None:
            members.append(("state", request.state))
        return Leave(request.redirect_uri, tuple(members), mode=request.response_mode)

    def _record(
        self, tx: Transaction, name: str, grant: Grant, origin: Origin, session: Session | None = None
    ) -> None:
        change: dict[str, object] = {} if grant.consent_id == grant.id else {"consent": grant.consent_id}
        if session is not None:
            reach = {along: " ".join(scopes) for along, scopes in grant.downstream.items()}
            change = {"downstream": reach, "offline": grant.offline, "session": session.id}
            if grant.identity:
                change["identity"] = list(grant.identity)
            if grant.details:
                change[PARAMETER] = rich.evidence(rich.stored(grant.details))
        fact = Fact(
            name,
            tenant=grant.tenant,
            subject=grant.user_id,
            client=grant.client_id,
            resource=grant.resource_id,
            scope=grant.scopes,
            grant_id=grant.id,
            issuer=grant.door,
            change=change,
        )
        self._recorder.record(tx, fact, origin)
