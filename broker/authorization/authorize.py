"""RFC 6749 section 4.1, RFC 9207: the authorization endpoint; from a client's request to a stored one."""

from collections.abc import Callable
from dataclasses import replace

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.authorization import rules
from broker.authorization.draft import Draft, settled
from broker.authorization.hints import Hints
from broker.authorization.interaction import Begun, Interactions
from broker.authorization.model import Leave
from broker.authorization.pushed.model import PREFIX
from broker.authorization.pushed.requests import PushedRequests, refused
from broker.authorization.steps import AFTER_REDIRECT, BEFORE_REDIRECT
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate.estate import Estate
from broker.identity.clients.clients import Clients
from broker.identity.clients.documents.documents import Documents
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.world import World


class Authorize:
    def __init__(
        self,
        world: World,
        refusals: Refusals,
        clients: Clients,
        documents: Documents,
        interactions: Interactions,
        pushed: PushedRequests,
        hints: Hints,
        estate: Callable[[], Estate],
    ) -> None:
        self._world, self._refusals, self._clients, self._estate = world, refusals, clients, estate
        self._documents, self._interactions = documents, interactions
        self._pushed, self._hints = pushed, hints

    def begin(
        self, door: Door, parameters: Parameters, repeated: frozenset[str], cookie: str | None, origin: Origin
    ) -> Begun | Leave:
        """Check the request and store it for the visits to come, or send the browser back with the error.

        OAuthError (never redirectable) when client or redirect URI cannot be trusted.
        """

        def find(client_id: str) -> Client | None:
            self._documents.freshen(door, client_id, origin)
            return self._clients.at(door, client_id)

        def hinted(token: str, client_id: str) -> str | None:
            return self._hints.user(door, token, client_id)

        draft = Draft(door, parameters, self._estate(), find, hinted, repeated)
        try:
            draft = self._opened(draft)
            for step in BEFORE_REDIRECT:
                draft = step(draft)
            self._client_is_live(draft)
            self._interactions.admit(origin)
        except OAuthError as error:
            self._record(door, draft, error, origin)
            raise
        try:
            for step in AFTER_REDIRECT:
                draft = step(draft)
        except OAuthError as error:
            self._record(door, draft, error, origin)
            return self._back(door, draft, error)
        request = settled(draft, self._world.entropy.secret(), self._world.clock.now())
        return self._interactions.begin(door, request, cookie)

    def turned_away(self, door: Door, error: OAuthError, origin: Origin) -> None:
        """The evidence of what no verb came to see: a malformed request, another browser's, a form from elsewhere."""
        fact = Fact("authorization.refused", Outcome.DENIED, error.reason, tenant=door.tenant)
        self._refusals.record(fact, origin, known=False)

    def _opened(self, draft: Draft) -> Draft:
        """RFC 9126 section 4: behind a request_uri stands all that counts; what else the browser brought is dropped."""
        uri = draft.parameters.get("request_uri") or ""
        if not uri.startswith(PREFIX):
            return draft
        if {"client_id", "request_uri"} & draft.repeated:
            raise refused(Reason.REQUEST_URI_UNKNOWN)
        hashed, kept = self._pushed.open(draft.door, draft.parameters.get("client_id"), uri)
        return replace(
            draft,
            parameters=kept.parameters,
            repeated=frozenset(),
            pushed=hashed,
            user_hint=kept.user_hint,
        )

    def _client_is_live(self, draft: Draft) -> None:
        assert draft.client is not None
        targets = [Target(Kind.CLIENT, draft.client.client_id)]
        if tenant := draft.door.tenant or draft.client.tenant:
            targets.append(Target(Kind.TENANT, tenant))
        now = self._world.clock.now()
        off = self._world.database.read(lambda tx: live.first_off(tx, targets, now), draft.door.tenant)
        if off is not None:
            reason = Reason.CLIENT_OFF if off.kind is Kind.CLIENT else Reason.TENANT_OFF
            raise OAuthError("invalid_request", "The client is switched off.", reason, redirectable=False)

    def _back(self, door: Door, draft: Draft, error: OAuthError) -> Leave:
        assert draft.redirect_uri is not None
        where = (door.issuer, draft.redirect_uri, draft.state)
        leave = back(*where, error.error, error.description, draft.response_mode)
        assert draft.client is not None
        return replace(leave, unchecked=rules.unchecked(draft.client, draft.redirect_uri))

    def _record(self, door: Door, draft: Draft, error: OAuthError, origin: Origin) -> None:
        fact = Fact(
            "authorization.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=door.tenant,
            client=draft.client.client_id if draft.client else None,
            resource=draft.resource.id if draft.resource else None,
        )
        self._refusals.record(fact, origin, known=False)


def back(
    issuer: str, redirect_uri: str, state: str | None, error: str, description: str, mode: str = "query"
) -> Leave:
    """RFC 6749 section 4.1.2.1 with `iss`: the error as the client will read it, by `mode` of its response."""
    members = [("error", error), ("error_description", description), ("iss", issuer)]
    if state is not None:
        members.append(("state", state))
    return Leave(redirect_uri, tuple(members), mode=mode)
