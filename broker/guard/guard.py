"""OAuth 2.1 section 5 and MCP authorization: everything that an MCP server needs, in one object."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from broker.guard import catalogue, enforce, step_up
from broker.guard.calls import Calls, in_progress
from broker.guard.certificate import Certificates
from broker.guard.clock import Clock, system
from broker.guard.control import Control
from broker.guard.decision import Decisions
from broker.guard.exchange import Exchange
from broker.guard.fetch import Http, basic
from broker.guard.isolation import Isolation, Reach
from broker.guard.jsonrpc import Message
from broker.guard.jwks import JwksSource, RemoteJwks
from broker.guard.metadata import metadata_of
from broker.guard.origin import Origins
from broker.guard.outcome import Outcomes
from broker.guard.possession import Memory, Possession, Replays, Sent
from broker.guard.published import Issuers, Publisher
from broker.guard.step_up import SignIn
from broker.guard.verifier import Tenants, VerifiedToken, Verifier
from broker.protocol import dpop
from broker.protocol import scope as scope_rules
from broker.protocol.challenge import bearer_challenge, dpop_challenge
from broker.protocol.dpop import ProofKey
from broker.protocol.jws import ALGORITHMS
from broker.protocol.nonces import Nonces


class Guard(Calls):
    """Guards one resource.

    `resource` is its URI, the audience of its tokens. `issuers` maps each issuer to its tenants (names, or
    `*`). `authorization_servers` are those that clients are sent to (by default all issuers). `tools` maps each tool to
    the scopes it needs: a tool that is not in it is refused; without the mapping, any token of this audience may call
    any tool. `scopes_supported` go into the metadata (by default
    those of the tools), `default_scopes` are named to a client without a token (by default those supported).
    `sign_ins` maps scopes to the sign-in that they take: with a weaker or older one behind the token, a call that needs
    the scope is answered with a step-up challenge.
    `client_id` and `client_secret` are the resource's own, for exchange. `http` replaces the client of the
    guard's own requests, `keys` the source of keys.

    DPoP: `dpop_required` refuses tokens that are bound to nothing. `dpop_nonce_key` (32 random bytes, the same in
    every process of the resource) demands a nonce in every proof. `replays` is where several processes remember
    used proofs together. With `dpop_key`, a key on P-256, what `exchange` returns is bound to it.

    A token that is bound to a certificate is good beside that one alone: the ASGI server shows it (its TLS extension),
    or one of `trusted_proxies` in `certificate_header`.

    `allowed_hosts` and `allowed_origins` are the `Host` and `Origin` of requests (by default the resource's own).
    `isolation` bounds calls. `hide` False: tools that only lack scope are listed too. `controlled` stands in the place
    of `tools`, `implies` and `isolation`: see `from_broker`.
    """

    def __init__(
        self,
        *,
        resource: str,
        issuers: Mapping[str, Tenants],
        authorization_servers: Sequence[str] = (),
        tools: Mapping[str, Sequence[str]] | None = None,
        implies: Mapping[str, Collection[str]] | None = None,
        scopes_supported: Sequence[str] = (),
        default_scopes: Sequence[str] = (),
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_name: str | None = None,
        resource_metadata_url: str | None = None,
        algorithms: Collection[str] = ALGORITHMS,
        http: httpx2.Client | None = None,
        keys: JwksSource | None = None,
        clock: Clock = system,
        dpop_required: bool = False,
        dpop_nonce_key: bytes | None = None,
        dpop_key: EllipticCurvePrivateKey | None = None,
        replays: Replays | None = None,
        certificate_header: str | None = None,
        trusted_proxies: Collection[str] = (),
        sign_ins: Mapping[str, SignIn] | None = None,
        allowed_hosts: Collection[str] | None = None,
        allowed_origins: Collection[str] | None = None,
        isolation: Isolation | None = None,
        hide: bool = True,
        controlled: Control | None = None,
    ) -> None:
        requests, proof_key = Http(clock, http), ProofKey(dpop_key) if dpop_key is not None else None
        own = basic(client_id, client_secret) if client_id is not None and client_secret is not None else None
        exchange = Exchange(requests.post, clock, own, proof_key) if own is not None else None
        reach = Reach(lambda: self.control.kept.isolation.egress, _inbound)
        super().__init__(resource, clock, exchange, proof_key, reach)
        self.origins = Origins(resource, allowed_hosts, allowed_origins)
        # A client that finds no scope named anywhere asks for every scope of the authorization server.
        supported = tuple(scopes_supported) or _scopes_of(tools or {})
        self.metadata = metadata_of(
            resource,
            tuple(authorization_servers or issuers),
            supported,
            resource_name=resource_name,
            url=resource_metadata_url,
            dpop_required=dpop_required,
            certificates=certificate_header is not None,
            details=tools is not None or controlled is not None,
        )
        by_hand = catalogue.by_hand(tools, implies or {}, isolation or Isolation())
        self.control = controlled or Control(by_hand, clock, hide=hide)
        self._sign_ins = sign_ins or {}
        self._default_scopes = tuple(default_scopes) or supported
        self._verifier = Verifier(
            issuers, resource, algorithms, keys or RemoteJwks(requests.get, clock), clock
        )
        nonces = Nonces(dpop_nonce_key) if dpop_nonce_key is not None else None
        self.possession = Possession(resource, clock, replays or Memory(), nonces, required=dpop_required)
        self.certificates = Certificates(certificate_header, trusted_proxies)

    @classmethod
    def from_broker(
        cls,
        issuer: str,
        resource_id: str,
        *,
        client_id: str,
        client_secret: str,
        http: httpx2.Client | None = None,
        keys: JwksSource | None = None,
        clock: Clock = system,
        hide: bool = True,
        **options: Any,
    ) -> "Guard":
        """A guard of a resource that the broker knows: all of it is read from its catalogue at the door `issuer`.

        `client_id` and `client_secret` are the resource's own. A decision is asked for each call, and what became of it
        is told. CatalogueUnavailable where the door does not answer now; `options` are those of `Guard`.
        """
        requests, own = Http(clock, http), basic(client_id, client_secret)
        keys = keys or RemoteJwks(requests.get, clock)
        publisher = Publisher(requests.get, keys, clock, issuer, resource_id, client_id, own)
        known = publisher.now()
        decisions = Decisions(requests.post_json, known.resource, own)
        outcomes = Outcomes(requests.post_json, own, clock=clock)
        given = {
            "resource": known.resource,
            "resource_name": known.name,
            "issuers": Issuers(publisher, issuer),
            "authorization_servers": known.authorization_servers,
            "scopes_supported": known.scopes,
            "default_scopes": known.default_scopes,
            "controlled": Control(publisher, clock, decisions, outcomes, hide=hide),
        }
        own_client = {"client_id": client_id, "client_secret": client_secret}
        return cls(**{**given, **own_client, "http": http, "keys": keys, "clock": clock, **options})

    def verify(self, token: str, sent: Sent | None = None) -> VerifiedToken:
        """The verified token of whoever may use it; TokenRefused. `sent` is how the request presents it.

        Without that, a token which is bound to a key is refused, unless the call in progress has proven it. May fetch
        keys: from a coroutine, use `verify_async`.
        """
        verified = self._verifier.verify(token)
        call = in_progress()
        if sent is not None or call is None or call.text != token or verified.audience != self.resource:
            self.possession.check(verified, token, sent)
        return verified

    async def verify_async(self, token: str, sent: Sent | None = None) -> VerifiedToken:
        """As `verify`, without holding up the event loop."""
        proven = sent is not None and bool(
            sent.proofs
        )  # a signature to check, and what guards share to be asked
        if not proven and self._verifier.is_remembered(token):
            return self.verify(token, sent)
        return await asyncio.to_thread(self.verify, token, sent)

    def scopes_for(self, message: Message) -> Sequence[str] | None:
        """The scopes that a message needs; None for a tool that this resource does not list."""
        return self.control.scopes_for(message)

    def serves(self, tools: Iterable[Mapping[str, object]]) -> None:
        """Say how the server defines its tools, as in `tools/list`, before anybody has listed them: what is called is
        then held to what somebody looked at from the first call on."""
        for tool in tools:
            self.control.serves(tool)

    def within_details(self, token: VerifiedToken, message: Message) -> bool:
        """Whether the message is one that the token's authorization details are about; of a token without, any is."""
        return enforce.within(token.details, self.resource, message, decided=self.control.decides)

    def allows(self, token: VerifiedToken, tool: str, arguments: object = None) -> bool:
        """Whether the token's authorization details leave room for a call; for servers without an adapter."""
        return enforce.within(token.details, self.resource, Message(None, "tools/call", tool, arguments))

    def lacking(self, token: VerifiedToken, needed: Sequence[str]) -> tuple[str, ...] | None:
        """None when the token covers the scopes, else those to name in the challenge."""
        return enforce.lacking(token.scopes, needed, self.control.catalogue.implies)

    def weaker(self, token: VerifiedToken, needed: Sequence[str]) -> SignIn | None:
        """None when the sign-in behind the token does for the scopes, else the one to name in the challenge."""
        demands = {**self.control.catalogue.sign_ins, **self._sign_ins}
        return step_up.lacking(token.claims, needed, demands, self._clock())

    def challenge(
        self,
        error: str | None = None,
        description: str | None = None,
        scopes: Sequence[str] | None = None,
        *,
        proof: bool = False,
        sign_in: SignIn | None = None,
    ) -> str:
        """The WWW-Authenticate value; without `scopes`, it names the default ones. `proof`: the token needs one.

        `sign_in`: what another token's would have to be.
        """
        wanted = sign_in or SignIn()
        named = scope_rules.render(self._default_scopes if scopes is None else scopes) or None
        url = self.metadata.url
        if not proof and not self.possession.required:
            return bearer_challenge(
                resource_metadata=url,
                error=error,
                error_description=description,
                scope=named,
                acr_values=wanted.acr,
                max_age=wanted.max_age,
            )
        return dpop_challenge(
            algs=dpop.ALGORITHMS,
            resource_metadata=url,
            error=error,
            error_description=description,
            scope=named,
            acr_values=wanted.acr,
            max_age=wanted.max_age,
        )


def _inbound() -> str | None:
    call = in_progress()
    return None if call is None else call.text


def _scopes_of(tools: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scope for scopes in tools.values() for scope in scopes))
