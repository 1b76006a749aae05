"""Atlassian cloud (OAuth 2.0, 3LO): refresh tokens rotate, an audience goes with the visit, nothing can be revoked.

https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/
"""

from broker.protocol.names import CLIENT_SECRET_POST, OFFLINE_ACCESS
from broker.vault.model import Account, Provider, Rotation
from broker.vault.providers import generic


def _account(document: object, names: tuple[str, ...]) -> Account | None:
    return generic.account(document, names or ("account_id", "name"))


def _over(error: str, description: str) -> bool:
    """A refresh token that is void is told as an unauthorized client, and only its description says what it is."""
    return error == "invalid_grant" or (
        error == "unauthorized_client" and "refresh_token is invalid" in description
    )


PROVIDER = Provider(
    "atlassian",
    "Atlassian",
    generic.members,
    _account,
    _over,
    authorization_endpoint="https://auth.atlassian.com/authorize",
    token_endpoint="https://auth.atlassian.com/oauth/token",  # noqa: S106  an address
    account_endpoint="https://api.atlassian.com/me",
    method=CLIENT_SECRET_POST,
    pkce=False,
    parameters={"audience": "api.atlassian.com", "prompt": "consent"},
    always=(OFFLINE_ACCESS,),
    rotation=Rotation.ROTATES,
)
