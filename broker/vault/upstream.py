"""RFC 6749 sections 4.1 and 6, RFC 7009: this server as the client of a provider; never inside a transaction.

Authlib's OAuth client makes the requests; every one of them leaves through `egress`. The provider's row reads answers.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client

from broker.protocol import strict_json
from broker.protocol.names import CLIENT_SECRET_BASIC
from broker.runtime.clock import Clock
from broker.runtime.egress import Answer, Egress, EgressFailed, EgressRefused
from broker.vault.model import Account, Reach, Tokens
from broker.vault.reach import usable

_LONGEST_TOKEN = 8192
_MOST_SCOPES = 200
_SEPARATORS = re.compile(r"[ ,]+")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Unavailable(Exception):
    """The provider cannot be used now, or this server is registered wrongly there: nothing is lost by it.

    The message is for the evidence. `sent`: the request may have been done all the same, its answer is lost.
    """

    def __init__(self, detail: str, *, sent: bool = False) -> None:
        super().__init__(detail)
        self.sent = sent


class Over(Exception):
    """The provider says that a code or refresh token is good for nothing any more. The message is for the evidence."""


class Upstream:
    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress, self._clock = egress, clock

    def visit(
        self, reach: Reach, *, callback: str, state: str, verifier: str, scopes: tuple[str, ...]
    ) -> str:
        """The address at the provider to which the browser goes; Unavailable when it is none for a browser."""
        if not usable(reach.authorization_endpoint):
            raise Unavailable("authorization endpoint: not an https address")
        client = self._client(reach, None, callback)
        asked = dict.fromkeys((*scopes, *reach.provider.always))
        url, _ = client.create_authorization_url(
            reach.authorization_endpoint,
            state=state,
            code_verifier=verifier,
            scope=reach.scope_separator.join(asked) or None,
            **reach.parameters,
        )
        return str(url)

    def redeem(self, reach: Reach, secret: str | None, *, callback: str, code: str, verifier: str) -> Tokens:
        """The tokens behind a code; Over or Unavailable."""
        client = self._client(reach, secret, callback)
        proof = {"code_verifier": verifier} if reach.pkce else {}
        return self._asked(
            reach,
            lambda: client.fetch_token(
                reach.token_endpoint, grant_type="authorization_code", code=code, **proof
            ),
        )

    def refresh(self, reach: Reach, secret: str | None, token: str) -> Tokens:
        """New tokens for a refresh token; Over or Unavailable."""
        client = self._client(reach, secret, None)
        return self._asked(
            reach,
            lambda: client.fetch_token(reach.token_endpoint, grant_type="refresh_token", refresh_token=token),
        )

    def account(self, reach: Reach, access: str) -> Account | None:
        """Whose tokens these are, None where the provider has no address for that; Unavailable."""
        if reach.account_endpoint is None:
            return None
        if not usable(reach.account_endpoint):
            raise Unavailable("account: not an https address")
        try:
            answer = self._egress.get(reach.account_endpoint, {"Authorization": f"Bearer {access}"})
            found = reach.provider.account(strict_json.read(answer.body), reach.account)
        except (EgressFailed, EgressRefused) as error:
            raise Unavailable(f"account: {error}"[:200]) from None
        except ValueError:
            raise Unavailable("account: no JSON") from None
        if answer.status != 200 or found is None:
            raise Unavailable(f"account: status {answer.status}")
        return found

    def revoke(self, reach: Reach, secret: str | None, token: str) -> bool:
        """Tell the provider that a token is over: False where it offers no way; Unavailable."""
        if reach.revocation_endpoint is None:
            return False
        if not usable(reach.revocation_endpoint):
            raise Unavailable("revocation: not an https address")
        how, client = reach.provider.revocation, self._client(reach, secret, None)
        try:
            if how.request is None:
                answer = client.revoke_token(reach.revocation_endpoint, token=token).answer
            else:
                method, url, body = how.request(reach.revocation_endpoint.rstrip("/"), reach.client_id, token)
                headers = {"Content-Type": "application/json"}
                url, headers, _ = _basic(client, method, url, headers, "")
                answer = self._egress.send(method, url, body, headers)
        except (EgressFailed, EgressRefused) as error:
            raise Unavailable(f"revocation: {error}"[:200]) from None
        if answer.status not in how.good:
            raise Unavailable(f"revocation: status {answer.status}")
        return True

    def _asked(self, reach: Reach, request: Callable[[], Mapping[str, object]]) -> Tokens:
        if not usable(reach.token_endpoint):
            raise Unavailable("token endpoint: not an https address")
        asked_at = self._clock.now()  # what the answer took is over when it comes
        try:
            return _tokens(request(), asked_at)
        except AuthlibBaseError as error:
            said, text = str(error.error)[:60], str(error.description or "")[:200]
            plain = said if said.isascii() and said.isprintable() else "an error"
            if reach.provider.over(said, text):
                raise Over(f"token endpoint: {plain}") from None
            raise Unavailable(f"token endpoint: {plain}") from None
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise Unavailable("token endpoint: no token response", sent=True) from None

    def _client(self, reach: Reach, secret: str | None, callback: str | None) -> OAuth2Client:
        client = OAuth2Client(
            _Session(self._egress, reach),
            client_id=reach.client_id,
            client_secret=secret,
            token_endpoint_auth_method=reach.method,
            revocation_endpoint_auth_method=reach.method,
            redirect_uri=callback,
            code_challenge_method="S256" if reach.pkce else None,
        )
        client.register_client_auth_method((CLIENT_SECRET_BASIC, _basic))
        return client


class _Answer:
    """As Authlib's client reads an HTTP response."""

    def __init__(self, answer: Answer, reach: Reach) -> None:
        self.answer, self.status_code, self._reach = answer, answer.status, reach

    def json(self) -> object:
        if self.status_code in (408, 429):
            raise Unavailable(f"token endpoint: status {self.status_code}")
        found = self._reach.provider.answer(self.answer)
        if self.status_code >= 400 and "error" not in found:
            raise Unavailable(f"token endpoint: status {self.status_code}")
        return dict(found)

    def raise_for_status(self) -> None:
        if self.status_code >= 500:
            raise Unavailable(f"token endpoint: status {self.status_code}", sent=True)


