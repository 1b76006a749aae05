"""Accounts as other rooms use them: looked up, created, changed, removed; a changed password ends what came before."""

from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.sessions.sessions import Sessions
from broker.identity.users import store
from broker.identity.users.credentials.begun import Begun
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.model import Membership, User
from broker.identity.users.password import Passwords
from broker.runtime.database import Transaction
from broker.runtime.world import World


class People:
    def __init__(self, world: World, passwords: Passwords, sessions: Sessions, notices: Notices) -> None:
        self._world, self._passwords, self._sessions = world, passwords, sessions
        self._notices, self._begun = notices, Begun(world)

    def get(self, user_id: str) -> User | None:
        return self._world.database.read(lambda tx: store.get(tx, user_id))

    def within(self, tx: Transaction, user_id: str) -> User | None:
        """The user as this transaction sees them: None when gone."""
        return store.get(tx, user_id)

    def ever(self, tx: Transaction, user_id: str) -> bool:
        """Whether this id is or was a user's."""
        return store.ever(tx, user_id)

    def every(self, tx: Transaction) -> list[User]:
        return store.every(tx)

    def with_email(self, tx: Transaction, email: str) -> list[User]:
        """Who has this e-mail address, with the memberships that the wall lets see."""
        found = [store.get(tx, user_id) for user_id in store.with_email(tx, email)]
        return [user for user in found if user is not None]

    def holding(self, tx: Transaction, tenant: str, role: str, most: int) -> list[str]:
        """The ids of those who have this role in a tenant, as far as `most` goes."""
        return store.holding(tx, tenant, role, most)

    def place(self, tx: Transaction, user_id: str, membership: Membership) -> bool:
        """Give a member other roles and attributes; whether there is such a member."""
        return store.place(tx, user_id, membership)

    def put(self, tx: Transaction, user: User) -> None:
        store.put(tx, user)

    def set_password(self, tx: Transaction, user_id: str, hashed: str) -> None:
        """Ends every session, and whatever was begun before, a link to set a password too."""
        store.set_password_hash(tx, user_id, hashed)
        self._begun.outdate(tx, user_id)
        self._sessions.end_all(tx, user_id)

    def has_password(self, tx: Transaction, user_id: str) -> bool:
        return store.password_hash(tx, user_id) is not None

    def password_matches(self, user_id: str, password: str) -> bool:
        """Whether `password` is this user's; slow on purpose, never called inside a transaction."""
        stored = self._world.database.read(lambda tx: store.password_hash(tx, user_id))
        return self._passwords.verify(stored, password)

    def hash(self, password: str) -> str:
        return self._passwords.hash(password)

    def remove(self, tx: Transaction, user_id: str) -> bool:
        self._sessions.end_all(tx, user_id)
        removed = store.remove(tx, user_id)
        if removed:
            self._notices.forget(tx, user_id)
            live.gone(tx, Target(Kind.USER, user_id), self._world.clock.now())
        return removed
