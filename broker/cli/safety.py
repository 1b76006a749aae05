"""What the server does not start with: each combination by the name of its setting, with what to do about it."""

import ipaddress
from urllib.parse import urlsplit

from broker import app
from broker.control.webhooks.rules import read_secret
from broker.identity.clients.authentication.tls_client_auth import read_authorities
from broker.settings import (
    LOOPBACK_HOSTS,
    Settings,
    certificate_in_environment,
    insecure_transport,
    strangers,
)


def unsafe(settings: Settings, workers: int = 1) -> list[str]:
    """Why this must not serve, one sentence each; empty when nothing speaks against it."""
    public = urlsplit(settings.issuer).hostname not in LOOPBACK_HOSTS
    found = [
        f"{name} is in the environment, but there is no such setting: correct or unset it."
        for name in strangers()
    ]
    if insecure_transport():
        found.append("AUTHLIB_INSECURE_TRANSPORT is in the environment and allows http: unset it.")
    if settings.development:
        found.append(
            "development is for `broker dev`: unset it, or choose another data folder than that of `broker dev`."
        )
    if not public and not settings.secure and _others_reach(settings.host):
        found.append(
            f"host is {settings.host}, which others reach, but the issuer is http on loopback: listen on 127.0.0.1, or "
            "give the https issuer that clients reach."
        )
    if settings.log_level == "debug" and public:
        found.append("log_level is debug on a public issuer: use info.")
    found += [
        f"trusted_proxies holds {proxy}, which is everybody: name the addresses of your proxies."
        for proxy in settings.trusted_proxies
        if ipaddress.ip_network(proxy, strict=False).prefixlen == 0
    ]
    found += _certificates(settings)
    if workers > 1 and settings.database.startswith("sqlite:"):
        found.append(
            f"workers is {workers}, but embedded SQLite is one process: use one worker, "
            "or set database_url to PostgreSQL."
        )
    return found + _webhooks(settings) + _sealing(settings)


def _others_reach(host: str) -> bool:
    return host not in LOOPBACK_HOSTS and not host.startswith("127.")


def _certificates(settings: Settings) -> list[str]:
    found = []
    header = settings.client_certificate_header
    if (variable := certificate_in_environment()) is not None:
        found.append(
            f"{variable} is in the environment, where it would be every client's certificate: unset it."
        )
    if header is not None and not settings.trusted_proxies:
        found.append(
            "client_certificate_header is set, but nobody may send it: name the addresses of your proxies in "
            "trusted_proxies."
        )
    if header is not None and "-" in header and not settings.proxies_drop_underscores:
        found.append(
            f"client_certificate_header is {header}, which clients may send as {header.replace('-', '_')}: choose a "
            "name without a hyphen (ClientCert), or let the proxies drop such headers and set proxies_drop_underscores."
        )
    if settings.client_certificate_authorities is not None:
        try:
            read_authorities(settings.client_certificate_authorities)
        except OSError as error:
            found.append(f"client_certificate_authorities: {error.filename}: {error.strerror}.")
        except ValueError as error:
            found.append(f"client_certificate_authorities: {error}")
    return found


def _webhooks(settings: Settings) -> list[str]:
    found = []
    for name in ("alert_webhook", "approval_webhook"):
        url, file = getattr(settings, f"{name}_url"), getattr(settings, f"{name}_secret_file")
        if url is not None and not url.startswith("https://"):
            found.append(f"{name}_url is not https: what is told would travel in the clear.")
        if file is not None:
            try:
                read_secret(file)
            except ValueError as error:
                found.append(f"{name}_secret_file: {error}.")
    return found


def _sealing(settings: Settings) -> list[str]:
    try:
        weak = app.sealing_key(settings).weak()
    except FileNotFoundError as error:
        return [
            f"key_encryption_key_file: there is no {error.filename}; make one with `broker init`, mode 0600."
        ]
    except OSError as error:
        return [f"key_encryption_key_file: {error.filename}: {error.strerror}."]
    except ValueError as error:
        return [f"key_encryption_key: {error}."]
    if weak:
        return ["key_encryption_key was not drawn at random: make one with `openssl rand -hex 32`."]
    return []
