"""A system that is not ours in the estate file (docs/vault.md): `provider` and `vault` of a resource, and back."""

from pydantic import BaseModel, ConfigDict, SecretStr

from broker.estate.model import Registration

Shape = dict[str, object]


class VaultEntry(BaseModel):
    """This server as a client of the provider; the file is relative to the estate file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: str | None = None
    token_endpoint_auth_method: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    account_endpoint: str | None = None
    issuer: str | None = None
    pkce: bool | None = None
    scope_separator: str | None = None
    parameters: dict[str, str] = {}
    account: list[str] = []


def noun(provider: str | None, entry: VaultEntry | None) -> Registration | None:
    """None where one of them is missing, which `vault_rules` reports."""
    if provider is None or entry is None:
        return None
    return Registration(
        provider,
        entry.client_id,
        entry.authorization_endpoint,
        entry.token_endpoint,
        entry.revocation_endpoint,
        entry.account_endpoint,
        entry.token_endpoint_auth_method,
        entry.issuer,
        entry.pkce,
        entry.scope_separator,
        dict(entry.parameters),
        tuple(entry.account),
    )


def full(held: Registration | None) -> Shape | None:
    """Every member but the secret that is not left to the provider's row."""
    if held is None:
        return None
    members: Shape = {
        "client_id": held.client_id,
        "token_endpoint_auth_method": held.method,
        "authorization_endpoint": held.authorization_endpoint,
        "token_endpoint": held.token_endpoint,
        "revocation_endpoint": held.revocation_endpoint,
        "account_endpoint": held.account_endpoint,
        "issuer": held.issuer,
        "pkce": held.pkce,
        "scope_separator": held.scope_separator,
        "parameters": dict(held.parameters) or None,
        "account": list(held.account) or None,
    }
    return {name: value for name, value in members.items() if value is not None}
