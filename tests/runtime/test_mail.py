"""RFC 5321: one plain mail to one person, failures told apart, nothing said without TLS that should not be."""

import socket

import pytest

from broker.runtime.mail import Mail, MailFailed, MailRefused, MailServer
from tests.lab import START
from tests.mailbox import mailbox

FROM = "broker@as.example"


def test_a_mail_arrives_as_written_with_an_id_that_stays() -> None:
    with mailbox() as box:
        mail = Mail(MailServer("127.0.0.1", box.port, FROM, "none"), "Brokér, Inc")
        for _ in range(2):
            mail.send("bob@example.com", "A cäll", "Löok:\nhttps://as.example/x\n", "ltr_1", START)
        first, second = box.mails
    assert first.to == "bob@example.com" and "Löok:\nhttps://as.example/x" in first.text.replace("\r", "")
    assert "Fri, 15 Jan 2027 08:00:00 +0000" in first.text
    assert "<ltr_1@as.example>" in first.text and "auto-generated" in first.text and "A cäll" in first.text
    assert first == second


@pytest.mark.parametrize("to", ["bob@example.com\r\nBcc: eve@example.com", "bob@exa\nmple.com"])
def test_an_address_that_would_be_a_header_is_refused(to: str) -> None:
    with mailbox() as box:
        mail = Mail(MailServer("127.0.0.1", box.port, FROM, "none"), "Broker")
        with pytest.raises(MailRefused):
            mail.send(to, "A call", "text", "ltr_1", START)
        assert box.mails == []


def test_a_server_that_is_away_or_offers_no_tls_is_tried_again_and_told_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = MailServer("127.0.0.1", closed.getsockname()[1], FROM, "none")
        with pytest.raises(MailFailed):
            Mail(away, "Broker").send("bob@example.com", "A call", "text", "ltr_1", START)
    with mailbox() as box:
        plain = MailServer("127.0.0.1", box.port, FROM, "starttls", "user", "secret")
        with pytest.raises(MailFailed):
            Mail(plain, "Broker").send("bob@example.com", "A call", "text", "ltr_1", START)
        assert box.mails == []


def test_a_recipient_that_the_server_does_not_know_is_refused_for_good() -> None:
    with mailbox() as box:
        box.unknown = "nobody@example.com"
        mail = Mail(MailServer("127.0.0.1", box.port, FROM, "none"), "Broker")
        with pytest.raises(MailRefused):
            mail.send("nobody@example.com", "A call", "text", "ltr_1", START)


def test_without_a_server_none_is_offered_and_a_password_does_not_show() -> None:
    assert not Mail(None, "Broker").offered
    with pytest.raises(MailRefused):
        Mail(None, "Broker").send("bob@example.com", "A call", "text", "ltr_1", START)
    assert "hunter2" not in repr(MailServer("mail.example", 587, FROM, user="u", password="hunter2"))
