"""OWASP ASVS V7.4: a session that ended while its request was under way changes nothing any more."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from broker.cli.local import origin_of
from broker.identity.federation import store as federation
from broker.identity.federation.model import Link
from broker.identity.sessions.model import Session
from broker.identity.users.own import NotChanged
from broker.protocol import acr
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from tests.authenticator import Authenticator
from tests.lab import PASSWORD, Lab
from tests.people import code, with_passkey

TABLES = ("passkey", "totp", "recovery_code", "user_account", "identity_link", "credential_notice")


@dataclass
class Person:
    """alice with a passkey, a link and a session as strong as she can; `passkey` is the id of hers."""

    lab: Lab
    session: Session
    cookie: str
    origin: Origin
    passkey: str

    def add_passkey(self) -> Callable[[], object]:
        own = self.lab.broker.signing_in.own
        options = own.begin_passkey(self.session, self.cookie, self.origin)
        made = Authenticator().create(options)
        return lambda: own.add_passkey(self.session, self.cookie, made, "Phone", self.origin)

    def rename_passkey(self) -> Callable[[], object]:
        own = self.lab.broker.signing_in.own
        return lambda: own.rename_passkey(self.session, self.passkey, "Other", self.origin)

    def remove_passkey(self) -> Callable[[], object]:
        own = self.lab.broker.signing_in.own
        return lambda: own.remove_passkey(self.session, self.passkey, self.origin)

    def confirm_totp(self) -> Callable[[], object]:
        own = self.lab.broker.signing_in.own
        shown = code(self.lab, own.begin_totp(self.session, self.cookie, self.origin).secret)
        return lambda: own.confirm_totp(self.session, self.cookie, shown, self.origin)

    def renew_codes(self) -> Callable[[], object]:
        return lambda: self.lab.broker.signing_in.own.renew_codes(self.session, self.origin)

    def change_password(self) -> Callable[[], object]:
        change = self.lab.broker.signing_in.new_passwords.change
        return lambda: change(self.session, PASSWORD, "an unheard of sentence", self.origin)

    def unlink(self) -> Callable[[], object]:
        return lambda: self.lab.broker.federation.own_links.remove(self.session, "link", self.origin)


CHANGES = [
    Person.add_passkey,
    Person.rename_passkey,
    Person.remove_passkey,
    Person.confirm_totp,
    Person.renew_codes,
    Person.change_password,
    Person.unlink,
]


def person(lab: Lab) -> Person:
    with_passkey(lab)
    origin, database = origin_of(lab.broker), lab.broker.world.database
    link = Link("link", None, "https://idp.example", "s-1", "alice", "corp", lab.clock.now())
    database.write(lambda tx: federation.link(tx, link))
    cookie, session = database.write(
        lambda tx: lab.broker.sessions.start(tx, "alice", ("pop",), acr.PASSKEY, origin)
    )
    _, [passkey] = lab.broker.signing_in.ways_in.of("alice")
    return Person(lab, session, cookie, origin, passkey.id)


@pytest.mark.parametrize("begin", CHANGES, ids=lambda begin: begin.__name__)
def test_a_session_that_ended_meanwhile_changes_no_way_in(
    lab: Lab, begin: Callable[[Person], Callable[[], object]]
) -> None:
    alice = person(lab)
    change = begin(alice)
    lab.broker.sessions.end_by_id(alice.session.id)
    before = [lab.table(name) for name in TABLES]
    with pytest.raises(NotChanged) as refused:
        change()
    assert refused.value.reason is Reason.SIGN_IN_STALE
    assert lab.last("credential.refused")["reason"] == "sign_in_stale"
    assert [lab.table(name) for name in TABLES] == before


@pytest.mark.parametrize("begin", CHANGES, ids=lambda begin: begin.__name__)
def test_a_session_that_goes_on_changes_them(
    lab: Lab, begin: Callable[[Person], Callable[[], object]]
) -> None:
    alice = person(lab)
    change = begin(alice)
    before = [lab.table(name) for name in TABLES]
    change()
    assert [lab.table(name) for name in TABLES] != before
