"""Nouns to store, with everything in them that a store keeps; `mark` names them."""

from dataclasses import replace

from broker.audit.model import Outcome
from broker.authorization.choices.model import Choice
from broker.authorization.device.model import DeviceCode
from broker.authorization.logout.model import Notice
from broker.authorization.model import AuthorizationRequest, Code, Grant
from broker.authorization.pushed.model import Pushed
from broker.estate.claims.model import Claim, State
from broker.estate.model import (
    ApprovalRule,
    Bounds,
    Edge,
    EdgeConsent,
    Impact,
    Isolation,
    Limits,
    Recording,
    Resource,
    ResourceKind,
    Scope,
    Tool,
)
from broker.identity.clients.model import Client, Registered
from broker.identity.federation.model import Accounts, Attempt, Claims, Link, Provider, Rule
from broker.identity.sessions.model import Session
from broker.identity.users.model import Membership, User
from broker.protocol.parameters import Parameters
from broker.tokens.store import Refresh
from keys.model import KeyRecord, KeyState

NOW = 1_800_000_000.0
LATER = NOW + 1000
DOOR = "https://as.example/t/acme"
CHALLENGE = "c" * 43


def client(mark: str, tenant: str | None = "acme", unused_until: float | None = None) -> Client:
    return Client(
        f"client-{mark}",
        f"Client ‘{mark}’ ☃",
        tenant,
        "client_secret_basic",
        Registered.DYNAMIC,
        (f"https://{mark}.example/cb", "http://127.0.0.1/cb"),
        ("authorization_code", "refresh_token"),
        ("a:read", "a:write"),
        ("r1",),
        "native",
        NOW,
        unused_until,
        authorization_details_types=("mcp_tool_call",),
    )


def user(mark: str, *tenants: str) -> User:
    memberships = tuple(
        Membership(tenant, ("admin", "member"), {"team": f"team-{mark}", "level": 3}) for tenant in tenants
    )
    return User(f"user-{mark}", f"Üser {mark}", f"{mark}@example.com", memberships)


def provider(mark: str, tenant: str | None = "acme") -> Provider:
    return Provider(
        f"idp-{mark}",
        f"Provider ‘{mark}’ ☃",
        f"https://{mark}.example",
        f"client at {mark}",
        tenant,
        accounts=Accounts.CREATE,
        mapping=Claims(Rule("preferred_username"), roles=(Rule("groups", {f"g-{mark}": "member"}),)),
    )


def attempt(mark: str, tenant: str | None = "acme") -> Attempt:
    return Attempt(f"idp-{mark}", DOOR, tenant, f"request=r-{mark}", f"user-{mark}", NOW, NOW, LATER)


def link(mark: str, tenant: str | None = "acme") -> Link:
    issuer, subject = f"https://{mark}.example", f"subject-{mark}"
    return Link(f"link-{mark}", tenant, issuer, subject, f"user-{mark}", f"idp-{mark}", NOW, None)


def session(mark: str, auth_time: float = NOW) -> Session:
    return Session(
        f"session-{mark}",
        f"user-{mark}",
        auth_time,
        "urn:acr:1",
        ("pwd", "otp"),
        f"sid-{mark}",
        f"idp-{mark}",
        dated=False,
    )


def request(mark: str, tenant: str | None = "acme") -> AuthorizationRequest:
    return AuthorizationRequest(
        f"request-{mark}",
        DOOR,
        tenant,
        f"client-{mark}",
        f"https://{mark}.example/cb",
        "st4te",
        "r1",
        ("a:read",),
        True,
        CHALLENGE,
        ("consent", "login"),
        NOW,
        f"grant-{mark}",
        details=(details(mark),),
    )


def pushed(mark: str, tenant: str | None = "acme", expires_at: float = LATER) -> Pushed:
    parameters = Parameters(
        {"scope": ("a:read",), "resource": (f"https://{mark}.example",)}, frozenset({"state"})
    )
    return Pushed(DOOR, tenant, f"client-{mark}", parameters, f"user-{mark}", expires_at)


def grant(
    mark: str,
    tenant: str = "acme",
    *,
    grant_id: str = "",
    created_at: float = NOW,
    expires_at: float = LATER,
    offline: bool = True,
) -> Grant:
    return Grant(
        grant_id or f"grant-{mark}",
        f"consent-{mark}",
        tenant,
        f"user-{mark}",
        f"client-{mark}",
        DOOR,
        f"resource-{mark}",
        ("a:read", "a:write"),
        offline,
        {f"down-{mark}": ("d:read",)},
        NOW,
        "urn:acr:1",
        ("pwd",),
        created_at,
        expires_at,
        details=(details(mark),),
        dated=False,
    )


