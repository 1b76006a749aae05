"""WebAuthn level 3: passkeys, made by a signed-in person and shown by anybody who has one."""

from dataclasses import dataclass

from broker.identity.sessions.model import Session
from broker.identity.users.credentials import store
from broker.identity.users.credentials.begun import Begun
from broker.identity.users.credentials.model import Ceremony, Passkey, Purpose
from broker.identity.users.credentials.relying_party import (
    Answer,
    Made,
    NotProven,
    RelyingParty,
    Shown,
    decoded,
)
from broker.identity.users.model import User
from broker.protocol.errors import Reason
from broker.runtime.database import Transaction
from broker.runtime.world import World

MOST = 20
"""Passkeys that one person may have."""
_CHALLENGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Proven:
    """A passkey that answered this browser's challenge; `shown` goes to the store with the sign-in."""

    passkey: Passkey
    shown: Shown


@dataclass(frozen=True, slots=True)
class Unproven:
    """`user_id` when it is known whose passkey it would have been."""

    reason: Reason
    detail: str
    user_id: str | None = None


class Passkeys:
    """`party` is None where passkeys are not offered."""

    def __init__(self, world: World, begun: Begun, party: RelyingParty | None) -> None:
        self._world, self._begun, self._party = world, begun, party

    @property
    def offered(self) -> bool:
        return self._party is not None

    def of(self, tx: Transaction, user_id: str) -> list[Passkey]:
        return store.passkeys(tx, user_id) if self._party is not None else []

    def every(self, tx: Transaction, user_id: str) -> list[Passkey]:
        """Those too that cannot be used, as passkeys are not offered any more."""
        return store.passkeys(tx, user_id)

    def request(self, browser: str) -> dict[str, object] | None:
        """A challenge for this browser, as options for `navigator.credentials.get`; None where none is offered."""
        if self._party is None:
            return None
        challenge = self._challenge()
        ceremony = Ceremony(Purpose.PASSKEY_ASSERTION, None, None, {})
        self._world.database.write(lambda tx: self._begun.begin(tx, ceremony, challenge, browser))
        return self._party.request_options(challenge)

    def prove(self, credential: str, browser: str) -> Proven | Unproven:
        """Check an assertion against the challenge that this browser was given, which is used up by that."""
        if self._party is None:
            return Unproven(Reason.PASSKEY_INVALID, "passkeys are not offered here")
        try:
            answer = Answer.read(credential)
        except NotProven as error:
            return Unproven(Reason.PASSKEY_INVALID, str(error))
        if self._begun.burn(Purpose.PASSKEY_ASSERTION, answer.challenge, browser) is None:
            return Unproven(
                Reason.CHALLENGE_UNKNOWN, "the challenge is not one that this browser may answer now"
            )
        passkey = self._world.database.read(lambda tx: store.by_credential(tx, answer.credential))
        if passkey is None:
            return Unproven(Reason.PASSKEY_UNKNOWN, "the credential is nobody's")
        try:
            return Proven(passkey, self._party.check_assertion(answer, answer.challenge, passkey))
        except NotProven as error:
            return Unproven(Reason.PASSKEY_INVALID, str(error), passkey.user_id)

    def use(self, tx: Transaction, proven: Proven) -> Reason | None:
        """Within the sign-in's transaction: advance the counter; the reason when the passkey cannot be used."""
        present = store.by_credential(tx, proven.passkey.credential)
        if present is None or present.user_id != proven.passkey.user_id:
            return Reason.PASSKEY_UNKNOWN  # removed while it was checked
        shown, now = proven.shown, self._world.clock.now()
        if not store.use_passkey(tx, present.id, shown.counter, shown.backed_up, now):
            return Reason.PASSKEY_COUNTER
        return None

    def begin(self, session: Session, user: User, browser: str) -> dict[str, object] | None:
        """A challenge for this session, as options for `navigator.credentials.create`; None where none is offered."""
        if self._party is None:
            return None
        present = self._world.database.read(lambda tx: store.passkeys(tx, user.id))
        handle = present[0].handle if present else self._challenge()
        challenge = self._challenge()
        ceremony = Ceremony(Purpose.PASSKEY_CREATION, user.id, session.id, {"handle": handle})
        self._world.database.write(lambda tx: self._begun.begin(tx, ceremony, challenge, browser))
        return self._party.creation_options(challenge, handle, user.id, user.name, present)

    def made(self, session: Session, credential: str, browser: str) -> tuple[Made, str] | Unproven:
        """Check a new credential: what it is, and the user handle that it was made for."""
        if self._party is None:
            return Unproven(Reason.PASSKEY_INVALID, "passkeys are not offered here")
        try:
            answer = Answer.read(credential)
        except NotProven as error:
            return Unproven(Reason.PASSKEY_INVALID, str(error))
        begun = self._begun.burn(Purpose.PASSKEY_CREATION, answer.challenge, browser)
        if begun is None or (begun.user_id, begun.session_id) != (session.user_id, session.id):
            return Unproven(
                Reason.CHALLENGE_UNKNOWN, "the challenge is not one that this session may answer now"
            )
        try:
            return self._party.check_creation(answer, answer.challenge), str(begun.content["handle"])
        except NotProven as error:
            return Unproven(Reason.PASSKEY_INVALID, str(error))

    def add(self, tx: Transaction, user_id: str, made: Made, handle: str, name: str) -> Passkey:
        """Within `tx`; Conflict when the credential is registered already."""
        now = self._world.clock.now()
        passkey = Passkey(
            self._world.entropy.identifier("pk", now),
            user_id,
            made.credential,
            handle,
            made.key,
            name,
            made.counter,
            made.eligible,
            made.backed_up,
            made.transports,
            now,
        )
        store.add_passkey(tx, passkey)
        return passkey

    def rename(self, tx: Transaction, user_id: str, passkey_id: str, name: str) -> bool:
        return store.rename_passkey(tx, user_id, passkey_id, name)

    def remove(self, tx: Transaction, user_id: str, passkey_id: str) -> str | None:
        """Within `tx`: its name, or None when this person has no such passkey."""
        return store.remove_passkey(tx, user_id, passkey_id)

    def _challenge(self) -> str:
        challenge = self._world.entropy.secret()
        assert len(decoded(challenge)) >= _CHALLENGE_BYTES
        return challenge


def enrolled(tx: Transaction, user_id: str) -> bool:
    """Whether a person has a passkey, offered here or not."""
    return bool(store.passkeys(tx, user_id))
