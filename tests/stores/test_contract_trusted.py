"""Trusted issuers, workloads, recipients of assertions, and grants on an issuer's word: the same on both engines."""

from dataclasses import replace

import pytest

from broker.authorization import store as authorization
from broker.identity.federation.trusted import store as trusted
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Use, Workload
from broker.runtime.database import Conflict, Database
from tests.stores.samples import NOW, grant
from tests.stores.vouched import issuer, recipient, workload


def test_what_is_trusted_comes_back_as_stored_with_everything(database: Database) -> None:
    bare = TrustedIssuer("bare", "https://bare.example", None, ("acme", "globex"), (Use.SUBJECT_TOKENS,))
    at_an_address = replace(issuer("there", "globex"), jwks=None, jwks_uri="https://there.example/keys")
    plain = Recipient("plain", "https://plain.example", None, ("acme",), (), ())
    every = [bare, at_an_address, workload("w"), workload("x", None), recipient("r"), plain]
    database.write(lambda tx: [trusted.put(tx, one) for one in every])
    assert database.read(trusted.issuers) == [bare, at_an_address]
    assert database.read(trusted.workloads) == [workload("w"), workload("x", None)]
    assert database.read(trusted.recipients) == [plain, recipient("r")]


@pytest.mark.parametrize(
    ("one", "changed", "read"),
    [
        (issuer("a"), replace(issuer("a"), uses=(Use.WORKLOAD,)), trusted.issuers),
        (workload("a"), replace(workload("a"), claims={"sub": ("x",)}), trusted.workloads),
        (recipient("a"), replace(recipient("a"), lifetime=60), trusted.recipients),
    ],
)
def test_an_entry_is_changed_removed_once_and_its_id_never_given_again(
    database: Database, one: object, changed: object, read: object
) -> None:
    kind = type(one)
    assert kind in (TrustedIssuer, Workload, Recipient)
    database.write(lambda tx: trusted.put(tx, one))
    database.write(lambda tx: trusted.put(tx, changed))
    assert database.read(read) == [changed]
    assert database.write(lambda tx: trusted.remove(tx, kind, one.id)) is True
    assert database.write(lambda tx: trusted.remove(tx, kind, one.id)) is False
    assert database.read(read) == []
    with pytest.raises(Conflict):
        database.write(lambda tx: trusted.put(tx, one))


def test_an_entry_never_changes_whose_it_is(database: Database) -> None:
    database.write(lambda tx: trusted.put(tx, issuer("a")))
    with pytest.raises(Conflict):
        database.write(lambda tx: trusted.put(tx, replace(issuer("a"), tenant="globex")))
    assert database.read(trusted.issuers) == [issuer("a")]


def test_a_grant_says_on_whose_word_it_rests(database: Database) -> None:
    one = replace(grant("a", "acme"), vouched_by="corp")
    database.write(lambda tx: authorization.add_grant(tx, one))
    assert database.read(lambda tx: authorization.grant(tx, one.id)) == one
    found = database.read(
        lambda tx: authorization.standing(tx, one.user_id, one.client_id, one.resource_id, NOW)
    )
    assert found == [one]
