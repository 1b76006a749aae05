"""Three MCP servers in a row and a downstream API, each a process with an identity of its own: who asked, who acted."""

import asyncio
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

pytest.importorskip("mcp", reason="the official MCP SDK is not installed")

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.lab import CHALLENGE, VERIFIER
from tests.live import (
    COMMAND,
    PASSWORD,
    LiveBroker,
    ScriptedBrowser,
    arrived,
    free_port,
    serve,
    wait_until_ready,
)

LINK = Path(__file__).with_name("link.py")
CALLBACK = "http://127.0.0.1/callback"
SERVERS = ("front", "middle", "back")
NAMES = (*SERVERS, "ledger")


def secret(name: str) -> str:
    return f"only-for-the-tests-{name}-".ljust(40, "0")


def estate(addresses: dict[str, str]) -> str:
    """Each server may exchange towards the next, and nowhere else; the person is shown all of it at consent."""
    resources = [
        {
            "id": name,
            "kind": "mcp" if name in SERVERS else "downstream",
            "uri": addresses[name],
            "name": name.title(),
            "tenants": ["acme"],
            "scopes": [{"name": f"{name}:ask", "description": f"Ask {name}"}],
            "client": {"client_id": f"{name}-server", "client_secret": secret(name)},
        }
        for name in NAMES
    ]
    edges = [
        {"from": one, "to": other, "scopes": {f"{one}:ask": [f"{other}:ask"]}}
        for one, other in itertools.pairwise(NAMES)
    ]
    client = {
        "client_id": "desk-app",
        "name": "Desk App",
        "type": "public",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code"],
    }
    alice = {"id": "alice", "password": PASSWORD, "tenants": [{"id": "acme"}]}
    return json.dumps(
        {
            "tenants": [{"id": "acme", "name": "Acme"}],
            "users": [alice],
            "clients": [client],
            "resources": resources,
            "edges": edges,
        }
    )


