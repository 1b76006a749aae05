"""RFC 7591 section 2: a client's metadata, validated whole before anything of it is used; a pure rule."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from broker.audit.unknown import unknown
from broker.identity.clients import keys, openid
from broker.identity.clients.documents import address
from broker.identity.clients.documents.address import Here
from broker.identity.clients.model import SECRET_METHODS
from broker.protocol import details, redirect_uri
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import AUTHORIZATION_CODE, NONE, PRIVATE_KEY_JWT, REFRESH_TOKEN
from broker.runtime.addresses import public

GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN)
METHODS = (NONE, *SECRET_METHODS, PRIVATE_KEY_JWT)
MAX_REDIRECT_URIS = 20
MAX_NAME = 200
_BOUND = ("dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens")
_LINKS = ("client_uri", "tos_uri", "policy_uri")
_FLAGS = (
    "require_pushed_authorization_requests",
    "backchannel_logout_session_required",
)
_LINK = re.compile(r"https?://[A-Za-z0-9]", re.IGNORECASE)
# What a server would fetch, call or send people to. This one calls one of them, but others may hold otherwise.
_ADDRESSES = (
    "logo_uri",
    "sector_identifier_uri",
    "initiate_login_uri",
    "backchannel_logout_uri",
    "backchannel_client_notification_endpoint",
)
_ADDRESS = re.compile(
    r"https://(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+))"
    r"(?::[0-9]{1,5})?(?:[/?][\x21\x24-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]*)?",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_AT_HOME = (".localhost", ".local", ".internal", ".home.arpa")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What of a registration the server keeps, and `scope`, which it only repeats. Other members are ignored."""

    name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    method: str
    application_type: str
    scope: str | None
    jwks: str | None
    jwks_uri: str | None
    assertion_alg: str | None
    dpop_bound: bool
    pushed_only: bool
    id_token_alg: str | None
    post_logout_redirect_uris: tuple[str, ...]
    logout_uri: str | None
    logout_needs_sid: bool
    authorization_details_types: tuple[str, ...]
    certificate_bound: bool


def validate(document: Mapping[str, object], here: Here) -> Metadata:
    """OAuthError of RFC 7591 section 3.2.2 that says which member is wrong. Nothing is fetched or resolved."""
    if document.get("software_statement") not in (None, ""):
        raise OAuthError(
            "invalid_software_statement",
            "software_statement: no issuer of statements is trusted here; leave it out.",
            Reason.SOFTWARE_STATEMENT_REFUSED,
        )
    method = _text(document, "token_endpoint_auth_method") or NONE
    if method not in METHODS:
        raise _refused(f"token_endpoint_auth_method: use one of {', '.join(METHODS)}.")
    grant_types = _texts(document, "grant_types") or (AUTHORIZATION_CODE,)
    if beyond := set(grant_types) - set(GRANT_TYPES):
        raise _refused(
            f"grant_types: {', '.join(sorted(beyond))[:200]} cannot be registered here.",
            detail=f"grant_types: {unknown(' '.join(sorted(beyond)))}",
        )
    if AUTHORIZATION_CODE not in grant_types:
        raise _refused("grant_types: authorization_code is needed.")
    if set(_texts(document, "response_types") or ("code",)) != {"code"}:
        raise _refused("response_types: only code is offered.")
    for flag in _FLAGS:
        if not isinstance(document.get(flag), bool | None):
            raise _refused(f"{flag}: give true or false.")
    dpop_bound, certificate_bound = _bound(document, here)
    uris, application_type = _redirect_uris(document)
    id_token_alg, afterwards = (
        _text(document, "id_token_signed_response_alg"),
        _texts(document, "post_logout_redirect_uris"),
    )
    if fault := openid.check(id_token_alg, afterwards, application_type):
        raise _refused(f"{fault.member}: {fault.text}.")
    for name in _LINKS:
        value = _text(document, name)
        if value is not None and _LINK.match(value) is None:
            raise _refused(f"{name}: give an https URL.")
    for name in _ADDRESSES:
        value = _text(document, name)
        if value is not None and not _public(value):
            raise _refused(f"{name}: give an https URL of a host on the public internet.")
    name = (_text(document, "client_name") or "").strip() or "Unnamed client"
    if len(name) > MAX_NAME:
        raise _refused(f"client_name: at most {MAX_NAME} characters.")
    jwks, jwks_uri = document.get("jwks"), _text(document, "jwks_uri")
    alg = _text(document, "token_endpoint_auth_signing_alg")
    if fault := keys.check((method,), jwks, jwks_uri, alg, loopback=here.loopback):
        raise _refused(f"{fault.member}: {fault.text}.")
    if jwks_uri is not None and (wrong := address.refused(jwks_uri, here)):
        raise _refused(f"jwks_uri: {wrong}.")
    signs = method == PRIVATE_KEY_JWT
    return Metadata(
        name=name,
        redirect_uris=uris,
        grant_types=grant_types,
        method=method,
        application_type=application_type,
        scope=_text(document, "scope"),
        jwks=keys.text_of(jwks) if signs and jwks is not None else None,
        jwks_uri=jwks_uri if signs else None,
        assertion_alg=alg if signs else None,
        pushed_only=bool(document.get("require_pushed_authorization_requests")),
        id_token_alg=id_token_alg,
        post_logout_redirect_uris=afterwards,
        logout_uri=_text(document, "backchannel_logout_uri"),
        logout_needs_sid=bool(document.get("backchannel_logout_session_required")),
        authorization_details_types=details.known_types(_texts(document, "authorization_details_types")),
        dpop_bound=dpop_bound,
        certificate_bound=certificate_bound,
    )


