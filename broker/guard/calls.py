"""RFC 8693, MCP authorization: what a tool asks of the guard about the call that it works for."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx2

from broker.guard.clock import Clock, unique
from broker.guard.exchange import Call, Exchange
from broker.guard.isolation import Reach
from broker.guard.running import Running
from broker.guard.texts import amount, visible
from broker.guard.verifier import VerifiedToken
from broker.protocol.dpop import ProofKey

_LONGEST_ID, _LONGEST_UNDO = 200, 500
_call: ContextVar[Call | None] = ContextVar("guard_call", default=None)


def in_progress() -> Call | None:
    """The call of this context, of whichever resource."""
    return _call.get()


class Calls:
    """The side of a guard that tools see. LookupError outside of a call, or without what the resource needs for it."""

    def __init__(
        self,
        resource: str,
        clock: Clock,
        exchange: Exchange | None,
        proof_key: ProofKey | None,
        reach: Reach,
    ) -> None:
        self.resource, self._clock = resource, clock
        self._exchange, self._proof_key, self._reach = exchange, proof_key, reach

    @contextmanager
    def calling(self, token: VerifiedToken, text: str, running: Running | None = None) -> Iterator[None]:
        """Make this the current call of the context; the adapters do it."""
        reset = _call.set(Call(token, text, running))
        try:
            yield
        finally:
            _call.reset(reset)

    def is_calling(self, token: VerifiedToken) -> bool:
        """Whether this is the token of the call in progress, which the adapter has let through."""
        call = _call.get()
        return call is not None and call.token.token_hash == token.token_hash

    def current(self) -> VerifiedToken:
        """The verified token of the call in progress; LookupError outside of one."""
        return self._current_call().token

    async def exchange(self, *, resource: str, scope: str | None = None, vault: bool = False) -> str:
        """An access token for a downstream resource in the name of the current call; ExchangeRefused.

        `vault`: a system that is not the server's own, whose token is a bearer token also with a `dpop_key`.
        """
        exchange, call = self._exchanging(), self._current_call()
        kept = exchange.kept(call, resource, scope)
        if kept is not None:
            return kept
        return await asyncio.to_thread(exchange.exchange, call, resource, scope, vault=vault)

    def exchange_sync(self, *, resource: str, scope: str | None = None, vault: bool = False) -> str:
        """As `exchange`, for tools that are plain functions."""
        return self._exchanging().exchange(self._current_call(), resource, scope, vault=vault)

    def outcome(
        self, *, downstream_request_id: str | None = None, cost: float | None = None, undo: str | None = None
    ) -> None:
        """Say of the call in progress what its report will tell: the id that another system knows it by, what it
        cost, how it is taken back. Texts are cut (200 and 500 characters), and a cost that is no amount is left
        out. Nothing happens where nobody is told."""
        running = self._current_call().running
        if running is not None:
            running.note(
                downstream_request_id=visible(str(downstream_request_id or ""), _LONGEST_ID),
                cost=None if cost is None else amount(cost),
                undo=visible(str(undo or ""), _LONGEST_UNDO),
            )

    def http(self) -> httpx2.AsyncClient:
        """A client that reaches the `egress` hosts of the resource's isolation and no other; close it.

        No header and no address that it sends has the token of the call in it. Bodies are the tool's own: they are
        not looked at.
        """
        return self._reach.client()

    def http_sync(self) -> httpx2.Client:
        """As `http`, for tools that are plain functions."""
        return self._reach.client_sync()

    def dpop_proof(self, *, method: str, url: str, token: str, nonce: str | None = None) -> str:
        """The DPoP header to send an exchanged token with, as `Authorization: DPoP`; LookupError without `dpop_key`."""
        if self._proof_key is None:
            raise LookupError("proofs need the resource's dpop_key")
        return self._proof_key.proof(
            method=method, url=url, now=self._clock(), jti=unique(), nonce=nonce, token=token
        )

    def _exchanging(self) -> Exchange:
        if self._exchange is None:
            raise LookupError("exchange needs the resource's client_id and client_secret")
        return self._exchange

    def _current_call(self) -> Call:
        call = _call.get()
        if call is None or call.token.audience != self.resource:
            raise LookupError("no guarded call is in progress")
        return call
