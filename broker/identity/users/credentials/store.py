"""Passkeys, code apps, recovery codes, and what was begun: used up by one statement each, secrets hashed or sealed."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Row,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from broker.identity.users.credentials.model import Ceremony, CodeApp, Notice, Passkey, Purpose
from broker.runtime.database import Transaction, metadata

passkey_table = Table(
    "passkey",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_id", String(128), nullable=False, index=True),
    Column("credential", Text, nullable=False, unique=True),
    Column("handle", String(128), nullable=False),
    Column("key", Text, nullable=False),
    Column("name", String(100), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("eligible", Boolean, nullable=False),
    Column("backed_up", Boolean, nullable=False),
    Column("transports", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
)
totp_table = Table(
    "totp",
    metadata,
    Column("user_id", String(128), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)
recovery_table = Table(
    "recovery_code",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_id", String(128), nullable=False, index=True),
    Column("spent_at", Float),
)
ceremony_table = Table(
    "ceremony",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("user_id", String(128), index=True),
    Column("session_id", String(40)),
    Column("content", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("spent_at", Float),
)
notice_table = Table(
    "credential_notice",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_id", String(128), nullable=False, index=True),
    Column("what", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(100)),
    Column("at", Float, nullable=False, index=True),
    Column("source", String(64)),
    Column("agent", String(300)),
)

SERVER_WIDE = (
    "ways in are a person's, and people belong to the server; doors check membership after the proof"
)

_KEYS, _APPS, _CODES = passkey_table.c, totp_table.c, recovery_table.c
_CEREMONIES, _NOTICES = ceremony_table.c, notice_table.c

_ADD_PASSKEY = insert(passkey_table)
_PASSKEYS = (
    select(passkey_table).where(_KEYS.user_id == bindparam("whose")).order_by(_KEYS.created_at, _KEYS.id)
)
_BY_CREDENTIAL = select(passkey_table).where(_KEYS.credential == bindparam("presented"))
_USE_PASSKEY = (
    update(passkey_table)
    .where(
        _KEYS.id == bindparam("which"),
        or_(
            _KEYS.counter < bindparam("now_counter"),
            and_(_KEYS.counter == 0, bindparam("now_counter", type_=BigInteger) == 0),
        ),
    )
    .values(counter=bindparam("now_counter"), backed_up=bindparam("kept"), last_used_at=bindparam("now"))
)
_RENAME = (
    update(passkey_table)
    .where(_KEYS.id == bindparam("which"), _KEYS.user_id == bindparam("whose"))
    .values(name=bindparam("called"))
)
_REMOVE_PASSKEY = (
    delete(passkey_table)
    .where(_KEYS.id == bindparam("which"), _KEYS.user_id == bindparam("whose"))
    .returning(_KEYS.name)
)
_PUT_APP = insert(totp_table)
_APP = select(totp_table).where(_APPS.user_id == bindparam("whose"))
_ADVANCE = (
    update(totp_table)
    .where(_APPS.user_id == bindparam("whose"), _APPS.last_step < bindparam("step"))
    .values(last_step=bindparam("step"))
)
_REMOVE_APP = delete(totp_table).where(_APPS.user_id == bindparam("whose"))
_ADD_CODE = insert(recovery_table)
_SPEND_CODE = (
    update(recovery_table)
    .where(
        _CODES.hash == bindparam("hashed"), _CODES.user_id == bindparam("whose"), _CODES.spent_at.is_(None)
    )
    .values(spent_at=bindparam("now"))
    .returning(_CODES.hash)
)
_LEFT = (
    select(func.count())
    .select_from(recovery_table)
    .where(_CODES.user_id == bindparam("whose"), _CODES.spent_at.is_(None))
)
_REMOVE_CODES = delete(recovery_table).where(_CODES.user_id == bindparam("whose"))
_BEGIN = insert(ceremony_table)
_OPEN = (
    _CEREMONIES.hash == bindparam("hashed"),
    _CEREMONIES.purpose == bindparam("meant"),
    _CEREMONIES.spent_at.is_(None),
    _CEREMONIES.expires_at > bindparam("now"),
)
_LOOK = select(ceremony_table).where(*_OPEN)
_FINISH = update(ceremony_table).where(*_OPEN).values(spent_at=bindparam("now")).returning(ceremony_table)
_FORGET = delete(ceremony_table).where(
    _CEREMONIES.hash == bindparam("hashed"), _CEREMONIES.purpose == bindparam("meant")
)
_FORGET_OF = delete(ceremony_table).where(
    _CEREMONIES.user_id == bindparam("whose"), _CEREMONIES.purpose == bindparam("meant")
)
_FORGET_ALL = delete(ceremony_table).where(_CEREMONIES.user_id == bindparam("whose"))
_SWEEP = delete(ceremony_table).where(_CEREMONIES.expires_at <= bindparam("now"))
_TELL = insert(notice_table)
_TOLD = (
    select(notice_table)
    .where(_NOTICES.user_id == bindparam("whose"))
    .order_by(_NOTICES.at.desc(), _NOTICES.id.desc())
    .limit(bindparam("most"))
)
_FORGET_TOLD = delete(notice_table).where(_NOTICES.at <= bindparam("long_ago"))
_FORGET_TOLD_OF = delete(notice_table).where(_NOTICES.user_id == bindparam("whose"))


def add_passkey(tx: Transaction, passkey: Passkey) -> None:
    """`Conflict` when this credential is somebody's already, the same person's too."""
    tx.execute(
        _ADD_PASSKEY,
        id=passkey.id,
        user_id=passkey.user_id,
        credential=passkey.credential,
        handle=passkey.handle,
        key=passkey.key,
        name=passkey.name,
        counter=passkey.counter,
        eligible=passkey.eligible,
        backed_up=passkey.backed_up,
        transports=json.dumps(passkey.transports),
        created_at=passkey.created_at,
        last_used_at=passkey.last_used_at,
    )


def passkeys(tx: Transaction, user_id: str) -> list[Passkey]:
    """Those of one person, the oldest first."""
    return [_passkey(row) for row in tx.execute(_PASSKEYS, whose=user_id)]


def by_credential(tx: Transaction, credential: str) -> Passkey | None:
    row = tx.execute(_BY_CREDENTIAL, presented=credential).first()
    return None if row is None else _passkey(row)


def use_passkey(tx: Transaction, passkey_id: str, counter: int, backed_up: bool, now: float) -> bool:
    """Advance its counter; False when it does not grow: another authenticator may have a copy of the key."""
    done = tx.execute(_USE_PASSKEY, which=passkey_id, now_counter=counter, kept=backed_up, now=now)
    return done.rowcount == 1


def rename_passkey(tx: Transaction, user_id: str, passkey_id: str, name: str) -> bool:
    return tx.execute(_RENAME, which=passkey_id, whose=user_id, called=name).rowcount == 1


def remove_passkey(tx: Transaction, user_id: str, passkey_id: str) -> str | None:
    """Its name, or None when this person has no such passkey."""
    row = tx.execute(_REMOVE_PASSKEY, which=passkey_id, whose=user_id).first()
    return None if row is None else row.name


def put_app(tx: Transaction, user_id: str, app: CodeApp) -> None:
    """`Conflict` when the person has one."""
    tx.execute(
        _PUT_APP, user_id=user_id, sealed=app.sealed, last_step=app.last_step, created_at=app.created_at
    )


def app(tx: Transaction, user_id: str) -> CodeApp | None:
    row = tx.execute(_APP, whose=user_id).first()
    return None if row is None else CodeApp(row.sealed, row.last_step, row.created_at)


def advance(tx: Transaction, user_id: str, step: int) -> bool:
    """Use up the code of this step and of all before it; False when that was done already."""
    return tx.execute(_ADVANCE, whose=user_id, step=step).rowcount == 1


def remove_app(tx: Transaction, user_id: str) -> bool:
    return tx.execute(_REMOVE_APP, whose=user_id).rowcount == 1


def replace_codes(tx: Transaction, user_id: str, hashes: Iterable[str]) -> None:
    """A new set of recovery codes; the one before it is gone."""
    tx.execute(_REMOVE_CODES, whose=user_id)
    for hashed in hashes:
        tx.execute(_ADD_CODE, hash=hashed, user_id=user_id, spent_at=None)


def spend_code(tx: Transaction, user_id: str, hashed: str, now: float) -> bool:
    return tx.execute(_SPEND_CODE, whose=user_id, hashed=hashed, now=now).first() is not None


def codes_left(tx: Transaction, user_id: str) -> int:
    return int(tx.execute(_LEFT, whose=user_id).scalar_one())


def begin(tx: Transaction, hashed: str, ceremony: Ceremony, expires_at: float) -> None:
    """Begin, or begin anew, what this hash names."""
    tx.execute(_FORGET, hashed=hashed, meant=ceremony.purpose.value)
    tx.execute(
        _BEGIN,
        hash=hashed,
        purpose=ceremony.purpose.value,
        user_id=ceremony.user_id,
        session_id=ceremony.session_id,
        content=json.dumps(ceremony.content),
        expires_at=expires_at,
        spent_at=None,
    )


def look(tx: Transaction, hashed: str, purpose: Purpose, now: float) -> Ceremony | None:
    """What was begun and may still be finished; looking does not finish it."""
    row = tx.execute(_LOOK, hashed=hashed, meant=purpose.value, now=now).first()
    return None if row is None else _ceremony(row)


def finish(tx: Transaction, hashed: str, purpose: Purpose, now: float) -> Ceremony | None:
    """Finish it: one caller gets it, ever."""
    row = tx.execute(_FINISH, hashed=hashed, meant=purpose.value, now=now).first()
    return None if row is None else _ceremony(row)


def forget(tx: Transaction, user_id: str, purpose: Purpose) -> None:
    """Whatever was begun by, or for, this person with this purpose comes to nothing."""
    tx.execute(_FORGET_OF, whose=user_id, meant=purpose.value)


def remove_all(tx: Transaction, user_id: str) -> None:
    """Every way in of a person who is gone, and what was begun for them."""
    for passkey in passkeys(tx, user_id):
        remove_passkey(tx, user_id, passkey.id)
    remove_app(tx, user_id)
    tx.execute(_REMOVE_CODES, whose=user_id)
    tx.execute(_FORGET_ALL, whose=user_id)
    tx.execute(_FORGET_TOLD_OF, whose=user_id)


def tell(tx: Transaction, notice: Notice) -> None:
    tx.execute(
        _TELL,
        id=notice.id,
        user_id=notice.user_id,
        what=notice.what,
        kind=notice.kind,
        name=notice.name,
        at=notice.at,
        source=notice.source,
        agent=notice.agent,
    )


def told(tx: Transaction, user_id: str, most: int) -> list[Notice]:
    """What changed for this person, the newest first."""
    rows = tx.execute(_TOLD, whose=user_id, most=most)
    return [
        Notice(row.id, row.user_id, row.what, row.kind, row.name, row.at, row.source, row.agent)
        for row in rows
    ]


def sweep(tx: Transaction, now: float, long_ago: float) -> None:
    """Forget what can be finished no more, and notices older than `long_ago`."""
    tx.execute(_SWEEP, now=now)
    tx.execute(_FORGET_TOLD, long_ago=long_ago)


def _passkey(row: Row[Any]) -> Passkey:
    return Passkey(
        row.id,
        row.user_id,
        row.credential,
        row.handle,
        row.key,
        row.name,
        row.counter,
        row.eligible,
        row.backed_up,
        tuple(json.loads(row.transports)),
        row.created_at,
        row.last_used_at,
    )


def _ceremony(row: Row[Any]) -> Ceremony:
    content: Mapping[str, object] = json.loads(row.content)
    return Ceremony(Purpose(row.purpose), row.user_id, row.session_id, content)
