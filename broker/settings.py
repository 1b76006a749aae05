"""Every knob once: name, type, default and one sentence; the only reader of the environment.

Values come from the environment (`BROKER_*`), then from `broker.toml`, then from the defaults here.
"""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
Domain = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")]

Origin = Annotated[str, Field(pattern=r"^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$")]

_TOGETHER = {
    "alert_webhook_url": "alert_webhook_secret_file",
    "approval_webhook_url": "approval_webhook_secret_file",
    "mail_host": "mail_from",
    "mail_user": "mail_password_file",
}


class Settings(BaseSettings):
    """Read once at start; `model_fields` is the documentation."""

    model_config = SettingsConfigDict(
        env_prefix="BROKER_", toml_file="broker.toml", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    issuer: str = Field(
        "http://127.0.0.1:8400", description="The root door: scheme, host and port, no trailing slash."
    )
    server_name: str = Field(
        "MCP token broker", description="What people read on pages of the root door.", max_length=80
    )
    host: str = Field("127.0.0.1", description="The address that the server listens on.")
    port: int = Field(8400, description="The port that the server listens on.", ge=0, le=65535)
    data: Path = Field(Path(".broker"), description="The folder of the embedded database and key file.")
    migration_database_url: SecretStr | None = Field(
        None,
        description="The same database as the role that owns its schema, for `broker migrate`; the broker's own role"
        " is then given no more than it needs.",
    )
    database_url: str | None = Field(
        None, description="The database; the default is SQLite in the data folder."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="The Redis that counts limits for all processes; the default is one process's memory.",
    )
    redis_prefix: str = Field(
        "broker:",
        description="What the names of all keys in Redis begin with.",
        pattern="^[A-Za-z0-9:._-]{1,40}$",
    )
    key_encryption_key: SecretStr | None = Field(
        None, description="The key that seals private keys: 32 bytes in base64url or hex. Prefer the file."
    )
    key_encryption_key_file: Path | None = Field(
        None,
        description="A file with the sealing key (a credential directory works); default: `kek` in the data folder.",
    )
    previous_key_encryption_key_file: Path | None = Field(
        None,
        description="The file of the sealing key before this one, while anything is still sealed under it.",
    )
    credentials_directory: Path | None = Field(
        None,
        description="A folder of credentials made for this service; its file `kek` is used when no other is named.",
        validation_alias=AliasChoices(
            "credentials_directory", "BROKER_CREDENTIALS_DIRECTORY", "CREDENTIALS_DIRECTORY"
        ),
    )
    development: bool = Field(
        False, description="Set by `broker dev`: allows short client secrets and makes a key file."
    )
    fail_point: str | None = Field(
        None,
        description="Tests only, refused outside development: `POINT=kill` or `POINT=raise`; `:N` for the N-th pass.",
        pattern=r"^[a-z_]+\.[a-z_]+=(kill|raise)(:[1-9][0-9]{0,5})?$",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    client_certificate_header: str | None = Field(
        None,
        description="The header in which trusted proxies hand on the client's certificate: an RFC 9440 field, or"
        " percent-encoded PEM.",
        pattern="^[A-Za-z][A-Za-z0-9-]{0,63}$",
    )
    proxies_drop_underscores: bool = Field(
        False,
        description="Confirm that the trusted proxies drop headers with an underscore in the name: a client that sends"
        " `Client_Cert` is taken for a proxy that sends `Client-Cert`, and so for `X_Forwarded_For`.",
    )
    client_certificate_authorities: Path | None = Field(
        None,
        description="A PEM file of the authorities by whose certificates clients may authenticate (`tls_client_auth`).",
    )
    mtls_origin: str | None = Field(
        None,
        description="Where clients with certificates reach the endpoints, when the issuer's address asks for none:"
        " scheme, host and port (`mtls_endpoint_aliases`).",
        pattern=r"^https://[a-z0-9.:\[\]-]+$",
    )
    egress_authorities: Path | None = Field(
        None,
        description="A PEM file of certificate authorities that are trusted, beside the system's, when fetching.",
    )
    catalogue_origins: tuple[Origin, ...] = Field(
        (),
        description="Where MCP servers may be asked for their tools although they are not on the public internet, as"
        " `http://mcp.internal.example:8080`.",
    )
    log_level: str = Field(
        "info", description="debug, info, warning or error.", pattern="^(debug|info|warning|error)$"
    )
    workers: int = Field(1, description="Processes that serve requests; several need PostgreSQL.", ge=1)
    stop_timeout: int = Field(
        30, description="Seconds that requests under way may take when the server is told to stop.", ge=1
    )
    duty_interval: int = Field(
        60, description="Seconds between two rounds of the background duties.", ge=1, le=3600
    )
    metrics_host: str = Field("127.0.0.1", description="The private address at which metrics are read.")
    metrics_port: int = Field(
        9464,
        description="The private port of `/metrics`; 0 for none. `broker dev` has none by itself.",
        ge=0,
        le=65535,
    )

    code_lifetime: int = Field(60, description="Seconds until an authorization code expires.", ge=10, le=60)
    pushed_request_lifetime: int = Field(
        90, description="Seconds until a pushed authorization request expires unopened.", ge=30, le=600
    )
    device_code_lifetime: int = Field(
        600, description="Seconds until the codes of a device that nobody answered expire.", ge=60, le=600
    )
    interaction_lifetime: int = Field(
        600, description="Seconds until a sign-in that was begun expires.", ge=60, le=3600
    )
    idempotency_lifetime: int = Field(
        86400,
        description="Seconds that an idempotency key, and what became of the call under it, is remembered.",
        ge=600,
        le=7 * 86400,
    )
    refresh_lifetime: int = Field(
        30 * 86400, description="Seconds until a refresh token that is not used expires.", ge=600
    )
    refresh_grace: int = Field(
        10, description="Seconds in which a repeated refresh gets the same successor.", ge=0, le=10
    )
    refresh_rotation_confidential: bool = Field(
        True, description="Rotate refresh tokens of confidential clients too, not only of public ones."
    )
    grant_lifetime: int = Field(
        90 * 86400, description="Seconds until a consent has to be given again.", ge=3600
    )
    session_idle: int = Field(1800, description="Seconds without a visit after which a sign-in ends.", ge=60)
    session_absolute: int = Field(
        12 * 3600, description="Seconds after which a sign-in ends in any case.", ge=300
    )
    metadata_max_age: int = Field(
        300, description="Seconds that metadata and JWKS may be cached.", ge=0, le=300
    )
    dpop_nonces: bool = Field(
        False,
        description="Demand a nonce in every DPoP proof; otherwise only of clients whose clock is wrong.",
    )
    dpop_proofs_per_minute: int = Field(
        6000, description="DPoP proofs that one source may send to the token endpoint in a minute.", ge=1
    )
    key_publish_before: int = Field(
        3600, description="Seconds that a signing key is published before it signs.", ge=600
    )
    key_active: int = Field(30 * 86400, description="Seconds that a signing key is used.", ge=3600)
    key_retire_after: int = Field(
        3600, description="Seconds that a key stays published after it signed last.", ge=900
    )

    registration_open: bool = Field(True, description="Let clients register themselves (RFC 7591).")
    registration_per_hour: int = Field(
        60, description="Registrations that one source may make in an hour.", ge=0
    )
    registration_door_per_hour: int = Field(
        2000, description="Registrations that all sources together may make at one door in an hour.", ge=0
    )
    registration_unused_lifetime: int = Field(
        86400, description="Seconds after which a registered client that was never used is removed.", ge=600
    )
    registration_idle_lifetime: int = Field(
        180 * 86400,
        description="Seconds after its last token at which a registered client is removed; no less than"
        " `grant_lifetime`, so that nothing granted to it is left.",
        ge=3600,
    )
    client_documents: bool = Field(
        True, description="Let clients be known by the metadata document at their `client_id`, a URL."
    )
    client_documents_allow: tuple[Domain, ...] = Field(
        (), description="Domains, each with all below it, whose metadata documents are believed; empty: all."
    )
    client_documents_deny: tuple[Domain, ...] = Field(
        (), description="Domains, each with all below it, whose metadata documents are never believed."
    )
    client_documents_per_minute: int = Field(
        20, description="Unknown metadata documents that one source may have fetched in a minute.", ge=1
    )
    failures_per_minute: int = Field(
        20, description="Wrong passwords or client secrets that one source may send in a minute.", ge=1
    )
    account_failures_per_minute: int = Field(
        10, description="Wrong passwords for one account and source in a minute before it has to wait.", ge=1
    )
    account_strangers_per_hour: int = Field(
        100,
        description="Wrong attempts at one account in an hour, from all addresses together, before strangers have to"
        " wait; not browsers in which its person signed in before, nor passkeys.",
        ge=1,
    )
    inactive_introspections_per_minute: int = Field(
        300, description="Tokens that are not the caller's which one client may introspect in a minute.", ge=1
    )
    interactions_per_minute: int = Field(
        120, description="Sign-ins that one source may begin in a minute.", ge=1
    )
    pushed_requests_per_minute: int = Field(
        120, description="Authorization requests that one source may push in a minute.", ge=1
    )
    repeats_per_txn: int = Field(
        20,
        description="How often one exact call may happen under one `txn` before it is taken for a loop.",
        ge=1,
    )
    exchanges_per_txn: int = Field(
        1000,
        description="Exchanges that may be made under one `txn`, of whatever servers, in its life.",
        ge=1,
    )
    tokens_per_grant_per_minute: int = Field(
        60_000, description="Tokens that may be made from one grant in a minute.", ge=1
    )
    alert_webhook_url: str | None = Field(
        None,
        description="Where alerts go (https, on the public internet): spikes of refusals, budgets nearly spent, calls"
        " without an outcome.",
    )
    alert_refusals: int = Field(
        100, description="Refusals of one tenant within five minutes of which an alert tells.", ge=1
    )
    alert_open_outcomes: int = Field(
        20,
        description="Calls with effects of one tenant, let through ten minutes ago and without an outcome since, of"
        " which an alert tells.",
        ge=1,
    )
    alert_webhook_secret_file: Path | None = Field(
        None, description="A file with the secret that signs alerts (Standard Webhooks): 24 bytes or more."
    )
    approvals_per_minute: int = Field(
        20, description="Approvals that one client may have asked in a minute, by user and resource.", ge=1
    )
    approvals_waiting: int = Field(
        5, description="Approvals that may wait for one client, by user and resource.", ge=1
    )
    approval_factor: bool = Field(
        True, description="Calls are allowed with a second factor or passkey; not asked for by `broker dev`."
    )
    approval_webhook_url: str | None = Field(
        None,
        description="Where it is told that a call waits for an approval (https, on the public internet).",
    )
    approval_webhook_secret_file: Path | None = Field(
        None, description="A file with the secret that signs that (Standard Webhooks): 24 bytes or more."
    )
    mail_host: str | None = Field(
        None, description="The mail server through which approvers are told; the default is no mail."
    )
    mail_port: int = Field(587, description="Its port.", ge=1, le=65535)
    mail_from: str | None = Field(
        None, description="The address that mail comes from.", pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$"
    )
    mail_tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="starttls, implicit (as on port 465), or none, for a server on this machine."
    )
    mail_user: str | None = Field(None, description="The name to sign in to the mail server with.")
    mail_password_file: Path | None = Field(None, description="A file with the password for it.")
    argon2_memory_kib: int = Field(
        19 * 1024, description="Memory of one password hash (argon2id), in KiB.", ge=8
    )
    argon2_iterations: int = Field(2, description="Passes of one password hash (argon2id).", ge=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            parts = urlsplit(self.issuer)
            port = parts.port
        except ValueError:
            raise ValueError("issuer: this is not a URL.") from None
        canonical = f"{parts.scheme}://{parts.netloc}"
        if (
            self.issuer != canonical
            or parts.netloc != parts.netloc.lower()
            or "@" in parts.netloc
            or not parts.hostname
        ):
            raise ValueError(
                "issuer: write scheme, host and port in lower case, without a path or trailing slash."
            )
        default = {"http": 80, "https": 443}.get(parts.scheme)
        if default is None or port == default:
            raise ValueError("issuer: use http or https and leave the default port out.")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            raise ValueError("issuer: http is for loopback only; use https.")
        if not self.development and self.argon2_memory_kib < 19 * 1024:
            raise ValueError("argon2_memory_kib: at least 19456 outside development.")
        if self.fail_point is not None and not self.development:
            raise ValueError("fail_point: a broker that serves anybody has none; unset it.")
        if self.registration_idle_lifetime < self.grant_lifetime:
            raise ValueError("registration_idle_lifetime: at least `grant_lifetime`.")
        redis = self.redis_url.get_secret_value() if self.redis_url is not None else "unix://"
        if not redis.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("redis_url: use redis://, rediss:// (TLS) or unix://.")
        for one, other in _TOGETHER.items():
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one}: it goes together with `{other}`.")
        if self.mail_host not in (None, *LOOPBACK_HOSTS) and self.mail_tls == "none":
            raise ValueError("mail_tls: none is for a mail server on this machine only.")
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError("trusted_proxies: give addresses or networks.") from None
        return self

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.data.resolve() / 'broker.db'}"

    @property
    def loopback(self) -> bool:
        """Whether the issuer is an address of this machine."""
        return urlsplit(self.issuer).hostname in LOOPBACK_HOSTS

    @property
    def sees_certificates(self) -> bool:
        """Whether clients are expected to come with certificates (RFC 8705 section 3.3)."""
        return bool(self.client_certificate_header or self.client_certificate_authorities)

    @property
    def secure(self) -> bool:
        """Whether pages and cookies travel over TLS."""
        return self.issuer.startswith("https://")


def strangers() -> list[str]:
    """Variables of the environment that look like settings and are none: misspelt, or left from a release."""
    known = {f"BROKER_{name.upper()}" for name in Settings.model_fields}
    return sorted(
        name for name in os.environ if name.upper().startswith("BROKER_") and name.upper() not in known
    )


def for_others() -> dict[str, str]:
    """The environment as a program that this one starts may see it: without our settings, and their secrets."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("BROKER_")}


def certificate_in_environment() -> str | None:
    """A variable that would pass for the certificate of every client: servers hand the environment to each request."""
    return next((name for name in os.environ if name.startswith("SSL_CLIENT_CERT")), None)


def insecure_transport() -> bool:
    """Whether Authlib was told that http will do."""
    return "AUTHLIB_INSECURE_TRANSPORT" in os.environ
