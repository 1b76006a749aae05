"""Clients that authenticate with keys (RFC 7523), and the host that publishes the keys of one."""

import http.server
import itertools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from werkzeug.test import TestResponse

from broker.identity.clients.authentication.private_key_jwt import PrivateKeyJwt
from broker.identity.clients.keys import ClientKeys
from broker.identity.clients.model import Client, Registered
from broker.runtime.egress import Egress
from tests.lab import CALLBACK, ISSUER, Lab
from tests.proofs import Holder

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT = {"grant_type": "client_credentials"}
_jtis = itertools.count()


@dataclass
class Signer:
    """A registered client, its key, and what it sends."""

    lab: Lab
    client_id: str = "signer"
    holder: Holder = field(default_factory=Holder)
    kid: str | None = "first"

    def jwk(self, **members: object) -> dict[str, object]:
        named = {} if self.kid is None else {"kid": self.kid}
        return {**self.holder.jwk, **named, "use": "sig", "alg": self.holder.alg, **members}

    def registered(self, jwks: Sequence[dict[str, object]] | None = None, **members: object) -> Self:
        """In the lab from now on, with its own key unless others are given."""
        keys = {"keys": [self.jwk()] if jwks is None else list(jwks)}
        given: dict[str, object] = members if "jwks_uri" in members else {"jwks": json.dumps(keys), **members}
        self.lab.put_client(
            Client(
                self.client_id,
                "Signer",
                "acme",
                "private_key_jwt",
                Registered.ADMIN,
                (CALLBACK,),
                ("authorization_code", "refresh_token", "client_credentials"),
                resources=("tickets",),
                **given,
            )
        )
        return self

    def assertion(self, header: dict[str, object] | None = None, **claims: object) -> str:
        """A good one, or one with other header parameters and claims than a good one has."""
        now = int(self.lab.clock.now())
        good = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": f"jti-{next(_jtis)}",
        }
        head = {"typ": "JWT", "alg": self.holder.alg, **({"kid": self.kid} if self.kid else {})}
        return self.holder.signed({**head, **(header or {})}, {**good, **claims})

    def form(self, assertion: str | None = None, **more: str) -> dict[str, str]:
        shown = {"client_assertion": assertion or self.assertion(), "client_assertion_type": JWT_BEARER}
        return {**GRANT, **shown, **more}

    def asks(
        self, assertion: str | None = None, door: str = "", source: str = "203.0.113.7", **more: str
    ) -> TestResponse:
        """A token for its own work."""
        return self.lab.post(f"{door}/token", self.form(assertion, **more), source=source)


class KeyHost:
    """The HTTP server at a client's `jwks_uri`; `seen` has the path of each request."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.status, self.body, self.headers = 200, b"", {"Content-Type": "application/jwk-set+json"}
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.seen.append(self.path)
                self.send_response(host.status)
                for name, value in host.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(host.body)))
                self.end_headers()
                self.wfile.write(host.body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/jwks.json"

    def publish(self, *keys: dict[str, object]) -> None:
        self.status, self.body = 200, json.dumps({"keys": list(keys)}).encode()

    def reached_from(self, lab: Lab) -> None:
        """Let this lab's broker fetch keys from this machine."""
        egress = Egress(True, lab.clock)
        method = PrivateKeyJwt(ClientKeys(egress, lab.clock))
        lab.broker.authenticator.methods[method.name] = method

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
