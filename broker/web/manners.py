"""What every face for people needs beside its verbs: the cookies, CSRF and who is at the other end."""

from dataclasses import dataclass

from broker.web.certificate import Certificates
from broker.web.cookie import Cookie
from broker.web.csrf import Csrf
from broker.web.source import Sources


@dataclass(frozen=True, slots=True)
class Manners:
    cookie: Cookie
    known: Cookie
    csrf: Csrf
    sources: Sources
    certificates: Certificates
    server_name: str
