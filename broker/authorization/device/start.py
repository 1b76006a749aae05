"""RFC 8628 sections 3.1 and 3.2: a device begins; its client is believed as at the token endpoint."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.audit.unknown import unknown
from broker.authorization import details, steps, wishes
from broker.authorization.device import codes, rules, store
from broker.authorization.device.model import DeviceCode
from broker.authorization.device.user_codes import UserCodes
from broker.authorization.draft import Draft, Step, settled
from broker.authorization.interaction import Interactions
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate.estate import Estate
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.clients import Clients
from broker.identity.clients.model import Client
from broker.identity.clients.possession import Possession, Proven
from broker.identity.tenants.model import Door
from broker.protocol import pkce
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import DEVICE_CODE
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.database import Conflict, Transaction
from broker.runtime.once import Spend, spend
from broker.runtime.world import World

_ATTEMPTS = 3
_OFF = {
    Kind.EVERYTHING: ("invalid_target", Reason.EVERYTHING_OFF),
    Kind.TENANT: ("invalid_target", Reason.TENANT_OFF),
    Kind.RESOURCE: ("invalid_target", Reason.RESOURCE_OFF),
    Kind.CLIENT: ("invalid_client", Reason.CLIENT_OFF),
}


def client_may_connect_devices(draft: Draft) -> Draft:
    """An administrator has to have listed the grant type, and what may be asked for with it."""
    assert draft.client is not None
    if DEVICE_CODE not in draft.client.grant_types or draft.client.scopes is None:
        raise OAuthError(
            "unauthorized_client", "The client is not registered for devices.", Reason.CLIENT_GRANT_TYPE
        )
    return draft


def challenge_is_s256_if_any(draft: Draft) -> Draft:
    """RFC 10027 section 6.1.17: a device that can keep a verifier may be held to it."""
    if "code_challenge" in draft.parameters.blank:
        raise OAuthError("invalid_request", "The code_challenge is empty.", Reason.PKCE_METHOD)
    challenge = draft.parameters.get("code_challenge")
    method = draft.parameters.get("code_challenge_method")
    if challenge is None and method is None:
        return draft
    if method != "S256" or challenge is None or not pkce.valid_challenge(challenge):
        raise OAuthError(
            "invalid_request",
            "Send a code_challenge of S256 with code_challenge_method=S256, or neither.",
            Reason.PKCE_METHOD,
        )
    return replace(draft, challenge=challenge)


def a_tenant_allows_devices(draft: Draft) -> Draft:
    """RFC 10027 section 6.2.1: off, unless an administrator of the tenant wants it."""
    assert draft.client is not None and draft.resource is not None
    served = draft.estate.tenants_of(draft.resource, draft.door)
    tenants = draft.estate.doors.tenants
    if not any(tenants[tenant].device and draft.client.at_door(tenant) for tenant in served):
        raise OAuthError(
            "unauthorized_client", "Devices cannot be connected to this resource.", Reason.DEVICE_NOT_ALLOWED
        )
    return draft


STEPS: tuple[Step, ...] = (
    client_may_connect_devices,
    challenge_is_s256_if_any,
    steps.key_is_a_thumbprint,
    steps.resource_is_served,
    a_tenant_allows_devices,
    steps.scopes_are_offered,
    details.details_can_be_asked_for,
    wishes.max_age_is_a_number,
    wishes.acr_values_can_be_reached,
)


@dataclass(frozen=True, slots=True)
class Started:
    """The answer of section 3.2, and a nonce for the client's next proof; neither code is kept in clear."""

    device_code: str
    user_code: str
    expires_in: int
    interval: int
    dpop_nonce: str | None = None


