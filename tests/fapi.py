"""A client as FAPI 2.0 wants it: signs assertions, pushes requests, binds tokens to a key."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

import httpx2
from werkzeug.test import TestResponse

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from tests.assertions import JWT_BEARER, Signer
from tests.lab import CALLBACK, ISSUER, TICKETS, VERIFIER, Browser, Lab, landed
from tests.proofs import Holder
from tests.pushing import address, asked

SECOND = "https://client.example/cb2"


@dataclass
class Fapi:
    """`key` is what its tokens are bound to."""

    lab: Lab
    client_id: str = "fapi"
    key: Holder = field(default_factory=Holder)
    signer: Signer = field(init=False)

    def __post_init__(self) -> None:
        self.signer = Signer(self.lab, self.client_id)

    def registered(self, **members: object) -> Self:
        usual: dict[str, object] = {"assertion_alg": "ES256", "dpop_bound": True, "pushed_only": True}
        self.signer.registered(**usual | members)
        return self

    def proof(self, path: str, holder: Holder | None = None, **changes: object) -> str:
        return (holder or self.key).proof(f"{ISSUER}{path}", self.lab.clock.now(), **changes)

    def credentials(self, assertion: str | None = None) -> dict[str, str]:
        shown = self.signer.assertion() if assertion is None else assertion
        return {"client_assertion": shown, "client_assertion_type": JWT_BEARER}

    def push(
        self, assertion: str | None = None, dpop: str | None = None, **changes: str | None
    ) -> TestResponse:
        form = {**asked(self.lab, self.client_id, **changes), **self.credentials(assertion)}
        return self.lab.post("/par", form, {"DPoP": dpop} if dpop else {})

    def pushed(self, **changes: str | None) -> str:
        answer = self.push(**changes)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return str(answer.json["request_uri"])

    def answer(self, uri: str, browser: Browser | None = None, user: str = "alice") -> dict[str, str]:
        """What arrives at the client once its user allowed what was pushed."""
        browser = browser or self.lab.browser()
        page = browser.get(address(uri, self.client_id))
        if b'name="password"' in page.data:
            page = browser.sign_in(page, user)
        return landed(page if page.status_code == 303 else browser.allow(page))

    def code(self, **changes: str | None) -> str:
        return self.answer(self.pushed(**changes))["code"]

    def redeem(
        self,
        code: str,
        dpop: str | None = None,
        assertion: str | None = None,
        **changes: str | None,
    ) -> TestResponse:
        """With a proof of its key unless another, or (empty) none, is given."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **self.credentials(assertion),
            **changes,
        }
        return self.post(form, dpop)

    def refresh(self, token: str, dpop: str | None = None, **changes: str | None) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": token, **self.credentials(), **changes}
        return self.post(form, dpop)

    def post(self, form: dict[str, str | None], dpop: str | None) -> TestResponse:
        proof = self.proof("/token") if dpop is None else dpop
        sent = {name: value for name, value in form.items() if value is not None}
        return self.lab.post("/token", sent, {"DPoP": proof} if proof else {})

    def tokens(self, **changes: str | None) -> dict[str, str]:
        answer = self.redeem(self.code(**changes))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return dict(answer.json)

    def call(
        self,
        token: str,
        *proofs: str,
        scheme: str = "DPoP",
        url: str = TICKETS,
        method: str = "GET",
    ) -> httpx2.Response:
        """A request to the resource, behind a guard that demands bound tokens."""

        async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # ASGI
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"reached"})

        guard = self._guard(app)
        headers = [("Authorization", f"{scheme} {token}"), *(("DPoP", proof) for proof in proofs)]

        async def run() -> httpx2.Response:
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard)) as client:
                return await client.request(method, url, headers=headers)

        return asyncio.run(run())

    def shown(self, token: str, holder: Holder | None = None, **changes: object) -> str:
        """A good proof for the resource, or one that differs."""
        given = {"url": TICKETS, "method": "GET", "token": token, **changes}
        url, method, bound = str(given.pop("url")), str(given.pop("method")), given.pop("token")
        assert bound is None or isinstance(bound, str)
        return (holder or self.key).proof(url, self.lab.clock.now(), method, bound, **given)

    def _guard(self, app: object) -> GuardMiddleware:
        known = getattr(self, "_kept", None)
        if known is None:
            guard = Guard(
                resource=TICKETS,
                issuers={ISSUER: ["acme"]},
                keys=self.lab.broker.door_keys,
                clock=self.lab.clock.now,
                dpop_required=True,
            )
            known = self._kept = GuardMiddleware(app, guard)  # type: ignore[arg-type]  # ASGI
        return known
