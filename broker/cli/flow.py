"""The client's side of a flow, told as it happens: requests and answers, tokens decoded, secrets masked."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

import click

from broker.cli.answers import members, plain, printable, refused
from broker.cli.callback import Callback
from broker.cli.local import Denied, Failed
from broker.protocol import jws, pkce
from broker.protocol.dpop import ProofKey
from broker.protocol.names import AUTHORIZATION_CODE, CLIENT_SECRET_BASIC
from broker.protocol.redirect_uri import is_loopback, with_parameters
from broker.runtime.clock import Clock
from broker.runtime.egress import Answer, Egress
from broker.runtime.entropy import SystemEntropy

_HIDDEN = frozenset({"client_secret", "code_verifier"})
_TOKENS = ("access_token", "refresh_token", "id_token")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What of RFC 8414 a flow needs."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str
    revocation_endpoint: str
    device_authorization_endpoint: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person is asked to allow; `scope` None leaves it to the server."""

    client_id: str
    resource: str
    scope: str | None


class Flow:
    """`tell` gets every line of the story; without it nothing is told. With `key`, tokens are bound to it."""

    def __init__(
        self,
        issuer: str,
        clock: Clock,
        tell: Callable[[str], object] = click.echo,
        key: ProofKey | None = None,
    ) -> None:
        self._issuer, self._clock, self._tell, self._key = issuer, clock, tell, key
        self._egress = Egress(allow_loopback=is_loopback(issuer), clock=clock, everywhere=True)

    @property
    def jkt(self) -> str | None:
        """The thumbprint of the key that tokens are bound to."""
        return self._key.jkt if self._key else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._egress.close()

    def get(self, url: str) -> dict[str, object]:
        """The JSON object at a URL; Failed when there is none."""
        self._tell(f"> GET {url}")
        with plain():
            answer = self._egress.get(url)
        document = members(answer)
        if answer.status != 200:
            self._show_answer(answer, document)
            raise Failed(f"There is nothing at {url}.")
        return document

    def discover(self) -> Metadata:
        """RFC 8414 section 3: the door's metadata, which must name the door itself."""
        parts = urlsplit(self._issuer)
        document = self.get(
            f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
        )
        if document.get("issuer") != self._issuer:
            raise Failed(f"The metadata is of another issuer: {document.get('issuer')}.")
        found = Metadata(*(str(document.get(name, "")) for name in Metadata.__slots__))
        self._tell("< 200")
        self._members(
            {
                "issuer": found.issuer,
                "authorization_endpoint": found.authorization_endpoint,
                "token_endpoint": found.token_endpoint,
                "…": f"{len(document)} members in all",
            }
        )
        return found

    def sign_in(
        self, metadata: Metadata, asked: Asked, callback: Callback, wait: float, show: Callable[[str], object]
    ) -> dict[str, str]:
        """RFC 6749 section 4.1: the form that redeems the code. `show` gets the address for the person's browser."""
        entropy = SystemEntropy()
        verifier, state = entropy.secret(), entropy.secret()
        query = {
            "response_type": "code",
            "client_id": asked.client_id,
            "redirect_uri": callback.uri,
            "resource": asked.resource,
            "state": state,
            "code_challenge": pkce.challenge_of(verifier),
            "code_challenge_method": "S256",
            **({"scope": asked.scope} if asked.scope else {}),
            **({"dpop_jkt": self._key.jkt} if self._key else {}),
        }
        show(with_parameters(metadata.authorization_endpoint, query.items()))
        found = callback.wait(wait)
        self._tell("< the browser came back with")
        self._members(found)
        if found.get("state") != state or found.get("iss", metadata.issuer) != metadata.issuer:
            raise Failed("The answer is not to this request: state or iss differs.")
        if "code" not in found:
            refused = f"{found.get('error', 'no code')} {found.get('error_description', '')}"
            raise Denied(f"The server refused: {printable(refused)}")
        return {
            "grant_type": AUTHORIZATION_CODE,
            "code": found["code"],
            "redirect_uri": callback.uri,
            "code_verifier": verifier,
            "resource": asked.resource,
        }

    def token(
        self, metadata: Metadata, form: dict[str, str], client_id: str, secret: str | None, method: str
    ) -> dict[str, object]:
        """RFC 6749 section 3.2: the answer; Denied when the server refuses."""
        status, document = self.ask(metadata.token_endpoint, form, client_id, secret, method)
        if status != 200:
            raise refused(status, document)
        self.show_tokens(document)
        return document

    def ask(
        self, url: str, form: dict[str, str], client_id: str, secret: str | None, method: str
    ) -> tuple[int, dict[str, object]]:
        """A form from this client, once more where a nonce is wanted: the status and members of the answer."""
        headers: dict[str, str] = {}
        if secret is None:
            form = {**form, "client_id": client_id}
        elif method == CLIENT_SECRET_BASIC:
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form = {**form, "client_id": client_id, "client_secret": secret}
        self._tell(f"> POST {url}")
        if headers:
            self._tell(f"    Authorization: Basic {client_id}:***")
        self._members({name: "***" if name in _HIDDEN else value for name, value in form.items()})
        answer, document = self._ask(url, form, headers)
        nonce = answer.headers.get("dpop-nonce")
        if document.get("error") == "use_dpop_nonce" and nonce is not None:
            self._tell(f"> POST {url}, the same once more with the nonce {printable(nonce)}")
            answer, document = self._ask(url, form, headers, nonce)
        return answer.status, document

    def show_tokens(self, document: Mapping[str, object]) -> None:
        for name in _TOKENS:
            if isinstance(value := document.get(name), str):
                self._show_token(name, value)

    def register(self, metadata: Metadata, document: Mapping[str, object]) -> dict[str, object]:
        """RFC 7591 section 3: the registered client; Denied when the server refuses."""
        with plain():
            answer = self._egress.send(
                "POST",
                metadata.registration_endpoint,
                json.dumps(document).encode(),
                {"Content-Type": "application/json"},
            )
        found = members(answer)
        if answer.status != 201:
            why = f"{found.get('error', answer.status)} {found.get('error_description', '')}"
            raise Denied(f"The server does not register clients: {printable(why)}")
        return found

    def revoke(self, metadata: Metadata, token: str, client_id: str) -> bool:
        """RFC 7009: end what the token stands for; whether the server said so."""
        with plain():
            answer = self._egress.post(metadata.revocation_endpoint, {"token": token, "client_id": client_id})
        return answer.status == 200

    def unregister(self, registered: Mapping[str, object]) -> bool:
        """RFC 7592 section 2.3: the registration removed, where the server said how."""
        where, token = registered.get("registration_client_uri"), registered.get("registration_access_token")
        if not isinstance(where, str) or not isinstance(token, str):
            return False
        with plain():
            answer = self._egress.send("DELETE", where, None, {"Authorization": f"Bearer {token}"})
        return answer.status == 204

    def _ask(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str], nonce: str | None = None
    ) -> tuple[Answer, dict[str, object]]:
        """One request of a client, with a proof where there is a key (RFC 9449 sections 5 and 8)."""
        if self._key is not None:
            now, jti = self._clock.now(), SystemEntropy().secret()
            proof = self._key.proof(method="POST", url=url, now=now, jti=jti, nonce=nonce)
            headers = {**headers, "DPoP": proof}
            self._show_token("DPoP", proof, "server")
        with plain():
            answer = self._egress.post(url, form, headers)
        document = members(answer)
        self._show_answer(answer, document)
        return answer, document

    def _show_answer(self, answer: Answer, document: Mapping[str, object]) -> None:
        self._tell(f"< {answer.status}")
        self._members(document)

    def _members(self, members: Mapping[str, object]) -> None:
        for name, value in members.items():
            self._tell(f"    {name}: {printable(value if isinstance(value, str) else json.dumps(value))}")
        self._tell("")

    def _show_token(self, name: str, token: str, checks: str = "resource") -> None:
        try:
            header, claims = jws.read_header(token), jws.peek_claims(token)
        except jws.InvalidToken:
            return  # opaque, as refresh tokens are
        self._tell(f"{name}, decoded (its signature is the {checks}'s to check)")
        shown = json.dumps({"header": header, "claims": claims}, indent=2, ensure_ascii=False)
        self._tell(printable(shown))
