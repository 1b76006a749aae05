"""RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3: what a request with too weak a token is answered."""

from collections.abc import Callable, Sequence

from broker.guard import enforce, jsonrpc
from broker.guard.guard import Guard
from broker.guard.jsonrpc import Message
from broker.guard.possession import PossessionRefused, TooManyProofs
from broker.guard.request import UNAVAILABLE, Reply, reply, unavailable
from broker.guard.step_up import SignIn
from broker.guard.verifier import TokenRefused, VerifiedToken

ScopesFor = Callable[[Message], Sequence[str] | None]


def by_proof(token: VerifiedToken) -> bool:
    """Whether it is sent as DPoP."""
    return token.confirmation is not None and token.confirmation.jkt is not None


def challenged(
    guard: Guard,
    status: int,
    error: str | None = None,
    description: str | None = None,
    scopes: Sequence[str] | None = None,
    *,
    proof: bool = False,
    sign_in: SignIn | None = None,
) -> Reply:
    said = guard.challenge(error, description, scopes, proof=proof, sign_in=sign_in).encode("ascii")
    body = f'{{"error":"{error or "unauthorized"}"}}'.encode("ascii")
    return reply(status, body, (b"www-authenticate", said))


def refused(guard: Guard, error: TokenRefused | TooManyProofs, *, proof: bool) -> Reply:
    """What is wrong with a token, with its proof or its certificate, or with us."""
    if isinstance(error, TooManyProofs):
        return reply(429, UNAVAILABLE, (b"retry-after", b"60"))
    if isinstance(error, PossessionRefused):
        said = challenged(guard, 401, error.error, error.description, proof=error.proof)
        return said.fresh(error.nonce)
    if error.reason == "keys_unavailable":
        return unavailable()
    description = "the token has expired" if error.reason == "expired" else "the token does not work here"
    return challenged(guard, 401, "invalid_token", description, proof=proof)


def uncovered(
    guard: Guard, token: VerifiedToken, messages: Sequence[Message], scopes_for: ScopesFor
) -> Reply | None:
    """None when the token covers all messages, else what its client has to get first."""
    needed: list[str] = []
    for message in messages:
        scopes = scopes_for(message)
        if scopes is None:
            # The answer of a server that has no such tool; whether the application has one is not asked.
            error = jsonrpc.error(message.id, -32602, "Unknown tool")
            return reply(200 if len(messages) == 1 else 400, error)
        needed.extend(scopes)
    named, description = guard.lacking(token, needed), "the call needs more scope"
    if named is None and not all(guard.within_details(token, message) for message in messages):
        named, description = _anew(token, needed)
    proof = by_proof(token)
    if named is not None:
        return challenged(guard, 403, "insufficient_scope", description, named, proof=proof)
    wanted = guard.weaker(token, needed)
    return None if wanted is None else stronger(guard, token, needed, wanted)


def stronger(guard: Guard, token: VerifiedToken, needed: Sequence[str], wanted: SignIn) -> Reply:
    """RFC 9470 section 3: the sign-in behind the token does not do."""
    error, description = "insufficient_user_authentication", "the call needs another sign-in"
    named, proof = enforce.kept(token.scopes, needed), by_proof(token)
    return challenged(guard, 401, error, description, named, proof=proof, sign_in=wanted)


def _anew(token: VerifiedToken, needed: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """No error code is registered for it. Whoever asks for these scopes anew is good for all their calls."""
    named = tuple(dict.fromkeys((*sorted(token.scopes), *needed)))
    return named, "the call is not one of those that the token is good for"


def undecided(
    guard: Guard,
    token: VerifiedToken,
    reason: str,
    scopes: Sequence[str],
    sign_in: SignIn | None,
) -> Reply:
    """What a decision says of the token itself: that it is worth nothing, or too weak for the call."""
    proof = by_proof(token)
    if reason == "token_invalid":
        return challenged(guard, 401, "invalid_token", "the token does not work here", proof=proof)
    if sign_in is not None:
        return stronger(guard, token, scopes, sign_in)
    named, description = enforce.kept(token.scopes, scopes), "the call needs more scope"
    return challenged(guard, 403, "insufficient_scope", description, named, proof=proof)
