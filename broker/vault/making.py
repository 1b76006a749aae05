"""RFC 6749 section 5.1: what a provider gave becomes a connection: sealed, in the place of what was there before."""

from collections.abc import Callable

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.estate import rules
from broker.protocol.origin import Origin
from broker.runtime.database import Conflict, Transaction
from broker.runtime.world import World
from broker.vault import reach, store
from broker.vault.ending import Ending
from broker.vault.model import Account, Connected, Connection, Reach, State, Tokens, Visit
from broker.vault.sealing import Sealing

_NOBODY = Account("", "")


class Making:
    def __init__(self, world: World, recorder: Recorder, sealing: Sealing, ending: Ending) -> None:
        self._world, self._recorder, self._sealing, self._ending = world, recorder, sealing, ending

    def keep(
        self,
        aim: Reach,
        visit: Visit,
        tokens: Tokens,
        account: Account | None,
        require: Callable[[Transaction], None],
        origin: Origin,
    ) -> Connected:
        """`require` is judged again in the transaction that keeps them."""

        def unit(tx: Transaction) -> Connection:
            require(tx)
            return self._kept(tx, aim, visit, tokens, account or _NOBODY, origin)

        try:
            connection = self._world.database.write(unit, visit.tenant)
        except Conflict:  # the same person came back twice at once: the other one made it
            connection = self._world.database.write(unit, visit.tenant)
        has = rules.expanded(aim.resource, connection.scopes)
        fewer = tuple(name for name in visit.scopes if name not in has)
        return Connected(connection, visit.onward, fewer)

    def _kept(
        self, tx: Transaction, aim: Reach, visit: Visit, tokens: Tokens, account: Account, origin: Origin
    ) -> Connection:
        now = self._world.clock.now()
        found = store.find(tx, visit.tenant, visit.user_id, visit.resource_id)
        before = None if found is None else found[0]
        given = visit.scopes if tokens.scopes is None else reach.without_always(aim, tokens.scopes)
        connection = Connection(
            id=before.id if before else self._world.entropy.identifier("con", now),
            tenant=visit.tenant,
            user_id=visit.user_id,
            resource_id=visit.resource_id,
            provider=aim.provider.name,
            account=account,
            scopes=tuple(name for name in visit.scopes if name in given),
            wider=tuple(name for name in given if name not in visit.scopes),
            state=State.CONNECTED,
            version=before.version + 1 if before else 1,
            refreshable=tokens.refresh is not None,
            expires_at=tokens.expires_at,
            connected_at=now,
            changed_at=now,
        )
        sealed = self._sealing.sealed(connection, tokens)
        if before is None:
            store.add(tx, connection, sealed)
        elif not store.renew(tx, before.version, connection, sealed):
            raise Conflict
        self._recorder.record(tx, _fact(connection, before), origin)
        if found is not None:
            self._ending.replaced(tx, *found, connection, origin)
        return connection


def _fact(connection: Connection, before: Connection | None) -> Fact:
    change: dict[str, object] = {
        "connection": connection.id,
        "account": connection.account.id,
        "version": connection.version,
    }
    if connection.wider:
        change["wider"] = list(connection.wider)
    if before is not None and before.account.id not in ("", connection.account.id):
        change["account_before"] = before.account.id
    return Fact(
        "connection.made",
        tenant=connection.tenant,
        subject=connection.user_id,
        downstream=connection.resource_id,
        scope=connection.scopes,
        change=change,
    )
