"""Device codes: added, approved, denied, polled, redeemed. One statement redeems one, for one caller (law 1)."""

import json
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    Row,
    String,
    Table,
    Text,
    bindparam,
    case,
    delete,
    insert,
    or_,
    select,
    update,
)

from broker.authorization.device.model import DeviceCode, Poll
from broker.authorization.device.rules import PACE
from broker.authorization.model import AuthorizationRequest
from broker.runtime.database import Transaction, metadata, wall
from broker.runtime.ephemeral.model import SKEW

device_table = Table(
    "device_code",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("user_hash", String(64), nullable=False, unique=True),
    Column("tenant", String(128)),
    Column("door", String(512), nullable=False),
    Column("client_id", String(512), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("challenge", String(64), nullable=False),
    Column("dpop_jkt", String(43)),
    Column("document", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("pace", Integer, nullable=False),
    Column("polled_at", Float),
    Column("hurried", Boolean, nullable=False),
    Column("denied_at", Float),
    Column("grant_id", String(64)),
    Column("spent_at", Float),
)

_ADD = insert(device_table)
_WAITS = (
    device_table.c.denied_at.is_(None),
    device_table.c.grant_id.is_(None),
    device_table.c.expires_at > bindparam("now", type_=Float),
)
_FITS = (
    wall(device_table, server_rows=True),
    device_table.c.hash == bindparam("hashed"),
    device_table.c.door == bindparam("at"),
    device_table.c.client_id == bindparam("client"),
    device_table.c.challenge == bindparam("challenged"),
    or_(bindparam("wanted", type_=String).is_(None), device_table.c.resource_id == bindparam("wanted")),
    or_(device_table.c.dpop_jkt.is_(None), device_table.c.dpop_jkt == bindparam("key", type_=String)),
)
# Processes' clocks may differ by so much, and so may two polls of one device.
_HURRIED = device_table.c.polled_at + device_table.c.pace - SKEW > bindparam("now", type_=Float)
_TYPED = select(device_table).where(
    wall(device_table, server_rows=True), device_table.c.user_hash == bindparam("hashed")
)
_GET = select(device_table).where(
    wall(device_table, server_rows=True), device_table.c.id == bindparam("which")
)
_APPROVE = (
    update(device_table)
    .where(wall(device_table, server_rows=True), device_table.c.id == bindparam("which"), *_WAITS)
    .values(grant_id=bindparam("given"), tenant=bindparam("owner"))
    .returning(device_table)
)
_DENY = (
    update(device_table)
    .where(wall(device_table, server_rows=True), device_table.c.id == bindparam("which"), *_WAITS)
    .values(denied_at=bindparam("now", type_=Float))
    .returning(device_table)
)
_POLL = (
    update(device_table)
    .where(*_FITS, *_WAITS)
    .values(
        polled_at=bindparam("now", type_=Float),
        hurried=case((_HURRIED, True), else_=False),
        pace=case((_HURRIED, device_table.c.pace + PACE), else_=device_table.c.pace),
    )
    .returning(device_table.c.pace, device_table.c.hurried)
)
_REDEEM = (
    update(device_table)
    .where(
        *_FITS,
        device_table.c.grant_id.is_not(None),
        device_table.c.spent_at.is_(None),
        device_table.c.expires_at > bindparam("now", type_=Float),
    )
    .values(spent_at=bindparam("now", type_=Float))
    .returning(device_table)
)
_EXPLAIN = select(device_table).where(
    wall(device_table, server_rows=True), device_table.c.hash == bindparam("hashed")
)
_SWEEP = delete(device_table).where(
    wall(device_table, server_rows=True), device_table.c.expires_at <= bindparam("long_ago")
)


def add(tx: Transaction, hashed: str, user_hashed: str, device: DeviceCode) -> None:
    """`Conflict` when the short code is another's."""
    tx.require(device.tenant)
    request = device.request
    asked = {name: getattr(request, name) for name in AuthorizationRequest.__slots__}
    tx.execute(
        _ADD,
        id=device.id,
        hash=hashed,
        user_hash=user_hashed,
        tenant=device.tenant,
        door=request.door,
        client_id=request.client_id,
        resource_id=request.resource_id,
        challenge=request.challenge,
        dpop_jkt=request.dpop_jkt,
        document=json.dumps(
            {"request": asked, "source": device.source, "agent": device.agent, "sealed": device.sealed}
        ),
        expires_at=device.expires_at,
        pace=device.pace,
        polled_at=None,
        hurried=False,
        denied_at=device.denied_at,
        grant_id=device.grant_id,
        spent_at=device.spent_at,
    )


def typed(tx: Transaction, user_hashed: str) -> DeviceCode | None:
    """Whatever a short code is or was of; finding it decides nothing."""
    return _device(tx.execute(_TYPED, wall=tx.tenant, hashed=user_hashed).first())


def get(tx: Transaction, device_id: str) -> DeviceCode | None:
    return _device(tx.execute(_GET, wall=tx.tenant, which=device_id).first())


def approve(tx: Transaction, device_id: str, grant_id: str, now: float) -> DeviceCode | None:
    """Decided, once: from now on it belongs to the tenant of the grant, behind whose wall this transaction is."""
    found = tx.execute(
        _APPROVE, wall=tx.tenant, which=device_id, given=grant_id, owner=tx.tenant, now=now
    ).first()
    return _device(found)


def deny(tx: Transaction, device_id: str, now: float) -> DeviceCode | None:
    """Decided, once and for good."""
    return _device(tx.execute(_DENY, wall=tx.tenant, which=device_id, now=now).first())


def poll(
    tx: Transaction,
    hashed: str,
    *,
    door: str,
    client_id: str,
    challenge: str,
    resource_id: str | None,
    jkt: str | None,
    now: float,
) -> Poll | None:
    """Note that the device asked; None when there is nothing to wait for, or not for this one."""
    row = tx.execute(
        _POLL,
        wall=tx.tenant,
        hashed=hashed,
        at=door,
        client=client_id,
        challenged=challenge,
        wanted=resource_id,
        key=jkt,
        now=now,
    ).first()
    return None if row is None else Poll(row.pace, row.hurried)


def redeem(
    tx: Transaction,
    hashed: str,
    *,
    door: str,
    client_id: str,
    challenge: str,
    resource_id: str | None,
    jkt: str | None,
    now: float,
) -> DeviceCode | None:
    """Spend an approved code if everything about it fits: one statement, one winner."""
    row = tx.execute(
        _REDEEM,
        wall=tx.tenant,
        hashed=hashed,
        at=door,
        client=client_id,
        challenged=challenge,
        wanted=resource_id,
        key=jkt,
        now=now,
    ).first()
    return _device(row)


def explain(tx: Transaction, hashed: str) -> DeviceCode | None:
    """The row behind a code that `redeem` refused, to say why; gives nothing."""
    return _device(tx.execute(_EXPLAIN, wall=tx.tenant, hashed=hashed).first())


def sweep(tx: Transaction, long_ago: float) -> None:
    """Drop codes so old that a replay can end nothing any more."""
    tx.execute(_SWEEP, wall=tx.tenant, long_ago=long_ago)


def _device(row: Row[Any] | None) -> DeviceCode | None:
    if row is None:
        return None
    document = json.loads(row.document)
    asked: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in document["request"].items()
    }
    return DeviceCode(
        id=row.id,
        tenant=row.tenant,
        request=AuthorizationRequest(**asked),
        source=document["source"],
        agent=document["agent"],
        sealed=document["sealed"],
        expires_at=row.expires_at,
        pace=row.pace,
        denied_at=row.denied_at,
        grant_id=row.grant_id,
        spent_at=row.spent_at,
    )