@contextmanager
def running(broker: LiveBroker, folder: Path, addresses: dict[str, str]) -> Iterator[None]:
    """All four, started together; each knows its own secret alone."""
    with ExitStack() as stack:
        started = {}
        for name, following in zip(NAMES, (*NAMES[1:], None), strict=True):
            own = {"RESOURCE": addresses[name], "ISSUER": broker.door("acme"), "SCOPE": f"{name}:ask"}
            if following is not None:
                own |= {
                    "CLIENT_ID": f"{name}-server",
                    "CLIENT_SECRET": secret(name),
                    "NEXT": addresses[following],
                    "NEXT_SCOPE": f"{following}:ask",
                }
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            started[name] = subprocess.Popen(
                (sys.executable, str(LINK)),
                env=os.environ | {"NO_PROXY": "127.0.0.1,localhost"} | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(started[name].wait, 20)
            stack.callback(started[name].terminate)
        for name, process in started.items():
            wait_until_ready(process, addresses[name], folder / f"{name}.log")
        yield


def signed_in(broker: LiveBroker, resource: str) -> str:
    """The access token of a person's client for the first server."""
    asked = {
        "response_type": "code",
        "client_id": "desk-app",
        "redirect_uri": CALLBACK,
        "resource": resource,
        "scope": "front:ask",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    with ScriptedBrowser() as person:
        code = arrived(person.visit(f"{broker.door('acme')}/authorize?{urlencode(asked)}"))["code"]
    form = {
        "grant_type": "authorization_code",
        "client_id": "desk-app",
        "redirect_uri": CALLBACK,
        "code": code,
        "code_verifier": VERIFIER,
    }
    with httpx2.Client(trust_env=False, timeout=10) as http:
        return str(
            http.post(f"{broker.door('acme')}/token", data=form).raise_for_status().json()["access_token"]
        )


async def called(server: str, token: str) -> list[dict[str, object]]:
    """What each in the row saw, from one tool call at the first."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=20, trust_env=False) as http,
        Client(streamable_http_client(server, http_client=http)) as mcp,
    ):
        result = await mcp.call_tool("ask", {})
        assert not result.is_error, result
        return list(json.loads(result.content[0].text))


@dataclass(frozen=True)
class Told:
    """What the last call left: the claims that each saw, and the evidence of the broker."""

    broker: LiveBroker
    claims: list[dict[str, object]]

    def trace(self, *options: str) -> str:
        last = str(self.claims[-1]["jti"])
        done = subprocess.run(
            (*COMMAND, "audit", "trace", last, "--data", str(self.broker.data), *options),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("row")
    addresses = {name: f"http://127.0.0.1:{free_port()}/mcp" for name in SERVERS}
    addresses["ledger"] = f"http://127.0.0.1:{free_port()}"
    with serve(folder, estate(addresses)) as broker, running(broker, folder, addresses):
        token = signed_in(broker, addresses["front"])
        yield Told(broker, asyncio.run(called(addresses["front"], token)))


def hashed(claims: dict[str, object]) -> str:
    return hashlib.sha256(str(claims["jti"]).encode()).hexdigest()


def chain(claims: dict[str, object]) -> list[str]:
    """Who acts in a token, the first one first."""
    found, act = [], claims.get("act")
    while isinstance(act, dict):
        found.append(act["client_id"])
        act = act.get("act")
    return found[::-1]


def test_each_in_the_row_is_called_with_a_token_of_its_own(told: Told) -> None:
    first, *_ = told.claims
    assert [claims["aud"].rpartition("/")[2] for claims in told.claims[:3]] == ["mcp"] * 3
    assert (
        len({claims["aud"] for claims in told.claims}) == len({claims["jti"] for claims in told.claims}) == 4
    )
    for number, (claims, name) in enumerate(zip(told.claims, NAMES, strict=True)):
        assert claims["scope"] == f"{name}:ask"
        for kept in ("iss", "sub", "tenant", "txn", "grant_id"):
            assert claims[kept] == first[kept]
        assert claims["client_id"] == ("desk-app", *(f"{server}-server" for server in SERVERS))[number]
        assert chain(claims) == (
            ["desk-app", *(f"{server}-server" for server in SERVERS[:number])] if number else []
        )
    assert (first["sub"], first["tenant"]) == ("alice", "acme")
    ends = [claims["exp"] for claims in told.claims]
    assert ends == sorted(ends, reverse=True)


def test_the_last_token_leads_to_every_token_of_the_row_in_order(told: Told) -> None:
    story = [json.loads(line) for line in told.trace("-o", "json").splitlines()]
    minted = [record for record in story if record["fact"] in ("token.issued", "exchange.granted")]
    hashes = [hashed(claims) for claims in told.claims]
    assert [record["jti_hash"] for record in minted] == hashes
    assert [record.get("parent_jti_hash") for record in minted] == [None, *hashes[:-1]]
    assert [record["client"] for record in minted] == [claims["client_id"] for claims in told.claims]
    assert [record.get("actors", [])[::-1] for record in minted] == [chain(claims) for claims in told.claims]
    assert [record.get("downstream", record["resource"]) for record in minted] == list(NAMES)
    assert {(record["subject"], record["tenant"]) for record in minted} == {("alice", "acme")}
    assert [record["fact"] for record in story][:2] == ["session.started", "consent.granted"]


def test_the_story_for_people_names_them_all(told: Told) -> None:
    story, _, tokens = told.trace().partition("\n\n")
    line = story.splitlines()[-1]
    actors = " > ".join(("desk-app", *(f"{server}-server" for server in SERVERS)))
    for words in ("exchange.granted", "acme", f"alice / {actors}", "back > ledger"):
        assert words in line
    found = re.findall(r"^([0-9a-f]{64})  (\S+) ", tokens, re.MULTILINE)
    assert [full for full, _ in found] == [hashed(claims) for claims in told.claims]
    assert [short for _, short in found] == ["-", *(hashed(claims)[:12] for claims in told.claims[:-1])]
    assert not re.search(r"eyJ[\w-]+\.eyJ", story + tokens)