def _bound(document: Mapping[str, object], here: Here) -> tuple[bool, bool]:
    """Whether tokens are for the holder of a key, and of a certificate: nobody believes it of a server that cannot."""
    for name in _BOUND:
        if not isinstance(document.get(name), bool | None):
            raise _refused(f"{name}: give true or false.")
    by_key, by_certificate = (bool(document.get(name)) for name in _BOUND)
    if by_certificate and (wrong := unbindable(by_key, here)):
        raise _refused(f"{_BOUND[1]}: {wrong}.")
    return by_key, by_certificate


def unbindable(by_key: bool, here: Here) -> str | None:
    """Why a client cannot have tokens that are bound to its certificate."""
    if not here.certificates:
        return "this server sees no certificates of its clients"
    return "tokens are bound to a key or to a certificate, not both" if by_key else None


def _redirect_uris(document: Mapping[str, object]) -> tuple[tuple[str, ...], str]:
    """They and the application type, which fit each other."""
    uris = _texts(document, "redirect_uris")
    if not uris:
        raise _refused("redirect_uris: at least one is needed.", "invalid_redirect_uri")
    if len(uris) > MAX_REDIRECT_URIS:
        raise _refused(f"redirect_uris: at most {MAX_REDIRECT_URIS}.", "invalid_redirect_uri")
    application_type = _application_type(_text(document, "application_type"), uris)
    for uri in uris:
        if wrong := redirect_uri.check_registration(uri, application_type):
            if redirect_uri.check_registration(uri, "native") is None:
                raise _refused(f"application_type: {wrong}; register the client as native.")
            raise OAuthError("invalid_redirect_uri", f"redirect_uris: {wrong}", Reason.REDIRECT_URI_REFUSED)
    return uris, application_type


def _application_type(given: str | None, uris: tuple[str, ...]) -> str:
    if given not in (None, "native", "web"):
        raise _refused("application_type: use native or web.")
    if given is not None:
        return given
    at_home = any(
        redirect_uri.is_loopback(uri) or uri.partition(":")[0].lower() not in ("https", "http")
        for uri in uris
    )
    return "native" if at_home else "web"


def _public(uri: str) -> bool:
    """Whether this is an https URL whose host may be on the public internet; no name is resolved for that."""
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        return False
    name = (found["name"] or "").lower()
    if not name or _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return public(ipaddress.ip_address(found["six"] or name))
        except ValueError:
            return False
    return not f".{name}".endswith(_AT_HOME)


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 2048 or not value.isprintable():
        raise _refused(f"{name}: give a text of at most 2048 printable characters.")
    return value


def _texts(document: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = document.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _refused(f"{name}: give a list of texts.")
    return tuple(dict.fromkeys(value))


def _refused(description: str, error: str = "invalid_client_metadata", detail: str = "") -> OAuthError:
    return OAuthError(error, description, Reason.METADATA_REFUSED, detail=detail)
