"""Definitions of tools, as they were seen and as they were looked at: the same on both engines."""

from dataclasses import replace

from broker.estate.catalogue import store as definitions
from broker.estate.catalogue.model import Definition, Kept
from broker.runtime.database import Database
from tests.lab import race
from tests.stores.samples import LATER, NOW

SCHEMA = {"type": "object", "properties": {"to": {"enum": [1, 2.5, None, "☃"]}}}
PAY = Definition.of("pay", "Pays ☃.", SCHEMA)
OTHER = Definition.of("pay", "Pays.", SCHEMA)


def see(database: Database, tool: str, said: Definition | None, resource: str = "tickets") -> None:
    database.write(lambda tx: definitions.see(tx, resource, tool, said, NOW))


def review(database: Database, digest: str) -> bool:
    return database.write(lambda tx: definitions.review(tx, "tickets", "pay", digest, "cli", LATER))


def held(database: Database) -> list[Kept]:
    return database.read(definitions.every)


def test_a_definition_comes_back_as_it_was_seen_and_the_newest_counts(database: Database) -> None:
    see(database, "pay", OTHER)
    see(database, "pay", PAY)
    see(database, "pay", OTHER, "crm")
    assert held(database) == [Kept("crm", "pay", OTHER, NOW), Kept("tickets", "pay", PAY, NOW)]


def test_what_is_no_longer_listed_is_kept_as_gone_with_what_was_looked_at(database: Database) -> None:
    see(database, "pay", PAY)
    assert review(database, PAY.digest)
    see(database, "pay", None)
    assert held(database) == [Kept("tickets", "pay", None, NOW, PAY, LATER, "cli")]


def test_only_the_definition_that_was_looked_at_is_taken_and_not_one_that_came_meanwhile(
    database: Database,
) -> None:
    see(database, "pay", PAY)
    see(database, "pay", OTHER)
    assert not review(database, PAY.digest)
    assert held(database) == [Kept("tickets", "pay", OTHER, NOW)]
    assert review(database, OTHER.digest)
    assert held(database) == [Kept("tickets", "pay", OTHER, NOW, OTHER, LATER, "cli")]
    see(database, "pay", PAY)
    assert held(database)[0].changed and not replace(held(database)[0], seen=OTHER).changed


def test_of_a_review_and_a_look_at_once_neither_takes_what_nobody_looked_at(database: Database) -> None:
    see(database, "pay", PAY)
    race(8, lambda n: see(database, "pay", OTHER) if n % 2 else review(database, PAY.digest))
    (kept,) = held(database)
    assert kept.seen == OTHER and kept.reviewed in (None, PAY)


def test_what_was_kept_of_a_resource_goes_with_it(database: Database) -> None:
    for resource in ("crm", "tickets"):
        see(database, "pay", PAY, resource)
    assert database.write(lambda tx: definitions.forget(tx, "tickets")) == 1
    assert held(database) == [Kept("crm", "pay", PAY, NOW)]
    assert database.write(lambda tx: definitions.forget(tx, "tickets")) == 0
