"""Users are the server's, memberships a tenant's; a deleted user's id is kept so that it is never given again."""

import json

from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from broker.identity.users.model import GROUP, Membership, User
from broker.runtime.database import Transaction, metadata, wall

user_table = Table(
    "user_account",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("email", String(320)),
    Column("password_hash", Text),
    Column("deleted", Boolean, nullable=False, default=False),
)
membership_table = Table(
    "membership",
    metadata,
    Column("user_id", String(128), primary_key=True),
    Column("tenant", String(128), primary_key=True),
    Column("roles", Text, nullable=False),
    Column("attributes", Text, nullable=False),
)

SERVER_WIDE = "accounts are the server's; memberships, which belong to tenants, stand behind the wall"

_ALIVE = user_table.c.deleted.is_(False)
_GET = select(user_table).where(user_table.c.id == bindparam("which"), _ALIVE)
_ALONE = select(user_table.c.id).where(user_table.c.id == bindparam("which"), _ALIVE).with_for_update()
_MAIL = (
    select(user_table.c.id)
    .where(func.lower(user_table.c.email) == func.lower(bindparam("mail")), _ALIVE)
    .order_by(user_table.c.id)
)
_HOLDING = (
    select(membership_table.c.user_id)
    .where(
        wall(membership_table),
        membership_table.c.tenant == bindparam("where"),
        membership_table.c.roles.like(bindparam("said"), escape="~"),
    )
    .order_by(membership_table.c.user_id)
    .limit(bindparam("most", type_=Integer))
)
_IN_GROUP = (
    select(membership_table.c.user_id)
    .where(
        wall(membership_table),
        membership_table.c.tenant == bindparam("where"),
        membership_table.c.attributes.like(bindparam("said"), escape="~"),
    )
    .order_by(membership_table.c.user_id)
    .limit(bindparam("most", type_=Integer))
)
_EVER = select(user_table.c.id).where(user_table.c.id == bindparam("which"))
_EVERY = select(user_table).where(_ALIVE).order_by(user_table.c.id)
_INSERT = insert(user_table)
_UPDATE = (
    update(user_table)
    .where(user_table.c.id == bindparam("which"), _ALIVE)
    .values(name=bindparam("called"), email=bindparam("mail"))
)
_PASSWORD = (
    update(user_table)
    .where(user_table.c.id == bindparam("which"), _ALIVE)
    .values(password_hash=bindparam("hashed"))
)
_REPLACE = _PASSWORD.where(user_table.c.password_hash.is_not_distinct_from(bindparam("before")))
_DELETE = (
    update(user_table)
    .where(user_table.c.id == bindparam("which"), _ALIVE)
    .values(deleted=True, password_hash=None, email=None)
)
_MEMBERSHIPS = (
    select(membership_table)
    .where(wall(membership_table), membership_table.c.user_id == bindparam("which"))
    .order_by(membership_table.c.tenant)
)
_LEAVE = delete(membership_table).where(
    wall(membership_table), membership_table.c.user_id == bindparam("which")
)
_JOIN = insert(membership_table)
_PLACE = (
    update(membership_table)
    .where(
        wall(membership_table),
        membership_table.c.user_id == bindparam("which"),
        membership_table.c.tenant == bindparam("where"),
    )
    .values(roles=bindparam("as_roles"), attributes=bindparam("as_attributes"))
)


def get(tx: Transaction, user_id: str) -> User | None:
    """The user with the memberships that the wall of `tx.tenant` lets see; nobody's id costs as much to look for."""
    row, memberships = tx.execute(_GET, which=user_id).first(), _memberships(tx, user_id)
    return None if row is None else User(row.id, row.name, row.email, memberships)


def alone(tx: Transaction, user_id: str) -> None:
    """Until `tx` is over, no other that says so too goes on for this user: what it read of them then stays true."""
    tx.execute(_ALONE, which=user_id)


def with_email(tx: Transaction, email: str) -> list[str]:
    """The ids of those who have this e-mail address, whatever its case."""
    return [row.id for row in tx.execute(_MAIL, mail=email)]


def holding(tx: Transaction, tenant: str, role: str, most: int) -> list[str]:
    """The ids of those who have this role in a tenant; of a `group:NAME`, those of whom an attribute says the name."""
    group = role.startswith(GROUP)
    said = json.dumps(role.removeprefix(GROUP) if group else role)
    for sign in "~%_":
        said = said.replace(sign, f"~{sign}")
    found = tx.execute(
        _IN_GROUP if group else _HOLDING, wall=tx.tenant, where=tenant, said=f"%{said}%", most=most
    )
    return [row.user_id for row in found]


def place(tx: Transaction, user_id: str, membership: Membership) -> bool:
    """Give a member other roles and attributes; whether there is such a member."""
    changed = tx.execute(
        _PLACE,
        wall=tx.tenant,
        which=user_id,
        where=membership.tenant,
        as_roles=json.dumps(membership.roles),
        as_attributes=json.dumps(membership.attributes, sort_keys=True),
    )
    return changed.rowcount == 1


def password_hash(tx: Transaction, user_id: str) -> str | None:
    """For verifying a password only. Accounts are the server's: no tenant's wall applies before sign-in."""
    row = tx.execute(_GET, which=user_id).first()
    return None if row is None else row.password_hash


def set_password_hash(tx: Transaction, user_id: str, hashed: str) -> bool:
    return tx.execute(_PASSWORD, which=user_id, hashed=hashed).rowcount == 1


def replace_password_hash(tx: Transaction, user_id: str, was: str | None, now: str) -> bool:
    """Only where it still is `was`, and until the end of `tx` nobody else changes it: `now` may be the same."""
    return tx.execute(_REPLACE, which=user_id, before=was, hashed=now).rowcount == 1


def put(tx: Transaction, user: User) -> None:
    """Create or change, memberships within the wall included; `Conflict` when the id was used before."""
    changed = tx.execute(_UPDATE, which=user.id, called=user.name, mail=user.email)
    if changed.rowcount == 0:
        tx.execute(_INSERT, id=user.id, name=user.name, email=user.email, password_hash=None, deleted=False)
    tx.execute(_LEAVE, wall=tx.tenant, which=user.id)
    for membership in user.memberships:
        tx.require(membership.tenant)
        tx.execute(
            _JOIN,
            user_id=user.id,
            tenant=membership.tenant,
            roles=json.dumps(membership.roles),
            attributes=json.dumps(membership.attributes, sort_keys=True),
        )


def remove(tx: Transaction, user_id: str) -> bool:
    tx.execute(_LEAVE, wall=tx.tenant, which=user_id)
    return tx.execute(_DELETE, which=user_id).rowcount == 1


def ever(tx: Transaction, user_id: str) -> bool:
    """Whether this id is or was a user's."""
    return tx.execute(_EVER, which=user_id).first() is not None


def every(tx: Transaction) -> list[User]:
    return [User(row.id, row.name, row.email, _memberships(tx, row.id)) for row in tx.execute(_EVERY).all()]


def _memberships(tx: Transaction, user_id: str) -> tuple[Membership, ...]:
    rows = tx.execute(_MEMBERSHIPS, wall=tx.tenant, which=user_id)
    return tuple(
        Membership(row.tenant, tuple(json.loads(row.roles)), json.loads(row.attributes)) for row in rows
    )
