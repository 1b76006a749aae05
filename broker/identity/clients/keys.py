"""RFC 7591 section 2 (`jwks`, `jwks_uri`): the keys of a client, judged when they come in, looked up when it signs."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from broker.identity.clients.model import Client
from broker.protocol import jwk, resource
from broker.protocol.jwk import VerificationKey
from broker.protocol.names import PRIVATE_KEY_JWT, SIGNING_ALGORITHMS
from broker.protocol.redirect_uri import is_loopback
from broker.runtime.clock import Clock
from broker.runtime.egress import Answer, Egress, EgressFailed, EgressRefused
from broker.runtime.fetcher import Bounds, Fetcher, Unusable

LONGEST_URI = 2048
BOUNDS = Bounds(
    largest=64 * 1024, seconds=5.0, shortest=60.0, longest=600.0, stale=3600.0, pause=30.0, rest=30.0
)
_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use")


@dataclass(frozen=True, slots=True)
class Fault:
    """Which member of a registration is wrong, and why, in plain words."""

    member: str
    text: str


def check(
    methods: Collection[str], jwks: object, jwks_uri: object, alg: object, *, loopback: bool = False
) -> Fault | None:
    """What is wrong with the keys of a registration that allows `methods`; None when nothing is.

    `alg` is its `token_endpoint_auth_signing_alg`; absent members are None. With `loopback` (a server that itself is on
    this machine) a `jwks_uri` may be there too.
    """
    if alg is not None and alg not in SIGNING_ALGORITHMS:
        return Fault("token_endpoint_auth_signing_alg", f"use one of {', '.join(SIGNING_ALGORITHMS)}")
    if jwks is not None:
        if jwks_uri is not None:
            return Fault("jwks_uri", "give jwks or jwks_uri, not both")
        if wrong := jwk.check(jwks):
            return Fault("jwks", wrong)
        if any(key.alg not in SIGNING_ALGORITHMS for key in jwk.usable(jwks)):
            return Fault("jwks", f"alg: use one of {', '.join(SIGNING_ALGORITHMS)}")
        if alg is not None and all(key.alg != alg for key in jwk.usable(jwks, str(alg))):
            return Fault("jwks", f"no key is for {alg}, the token_endpoint_auth_signing_alg")
    elif jwks_uri is not None:
        if not isinstance(jwks_uri, str) or not _fetchable(jwks_uri, loopback):
            return Fault("jwks_uri", "an absolute https URL without fragment and user information is needed")
    elif PRIVATE_KEY_JWT in methods:
        return Fault("jwks", f"{PRIVATE_KEY_JWT} needs jwks or jwks_uri")
    return None


def text_of(jwks: object) -> str:
    """The form in which a key set that was checked is kept: what says which keys they are, and nothing else."""
    entries = jwks.get("keys") if isinstance(jwks, dict) else None
    kept = [
        {name: entry[name] for name in _MEMBERS if isinstance(entry.get(name), str)}
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
    ]
    return json.dumps({"keys": kept}, separators=(",", ":"))


class KeysUnavailable(Exception):
    """The address of the client's keys gives none now; `passing` when that is its host's trouble and no answer."""

    def __init__(self, why: str, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


class ClientKeys:
    """The verification keys of clients; those at a `jwks_uri` are fetched once for all, and kept for minutes."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._sets: Fetcher[object] = Fetcher(egress, clock, BOUNDS, _read)

    def of(self, client: Client) -> list[VerificationKey]:
        """KeysUnavailable when they have to be fetched, and cannot be."""
        return self._keys(client, newer=False)

    def newer(self, client: Client) -> list[VerificationKey]:
        """Fetched anew, unless that was done a moment ago; as `of` where nothing is fetched."""
        return self._keys(client, newer=True)

    def _keys(self, client: Client, newer: bool) -> list[VerificationKey]:
        if client.jwks_uri is None:
            return jwk.usable(json.loads(client.jwks), client.assertion_alg) if client.jwks else []
        ask = self._sets.newer if newer else self._sets.get
        try:
            return jwk.usable(ask(client.jwks_uri).value, client.assertion_alg)
        except (EgressFailed, EgressRefused, Unusable) as error:
            raise KeysUnavailable(str(error), isinstance(error, EgressFailed)) from None


def _fetchable(uri: str, loopback: bool) -> bool:
    at_home = loopback and is_loopback(uri)
    return len(uri) <= LONGEST_URI and resource.valid(uri) and (uri.startswith("https://") or at_home)


def _read(_: str, answer: Answer) -> object:
    """A key set, also an empty one: keys that were taken out are dead. What is none displaces no good one."""
    if 400 <= answer.status < 500:
        raise Unusable(f"status {answer.status}")
    try:
        document = json.loads(answer.body) if answer.status == 200 else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise EgressFailed("no set of keys")
    return document
