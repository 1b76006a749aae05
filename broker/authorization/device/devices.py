"""RFC 8628 section 3.3, RFC 10027 section 6.1: what a person's answer does to the device that waits for it."""

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.authorization.device import store
from broker.authorization.device.model import DeviceCode, Notice
from broker.authorization.device.user_codes import UserCodes
from broker.authorization.interaction import unknown
from broker.authorization.model import Grant
from broker.identity.sessions.model import Session
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

KEEP = 86400.0


class Devices:
    """Every verb works within the transaction of the answer."""

    def __init__(self, world: World, recorder: Recorder, user_codes: UserCodes) -> None:
        self._world, self._recorder, self._user_codes = world, recorder, user_codes

    def notice(self, tx: Transaction, device_id: str) -> Notice:
        """What the page shows beside the question; OAuthError once there is nothing left to answer."""
        device = store.get(tx, device_id)
        if device is None or not device.waits(self._world.clock.now()):
            raise unknown()
        code = self._user_codes.opened(device.sealed, device.id)
        if code is None:
            raise unknown()
        return Notice(code, device.request.begun_at, device.source, device.agent)

    def approve(self, tx: Transaction, device_id: str, grant: Grant, origin: Origin) -> None:
        """The device gets what `grant` allows at its next poll; OAuthError when it was decided or expired meanwhile."""
        device = store.approve(tx, device_id, grant.id, self._world.clock.now())
        if device is None:
            raise unknown()
        fact = Fact(
            "device.approved",
            tenant=grant.tenant,
            subject=grant.user_id,
            client=grant.client_id,
            resource=grant.resource_id,
            scope=grant.scopes,
            grant_id=grant.id,
            issuer=grant.door,
            initiator=device.source,
            change={"device": device.id},
        )
        self._recorder.record(tx, fact, origin)

    def deny(self, tx: Transaction, device_id: str, session: Session, origin: Origin) -> None:
        """The device is told so at each poll from now on."""
        device = store.deny(tx, device_id, self._world.clock.now())
        if device is None:
            raise unknown()
        self._recorder.record(tx, _denied(device, session), origin)

    def sweep(self, tx: Transaction, now: float) -> None:
        """A day later, so that a replay is still seen."""
        store.sweep(tx, now - KEEP)


def wrong_code(why: Reason) -> OAuthError:
    """One answer for every code that is not this person's to answer: unknown, expired, used, or of other people."""
    return OAuthError(
        "invalid_request",
        "This code is not known here: look again at the display of the device.",
        Reason.USER_CODE_WRONG,
        detail=why.value,
        redirectable=False,
    )


def _denied(device: DeviceCode, session: Session) -> Fact:
    return Fact(
        "device.denied",
        Outcome.DENIED,
        Reason.USER_DENIED,
        tenant=device.tenant,
        subject=session.user_id,
        client=device.request.client_id,
        resource=device.request.resource_id,
        scope=device.request.scopes,
        issuer=device.request.door,
        initiator=device.source,
        change={"device": device.id},
    )
