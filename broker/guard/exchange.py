"""RFC 8693 sections 2.1 and 2.2, RFC 9449: a token for a downstream system, for the one that a call came with."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from broker.guard.clock import Clock, unique
from broker.guard.fetch import Answer, RequestFailed
from broker.guard.running import Running
from broker.guard.verifier import VerifiedToken
from broker.protocol.dpop import ProofKey

_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a token type
_MOST = 4096
_MARGIN_SECONDS = 30.0

Post = Callable[[str, Mapping[str, str], Mapping[str, str]], Answer]


class ExchangeRefused(Exception):
    """No token: a registered `error` or temporarily_unavailable; `interaction_uri`, where to allow it."""

    def __init__(
        self, error: str, description: str | None = None, interaction_uri: str | None = None
    ) -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
        self.description = description
        self.interaction_uri = interaction_uri


@dataclass(frozen=True, slots=True)
class Call:
    """The verified token of the call in progress, and its text, which no representation shows.

    `running` is the call where it was decided.
    """

    token: VerifiedToken
    text: str = field(repr=False)
    running: Running | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    access_token: str = field(repr=False)
    until: float


class Exchange:
    """Exchanges at the door named in the subject token's issuer, which the verifier has pinned.

    A token is kept per subject token, target and scope until 30 s (or a quarter of its life) before it ends. With
    `proof_key` it is bound to that key.
    """

    def __init__(
        self,
        post: Post,
        clock: Clock,
        credentials: Mapping[str, str],
        proof_key: ProofKey | None = None,
    ) -> None:
        self._post = post
        self._clock = clock
        self._proof_key = proof_key
        self._nonces: dict[str, str] = {}
        self._headers = dict(credentials)
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._lock = threading.Lock()

    def kept(self, call: Call, resource: str, scope: str | None) -> str | None:
        """The token of an earlier exchange that is still good."""
        found = self._kept.get((call.token.token_hash, resource, scope or ""))
        return found.access_token if found is not None and self._clock() < found.until else None

    def exchange(self, call: Call, resource: str, scope: str | None = None, *, vault: bool = False) -> str:
        """An access token for `resource`; ExchangeRefused. Of a `vault`, it is a bearer token whatever the key."""
        found = self.kept(call, resource, scope)
        if found is not None:
            return found
        form = {
            "grant_type": _GRANT,
            "subject_token": call.text,
            "subject_token_type": _ACCESS_TOKEN,
            "resource": resource,
        }
        if scope is not None:
            form["scope"] = scope
        answer = self._asked(call.token.issuer, form)
        if self._proof_key is not None and _error(answer) == "use_dpop_nonce":
            answer = self._asked(call.token.issuer, form)
        access_token, lifetime = _read(answer, "bearer" if vault or self._proof_key is None else "dpop")
        until = min(self._clock() + lifetime - min(_MARGIN_SECONDS, lifetime / 4), call.token.expires_at)
        self._keep((call.token.token_hash, resource, scope or ""), _Kept(access_token, until))
        return access_token

    def _asked(self, issuer: str, form: Mapping[str, str]) -> Answer:
        url, headers = f"{issuer}/token", self._headers
        if self._proof_key is not None:
            proof = self._proof_key.proof(
                method="POST", url=url, now=self._clock(), jti=unique(), nonce=self._nonces.get(issuer)
            )
            headers = {**headers, "DPoP": proof}
        try:
            answer = self._post(url, form, headers)
        except RequestFailed as error:
            raise ExchangeRefused(
                "temporarily_unavailable", "the authorization server did not answer"
            ) from error
        if nonce := answer.headers.get("dpop-nonce"):
            self._nonces[issuer] = nonce
        return answer

    def _keep(self, key: tuple[str, str, str], kept: _Kept) -> None:
        with self._lock:
            self._kept.pop(key, None)
            while len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = kept


def _members(answer: Answer) -> dict[str, object]:
    try:
        members = json.loads(answer.body.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _error(answer: Answer) -> object:
    return None if answer.status == 200 else _members(answer).get("error")


def _read(answer: Answer, wanted: str) -> tuple[str, float]:
    members = _members(answer)
    if answer.status != 200:
        error, description, uri = (
            value if isinstance(value := members.get(name), str) else None
            for name in ("error", "error_description", "interaction_uri")
        )
        raise ExchangeRefused(error or "temporarily_unavailable", description, uri)
    access_token, lifetime, kind = (
        members.get(name) for name in ("access_token", "expires_in", "token_type")
    )
    if not isinstance(access_token, str) or not isinstance(kind, str) or kind.lower() != wanted:
        raise ExchangeRefused(
            "temporarily_unavailable", f"the authorization server's answer is not a {wanted} token"
        )
    # Without a usable lifetime the token is used once and not kept.
    return access_token, float(lifetime) if isinstance(
        lifetime, (int, float)
    ) and 0 < lifetime < 2**53 else 0.0
