"""RFC 7517 section 5, RFC 8414 section 3: keys of a trusted issuer: written down, at an address, or discovered."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from broker.identity.federation import upstream
from broker.identity.federation.trusted.model import TrustedIssuer
from broker.identity.federation.upstream import Unavailable
from broker.protocol.redirect_uri import is_loopback
from broker.runtime.clock import Clock
from broker.runtime.egress import Egress, EgressFailed, EgressRefused
from broker.runtime.fetcher import Bounds, Fetcher, Unusable

BOUNDS = Bounds(
    largest=128 * 1024, seconds=5.0, shortest=60.0, longest=600.0, stale=3600.0, pause=30.0, rest=5.0
)
_RFC8414 = "/.well-known/oauth-authorization-server"


class IssuerKeys:
    """Fetched once for all and kept for minutes; asked for anew for a key that is not there, twice a minute at most."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._documents: Fetcher[Mapping[str, object]] = Fetcher(egress, clock, BOUNDS, upstream.read)

    def of(self, entry: TrustedIssuer, *, newer: bool = False) -> Mapping[str, object]:
        """The issuer's key set; Unavailable. What is written down is never asked for."""
        if entry.jwks is not None:
            found = json.loads(entry.jwks)
            return found if isinstance(found, dict) else {}
        return self._fetched(entry, entry.jwks_uri or self._discovered(entry), newer)

    def _discovered(self, entry: TrustedIssuer) -> str:
        """The address that its metadata names: OpenID discovery, or RFC 8414 where there is none."""
        try:
            document = self._fetched(entry, entry.issuer.removesuffix("/") + upstream.WELL_KNOWN, newer=False)
        except Unavailable:
            parts = urlsplit(entry.issuer)
            path = parts.path.removesuffix("/")
            document = self._fetched(entry, f"{parts.scheme}://{parts.netloc}{_RFC8414}{path}", newer=False)
        if document.get("issuer") != entry.issuer:
            raise Unavailable("metadata: the issuer is not the configured one")
        return upstream.endpoint(document, "jwks_uri", is_loopback(entry.issuer))

    def _fetched(self, entry: TrustedIssuer, url: str, newer: bool) -> Mapping[str, object]:
        """A slow issuer takes a share of the fetches, and none of the others'."""
        try:
            return (self._documents.newer if newer else self._documents.get)(url, entry.id).value
        except (EgressFailed, EgressRefused, Unusable) as error:
            raise Unavailable(f"{urlsplit(url).path}: {error}"[:200]) from None
