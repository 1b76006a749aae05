"""What the front channel remembers: the request under way, the grant that a consent leaves, the code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Details = Mapping[str, object]
"""One element of `authorization_details` (RFC 9396 section 2)."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A validated request between two visits of the browser. `scopes` are the resource's; `tenant` the door's.

    With `extends`, the id of a grant, it asks the user to let that grant reach further; nobody is redirected to.
    With `dpop_jkt`, the code is for the holder of the key with that thumbprint alone. `identity` are the scopes of
    OpenID Connect (`openid` and what it brings), `user_hint` the user whom an id_token_hint named, `details` the
    authorization details (RFC 9396) as validated. With `device`, the id of a device code, the answer is that device's,
    and nobody is redirected to. `pushed` is the hash of the request_uri that led here, `scope_acr` and
    `scope_age` are what its scopes demand of a sign-in.
    """

    id: str
    door: str
    tenant: str | None
    client_id: str
    redirect_uri: str
    state: str | None
    resource_id: str
    scopes: tuple[str, ...]
    offline: bool
    challenge: str
    prompt: tuple[str, ...]
    begun_at: float
    extends: str | None = None
    dpop_jkt: str | None = None
    response_mode: str = "query"
    identity: tuple[str, ...] = ()
    nonce: str | None = None
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    user_hint: str | None = None
    ui_locales: str | None = None
    details: tuple[Details, ...] = ()
    pushed: str | None = None
    scope_acr: str | None = None
    scope_age: int | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What one consent allows one client: everything made from it dies with it.

    `consent_id` is the grant that the person was asked for, itself or the one it repeats without asking.
    `downstream` has each edge that was shown to lead on, by its id, with the scopes that were shown. `client_digest`
    is what the client was then, when it can change without an administrator. `identity` are the scopes of OpenID
    Connect that were allowed, `sid` the browser session in which it was given. `last_used_at`: when a token was last
    made from it, to within a minute. Not `dated`, nobody said when the person proved who they are. `vouched_by`: the
    trusted issuer on whose word it rests, where the person was asked by nobody here.
    """

    id: str
    consent_id: str
    tenant: str
    user_id: str
    client_id: str
    door: str
    resource_id: str
    scopes: tuple[str, ...]
    offline: bool
    downstream: Mapping[str, tuple[str, ...]]
    auth_time: float
    acr: str
    amr: tuple[str, ...]
    created_at: float
    expires_at: float
    client_digest: str | None = None
    identity: tuple[str, ...] = ()
    details: tuple[Details, ...] = ()
    sid: str | None = None
    last_used_at: float | None = None
    dated: bool = True
    vouched_by: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code's row; the code itself is known to the client only."""

    grant_id: str
    tenant: str
    door: str
    client_id: str
    redirect_uri: str
    challenge: str
    resource_id: str
    expires_at: float
    spent_at: float | None
    dpop_jkt: str | None = None
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """Where the browser goes next, to the client: `parameters` are added to the registered URI.

    Without a URI there is nobody to go back to; `extended` then says whether the answer was yes, `device` what it was
    where a device waits for it. `mode` is the response_mode: `query`, or `form_post` in which a page sends them on.
    `unchecked`: nobody vouched for the address, and the person has decided nothing yet: they are asked before they go.
    """

    redirect_uri: str
    parameters: tuple[tuple[str, str], ...]
    extended: bool = False
    mode: str = "query"
    device: Literal["connected", "refused"] | None = None
    unchecked: bool = False
