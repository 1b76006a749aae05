"""Which engine a database URL names."""

from broker.runtime.database import Database
from broker.runtime.postgres import PostgresDatabase
from broker.runtime.sqlite import SqliteDatabase


def open_database(url: str) -> Database:
    """`sqlite:///PATH` or `postgresql://…`; ValueError in plain words for any other."""
    if url.startswith("sqlite:///"):
        return SqliteDatabase(url)
    if url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        return PostgresDatabase(url)
    raise ValueError("Give a database URL of the form sqlite:///PATH or postgresql://USER@HOST/NAME.")
