"""`broker perform` against a broker that serves on loopback, with a scripted browser."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import click
import httpx2
import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from broker import app as composition
from broker.admin.load import load
from broker.cli.local import apply_of, origin_of
from broker.cli.main import main
from broker.settings import Settings
from tests.lab import Page

RESOURCE = "http://127.0.0.1:9999/mcp"
SIGN_IN = ("authorization-code", "--client-id", "desk-app", "--resource", RESOURCE, "--wait", "30")
NIGHTLY = ("client-credentials", "--client-id", "nightly")
_OWN = ("username", "password", "decision")


@dataclass
class Served:
    broker: composition.Broker
    issuer: str


@pytest.fixture
def served(template: Path, folder: Path, estate: Path) -> Iterator[Served]:
    with serving(template, folder, estate) as found:
        yield found


@contextmanager
def serving(template: Path, folder: Path, estate: Path, **settings: object) -> Iterator[Served]:
    made: list[object] = []
    server = make_server("127.0.0.1", 0, lambda environ, start: made[0](environ, start), threaded=True)
    issuer = f"http://127.0.0.1:{server.port}"
    shutil.copy(template, folder / "broker.db")
    broker = composition.compose(Settings(issuer=issuer, data=folder, **settings))
    apply_of(broker).apply(load(estate), origin_of(broker))
    made.append(composition.create_app(broker))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Served(broker, issuer)
    finally:
        server.shutdown()
        server.server_close()
        broker.close()


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str], str]:
    def write(value: str) -> str:
        path = tmp_path / f"secret-{len(value)}"
        path.write_text(value + "\n")
        return str(path)

    return write


def perform(*words: str, code: int = 0, given: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["perform", *words], input=given)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def access_token(result: Result) -> str:
    [line] = [line for line in result.stdout.splitlines() if line.startswith("    access_token: ")]
    return line.removeprefix("    access_token: ")


class Person(threading.Thread):
    """Signs in and answers the consent page, in a browser without JavaScript."""

    def __init__(self, url: str, decision: str) -> None:
        super().__init__(daemon=True)
        self.url, self.decision = url, decision

    def run(self) -> None:
        with httpx2.Client(trust_env=False, headers={"Accept": "text/html"}) as http:
            answer = http.get(self.url)
            for _ in range(10):
                if answer.is_redirect:
                    answer = http.get(urljoin(str(answer.url), answer.headers["location"]))
                    continue
                if "id=" not in answer.text:
                    return
                page = Page.of(_Answer(answer.text))
                if page.action is None:
                    return
                fields = [
                    (name, value)
                    for name, value in page.fields
                    if name not in ("username", "password", "decision")
                ]
                if 'name="password"' in answer.text:
                    fields += [("username", "alice"), ("password", "a good password")]
                else:
                    fields += [("decision", self.decision)]
                origin = f"{answer.url.scheme}://{answer.url.netloc.decode()}"
                answer = http.post(
                    urljoin(str(answer.url), page.action),
                    content="&".join(f"{httpx2.QueryParams({name: value})}" for name, value in fields),
                    headers={"Content-Type": "application/x-www-form-urlencoded", "Origin": origin},
                )


class _Answer:
    def __init__(self, text: str) -> None:
        self._text = text

    def get_data(self, as_text: bool = False) -> str:
        return self._text


def test_a_user_signs_in_and_the_whole_flow_is_shown(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", lambda url: (opened.append(url), Person(url, "allow").start()))
    result = perform(*SIGN_IN, "--issuer", served.issuer)
    query = parse_qs(urlsplit(opened[0]).query)
    assert query["code_challenge_method"] == ["S256"] and query["redirect_uri"][0].startswith(
        "http://127.0.0.1:"
    )
    shown = result.stdout
    assert "the browser came back with" in shown and "grant_type: authorization_code" in shown
    assert '"sub": "alice"' in shown and f'"aud": "{RESOURCE}"' in shown and "code_verifier: ***" in shown


def test_a_user_who_refuses_ends_it_with_4(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click, "launch", lambda url: Person(url, "deny").start())
    result = perform(*SIGN_IN, "--issuer", served.issuer, code=4)
    assert "access_denied" in result.stderr


def test_a_client_gets_a_token_and_its_secret_is_not_shown(
    served: Served, secret: Callable[[str], str]
) -> None:
    result = perform(
        *NIGHTLY,
        "--issuer",
        served.issuer,
        "--secret-file",
        secret("night-secret"),
    )
    assert '"sub": "nightly"' in result.stdout and "Basic nightly:***" in result.stdout
    assert "night-secret" not in result.output
    piped = perform(*NIGHTLY, "--issuer", served.issuer, given="night-secret\n")
    assert access_token(piped).count(".") == 2


def test_a_tenants_door_is_found_where_rfc_8414_puts_it(served: Served, secret: Callable[[str], str]) -> None:
    door = f"{served.issuer}/t/acme"
    result = perform(*NIGHTLY, "--issuer", door, given="night-secret\n")
    assert f"> GET {served.issuer}/.well-known/oauth-authorization-server/t/acme" in result.stdout
    assert f'"iss": "{door}"' in result.stdout


def test_a_refusal_is_shown_and_ends_with_4(served: Served) -> None:
    result = perform(
        *NIGHTLY,
        "--issuer",
        served.issuer,
        given="wrong-secret\n",
        code=4,
    )
    assert (
        "< 401" in result.stdout and "invalid_client" in result.stderr and "wrong-secret" not in result.output
    )


def test_a_user_token_is_exchanged_along_an_edge(
    served: Served, secret: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(click, "launch", lambda url: Person(url, "allow").start())
    first = perform(*SIGN_IN, "--issuer", served.issuer)
    subject = tmp_path / "subject"
    subject.write_text(access_token(first))
    words = ("token-exchange", "--issuer", served.issuer, "--client-id", "tickets-server")
    words += ("--subject-token-file", str(subject))
    result = perform(*words, "--audience", "crm", "--secret-file", secret("ticket-secret"))
    shown = json.loads(result.stdout.split("resource's to check)\n")[1])
    assert (
        shown["claims"]["aud"] == "https://crm.internal.example"
        and shown["claims"]["act"]["client_id"] == "tickets-server"
    )
    perform(*words, "--secret-file", secret("ticket-secret"), code=2)


def test_a_server_that_is_not_there_is_said_in_plain_words(secret: Callable[[str], str]) -> None:
    result = perform(
        "client-credentials",
        "--issuer",
        "http://127.0.0.1:1",
        "--client-id",
        "a",
        given="some-secret\n",
        code=1,
    )
    assert "No answer: cannot connect" in result.stderr


def test_another_machine_is_reached_over_https_only(secret: Callable[[str], str]) -> None:
    result = perform(
        "client-credentials",
        "--issuer",
        "http://192.0.2.1",
        "--client-id",
        "a",
        given="some-secret\n",
        code=1,
    )
    assert "only https" in result.stderr


@pytest.mark.parametrize("demands", [False, True])
def test_a_token_is_bound_to_a_key_that_is_made_for_it(
    template: Path, folder: Path, estate: Path, monkeypatch: pytest.MonkeyPatch, demands: bool
) -> None:
    monkeypatch.setattr(click, "launch", lambda url: Person(url, "allow").start())
    with serving(template, folder, estate, dpop_nonces=demands) as served:
        result = perform(*SIGN_IN, "--issuer", served.issuer, "--dpop")
        own = perform(*NIGHTLY, "--issuer", served.issuer, "--dpop", given="night-secret\n")
    assert "dpop_jkt=" in result.stdout
    for shown in (result.stdout, own.stdout):
        assert "token_type: DPoP" in shown and '"typ": "dpop+jwt"' in shown and '"jkt": "' in shown
        assert ("once more with the nonce" in shown) is demands
