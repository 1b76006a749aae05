"""RFC 7515, RFC 9110 section 13: the catalogue of a resource as a door signs it, asked for again, kept for a time."""

import logging
import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from broker.guard.catalogue import Catalogue, CatalogueUnavailable, Tool
from broker.guard.clock import Clock
from broker.guard.decision import obligations_of
from broker.guard.fetch import Answer, RequestFailed
from broker.guard.isolation import Isolation
from broker.guard.jwks import Background, JwksSource, KeysUnavailable, Refetching
from broker.guard.step_up import SignIn
from broker.protocol import jws
from broker.protocol.names import TYP_CATALOGUE

_log = logging.getLogger(__name__)
_FRESH_SECONDS = 10.0
_STALE_SECONDS = 30.0
_RETRY_SECONDS = 1.0
_LARGEST = 4 * 1024 * 1024
_LEEWAY = 5.0

Get = Callable[[str, Mapping[str, str], int], Answer]


@dataclass(frozen=True, slots=True)
class Published:
    """What a catalogue says of its resource; good until `until` (epoch seconds)."""

    resource: str
    name: str
    issuers: Mapping[str, Collection[str]]
    authorization_servers: tuple[str, ...]
    scopes: tuple[str, ...]
    default_scopes: tuple[str, ...]
    catalogue: Catalogue
    until: float
    etag: str | None = field(default=None, compare=False)


class Publisher:
    """The catalogue of `resource_id` at the door `issuer`, for its own client.

    After 10 s, whoever needs it has it asked for in the background. After 30 s without anybody looking it is waited
    for, and the old one followed where it cannot be had, as long as that says, an hour; then nothing is let through.
    """

    def __init__(
        self,
        get: Get,
        keys: JwksSource,
        clock: Clock,
        issuer: str,
        resource_id: str,
        client_id: str,
        credentials: Mapping[str, str],
        background: Background | None = None,
    ) -> None:
        self._get, self._keys, self._clock = get, keys, clock
        self._issuer, self._client_id, self._credentials = issuer, client_id, credentials
        self._url = f"{issuer}/access/v1/catalogue/{resource_id}"
        self._background = background or _thread
        self._held: Published | None = None
        self._looked = -math.inf
        self._lock, self._behind = threading.Lock(), threading.Lock()

    def __call__(self) -> Catalogue:
        return self.now().catalogue

    @property
    def at_hand(self) -> bool:
        """Whether `now` answers without waiting for a fetch."""
        held, looked = self._held, self._looked
        return held is not None and self._clock() < min(held.until, looked + _STALE_SECONDS)

    def now(self) -> Published:
        """CatalogueUnavailable when there is none, or only one that is over. From a coroutine only when `at_hand`."""
        if not self.at_hand:
            return self._waited_for()
        if self._clock() >= self._looked + _FRESH_SECONDS and self._behind.acquire(blocking=False):
            self._background(self._look_behind)
        return self._good()

    def kept(self) -> Catalogue:
        """What is held, however old; CatalogueUnavailable when it is over."""
        return self._good().catalogue

    @property
    def last(self) -> Published:
        """What was held last, also when it is over."""
        return self._held or self.now()

    def _waited_for(self) -> Published:
        with self._lock:
            if not self.at_hand and self._clock() >= self._looked + _RETRY_SECONDS:
                self._look()
            return self._good()

    def _good(self) -> Published:
        held = self._held
        if held is None or self._clock() >= held.until:
            raise CatalogueUnavailable(self._url)
        return held

    def _look_behind(self) -> None:
        try:
            with self._lock:
                self._look()
        finally:
            self._behind.release()

    def _look(self) -> None:
        """Replace what is held by what the door says now; on any failure keep it. Needs `_lock`."""
        held = self._held
        known = {"If-None-Match": held.etag} if held is not None and held.etag else {}
        try:
            accepted = {"Accept": f"application/{TYP_CATALOGUE}"}
            answer = self._get(self._url, {**self._credentials, **accepted, **known}, _LARGEST)
            if answer.status == 304:
                return
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            self._held = self._read(answer)
        except (RequestFailed, KeysUnavailable, jws.InvalidToken, ValueError, TypeError, KeyError) as error:
            _log.warning("The catalogue of the resource cannot be had: %s.", error)
        finally:
            self._looked = self._clock()  # after the fetch: who waited for a failure does not repeat it

    def _read(self, answer: Answer) -> Published:
        parts = jws.split(answer.body.decode("ascii").strip(), _LARGEST)
        try:
            claims = self._checked(parts, self._keys.keys(self._issuer))
        except jws.UnknownKey:
            if not isinstance(self._keys, Refetching):
                raise
            claims = self._checked(parts, self._keys.refetched(self._issuer))
        if claims.get("iss") != self._issuer or claims.get("aud") != self._client_id:
            raise ValueError("it is of another door, or for somebody else")
        return read(claims, answer.headers.get("etag"))

    def _checked(self, parts: jws.Parts, keys: Mapping[str, jws.VerificationKey]) -> Mapping[str, object]:
        now = self._clock()
        return jws.check(parts, keys, typ=TYP_CATALOGUE, algorithms=jws.ALGORITHMS, now=now, leeway=_LEEWAY)


