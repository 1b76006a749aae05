"""CIMD sections 4 and 6, RFC 7591 section 2: what a fetched document says about its client; a pure rule."""

import json
import re
from collections.abc import Mapping

from broker.identity.clients import metadata, openid
from broker.identity.clients.documents import address
from broker.identity.clients.documents.address import Here
from broker.identity.clients.model import Client, Registered
from broker.protocol import details, jwk, redirect_uri, strict_json
from broker.protocol.names import (
    AUTHORIZATION_CODE,
    JWT_BEARER,
    NONE,
    PRIVATE_KEY_JWT,
    REFRESH_TOKEN,
    SIGNING_ALGORITHMS,
)
from broker.runtime.egress import Answer
from broker.runtime.fetcher import Unusable

METHODS = (NONE, PRIVATE_KEY_JWT)
LONGEST_NAME = 200
_GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, JWT_BEARER)
_CONTENT_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.+-]+\+)?json")
_SECRETS = ("client_secret", "client_secret_expires_at")
_PRIVATE = ("d", "k")  # one of them is in every private and every symmetric key (RFC 7518 section 6)


class NoCommonMethod(Unusable):
    """CIMD section 6: a sound document, and none of the methods it declares is offered here."""


def client(url: str, answer: Answer, here: Here) -> Client:
    """The client that the document at `url` describes; Unusable, in plain words, when it describes none."""
    document = _object(answer)
    if document.get("client_id") != url:
        raise Unusable("client_id: it is not the URL of the document, byte for byte")
    if found := [name for name in _SECRETS if name in document]:
        raise Unusable(f"{found[0]}: a document that everybody can read holds no secret")
    uris = _texts(document, "redirect_uris")
    if not uris:
        raise Unusable("redirect_uris: at least one is needed")
    application_type = _application_type(document, uris)
    for uri in uris:
        if wrong := redirect_uri.check_registration(uri, application_type):
            raise Unusable(f"redirect_uris: {wrong}")
    if "code" not in (_texts(document, "response_types") or ("code",)):
        raise Unusable("response_types: code is needed")
    asked = _texts(document, "grant_types") or (AUTHORIZATION_CODE,)
    id_token_alg = _text(document, "id_token_signed_response_alg")
    afterwards = _texts(document, "post_logout_redirect_uris")
    if fault := openid.check(id_token_alg, afterwards, application_type):
        raise Unusable(f"{fault.member}: {fault.text}")
    logout_uri = _text(document, "backchannel_logout_uri")
    if logout_uri is not None and (wrong := address.refused(logout_uri, here)):
        raise Unusable(f"backchannel_logout_uri: {wrong}")
    jwks, jwks_uri = _keys(document, here)
    alg = _text(document, "token_endpoint_auth_signing_alg")
    method, *others = _methods(document, jwks is not None or jwks_uri is not None, alg)
    return Client(
        client_id=url,
        name=_name(document),
        tenant=None,
        method=method,
        registered=Registered.DOCUMENT,
        redirect_uris=uris,
        grant_types=tuple(name for name in _GRANT_TYPES if name in asked),
        application_type=application_type,
        other_methods=tuple(others),
        jwks=jwks,
        jwks_uri=jwks_uri,
        assertion_alg=alg,
        dpop_bound=document.get("dpop_bound_access_tokens") is True,
        pushed_only=document.get("require_pushed_authorization_requests") is True,
        id_token_alg=id_token_alg,
        post_logout_redirect_uris=afterwards,
        logout_uri=logout_uri,
        logout_needs_sid=document.get("backchannel_logout_session_required") is True,
        authorization_details_types=details.known_types(_texts(document, "authorization_details_types")),
        certificate_bound=_certificate_bound(document, here),
    )


