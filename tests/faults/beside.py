"""Work beside a unit of work that is not over yet, on PostgreSQL."""

import threading
from collections.abc import Callable

from sqlalchemy import create_engine, text

from tests.lab import Lab


def meanwhile(lab: Lab, work: Callable[[], object]) -> threading.Thread:
    """`work` in a thread of its own, which by now is through or waits for somebody else's lock."""
    thread = threading.Thread(target=work)
    thread.start()
    engine = create_engine(lab.broker.settings.database)
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect() as connection:
        while thread.is_alive() and not connection.execute(waiting).scalar_one():
            connection.rollback()
    engine.dispose()
    return thread
