"""Clients under way: several threads with a browser each, and a journal of all they asked and received."""

import base64
import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from tests.faults.site import CALLBACK, CRM, SECRET, TICKETS
from tests.live import ScriptedBrowser, Unavailable, arrived

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REGISTERED = "(nobody yet)"


class Journal:
    """JSON lines, each written through before the next request of its thread; see broker/admin/journal.py."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        path.touch()

    def __len__(self) -> int:
        return self.path.read_bytes().count(b"\n")

    def write(self, **members: object) -> None:
        line = json.dumps(members) + "\n"
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def entries(self) -> list[dict[str, object]]:
        """All that is written whole by now."""
        written = self.path.read_text("utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in written.splitlines()]


class NoAnswer(Exception):
    """The connection broke, and nobody knows what became of it; or the server asked to come again later."""


@dataclass
class Client:
    """One that talks to the broker at `issuer`, and writes down what it said and heard."""

    issuer: str
    journal: Journal
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(trust_env=False, timeout=30))
    browser: ScriptedBrowser = field(default_factory=ScriptedBrowser)
    permitted: list[str] = field(default_factory=list)

    def code(self) -> str:
        """A code, by way of sign-in and consent."""
        parameters = {
            "response_type": "code",
            "client_id": "desk-app",
            "redirect_uri": CALLBACK,
            "resource": TICKETS,
            "scope": "tickets:read offline_access",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        try:
            return arrived(self.browser.visit(f"{self.issuer}/authorize?{urlencode(parameters)}"))["code"]
        except (httpx2.TransportError, Unavailable) as error:
            raise NoAnswer from error

    def redeem(self, code: str) -> httpx2.Response:
        form = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, "client_id": "desk-app"}
        return self._grant("authorization_code", form, code, "desk-app")

    def refresh(self, token: str) -> httpx2.Response:
        return self._grant(
            "refresh_token", {"refresh_token": token, "client_id": "desk-app"}, token, "desk-app"
        )

    def own_work(self) -> httpx2.Response:
        return self._grant("client_credentials", {"resource": TICKETS}, None, "nightly", ("nightly", SECRET))

    def exchange(self, token: str) -> httpx2.Response:
        form = {"subject_token": token, "subject_token_type": ACCESS_TOKEN, "resource": CRM}
        return self._grant(EXCHANGE, form, token, "tickets-server", ("tickets-server", SECRET))

    def revoke(self, token: str, client: str = "desk-app") -> httpx2.Response:
        form = {"token": token, **({"client_id": client} if client == "desk-app" else {})}
        auth = None if client == "desk-app" else (client, SECRET)
        return self._send("revoke", "/revoke", client, token, auth, data=form)

    def register(self) -> httpx2.Response:
        document = {"redirect_uris": [CALLBACK], "client_name": "Registered"}
        return self._send("register", "/register", REGISTERED, None, None, json=document)

    def ask(self, token: str, text: str) -> None:
        """May this be searched for? What was permitted is noted, by the decision's id."""
        question = {
            "subject": {"type": "token", "id": token},
            "action": {"name": "tools/call"},
            "resource": {"type": "tool", "id": "search_tickets"},
            "context": {"arguments": {"text": text}},
        }
        try:
            answer = self.http.post(
                f"{self.issuer}/access/v1/evaluation", auth=("tickets-server", SECRET), json=question
            )
        except httpx2.TransportError as error:
            raise NoAnswer from error
        if answer.status_code == 200 and answer.json()["decision"]:
            self.permitted.append(answer.json()["context"]["decision_id"])

    def _grant(
        self,
        grant_type: str,
        form: dict[str, str],
        presented: str | None,
        client: str,
        auth: tuple[str, str] | None = None,
    ) -> httpx2.Response:
        return self._send(
            grant_type, "/token", client, presented, auth, data={"grant_type": grant_type, **form}
        )

    def _send(
        self, asked: str, path: str, client: str, presented: str | None, auth: object, **content: object
    ) -> httpx2.Response:
        began = time.time()
        known = {"asked": asked, "client": client, "presented": presented, "began": began}
        try:
            answer = self.http.post(self.issuer + path, auth=auth, **content)
        except httpx2.TransportError as error:
            self.journal.write(**known, ended=time.time(), status=None)
            raise NoAnswer from error
        self.journal.write(
            **known,
            ended=time.time(),
            status=answer.status_code,
            retry_after="Retry-After" in answer.headers,
            answer=answer.json() if answer.content else {},
        )
        return answer


@dataclass
class Worker:
    """Does everything a client does, again and again; what broke off it tries once more, as clients do."""

    client: Client
    chance: random.Random
    again: Callable[[], httpx2.Response] | None = None
    lines: list[str] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        while not over.is_set():
            try:
                self._step()
            except NoAnswer:
                over.wait(1)

    def _try(self, act: Callable[[], httpx2.Response]) -> dict[str, object]:
        self.again = act
        answer = act()
        self.again = None
        return answer.json() if answer.status_code in (200, 201) else {}

    def _step(self) -> None:
        if self.again is not None:
            self._try(self.again)
        client, kind = self.client, self.chance.random()
        if kind < 0.25:
            given = self._try(client.own_work)
            if "access_token" in given and self.chance.random() < 0.3:
                self._try(lambda: client.revoke(str(given["access_token"]), "nightly"))
        elif kind < 0.35:
            self._try(client.register)
        else:
            self._family()

    def _family(self) -> None:
        """A code, some refreshes and exchanges, and at times the end."""
        client, code = self.client, self.client.code()
        given = self._try(lambda: client.redeem(code))
        for _ in range(self.chance.randrange(4)):
            if "refresh_token" not in given:
                return
            held = given
            client.ask(str(held["access_token"]), str(self.chance.random()))
            if self.chance.random() < 0.5:
                self._try(lambda: client.exchange(str(held["access_token"])))
            given = self._try(lambda: client.refresh(str(held["refresh_token"])))
        if "refresh_token" in given and self.chance.random() < 0.4:
            which = self.chance.choice(("refresh_token", "access_token"))
            self._try(lambda: client.revoke(str(given[which])))


@contextmanager
def under_load(workers: list[Worker]) -> Iterator[threading.Event]:
    """While inside, all of them work; the event ends it early."""
    over = threading.Event()
    threads = [threading.Thread(target=worker.run, args=(over,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield over
    finally:
        over.set()
        for thread in threads:
            thread.join()
