"""Choices of a tenant, and claims of an address: the same on both engines."""

from dataclasses import replace

import pytest

from broker.authorization.choices import store as choices
from broker.estate.claims import store as claims
from broker.estate.claims.model import Claim, State
from broker.runtime.database import Conflict, Database
from tests.lab import race
from tests.stores.samples import LATER, NOW, choice, claim


def chosen(database: Database, now: float = NOW) -> str | None:
    found = database.read(lambda tx: choices.find(tx, "user-a", "client-a", now))
    return None if found is None else found.tenant


def test_a_choice_comes_back_as_kept_until_it_is_over(database: Database) -> None:
    database.write(lambda tx: choices.keep(tx, choice("a")))
    assert database.read(lambda tx: choices.find(tx, "user-a", "client-a", NOW)) == choice("a")
    assert chosen(database, LATER) is None
    for user, client in (("user-b", "client-a"), ("user-a", "client-b")):
        assert database.read(lambda tx, u=user, c=client: choices.find(tx, u, c, NOW)) is None


def test_the_newest_choice_counts_and_one_made_again_is_one(database: Database) -> None:
    for tenant, moment in (("acme", NOW), ("globex", NOW + 1), ("acme", NOW + 2)):
        made = choice("a", tenant, moment)
        database.write(lambda tx, made=made: choices.keep(tx, made))
        assert chosen(database) == tenant
    assert database.write(lambda tx: choices.forget(tx, "user-a", "client-a")) is True
    assert chosen(database) is None
    assert database.write(lambda tx: choices.forget(tx, "user-a", "client-a")) is False


def test_of_many_who_choose_the_same_at_once_nobody_fails(database: Database) -> None:
    results = race(8, lambda _: database.write(lambda tx: choices.keep(tx, choice("a"))))
    assert results == [None] * 8 and chosen(database) == "acme"


def test_choices_that_are_over_are_swept(database: Database) -> None:
    database.write(lambda tx: choices.keep(tx, choice("a", expires_at=NOW)))
    database.write(lambda tx: choices.keep(tx, choice("b", expires_at=NOW + 1)))
    database.write(lambda tx: choices.sweep(tx, NOW))
    assert chosen(database, NOW - 1) is None
    assert database.read(lambda tx: choices.find(tx, "user-b", "client-b", NOW)) is not None


def held(database: Database) -> list[Claim]:
    return database.read(claims.every)


def test_a_claim_comes_back_as_added_by_id_and_by_address(database: Database) -> None:
    database.write(lambda tx: claims.add(tx, claim("a")))
    assert held(database) == [claim("a")]
    assert database.read(lambda tx: claims.get(tx, "claim-a")) == claim("a")
    assert database.read(lambda tx: claims.at(tx, "acme", "https://a.example/mcp")) == claim("a")
    assert database.read(lambda tx: claims.at(tx, "globex", "https://a.example/mcp")) is None
    assert database.read(lambda tx: claims.get(tx, "claim-b")) is None


def test_a_tenant_claims_an_address_once_and_another_may_too(database: Database) -> None:
    database.write(lambda tx: claims.add(tx, claim("a")))
    with pytest.raises(Conflict):
        database.write(lambda tx: claims.add(tx, replace(claim("a"), id="claim-again")))
    database.write(lambda tx: claims.add(tx, replace(claim("a", "globex"), id="claim-theirs")))
    assert [one.tenant for one in held(database)] == ["acme", "globex"]


def test_of_many_who_settle_a_claim_one_does(database: Database) -> None:
    database.write(lambda tx: claims.add(tx, claim("a")))
    after = replace(claim("a", state=State.PROVED), checked_at=NOW)
    results = race(
        8,
        lambda _: database.write(lambda tx: claims.settle(tx, "claim-a", State.PENDING, State.PROVED, NOW)),
    )
    assert results.count(after) == 1 and results.count(None) == 7
    assert held(database) == [after]


def test_what_is_registered_at_an_address_is_kept_with_its_claim(database: Database) -> None:
    database.write(lambda tx: claims.add(tx, claim("a")))
    assert database.write(lambda tx: claims.registered(tx, "claim-a", "tickets")) is True
    assert held(database)[0].resource_id == "tickets"
    assert database.write(lambda tx: claims.registered(tx, "claim-b", "tickets")) is False


def test_a_claim_is_withdrawn_once(database: Database) -> None:
    database.write(lambda tx: claims.add(tx, claim("a")))
    assert database.write(lambda tx: claims.withdraw(tx, "claim-a")) == claim("a")
    assert database.write(lambda tx: claims.withdraw(tx, "claim-a")) is None
    assert held(database) == []
