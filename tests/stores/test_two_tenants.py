"""Two tenants in one database: no store lets a transaction of the one reach the other.

Three ways, so that each of the two walls is shown to hold alone: both; row-level security alone, where every
statement is executed as if it were the server's; the application's own scoping alone, on SQLite and as a
superuser of PostgreSQL, for whom row-level security does not exist.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from broker.runtime.database import Conflict, Database, Transaction, Unavailable
from broker.runtime.engines import open_database
from tests.engines import Engine
from tests.house.test_stores import STORES
from tests.stores.test_contract_complete import offered
from tests.stores.walled import CASES, SERVER_WIDE, Case, canary, rows_of, seed, spoken

WAYS = ("both walls", "row-level security alone", "scoping alone", "scoping alone, SQLite")
REFUSALS = (PermissionError, Unavailable, Conflict)


class Undo(Exception):
    """Ends a unit that looked and wants nothing kept."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a call did to one tenant: what it said, whether it was refused, the rows before and after."""

    said: str
    answered_yes: bool
    refused: bool
    changed: bool

    def reached(self, tenant: str) -> bool:
        return self.changed or self.answered_yes or canary(tenant) in self.said


@dataclass(frozen=True, slots=True)
class Walled:
    database: Database
    blind: bool  # the application forgets whose transaction it is

    def effect(self, case: Case, caller: str | None, owner: str) -> Effect:
        seen: list[Effect] = []

        def unit(tx: Transaction) -> None:
            before = self._rows(owner)
            answer = case.call(replace(tx, tenant=None) if self.blind else tx, owner)
            changed = rows_of(tx, owner) != before
            seen.append(Effect(spoken(answer), answer is True, False, changed))
            raise Undo

        try:
            self.database.write(unit, caller, throwing=True)
        except Undo:
            return seen[0]
        except REFUSALS:
            return Effect("", False, True, False)
        raise AssertionError("unreachable")

    def _rows(self, owner: str) -> dict[str, list[str]]:
        return self.database.read(lambda tx: rows_of(tx, owner))


def _superuser(server: str, url: str) -> str:
    """The same database as one for whom row-level security does not exist."""
    return make_url(server).set(database=make_url(url).database).render_as_string(hide_password=False)


@pytest.fixture(scope="module", params=WAYS)
def walled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walled]:
    way = str(request.param)
    embedded = way.endswith("SQLite")
    engine: Engine = request.getfixturevalue("sqlite_engine" if embedded else "postgres_engine")
    folder: Path = tmp_path_factory.mktemp("walled")
    url = engine.fresh(folder)
    opened = url
    if way == "scoping alone":
        opened = _superuser(request.getfixturevalue("postgres_url"), url)
    database = open_database(opened)
    database.write(seed, throwing=True)
    yield Walled(database, blind=way == "row-level security alone")
    database.close()
    engine.drop(url)


def named(case: Case) -> str:
    return f"{case.store.removeprefix('broker.').removesuffix('.store')}.{case.function}"


NAMES = [
    f"{named(case)}-{sum(named(other) == named(case) for other in CASES[:number])}"
    for number, case in enumerate(CASES)
]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_no_function_of_a_store_reaches_another_tenant(walled: Walled, case: Case) -> None:
    theirs = walled.effect(case, "acme", "globex")
    assert not theirs.reached("globex"), theirs
    if case.adds:
        assert theirs.refused, "a row of another tenant is refused, not dropped"


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_same_call_reaches_the_callers_own_tenant(walled: Walled, case: Case) -> None:
    """Otherwise the test above would prove nothing. What no tenant does for itself, the server does."""
    own = walled.effect(case, "globex", "globex")
    server = walled.effect(case, None, "globex")
    assert own.reached("globex") or server.reached("globex"), (own, server)


def test_the_walk_leaves_no_function_out() -> None:
    stores = [name for name in STORES if not name.startswith("keys.")]
    walls = {case.store for case in CASES}
    wanted = {f"{store}.{name}" for store in stores if store in walls for name in offered(store)}
    assert wanted - {f"{case.store}.{case.function}" for case in CASES} == set(SERVER_WIDE)
    assert {store for store in stores if store not in walls} == {
        "broker.estate.catalogue.store",
        "broker.estate.store",
        "broker.identity.sessions.store",
        "broker.identity.users.credentials.store",
        "broker.vault.credentials.store",
    }, "stores without a tenant's table"