def details(mark: str) -> dict[str, object]:
    tools = [{"name": f"tool-{mark}", "arguments": {"amount": {"maximum": 1.5}, "note ☃": {}}}]
    return {"type": "mcp_tool_call", "locations": [f"https://{mark}.example"], "tools": tools}


def notice(mark: str, tenant: str = "acme", next_at: float = NOW, attempts: int = 0) -> Notice:
    return Notice(
        f"out-{mark}", tenant, DOOR, f"client-{mark}", f"user-{mark}", f"sid-{mark}", attempts, next_at
    )


def code(mark: str, tenant: str = "acme", expires_at: float = LATER, dpop_jkt: str | None = None) -> Code:
    return Code(
        f"grant-{mark}",
        tenant,
        DOOR,
        f"client-{mark}",
        f"https://{mark}.example/cb",
        CHALLENGE,
        f"resource-{mark}",
        expires_at,
        None,
        dpop_jkt,
    )


def device(
    mark: str, tenant: str | None = "acme", *, grant_id: str | None = None, dpop_jkt: str | None = None
) -> DeviceCode:
    asked = replace(
        request(mark, tenant),
        id="",
        redirect_uri="",
        state=None,
        extends=None,
        device=f"device-{mark}",
        dpop_jkt=dpop_jkt,
        details=({"type": "x", "actions": ["a"]},),
        acr_values=("urn:acr:1",),
    )
    return DeviceCode(
        f"device-{mark}",
        tenant,
        asked,
        "198.51.100.7",
        f"Agent ‘{mark}’",
        f"sealed-{mark}",
        LATER,
        5,
        grant_id=grant_id,
    )


def refresh(
    mark: str, tenant: str = "acme", predecessor: str | None = None, expires_at: float = LATER
) -> Refresh:
    return Refresh(
        f"refresh-{mark}",
        tenant,
        f"grant-{mark}",
        f"client-{mark}",
        DOOR,
        predecessor,
        expires_at,
        None,
        '{"jkt":"k"}',
    )


def record(mark: str, tenant: str | None = "acme", time: float = NOW, **changes: object) -> dict[str, object]:
    """The columns of an audit record."""
    return {
        "id": f"aud-{mark}",
        "seq": None,
        "time": time,
        "tenant": tenant,
        "fact": "token.issued",
        "outcome": Outcome.ALLOWED.value,
        "client": f"client-{mark}",
        "txn": f"txn-{mark}",
        "grant_id": f"grant-{mark}",
        "jti_hash": f"jti-{mark}",
        "parent_jti_hash": f"parent-{mark}",
        "request_id": f"req-{mark}",
        "body": f'{{"id":"aud-{mark}"}}',
        "leaf_hash": "0" * 64,
        **changes,
    }


def resource(mark: str, uri: str = "") -> Resource:
    return Resource(
        f"resource-{mark}",
        ResourceKind.MCP,
        uri or f"https://{mark}.example/mcp",
        f"Résource {mark}",
        ("acme", "globex"),
        True,
        f"client-{mark}",
        60,
        "EdDSA",
        (Scope("a:read", "Read ☃", True, ("b:read",)),),
        (
            Tool(
                "t",
                ("a:read",),
                Impact.SENSITIVE_READ,
                "family",
                1.5,
                "undo",
                ApprovalRule(("approver", "☃"), 60, 2),
                ("$..ssn",),
                1024,
                False,
                "Reads ☃.",
                {"type": "object", "properties": {"a": {"enum": [1, None, "☃"]}}},
            ),
        ),
        limits=Limits(3, per_user=Bounds(budget_per_day=2.5), per_tool={"t": Bounds(concurrent=1)}),
        isolation=Isolation(("crm.example",), 30, 2),
        record=Recording.AFTER,
    )


def edge(mark: str, lifetime: int = 60) -> Edge:
    return Edge(
        f"resource-{mark}", f"down-{mark}", {"a:read": ("d:read", "d:list")}, lifetime, 2, EdgeConsent.ADMIN
    )


def key(mark: str, state: KeyState = KeyState.PENDING, version: int = 1, door: str = DOOR) -> KeyRecord:
    return KeyRecord(
        f"kid-{mark}",
        door,
        "ES256",
        "access",
        version,
        state,
        NOW,
        {"kty": "EC"},
        sealed_private=b"\0\xff sealed",
    )


def choice(mark: str, tenant: str = "acme", chosen_at: float = NOW, expires_at: float = LATER) -> Choice:
    return Choice(f"user-{mark}", f"client-{mark}", tenant, chosen_at, expires_at)


def claim(mark: str, tenant: str = "acme", state: State = State.PENDING) -> Claim:
    return Claim(f"claim-{mark}", tenant, f"https://{mark}.example/mcp", state, NOW)
