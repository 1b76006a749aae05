"""OAuth 2.1 section 7.9: what a person is asked, worked out anew at each visit from what is true then."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from broker.authorization import details, rules
from broker.authorization.choices.choices import Choices
from broker.authorization.device.devices import Devices, wrong_code
from broker.authorization.device.model import Notice
from broker.authorization.grants import Grants
from broker.authorization.interaction import unknown
from broker.authorization.model import AuthorizationRequest, Grant
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate import rules as estate_rules
from broker.estate.estate import Estate
from broker.estate.model import Reached, Resource
from broker.identity.clients.clients import Clients
from broker.identity.clients.documents.rules import digest, trusted
from broker.identity.clients.model import Client
from broker.identity.federation import rules as federation
from broker.identity.federation.model import Provider
from broker.identity.sessions.model import Session
from broker.identity.tenants.model import Door
from broker.identity.users.model import User
from broker.identity.users.people import People
from broker.protocol import redirect_uri
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.clock import Clock
from broker.runtime.database import Transaction

_OFF = {
    Kind.EVERYTHING: Reason.EVERYTHING_OFF,
    Kind.CLIENT: Reason.CLIENT_OFF,
    Kind.USER: Reason.USER_OFF,
    Kind.RESOURCE: Reason.RESOURCE_OFF,
    Kind.TENANT: Reason.TENANT_OFF,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What the page asks. `standing` is what the user allowed this client here before, newest first.

    `reaches`: by tenant, the edges to downstream systems with the scopes usable there. `remembered`: the one of several
    `tenants` that the user chose for this client before, None where they have to choose.
    """

    request: AuthorizationRequest
    client: Client
    resource: Resource
    user: User
    tenants: tuple[str, ...]
    required: tuple[str, ...]
    standing: tuple[Grant, ...]
    reaches: Mapping[str, tuple[Reached, ...]]
    device: Notice | None = None
    remembered: str | None = None

    @property
    def settled(self) -> str | None:
        """The tenant that an answer is for without choosing one."""
        return self.tenants[0] if len(self.tenants) == 1 else self.remembered

    @property
    def downstream(self) -> tuple[Reached, ...]:
        """What is reached in any of the tenants, by each edge."""
        found: dict[str, Reached] = {}
        for one in (one for reached in self.reaches.values() for one in reached):
            known = found[one.along].scopes if one.along in found else ()
            found[one.along] = replace(one, scopes=tuple(dict.fromkeys((*known, *one.scopes))))
        return tuple(found.values())

    def reach(self, tenant: str | None) -> dict[str, tuple[str, ...]]:
        """The edges to downstream systems of one tenant by id, with the scopes usable there."""
        return {reached.along: reached.scopes for reached in self.reaches.get(tenant or "", ())}

    @property
    def fingerprint(self) -> str:
        """Of everything that the answer means: an answer to another question than the one shown is none."""
        reach = [(one.along, one.source.name, one.target.uri, one.scopes) for one in self.downstream]
        scopes = [
            (scope.name, scope.description, estate_rules.impact_of(self.resource, scope.name))
            for scope in self.resource.scopes
            if scope.name in self.request.scopes
        ]
        shown = (
            self.request.id,
            self.user.id,
            self.client.client_id,
            self.client.name,
            digest(self.client),
            self.resource.id,
            self.resource.name,
            self.resource.uri,
            scopes,
            self.tenants,
            self.remembered,
            self.required,
            reach,
            details.shown(self.resource, self.request.details),
        )
        return hashlib.sha256(repr(shown).encode()).hexdigest()