class _Session:
    """As Authlib's client sends a form: through egress, and nowhere else."""

    def __init__(self, egress: Egress, reach: Reach) -> None:
        self._egress, self._reach = egress, reach

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: object) -> _Answer:
        body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in data.items())
        url, sent, body = auth.prepare("POST", url, dict(headers), body)  # type: ignore[attr-defined]
        sent = {**sent, "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            return _Answer(self._egress.send("POST", url, body.encode(), sent), self._reach)
        except EgressRefused as error:
            raise Unavailable(f"{error}"[:200]) from None
        except EgressFailed as error:
            raise Unavailable(f"{error}"[:200], sent=True) from None


def _basic(
    client: OAuth2Client, method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """RFC 6749 section 2.3.1: name and secret are form-encoded before they are joined; Authlib's way is another."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret or '')}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
    return uri, headers, body


def _tokens(members: Mapping[str, object], now: float) -> Tokens:
    """RFC 6749 section 5.1; ValueError for what is no answer of it."""
    access, refresh = members.get("access_token"), members.get("refresh_token")
    kind, scope = members.get("token_type", "bearer"), members.get("scope")
    if not _token(access) or not isinstance(kind, str) or kind.lower() != "bearer":
        raise ValueError("no bearer token")
    assert isinstance(access, str)
    return Tokens(
        access,
        refresh if _token(refresh) and isinstance(refresh, str) else None,
        _end(members.get("expires_in"), now),
        tuple(dict.fromkeys(name for name in _SEPARATORS.split(scope) if name))[:_MOST_SCOPES]
        if isinstance(scope, str) and scope.isprintable()
        else None,
    )


def _token(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TOKEN and _TOKEN.fullmatch(value) is not None


def _end(value: object, now: float) -> float | None:
    """When it ends, None when nobody says; a number in a form is text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return now + min(max(float(value), 0.0), 1e11)