class Start:
    """`lifetime` in seconds: how long both codes are good."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        authenticator: Authenticator,
        clients: Clients,
        possession: Possession,
        interactions: Interactions,
        user_codes: UserCodes,
        estate: Callable[[], Estate],
        lifetime: int,
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._authenticator, self._clients, self._possession = authenticator, clients, possession
        self._interactions, self._user_codes = interactions, user_codes
        self._estate, self._lifetime = estate, lifetime

    def begin(self, door: Door, attempt: Attempt, origin: Origin) -> Started:
        """Judge the request and store it under two new codes. OAuthError when refused; it is recorded by then."""
        client: Client | None = None
        try:
            authenticated = self._authenticator.authenticate(attempt, door, origin)
            client = authenticated.client
            origin = replace(origin, client=client.client_id)
            self._interactions.admit(origin)
            proven = self._possession.offered(door, attempt, client, origin, self._world.clock.now())
            draft = _bound(self._judged(door, attempt, client), proven)
            spends = (*authenticated.spends, *proven.spends)
            started = self._stored(draft, spends, origin)
            return replace(started, dpop_nonce=self._possession.fresh_nonce(door, attempt))
        except OAuthError as error:
            error.dpop_nonce = error.dpop_nonce or self._possession.fresh_nonce(door, attempt)
            self._refused(door, client, attempt, error, origin)
            raise

    def unreadable(self, door: Door, error: OAuthError, origin: Origin) -> None:
        """Record that a form was refused before anybody could be recognized in it."""
        self._refused(door, None, Attempt(None, Parameters({})), error, origin)

    def _judged(self, door: Door, attempt: Attempt, client: Client) -> Draft:
        draft = Draft(
            door,
            attempt.parameters,
            self._estate(),
            find_client=lambda _: client,
            hinted=lambda *_: None,
            client=client,
            redirect_uri="",
        )
        for step in STEPS:
            draft = step(draft)
        return draft

    def _stored(self, draft: Draft, spends: tuple[Spend, ...], origin: Origin) -> Started:
        for _ in range(_ATTEMPTS):
            try:
                return self._world.database.write(
                    lambda tx: self._add(tx, draft, spends, origin), draft.door.tenant
                )
            except Conflict:
                continue  # the short code is another device's
        raise OAuthError(
            "temporarily_unavailable", "No code is free now. Try again.", Reason.RATE_LIMITED, retry_after=1
        )

    def _add(self, tx: Transaction, draft: Draft, spends: tuple[Spend, ...], origin: Origin) -> Started:
        door, now = draft.door, self._world.clock.now()
        self._require_live(tx, draft, now)
        spend(tx, spends)
        device_code = self._world.entropy.secret(codes.PREFIX)
        typed = rules.user_code(self._world.entropy.secret())
        identifier = self._world.entropy.identifier("dev", now)
        device = DeviceCode(
            id=identifier,
            tenant=door.tenant,
            request=replace(settled(draft, "", now), device=identifier),
            source=origin.source,
            agent=origin.agent,
            sealed=self._user_codes.sealed(typed, identifier),
            expires_at=now + self._lifetime,
            pace=rules.PACE,
        )
        store.add(tx, codes.hashed(device_code), self._user_codes.hashed(door.issuer, typed), device)
        fact = Fact(
            "device.started",
            tenant=door.tenant,
            client=device.request.client_id,
            resource=device.request.resource_id,
            scope=device.request.scopes,
            issuer=door.issuer,
            change={"device": identifier},
        )
        self._recorder.record(tx, fact, origin)
        return Started(device_code, rules.grouped(typed), self._lifetime, rules.PACE)

    def _require_live(self, tx: Transaction, draft: Draft, now: float) -> None:
        assert draft.client is not None and draft.resource is not None
        client = self._clients.within(tx, draft.client.client_id)
        if client is None or client.proves != draft.client.proves:
            raise OAuthError("invalid_client", "The client is not known any more.", Reason.CLIENT_UNKNOWN)
        targets = [Target(Kind.CLIENT, client.client_id), Target(Kind.RESOURCE, draft.resource.id)]
        if tenant := draft.door.tenant or client.tenant:
            targets.append(Target(Kind.TENANT, tenant))
        off = live.first_off(tx, targets, now)
        if off is not None:
            error, reason = _OFF[off.kind]
            raise OAuthError(
                error, "This has been switched off.", reason, detail=f"{off.kind.value} {off.id}"
            )

    def _refused(
        self, door: Door, client: Client | None, attempt: Attempt, error: OAuthError, origin: Origin
    ) -> None:
        said = attempt.parameters.get("client_id")
        fact = Fact(
            "device.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=door.tenant,
            client=client.client_id if client else error.client or (unknown(said) if said else None),
            issuer=door.issuer,
        )
        self._refusals.record(fact, origin, known=client is not None and not client.public)


def _bound(draft: Draft, proven: Proven) -> Draft:
    """RFC 10027 section 6.1.12: the key that is proven here, or named by `dpop_jkt`, is the one that redeems."""
    jkt = proven.confirmation.jkt if proven.confirmation else None
    if jkt is not None and draft.dpop_jkt not in (None, jkt):
        raise OAuthError(
            "invalid_dpop_proof",
            "dpop_jkt names another key than the DPoP proof proves.",
            Reason.DPOP_KEY_MISMATCH,
        )
    return replace(draft, dpop_jkt=draft.dpop_jkt or jkt)
