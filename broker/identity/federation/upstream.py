"""OpenID Connect Core section 3.1, Discovery section 4, RFC 9207: this server as the client of a provider.

Authlib's OAuth client makes the requests; every one of them leaves through `egress`. What the provider answers is
judged in `id_token`.
"""

import base64
import json
import threading
from collections.abc import Mapping
from urllib.parse import quote_plus, urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client

from broker.identity.federation import id_token, rules
from broker.identity.federation.id_token import NotBelieved
from broker.identity.federation.model import TENANT_ID, Identity, Metadata, Provider
from broker.protocol import strict_json
from broker.protocol.redirect_uri import is_loopback
from broker.runtime.clock import Clock
from broker.runtime.egress import Answer, Egress, EgressFailed, EgressRefused
from broker.runtime.fetcher import Bounds, Fetcher, Unusable

WELL_KNOWN = "/.well-known/openid-configuration"
BOUNDS = Bounds(
    largest=128 * 1024, seconds=5.0, shortest=300.0, longest=3600.0, stale=3600.0, pause=30.0, rest=5.0
)
_LONGEST_URL = 2048
_AT_ONCE = 8
_OURS = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})
"""Errors of a token endpoint that no person caused: this server is registered wrongly there, or configured here."""


class Unavailable(Exception):
    """The provider cannot be used now: away, or not what its entry says. The message is for the evidence."""


class Upstream:
    """Reads each provider's metadata and keys once for all; asks for the tokens of one sign-in."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress, self._clock = egress, clock
        self._redeeming = threading.BoundedSemaphore(_AT_ONCE)
        self._documents: Fetcher[Mapping[str, object]] = Fetcher(egress, clock, BOUNDS, read)

    def metadata(self, provider: Provider) -> Metadata:
        """What the provider says of itself; Unavailable when it cannot be had, or is another's."""
        issuer = provider.issuer.replace(TENANT_ID, provider.authority)
        document = self._fetched(issuer.removesuffix("/") + WELL_KNOWN)
        if document.get("issuer") != provider.issuer:
            raise Unavailable("metadata: the issuer is not the configured one")
        at_home = is_loopback(provider.issuer)
        return Metadata(
            provider.issuer,
            endpoint(document, "authorization_endpoint", at_home),
            endpoint(document, "token_endpoint", at_home),
            endpoint(document, "jwks_uri", at_home),
            document.get("authorization_response_iss_parameter_supported") is True,
        )

    def keys(self, metadata: Metadata) -> Mapping[str, object]:
        """The provider's key set; Unavailable."""
        return self._fetched(metadata.jwks_uri)

    def signing(self, provider: Provider) -> tuple[str, ...]:
        """The algorithms that the provider's metadata offers, for diagnosis alone."""
        issuer = provider.issuer.replace(TENANT_ID, provider.authority)
        offered = self._fetched(issuer.removesuffix("/") + WELL_KNOWN).get(
            "id_token_signing_alg_values_supported"
        )
        return tuple(item for item in offered if isinstance(item, str)) if isinstance(offered, list) else ()

    def visit(
        self,
        provider: Provider,
        metadata: Metadata,
        *,
        callback: str,
        state: str,
        nonce: str,
        verifier: str,
        more: Mapping[str, str],
    ) -> str:
        """The address at the provider to which the browser goes."""
        client = self._client(provider, None, callback)
        url, _ = client.create_authorization_url(
            metadata.authorization_endpoint,
            state=state,
            code_verifier=verifier,
            nonce=nonce,
            scope=" ".join(provider.scopes),
            **more,
        )
        return str(url)

    def identity(
        self,
        provider: Provider,
        metadata: Metadata,
        secret: str | None,
        *,
        callback: str,
        code: str,
        nonce: str,
        verifier: str,
    ) -> Identity:
        """Redeem the code; who is there. NotBelieved or Unavailable."""
        if not self._redeeming.acquire(blocking=False):
            raise Unavailable("token endpoint: too many requests are under way")
        client = self._client(provider, secret, callback)
        try:
            answer = client.fetch_token(
                metadata.token_endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
            )
        except AuthlibBaseError as error:
            said = str(error.error)[:60]
            if said in _OURS:
                raise Unavailable(f"token endpoint: {said}") from None
            raise NotBelieved(f"token endpoint: {said}") from None
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise NotBelieved("token endpoint: no token response") from None
        finally:
            self._redeeming.release()
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise NotBelieved("token endpoint: no id_token")
        return id_token.believed(
            token,
            provider,
            lambda newer: self._fetched(metadata.jwks_uri, newer=newer),
            nonce=nonce,
            access_token=access if isinstance(access, str) else None,
            now=self._clock.now(),
        )

    def _client(self, provider: Provider, secret: str | None, callback: str) -> OAuth2Client:
        client = OAuth2Client(
            _Session(self._egress),
            client_id=provider.client_id,
            client_secret=secret,
            token_endpoint_auth_method=provider.method,
            redirect_uri=callback,
            code_challenge_method="S256",
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        return client

    def _fetched(self, url: str, *, newer: bool = False) -> Mapping[str, object]:
        try:
            return (self._documents.newer if newer else self._documents.get)(url).value
        except (EgressFailed, EgressRefused, Unusable) as error:
            raise Unavailable(f"{urlsplit(url).path}: {error}"[:200]) from None


class _Answer:
    """As Authlib's client reads an HTTP response."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self.status_code = answer, answer.status

    def json(self) -> object:
        return strict_json.read(self._answer.body)

    def raise_for_status(self) -> None:
        if self.status_code >= 500 or self.status_code == 429:
            raise Unavailable(f"token endpoint: status {self.status_code}")
        if self.status_code >= 400:
            raise NotBelieved(f"token endpoint: status {self.status_code}")


class _Session:
    """As Authlib's client sends a form: through egress, and nowhere else."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: object) -> _Answer:
        body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in data.items())
        url, sent, body = auth.prepare("POST", url, dict(headers), body)  # type: ignore[attr-defined]
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            return _Answer(self._egress.send("POST", url, body.encode(), sent))
        except (EgressFailed, EgressRefused) as error:
            raise Unavailable(f"token endpoint: {error}"[:200]) from None


def _basic(
    client: OAuth2Client, method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """RFC 6749 section 2.3.1: name and secret are form-encoded before they are joined; Authlib's way is another."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret or '')}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
    return uri, headers, body


def endpoint(document: Mapping[str, object], name: str, at_home: bool) -> str:
    """An address that a provider's metadata names; Unavailable when it is none to go to."""
    found = document.get(name)
    if isinstance(found, str) and len(found) <= _LONGEST_URL and found.isascii() and "#" not in found:
        try:
            parts = urlsplit(found)
            safe = parts.scheme == "https" or (at_home and parts.scheme == "http" and is_loopback(found))
            if (
                safe
                and parts.hostname
                and parts.username is None
                and found.isprintable()
                and " " not in found
            ):
                return found
        except ValueError:
            pass
    raise Unavailable(f"metadata: {name}")


def read(_: str, answer: Answer) -> Mapping[str, object]:
    """The JSON object of an answer; Unusable."""
    if answer.status != 200:
        raise Unusable(f"status {answer.status}")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Unusable("no JSON object")
    return document


def possible(provider: Provider, said: str | None, metadata: Metadata) -> bool:
    """RFC 9207 section 2.4: whether an authorization response that names this `iss`, or none, can be the provider's."""
    if said is None:
        return not metadata.says_issuer
    return said == metadata.issuer or said in rules.issuers(provider)
