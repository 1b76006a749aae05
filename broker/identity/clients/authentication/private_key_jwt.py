"""RFC 7523 section 2.2, RFC 7521 section 4.2: the client signs an assertion with a key of its own, used once."""

from collections.abc import Callable

from broker.identity.clients.authentication.authenticate import refused
from broker.identity.clients.authentication.model import Attempt, Candidate, Presented, Unproven
from broker.identity.clients.keys import ClientKeys, KeysUnavailable
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol import assertion
from broker.protocol.assertion import Assertion, InvalidAssertion, NotSigned
from broker.protocol.errors import Reason
from broker.protocol.jws import Parts
from broker.protocol.names import JWT_ASSERTION, PRIVATE_KEY_JWT, SIGNING_ALGORITHMS
from broker.runtime.once import Spend

PURPOSE = "client-assertion"
_LONGEST_ID = 512
_REMEMBERED = 300.0
"""Seconds longer than it is accepted: the clocks of several servers differ."""


class PrivateKeyJwt:
    name = PRIVATE_KEY_JWT

    def __init__(self, keys: ClientKeys, others: Callable[[str], bool] = lambda _: False) -> None:
        """`others`: whether an assertion is none of the client's own, but for another method to judge."""
        self._keys, self._others = keys, others

    def presented(self, attempt: Attempt, door: Door) -> Presented | None:
        """Who the assertion says to be from; what nobody can be falls to the `client_id` beside it."""
        form = attempt.parameters
        if form.get("client_assertion") is None and form.get("client_assertion_type") is None:
            return None
        kind, token = form.require("client_assertion_type"), form.require("client_assertion")
        if self._others(token):
            return None
        beside = form.get("client_id") or ""
        if kind != JWT_ASSERTION:
            raise refused(Reason.CLIENT_ASSERTION_INVALID, beside, "client_assertion_type")
        said = assertion.subject(token) or ""
        possible = 0 < len(said) <= _LONGEST_ID and said.isprintable()
        return Presented(((said if possible else beside, token),))

    def proves(self, credential: str, candidate: Candidate) -> tuple[Spend, ...] | Unproven:
        client = candidate.client
        named = candidate.attempt.parameters.get("client_id")
        if named not in (None, client.client_id):
            return Unproven(Reason.CLIENT_ASSERTION_INVALID, "client_id")
        algorithms = (client.assertion_alg,) if client.assertion_alg else SIGNING_ALGORITHMS
        try:
            parts = assertion.read(
                credential,
                client_id=client.client_id,
                audience=candidate.door.issuer,
                algorithms=algorithms,
                now=candidate.now,
            )
            verified = self._verified(parts, client)
        except InvalidAssertion as error:
            return Unproven(Reason.CLIENT_ASSERTION_INVALID, error.what)
        except KeysUnavailable as error:
            return Unproven(Reason.CLIENT_KEYS_UNAVAILABLE, str(error), error.passing)
        again = refused(Reason.CLIENT_ASSERTION_REPLAYED, client.client_id, known=client.client_id)
        key = (client.client_id, verified.jti)
        return (Spend(PURPOSE, key, verified.expires_at + _REMEMBERED, again),)

    def _verified(self, parts: Parts, client: Client) -> Assertion:
        if self.name not in client.methods:
            return assertion.verify(parts, ())
        try:
            return assertion.verify(parts, self._keys.of(client))
        except NotSigned:
            if client.jwks_uri is None:
                raise
            return assertion.verify(parts, self._keys.newer(client))
