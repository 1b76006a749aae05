"""OWASP ASVS V6.4.4: for a person who lost a way in, administration may take factors away, never see or add one."""

from broker.identity.sessions.sessions import Sessions
from broker.identity.users import store
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.credentials.passkeys import Passkeys
from broker.identity.users.credentials.recovery import RecoveryCodes
from broker.identity.users.credentials.totp import Totp
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Custody:
    def __init__(
        self,
        world: World,
        sessions: Sessions,
        passkeys: Passkeys,
        totp: Totp,
        recovery: RecoveryCodes,
        notices: Notices,
    ) -> None:
        self._world, self._sessions, self._notices = world, sessions, notices
        self._passkeys, self._totp, self._recovery = passkeys, totp, recovery

    def take_passkey(self, user_id: str, passkey_id: str, origin: Origin) -> str:
        """Remove one passkey, and end every session of the person; its name. LookupError.

        Recovery codes stand in for a second factor, and end with the last one.
        """

        def unit(tx: Transaction) -> str:
            name = self._passkeys.remove(tx, user_id, passkey_id)
            if name is None:
                raise LookupError(passkey_id)
            self._notices.tell(tx, user_id, "credential.removed", "passkey", origin, name)
            if not (self._totp.enrolled(tx, user_id) or self._passkeys.every(tx, user_id)):
                self._end_codes(tx, user_id, origin)
            self._sessions.end_all(tx, user_id)
            return name

        return self._world.database.write(unit)

    def take_all(self, user_id: str, origin: Origin) -> int:
        """Remove everything but the password, and end every session; how many factors there were. LookupError."""

        def unit(tx: Transaction) -> int:
            if store.get(tx, user_id) is None:
                raise LookupError(user_id)
            taken = 0
            for passkey in self._passkeys.every(tx, user_id):
                self._passkeys.remove(tx, user_id, passkey.id)
                self._notices.tell(tx, user_id, "credential.removed", "passkey", origin, passkey.name)
                taken += 1
            if self._totp.remove(tx, user_id):
                self._notices.tell(tx, user_id, "credential.removed", "totp", origin)
                taken += 1
            taken += self._end_codes(tx, user_id, origin)
            if taken:
                self._sessions.end_all(tx, user_id)
            return taken

        return self._world.database.write(unit)

    def _end_codes(self, tx: Transaction, user_id: str, origin: Origin) -> bool:
        """Whether there were any left."""
        left = self._recovery.left(tx, user_id) > 0
        if left:
            self._notices.tell(tx, user_id, "credential.removed", "recovery", origin)
        self._recovery.put(tx, user_id, ())
        return left
