"""A scripted OpenID provider on loopback, over TLS: right in everything, until a test makes it wrong in one thing."""

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote_plus, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.documents import Authority
from tests.lab import Clock

CLIENT = "broker at idp"
SECRET = "a secret: with +, % and ü"


@dataclass
class Visit:
    """What the browser brought to the provider, and who it says is there."""

    asked: dict[str, str]
    claims: dict[str, object]


@dataclass
class Scripted:
    """`metadata` and `token` change what is said; `answers` are whole answers by path: (status, headers, body)."""

    authority: Authority
    clock: Clock
    host: str = "idp.example"
    metadata: dict[str, object] = field(default_factory=dict)
    token: dict[str, object] = field(default_factory=dict)
    header: dict[str, object] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    signed: Callable[[dict[str, object]], str] | None = None
    checks: bool = True
    seen: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    slow: threading.Event | None = None

    def __post_init__(self) -> None:
        self.key, self.kid, self.codes, self.number = ec.generate_private_key(ec.SECP256R1()), "k1", {}, 0
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, provider._get(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
                provider.forms.append(form)
                provider._answer(self, provider._post(self.path, form, self.headers.get("Authorization", "")))

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._server.socket = self.authority.leaf(self.host).wrap_socket(
            self._server.socket, server_side=True
        )
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    @property
    def issuer(self) -> str:
        return f"https://{self.host}:{self.port}"

    def close(self) -> None:
        if self.slow is not None:
            self.slow.set()
        self._server.shutdown()
        self._server.server_close()

    def visit(self, url: str, subject: str = "s-1", **claims: object) -> dict[str, str]:
        """The person signs in there: the parameters with which the browser is sent back."""
        assert url.startswith(f"{self.issuer}/authorize?"), url
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        self.number += 1
        code = f"{self.host}-{self.number}"
        self.codes[code] = Visit(asked, {"sub": subject, **claims})
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def id_token(self, claims: dict[str, object]) -> str:
        """Signed by the provider's key, with `header` changed."""
        return jwt.encode(claims, self.key, "ES256", headers={"kid": self.kid, **self.header})

    def _get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.seen.append(path)
        if path in self.answers:
            return self.answers[path]
        if path.endswith("/.well-known/openid-configuration"):
            return _json(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/jwks",
                    "id_token_signing_alg_values_supported": ["ES256", "none"],
                    "authorization_response_iss_parameter_supported": True,
                    **self.metadata,
                }
            )
        if path == "/jwks":
            public = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
            return _json({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "ES256"}]})
        return 404, {}, b""

    def _post(self, path: str, form: dict[str, str], authorization: str) -> tuple[int, dict[str, str], bytes]:
        self.seen.append(path)
        if self.slow is not None:
            self.slow.wait(30)
        if path in self.answers:
            return self.answers[path]
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        if [unquote_plus(part) for part in pair] != [CLIENT, SECRET]:
            return _json({"error": "invalid_client"}, 401)
        visit = self.codes.pop(form.get("code", ""), None)
        if visit is None:
            return _json({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if self.checks and (challenge, form.get("redirect_uri")) != (
            visit.asked["code_challenge"],
            visit.asked["redirect_uri"],
        ):
            return _json({"error": "invalid_grant", "error_description": "PKCE"}, 400)
        now = int(self.clock.now())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": visit.asked["nonce"],
            **visit.claims,
            **self.token,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        token = (self.signed or self.id_token)(claims)
        return _json({"access_token": "at", "token_type": "Bearer", "id_token": token, "expires_in": 60})

    def _answer(
        self, handler: http.server.BaseHTTPRequestHandler, answer: tuple[int, dict[str, str], bytes]
    ) -> None:
        status, headers, body = answer
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def _json(body: object, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {}, json.dumps(body).encode()
