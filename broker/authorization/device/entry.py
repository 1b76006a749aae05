"""RFC 8628 sections 3.3 and 5.1: a person types the code that a device shows, and is led to a question about it."""

import hashlib
from dataclasses import replace

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals, source_key
from broker.authorization.device import rules, store
from broker.authorization.device.devices import wrong_code
from broker.authorization.device.model import DeviceCode
from broker.authorization.device.user_codes import UserCodes
from broker.authorization.interaction import Begun, Interactions
from broker.authorization.question import Questions
from broker.identity.sessions.model import Session
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.ephemeral.model import Hits
from broker.runtime.world import World

_BUCKET = "user-code"


class Entry:
    def __init__(
        self,
        world: World,
        refusals: Refusals,
        interactions: Interactions,
        questions: Questions,
        user_codes: UserCodes,
    ) -> None:
        self._world, self._refusals, self._interactions = world, refusals, interactions
        self._questions, self._user_codes = questions, user_codes

    def enter(
        self, door: Door, typed: str, cookie: str, session: Session | None, origin: Origin
    ) -> Begun | None:
        """Begin the question that a device waits for. OAuthError: `wrong_code`, or 429 past the limits.

        None when strangers typed so many wrong codes that only who is signed in may type one. Which of the things
        that can be wrong with a code was wrong, is for the evidence alone.
        """
        try:
            counted = self._count(door, cookie, session, origin)
            if session is None and self._crowded(door, counted):
                self._record(door, None, too_many("", 0), origin)
                return None
            found = self._world.database.read(lambda tx: self._found(tx, door, typed, session), door.tenant)
            if isinstance(found, Reason):
                raise wrong_code(found)
        except OAuthError as error:
            self._record(door, session, error, origin)
            raise
        for key in counted:
            self._world.ephemeral.forgive(_BUCKET, key)
        request = replace(found.request, id=self._world.entropy.secret(), begun_at=self._world.clock.now())
        return self._interactions.begin(door, request, cookie)

    def _count(self, door: Door, cookie: str, session: Session | None, origin: Origin) -> list[str]:
        """Before the code is looked at, so that guesses sent at once count; past one's own limit, for nobody else.

        Who is signed in has a limit that nobody else can use up.
        """
        browser = hashlib.sha256(b"browser:" + cookie.encode()).hexdigest()
        own = (
            ((f"user {session.user_id}", rules.PER_BROWSER),)
            if session
            else (
                (f"source {source_key(origin.source)}", rules.PER_SOURCE),
                (f"browser {browser}", rules.PER_BROWSER),
            )
        )
        counted: list[str] = []
        for key, most in own:
            hits = self._hit(key)
            if hits.count > most:
                raise too_many("Too many codes were wrong. Wait, then try again.", hits.ends_in)
            counted.append(key)
        return counted

    def _crowded(self, door: Door, counted: list[str]) -> bool:
        """Whether all strangers together are past their limit; one more is counted."""
        key = f"door {door.issuer}"
        counted.append(key)
        return self._hit(key).count > rules.PER_DOOR

    def _hit(self, key: str) -> Hits:
        return self._world.ephemeral.hit(_BUCKET, key, rules.WINDOW, self._world.clock.now())

    def _found(self, tx: Transaction, door: Door, typed: str, session: Session | None) -> DeviceCode | Reason:
        """The device whose code this is, where it is this person's to answer; else why not."""
        device = store.typed(tx, self._user_codes.hashed(door.issuer, typed))
        if device is None:
            return Reason.DEVICE_CODE_UNKNOWN
        if not device.waits(self._world.clock.now()):
            return Reason.DEVICE_CODE_EXPIRED
        if session is None:
            return device
        if self._questions.stranger(tx, door, session):
            return Reason.NOT_A_MEMBER
        try:
            self._questions.ask(tx, door, device.request, session)
        except OAuthError as error:
            return error.reason
        return device

    def _record(self, door: Door, session: Session | None, error: OAuthError, origin: Origin) -> None:
        fact = Fact(
            "device.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=door.tenant,
            subject=session.user_id if session else None,
            issuer=door.issuer,
        )
        self._refusals.record(fact, origin, known=session is not None)
