"""RFC 9126 section 2, RFC 9449 section 10.1: a client hands its request over, proven and judged before it is kept."""

from collections.abc import Callable
from dataclasses import replace

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals, source_key
from broker.audit.unknown import unknown
from broker.authorization.draft import Draft
from broker.authorization.hints import Hints
from broker.authorization.pushed.model import Receipt
from broker.authorization.pushed.requests import PushedRequests
from broker.authorization.steps import AFTER_REDIRECT, BEFORE_REDIRECT
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate.estate import Estate
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.clients import Clients
from broker.identity.clients.model import Client, Registered
from broker.identity.clients.possession import Possession, Proven
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.database import Transaction
from broker.runtime.once import Spend, spend
from broker.runtime.world import World

_MINUTE = 60.0
_CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
_OFF = {
    Kind.EVERYTHING: ("invalid_target", Reason.EVERYTHING_OFF),
    Kind.TENANT: ("invalid_target", Reason.TENANT_OFF),
    Kind.CLIENT: ("invalid_client", Reason.CLIENT_OFF),
}
_JUDGED = ""
"""Stands for the request_uri that a request does not have yet."""


class Push:
    """`per_minute`: how many one source may push. A refused push uses nothing up."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        authenticator: Authenticator,
        clients: Clients,
        possession: Possession,
        hints: Hints,
        requests: PushedRequests,
        estate: Callable[[], Estate],
        per_minute: int,
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._authenticator, self._clients, self._possession = authenticator, clients, possession
        self._hints, self._requests, self._estate, self._per_minute = hints, requests, estate, per_minute

    def push(self, door: Door, attempt: Attempt, origin: Origin) -> Receipt:
        """Keep the request for the browser that will come with its request_uri; OAuthError, recorded, when refused."""
        client: Client | None = None
        try:
            self._not_too_many(origin)
            authenticated = self._authenticator.authenticate(attempt, door, origin)
            client = authenticated.client
            origin = replace(origin, client=client.client_id)
            proven = self._possession.offered(door, attempt, client, origin, self._world.clock.now())
            draft = self._judged(door, attempt.parameters, client)
            parameters = _kept(draft, proven)
            spends = (*authenticated.spends, *proven.spends)
            uri = self._world.database.write(
                lambda tx: self._keep(tx, draft, parameters, spends, origin), door.tenant
            )
            return Receipt(uri, self._requests.lifetime, self._possession.fresh_nonce(door, attempt))
        except OAuthError as error:
            error.dpop_nonce = error.dpop_nonce or self._possession.fresh_nonce(door, attempt)
            self._refused(door, client, attempt, error, origin)
            raise

    def unreadable(self, door: Door, error: OAuthError, origin: Origin) -> None:
        """Record that a form was refused before anybody could be recognized in it."""
        self._refused(door, None, Attempt(None, Parameters({})), error, origin)

    def _not_too_many(self, origin: Origin) -> None:
        now = self._world.clock.now()
        hits = self._world.ephemeral.hit("pushed", source_key(origin.source), _MINUTE, now)
        if hits.count > self._per_minute:
            raise too_many(
                "Too many requests were pushed from your address. Wait, then try again.", hits.ends_in
            )

    def _judged(self, door: Door, sent: Parameters, client: Client) -> Draft:
        """The draft after every step that the same request would take in a browser."""
        if "request_uri" in sent.values or "request_uri" in sent.blank:
            raise OAuthError(
                "invalid_request",
                "A pushed request has no request_uri: push its parameters.",
                Reason.PARAMETER_NOT_SUPPORTED,
            )
        values = {name: found for name, found in sent.values.items() if name not in _CREDENTIALS}
        parameters = Parameters({**values, "client_id": (client.client_id,)}, sent.blank)
        draft = Draft(
            door,
            parameters,
            self._estate(),
            lambda client_id: client if client_id == client.client_id else None,
            lambda token, client_id: self._hints.user(door, token, client_id),
            pushed=_JUDGED,
        )
        for step in (*BEFORE_REDIRECT, *AFTER_REDIRECT):
            draft = step(draft)
        return draft

    def _keep(
        self, tx: Transaction, draft: Draft, parameters: Parameters, spends: tuple[Spend, ...], origin: Origin
    ) -> str:
        assert draft.client is not None and draft.resource is not None
        client = self._clients.within(tx, draft.client.client_id)
        if client is None or client.proves != draft.client.proves:
            raise OAuthError("invalid_client", "The client is not known any more.", Reason.CLIENT_UNKNOWN)
        targets = [Target(Kind.CLIENT, client.client_id)]
        if tenant := draft.door.tenant or client.tenant:
            targets.append(Target(Kind.TENANT, tenant))
        off = live.first_off(tx, targets, self._world.clock.now())
        if off is not None:
            error, reason = _OFF[off.kind]
            raise OAuthError(
                error, "This has been switched off.", reason, detail=f"{off.kind.value} {off.id}"
            )
        spend(tx, spends)
        uri = self._requests.keep(tx, draft.door, client.client_id, parameters, draft.user_hint)
        fact = Fact(
            "request.pushed",
            tenant=draft.door.tenant,
            client=client.client_id,
            resource=draft.resource.id,
            scope=draft.scopes,
            issuer=draft.door.issuer,
        )
        self._recorder.record(tx, fact, origin)
        return uri

    def _refused(
        self, door: Door, client: Client | None, attempt: Attempt, error: OAuthError, origin: Origin
    ) -> None:
        said = attempt.parameters.get("client_id")
        fact = Fact(
            "request.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=door.tenant,
            client=client.client_id if client else error.client or (unknown(said) if said else None),
            issuer=door.issuer,
        )
        registered = client is not None and not client.public and client.registered is Registered.ADMIN
        self._refusals.record(fact, origin, known=registered)


def _kept(draft: Draft, proven: Proven) -> Parameters:
    """What is stored: never an id_token; the key that was proven is the one that the code is for."""
    values = {name: found for name, found in draft.parameters.values.items() if name != "id_token_hint"}
    if proven.confirmation is not None and proven.confirmation.jkt is not None:
        if draft.dpop_jkt not in (None, proven.confirmation.jkt):
            raise OAuthError(
                "invalid_dpop_proof",
                "dpop_jkt names another key than the DPoP proof proves.",
                Reason.DPOP_KEY_MISMATCH,
            )
        values["dpop_jkt"] = (proven.confirmation.jkt,)
    return Parameters(values, draft.parameters.blank)
