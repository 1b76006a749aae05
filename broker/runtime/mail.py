"""RFC 5321, RFC 8314: the server's only outgoing mail, plain text, one recipient each, over TLS."""

import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formataddr
from typing import Literal

Tls = Literal["starttls", "implicit", "none"]
_SECONDS = 10.0


class MailFailed(Exception):
    """Not this time."""


class MailRefused(Exception):
    """Not ever: the address is none, or the server says so for good."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """`none` as TLS is for a server on this machine."""

    host: str
    port: int
    sender: str
    tls: Tls = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Mail:
    """`server` None: no mail is sent, and nothing waits to be. `name` stands beside the sender's address."""

    def __init__(self, server: MailServer | None, name: str) -> None:
        self._server, self._name = server, name

    @property
    def offered(self) -> bool:
        return self._server is not None

    def send(self, to: str, subject: str, text: str, identifier: str, now: float) -> None:
        """MailFailed or MailRefused. `identifier`: of the message, the same however often it is tried."""
        server = self._server
        if server is None:
            raise MailRefused("there is no mail server")
        try:
            message = self._message(server, to, subject, text, identifier, now)
            with self._connected(server) as connection:
                connection.send_message(message, server.sender, [to])
        except ValueError:
            raise MailRefused("the address is none") from None
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise (MailRefused if code >= 500 else MailFailed)(f"the recipient is refused: {code}") from None
        except smtplib.SMTPResponseException as error:
            raise MailFailed(f"the server said {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise MailFailed(type(error).__name__) from None

    def _message(
        self, server: MailServer, to: str, subject: str, text: str, identifier: str, now: float
    ) -> EmailMessage:
        message = EmailMessage()
        message["From"] = formataddr((self._name, server.sender))
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = datetime.fromtimestamp(now, UTC)
        message["Message-ID"] = f"<{identifier}@{server.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    def _connected(self, server: MailServer) -> smtplib.SMTP:
        trusted = ssl.create_default_context()
        if server.tls == "implicit":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=_SECONDS, context=trusted
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=_SECONDS)
        try:
            if server.tls == "starttls":
                connection.starttls(context=trusted)
            if server.user is not None:
                connection.login(server.user, server.password or "")
        except BaseException:
            connection.close()
            raise
        return connection