class Issuers(Mapping[str, Collection[str]]):
    """The doors of the resource's tokens with their tenants, as the catalogue has them now; `first` comes first."""

    def __init__(self, publisher: Publisher, first: str) -> None:
        self._publisher, self._first = publisher, first

    def __getitem__(self, issuer: str) -> Collection[str]:
        return self._publisher.last.issuers[issuer]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._publisher.last.issuers, key=lambda issuer: issuer != self._first))

    def __len__(self) -> int:
        return len(self._publisher.last.issuers)


def read(claims: Mapping[str, object], etag: str | None = None) -> Published:
    """The nouns in the claims; ValueError, TypeError or KeyError where one is missing or of another type."""
    scopes = [_object(scope) for scope in _list(claims["scopes"])]
    tools = [_tool(_object(tool)) for tool in _list(claims["tools"])]
    catalogue = Catalogue(
        {tool.name: tool for tool in tools},
        {str(scope["name"]): _texts(scope["implies"]) for scope in scopes},
        {str(scope["name"]): sign_in for scope in scopes if (sign_in := _sign_in(scope)) != SignIn()},
        _isolation(_object(claims["isolation"])),
        claims["record"] == "after",
    )
    issuers = _object(claims["issuers"])
    return Published(
        _text(claims["resource"]),
        _text(claims["name"]),
        {issuer: _texts(tenants) for issuer, tenants in issuers.items()},
        _texts(claims["authorization_servers"]),
        tuple(str(scope["name"]) for scope in scopes if scope["offered"] is True),
        _texts(claims["default_scopes"]),
        catalogue,
        jws.numeric_date(claims["exp"]),
        etag,
    )


def _tool(members: Mapping[str, object]) -> Tool:
    digest = members.get("schema_digest")
    return Tool(
        _text(members["name"]),
        _texts(members["scopes"]),
        _text(members["impact"]),
        None if digest is None else _text(digest),
        members["changed"] is not False,
        members["open"] is True,
        members["keyed"] is not False,
        obligations_of(members["obligations"]),
        by_catalogue=members.get("by_catalogue") is True,
        approval=members.get("approval") is not False,
    )


def _sign_in(scope: Mapping[str, object]) -> SignIn:
    acr, age = scope.get("acr"), scope.get("max_age")
    return SignIn(None if acr is None else _text(acr), age if isinstance(age, int) else None)


def _isolation(members: Mapping[str, object]) -> Isolation:
    timeout, most = members.get("timeout"), members.get("concurrent")
    egress = members.get("egress")
    return Isolation(
        None if egress is None else _texts(egress),
        timeout if isinstance(timeout, (int, float)) else None,
        most if isinstance(most, int) else None,
    )


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("no text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):  # `*`
        return (value,)
    return tuple(_text(item) for item in _list(value))


def _thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="catalogue", daemon=True).start()
