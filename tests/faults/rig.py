"""A lab over a database that a test opened itself, with a patience of a second; and whether its promises hold."""

from pathlib import Path

from broker import app as composition
from broker.cli.invariants import examined
from broker.runtime.database import Database
from broker.settings import Settings
from tests import lab as labs
from tests.engines import Engine
from tests.lab import Lab

PATIENCE = 1.0


def lab_over(database: Database, url: str, folder: Path, engine: Engine) -> Lab:
    """A lab whose broker reaches the database at `url` by way of `database`."""
    settings = Settings(
        issuer=labs.ISSUER,
        data=folder,
        database_url=url,
        development=True,
        argon2_memory_kib=8,
        argon2_iterations=1,
    )
    clock = labs.Clock()
    broker = composition.compose(settings, clock=clock, kek=labs.KEK, database=database)
    made = Lab(broker, clock, folder, engine)
    made.change(lambda tx: labs.populate(tx, broker))
    return made


def sound(lab: Lab) -> None:
    """The invariants program finds nothing."""
    assert [f"{j.id}: {row}" for j in examined(lab.broker, None) for row in j.violations] == []
