"""The estate file (docs/estate.md): its members and their types; what they may say is in `rules`."""

from collections.abc import Hashable
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from broker.admin import moments, policy_entry
from broker.admin.budget_entry import BudgetEntry
from broker.admin.model import EstateProblems, Problem
from broker.admin.policy_entry import PolicyEntry
from broker.admin.provider_entry import ProviderEntry
from broker.admin.tool_entry import IsolationEntry, LimitsEntry, ToolEntry
from broker.admin.trusted_entry import IssuerEntry, RecipientEntry, WorkloadEntry
from broker.admin.vault_entry import VaultEntry

_TEXTS = {
    "extra_forbidden": "the estate file has no such member",
    "missing": "is missing",
    "string_type": "write a text (in quotes, if YAML reads something else)",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "list_type": "write a list",
    "dict_type": "write a mapping",
    "model_type": "write a mapping",
}


def _tenants(value: object) -> object:
    return ["*"] if value == "*" else value


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class TrustEntry(Entry):
    """Without `allow`, every host is; an empty one is nobody."""

    allow: list[str] | None = None
    deny: list[str] = []


class TenantEntry(Entry):
    id: str
    name: str | None = None
    root_door: bool = True
    client_documents: TrustEntry = TrustEntry()
    require_pushed: bool = False
    device: bool = False
    identity_providers: list[str] = []


class MembershipEntry(Entry):
    id: str
    roles: list[str] = []
    attributes: dict[str, object] = {}


class UserEntry(Entry):
    id: str
    name: str | None = None
    email: str | None = None
    password: SecretStr | None = None
    tenants: list[MembershipEntry] = []


class Credentials(Entry):
    """How a confidential client proves itself; the file is relative to the estate file."""

    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: str | None = None
    token_endpoint_auth_method: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    jwks: dict[str, object] | None = None
    jwks_uri: str | None = None
    dpop_bound_access_tokens: bool = False
    introspection_signed_response_alg: str | None = None
    authorization_details_types: list[str] = []
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    tls_client_certificate_bound_access_tokens: bool = False


class ClientEntry(Credentials):
    name: str | None = None
    type: Literal["public", "confidential"]
    tenant: str | None = None
    redirect_uris: list[str] = []
    grant_types: list[str] = ["authorization_code"]
    scopes: list[str] | None = None
    resources: list[str] | None = None
    require_pushed_authorization_requests: bool = False
    id_token_signed_response_alg: str | None = None
    post_logout_redirect_uris: list[str] = []
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False


class TokenEntry(Entry):
    lifetime: int = 300
    alg: str = "ES256"


class ScopeEntry(Entry):
    name: str
    description: str | None = None
    default: bool = False
    implies: list[str] = []
    acr: str | None = None
    max_age: int | None = None


class ResourceEntry(Entry):
    id: str
    kind: Literal["mcp", "downstream", "vault"]
    uri: str
    name: str | None = None
    tenants: Annotated[list[str], BeforeValidator(_tenants)]
    default: bool = False
    client: Credentials | None = None
    token: TokenEntry = TokenEntry()
    scopes: list[ScopeEntry] = []
    tools: list[ToolEntry] = []
    limits: LimitsEntry = LimitsEntry()
    isolation: IsolationEntry = IsolationEntry()
    record: Literal["each", "after"] = "each"
    stage: Literal["baseline", "read_only", "reversible", "full"] = "full"
    publish: bool | None = None
    provider: str | None = None
    vault: VaultEntry | None = None


class EdgeEntry(Entry):
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    scopes: dict[str, list[str]]
    lifetime: int = 120
    depth: int = 3
    consent: Literal["user", "admin"] = "user"
    purpose: str | None = None
    expires: Annotated[float | None, BeforeValidator(moments.read)] = None
    release: bool = False


class EstateFile(Entry):
    tenants: list[TenantEntry] = []
    identity_providers: list[ProviderEntry] = []
    trusted_issuers: list[IssuerEntry] = []
    users: list[UserEntry] = []
    clients: list[ClientEntry] = []
    workloads: list[WorkloadEntry] = []
    resources: list[ResourceEntry] = []
    edges: list[EdgeEntry] = []
    assertion_recipients: list[RecipientEntry] = []
    policies: Annotated[list[PolicyEntry], BeforeValidator(policy_entry.listed)] = []
    budgets: list[BudgetEntry] = []


SECTIONS = {
    "tenant": "tenants",
    "idp": "identity_providers",
    "issuer": "trusted_issuers",
    "user": "users",
    "client": "clients",
    "workload": "workloads",
    "resource": "resources",
    "edge": "edges",
    "recipient": "assertion_recipients",
    "policy": "policies",
    "budget": "budgets",
}


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    line = key_node.start_mark.line + 1
                    raise yaml.constructor.ConstructorError(
                        None, None, f"line {line}: {key!r} stands there twice"
                    )
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> object:
    """The value of a YAML (or JSON) text; EstateProblems when it is none."""
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise EstateProblems([Problem("", f"{line}{error.problem or 'not YAML'}")]) from None
    except (yaml.YAMLError, RecursionError):
        raise EstateProblems([Problem("", "this is not a YAML file")]) from None


def parse(value: object) -> EstateFile:
    """The file's content in its shape; EstateProblems lists every member that is not."""
    try:
        return EstateFile.model_validate({} if value is None else value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=True, include_input=False)
        raise EstateProblems([Problem(_path(item["loc"]), _text(item)) for item in found]) from None


def parse_one(noun: str, value: object) -> EstateFile:
    """One object in the shape that it has in the file, as a file with nothing else."""
    return parse({SECTIONS[noun]: [value]})


def _path(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def _text(item: ErrorDetails) -> str:
    if item["type"] == "literal_error":
        return f"use one of {item['ctx']['expected'].replace(' or ', ', ')}"
    return _TEXTS.get(item["type"], item["msg"])