class Questions:
    def __init__(
        self,
        clock: Clock,
        clients: Clients,
        people: People,
        grants: Grants,
        estate: Callable[[], Estate],
        providers: Callable[[], Mapping[str, Provider]],
        devices: Devices,
        choices: Choices,
    ) -> None:
        self._clock, self._clients, self._people = clock, clients, people
        self._grants, self._estate, self._providers = grants, estate, providers
        self._devices, self._choices = devices, choices

    def unchecked(self, door: Door, request: AuthorizationRequest) -> bool:
        """Whether nobody but its client vouches for where the request leads back to."""
        client = self._clients.at(door, request.client_id)
        return client is None or rules.unchecked(client, request.redirect_uri)

    def stranger(self, tx: Transaction, door: Door, session: Session) -> bool:
        """Whose session counts for nothing here: of nobody of the tenant, or made in a way that is not accepted."""
        user = self._people.within(tx, session.user_id)
        tenants = self._estate().doors.tenants
        if user is None or not federation.good_at(session.provider, door, self._providers(), tenants):
            return True
        return door.tenant is not None and door.tenant not in user.tenants()

    def ask(self, tx: Transaction, door: Door, request: AuthorizationRequest, session: Session) -> Question:
        """OAuthError when nothing can be asked: redirectable ones go to the client."""
        user_id = session.user_id
        estate = self._estate()
        client = self._clients.within(tx, request.client_id)
        resource = estate.resource(request.resource_id, request.door)
        user = self._people.within(tx, user_id)
        if client is None or resource is None or user is None:
            raise unknown()
        standing = self._grants.standing(tx, user_id, client.client_id, resource.id)
        extended = [grant.tenant for grant in standing if grant.id == request.extends]
        if request.extends and not extended:  # somebody else's is answered like one that never was
            raise unknown()
        self._require_live(tx, door, client, resource, user)
        _require_destination(request, client)
        by_device = request.device is not None
        tenants = self._tenants(tx, door, client, resource, user, session.provider, by_device=by_device)
        if request.redirect_uri and request.pushed is None:
            tenants = tuple(tenant for tenant in tenants if not estate.doors.pushed_only(tenant))
            if not tenants:
                raise OAuthError(
                    "invalid_request", "Your organization takes pushed requests only.", Reason.NOT_PUSHED
                )
        if request.extends:  # a grant stays in its tenant, and its user must still belong there
            tenants = tuple(tenant for tenant in tenants if tenant in extended)
            if not tenants:
                raise unknown()
        now = self._clock.now()
        reaches = {t: tuple(estate.reachable(resource, request.scopes, t, now)) for t in tenants}
        return Question(
            request,
            client,
            resource,
            user,
            tenants,
            rules.required(resource, request.scopes),
            tuple(
                grant
                for grant in standing
                if grant.client_digest == digest(client) and grant.vouched_by is None
            ),
            reaches,
            self._devices.notice(tx, request.device) if request.device else None,
            self._remembered(tx, request, user, client, tenants),
        )

    def _remembered(
        self,
        tx: Transaction,
        request: AuthorizationRequest,
        user: User,
        client: Client,
        tenants: tuple[str, ...],
    ) -> str | None:
        """What was chosen before, where it can still be chosen and the client did not ask to choose anew."""
        if len(tenants) == 1 or "select_account" in request.prompt:
            return None
        found = self._choices.of(tx, user.id, client.client_id)
        return found if found in tenants else None

    def _require_live(
        self, tx: Transaction, door: Door, client: Client, resource: Resource, user: User
    ) -> None:
        targets = [
            Target(Kind.CLIENT, client.client_id),
            Target(Kind.USER, user.id),
            Target(Kind.RESOURCE, resource.id),
            *([Target(Kind.TENANT, door.tenant)] if door.tenant else []),
        ]
        off = live.first_off(tx, targets, self._clock.now())
        if off is not None:
            raise OAuthError("invalid_request", "This is switched off.", _OFF[off.kind], redirectable=False)

    def _tenants(
        self,
        tx: Transaction,
        door: Door,
        client: Client,
        resource: Resource,
        user: User,
        provider: str | None,
        *,
        by_device: bool,
    ) -> tuple[str, ...]:
        estate, providers = self._estate(), self._providers()
        served = estate.tenants_of(resource, door)
        if by_device:
            served = [tenant for tenant in served if estate.doors.tenants[tenant].device]
        mine = rules.choices(user, client, served)
        believing = [t for t in mine if trusted(client, estate.doors.tenants[t].documents)]
        if mine and not believing:
            raise OAuthError(
                "invalid_request",
                "The organization does not trust the host of the client_id.",
                Reason.CLIENT_DOCUMENT_DISTRUSTED,
                redirectable=False,
            )
        known = estate.doors.tenants
        proved = [t for t in believing if federation.good_for(provider, t, providers, known)]
        if believing and not proved:
            raise OAuthError(
                "access_denied",
                "Your organization does not accept this way of signing in.",
                Reason.PROVIDER_NOT_ACCEPTED,
            )
        now = self._clock.now()
        found = tuple(t for t in proved if live.first_off(tx, [Target(Kind.TENANT, t)], now) is None)
        reason = Reason.TENANT_OFF if proved else Reason.NOT_A_MEMBER
        if by_device and not found:  # a code of other people is answered like one that is none
            raise wrong_code(reason)
        if not found:
            raise OAuthError("access_denied", "Your account has no access to this resource.", reason)
        return found


def _require_destination(request: AuthorizationRequest, client: Client) -> None:
    """Nothing is sent where the client does not want it any more."""
    if request.redirect_uri and not redirect_uri.matches(client.redirect_uris, request.redirect_uri):
        raise OAuthError(
            "invalid_request",
            "The redirect URI is no longer registered for this client.",
            Reason.REDIRECT_URI_MISMATCH,
            redirectable=False,
        )