def _certificate_bound(document: Mapping[str, object], here: Here) -> bool:
    name = "tls_client_certificate_bound_access_tokens"
    asked = document.get(name) is True
    if asked and (wrong := metadata.unbindable(document.get("dpop_bound_access_tokens") is True, here)):
        raise Unusable(f"{name}: {wrong}")
    return asked


def _object(answer: Answer) -> dict[str, object]:
    """RFC 8259, strictly: UTF-8 without a mark, one object, no member twice."""
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status != 200:
        raise Unusable(f"it is answered with status {answer.status}")
    if _CONTENT_TYPE.fullmatch(content_type) is None:
        raise Unusable("its content type is not application/json")
    try:
        value = strict_json.read(answer.body)
    except ValueError:
        raise Unusable("it is not JSON in UTF-8, or repeats a member") from None
    if not isinstance(value, dict):
        raise Unusable("it is not a JSON object")
    return value


def _name(document: Mapping[str, object]) -> str:
    name = (_text(document, "client_name") or "").strip()
    if not name or len(name) > LONGEST_NAME:
        raise Unusable(f"client_name: 1 to {LONGEST_NAME} characters are needed")
    return name


def _application_type(document: Mapping[str, object], uris: tuple[str, ...]) -> str:
    given = _text(document, "application_type")
    if given is not None and given not in ("native", "web"):
        raise Unusable("application_type: use native or web")
    at_home = any(redirect_uri.is_loopback(uri) or not uri.lower().startswith("http") for uri in uris)
    return given or ("native" if at_home else "web")


def _methods(document: Mapping[str, object], has_keys: bool, alg: str | None) -> list[str]:
    """Those that both sides have, the preferred one first; with neither member, `none`."""
    preferred = _text(document, "token_endpoint_auth_method")
    plural = "token_endpoint_auth_methods_supported"
    declared = _texts(document, plural) if plural in document else (preferred or NONE,)
    for name in (*declared, preferred or NONE):
        if name.startswith("client_secret"):
            raise Unusable(
                f"token_endpoint_auth_method: {name[:40]} needs a secret, and a document can hold none"
            )
    ours = [name for name in METHODS if name in declared]
    if not ours:
        raise NoCommonMethod(f"token_endpoint_auth_method: use one of {', '.join(METHODS)}")
    if PRIVATE_KEY_JWT in ours and (wrong := _unprovable(has_keys, alg)):
        ours.remove(PRIVATE_KEY_JWT)
        if not ours:
            raise Unusable(wrong)
    return sorted(ours, key=lambda name: name != preferred)


def _unprovable(has_keys: bool, alg: str | None) -> str | None:
    """Why nobody could authenticate with a key."""
    if alg not in (None, *SIGNING_ALGORITHMS):
        return f"token_endpoint_auth_signing_alg: use one of {', '.join(SIGNING_ALGORITHMS)}"
    return None if has_keys else f"jwks_uri: {PRIVATE_KEY_JWT} needs jwks or jwks_uri"


def _keys(document: Mapping[str, object], here: Here) -> tuple[str | None, str | None]:
    jwks, jwks_uri = document.get("jwks"), _text(document, "jwks_uri")
    if jwks is not None and jwks_uri is not None:
        raise Unusable("jwks: give jwks or jwks_uri, not both")
    if jwks_uri is not None and (wrong := address.refused(jwks_uri, here)):
        raise Unusable(f"jwks_uri: {wrong}")
    if jwks is None:
        return None, jwks_uri
    entries = jwks.get("keys") if isinstance(jwks, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and any(name in entry for name in _PRIVATE):
            raise Unusable("jwks: it holds a private key, which is nobody's alone any more")
    if not jwk.usable(jwks):
        raise Unusable("jwks: it holds no key that verifies signatures")
    return json.dumps(jwks, sort_keys=True, separators=(",", ":")), None


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.isprintable():
        raise Unusable(f"{name}: give a text of printable characters")
    return value


def _texts(document: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = document.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unusable(f"{name}: give a list of texts")
    return tuple(dict.fromkeys(value))
