"""OAuth 2.1 section 4.1.1: an authorization request on its way to be believed; each step knows one thing more."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.authorization.model import AuthorizationRequest, Details
from broker.estate import rules as estate_rules
from broker.estate.estate import Estate
from broker.estate.model import Resource
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Draft:
    """`repeated` names the parameters that came more than once.

    `hinted` reads an id_token_hint of this door for a client: its user, or None when it is not one. `pushed` is what
    is stored of the request_uri behind which all this was, None for what came through the browser.
    """

    door: Door
    parameters: Parameters
    estate: Estate
    find_client: Callable[[str], Client | None]
    hinted: Callable[[str, str], str | None]
    repeated: frozenset[str] = frozenset()
    pushed: str | None = None
    client: Client | None = None
    redirect_uri: str | None = None
    response_mode: str = "query"
    resource: Resource | None = None
    scopes: tuple[str, ...] = ()
    offline: bool = False
    identity: tuple[str, ...] = ()
    details: tuple[Details, ...] = ()
    challenge: str = ""
    dpop_jkt: str | None = None
    prompt: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    user_hint: str | None = None
    ui_locales: str | None = None

    @property
    def state(self) -> str | None:
        return None if "state" in self.repeated else self.parameters.get("state")


Step = Callable[[Draft], Draft]


def settled(draft: Draft, identifier: str, now: float) -> AuthorizationRequest:
    """What is stored of a draft that passed every step."""
    assert draft.client and draft.redirect_uri is not None and draft.resource
    scope_acr, scope_age = estate_rules.demanded(draft.resource, draft.scopes)
    return AuthorizationRequest(
        id=identifier,
        door=draft.door.issuer,
        tenant=draft.door.tenant,
        client_id=draft.client.client_id,
        redirect_uri=draft.redirect_uri,
        state=draft.state,
        resource_id=draft.resource.id,
        scopes=draft.scopes,
        offline=draft.offline,
        challenge=draft.challenge,
        prompt=draft.prompt,
        begun_at=now,
        dpop_jkt=draft.dpop_jkt,
        response_mode=draft.response_mode,
        identity=draft.identity,
        nonce=draft.parameters.get("nonce"),
        acr_values=draft.acr_values,
        max_age=draft.max_age,
        login_hint=draft.login_hint,
        user_hint=draft.user_hint,
        ui_locales=draft.ui_locales,
        details=draft.details,
        pushed=draft.pushed,
        scope_acr=scope_acr,
        scope_age=scope_age,
    )
