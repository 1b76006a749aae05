"""What every lab would make for itself and is the same in all of a process: made once.

A server makes each of these once too, at its start; tests start hundreds. Imported for its effect.
"""

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

MOST_STATEMENTS = 5000


def _share_url_builders() -> None:
    """Werkzeug compiles two functions for each route of each application. Those of equal routes are equal."""
    compiled = Rule._compile_builder
    made: dict[object, object] = {}

    def once(rule: Rule, append_unknown: bool = True) -> object:
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in made:
            made[key] = compiled(rule, append_unknown)
        return made[key]

    Rule._compile_builder = once


def _share_statements() -> None:
    """SQLAlchemy keeps the text of each statement by dialect and engine. Those of one kind of database are alike."""
    made = LRUCache(MOST_STATEMENTS)
    begin = Engine.__init__

    def begun(engine: Engine, *given: object, **named: object) -> None:
        begin(engine, *given, **named)
        engine._compiled_cache = made

    Engine.__init__ = begun
    for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        dialect.__hash__ = lambda one: hash(type(one))
        dialect.__eq__ = lambda one, other: type(one) is type(other)


_share_url_builders()
_share_statements()
