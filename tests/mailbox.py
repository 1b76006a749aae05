"""A mail server that keeps what it is sent: as much of RFC 5321 as a client of ours speaks."""

import email
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.policy import default


@dataclass(frozen=True)
class Mail:
    """`text` is the whole of it: headers and body."""

    to: str
    text: str


@dataclass
class Mailbox:
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    unknown: str = ""


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 here")
            to = ""
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.say("354 go on")
                    raw = b""
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        raw += part
                    message = email.message_from_bytes(raw, policy=default)
                    body = message.get_body()
                    said = body.get_content() if body is not None else ""
                    box.mails.append(Mail(to, f"{dict(message.items())}\n{said}"))
                elif verb == b"RCPT":
                    to = line.decode().split("<", 1)[1].split(">", 1)[0]
                    if to == box.unknown:
                        self.say("550 no such person")
                        continue
                elif verb == b"QUIT":
                    self.say("221 bye")
                    return
                self.say("250 ok")

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
