"""GitHub's OAuth apps and GitHub apps: errors come with 200, scopes with commas, and tokens end by an API of its own.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
"""

import json
from collections.abc import Mapping
from urllib.parse import quote

from broker.protocol.names import CLIENT_SECRET_POST
from broker.runtime.egress import Answer
from broker.vault.model import Account, Provider, Revocation, Rotation
from broker.vault.providers import generic

_OVER = frozenset({"bad_verification_code", "bad_refresh_token", "invalid_grant", "unverified_user_email"})


def _answer(answer: Answer) -> Mapping[str, object]:
    """Asked for JSON it answers so, and with a form otherwise; the scopes that it gives are separated by commas."""
    members = dict(generic.members(answer))
    if isinstance(scope := members.get("scope"), str):
        members["scope"] = scope.replace(",", " ")
    return members


def _account(document: object, names: tuple[str, ...]) -> Account | None:
    return generic.account(document, names or ("id", "login"))


def _revoked(endpoint: str, client_id: str, token: str) -> tuple[str, str, bytes | None]:
    """One token ends, at `/applications/CLIENT_ID/token` of its API; 404 says that it is void."""
    body = json.dumps({"access_token": token}).encode()
    return "DELETE", f"{endpoint}/applications/{quote(client_id, safe='')}/token", body


PROVIDER = Provider(
    "github",
    "GitHub",
    _answer,
    _account,
    lambda error, _: error in _OVER,
    authorization_endpoint="https://github.com/login/oauth/authorize",
    token_endpoint="https://github.com/login/oauth/access_token",  # noqa: S106  an address
    revocation_endpoint="https://api.github.com",
    account_endpoint="https://api.github.com/user",
    revocation=Revocation(_revoked, good=(204, 404, 422), takes=("access",)),
    method=CLIENT_SECRET_POST,
    parameters={"allow_signup": "false"},
    rotation=Rotation.ROTATES,
)
