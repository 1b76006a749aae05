"""OpenID Connect with clients as they ship: openid-client and Authlib sign a user in, ask who it is, sign out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect

from tests import live
from tests.clients import installed, programs
from tests.clients.conftest import ESTATE
from tests.clients.programs import Program
from tests.lab import claims, header
from tests.live import LiveBroker, ScriptedBrowser, arrived
from tests.openid import EVENT, Ear

HERE = Path(__file__).parent
HOME = "http://127.0.0.1:4000"
SECRET = "only-for-the-tests-relying-party-000001"
CLIENTS = """
  - client_id: {name}
    name: Relying party
    type: confidential
    client_secret: {secret}
    redirect_uris: ["{home}/callback"]
    grant_types: [authorization_code, refresh_token]
    id_token_signed_response_alg: {alg}
    post_logout_redirect_uris: ["{home}/signed-out"]
    backchannel_logout_uri: {ear}
    backchannel_logout_session_required: true
"""
ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    found = Ear()
    yield found
    found.close()


@pytest.fixture(scope="module")
def live_broker(tmp_path_factory: pytest.TempPathFactory, ear: Ear) -> Iterator[LiveBroker]:
    clients = "".join(
        CLIENTS.format(name=f"rp-{alg.lower()}", alg=alg, secret=SECRET, home=HOME, ear=ear.url)
        for alg in ALGORITHMS
    )
    estate = ESTATE.read_text("utf-8").replace("\nclients:", f"\nclients:{clients}", 1)
    estate = estate.replace("name: Alice Example,", "name: Alice Example, email: alice@acme.example,", 1)
    with live.serve(tmp_path_factory.mktemp("openid"), estate) as broker:
        yield broker


@pytest.fixture(params=[None, "acme"], ids=["at the root door", "at a tenant's door"])
def door(request: pytest.FixtureRequest, live_broker: LiveBroker) -> str:
    return live_broker.door(request.param) if request.param else live_broker.issuer


def relying_party(door: str, alg: str, browser: ScriptedBrowser) -> object:
    home = installed.packages(HERE / "node")
    command = [str(installed.node()), str(home / "openid_connect.mjs"), door, f"rp-{alg.lower()}", SECRET]
    return programs.running(command, browser)


def signed_in(program: Program) -> dict[str, object]:
    program.do("discover")
    said = program.do("login").answer
    assert isinstance(said, dict)
    return said


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_openid_client_signs_a_user_in_asks_who_it_is_and_signs_out(
    door: str, alg: str, browser: ScriptedBrowser
) -> None:
    with relying_party(door, alg, browser) as program:
        said = signed_in(program)
        assert (said["iss"], said["sub"], said["aud"]) == (door, "alice", f"rp-{alg.lower()}")
        checked = program.do("verify", alg=alg).answer
        assert checked["payload"] == said and checked["header"]["alg"] == alg
        assert program.do("userinfo").answer == {
            "sub": "alice",
            "name": "Alice Example",
            "preferred_username": "alice",
            "email": "alice@acme.example",
            "email_verified": False,
        }
        again = program.do("refresh").answer
        assert (again["sub"], again["auth_time"]) == ("alice", said["auth_time"])
        assert program.do("userinfo").answer["sub"] == "alice"
        left = program.do("logout", state="bye").answer
        assert left == f"{HOME}/signed-out?state=bye"
    seen = len([page for page in browser.seen if page.startswith("Sign in")])
    with relying_party(door, alg, browser) as program:
        assert signed_in(program)["sid"] != said["sid"]
    assert len([page for page in browser.seen if page.startswith("Sign in")]) == seen + 1


def test_a_running_broker_tells_the_client_within_seconds(
    live_broker: LiveBroker, browser: ScriptedBrowser, ear: Ear
) -> None:
    with relying_party(live_broker.issuer, "ES256", browser) as program:
        said = signed_in(program)
        program.do("logout", state="bye")
        told = ear.wait(said["sid"])
    assert header(told)["typ"] == "logout+jwt"
    heard = claims(told)
    assert (heard["sub"], heard["sid"], heard["events"]) == ("alice", said["sid"], {EVENT: {}})


def test_openid_client_is_held_to_max_age_and_finds_discovery_complete(
    live_broker: LiveBroker, browser: ScriptedBrowser
) -> None:
    with relying_party(live_broker.issuer, "ES256", browser) as program:
        found = program.do("discover").answer
        assert found["userinfo_endpoint"] == f"{live_broker.issuer}/userinfo"
        first = program.do("login").answer
        again = program.do("login", max_age="10000").answer
        assert again["auth_time"] == first["auth_time"]


@pytest.fixture
def application(door: str, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """A small web application that signs people in with Authlib."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    app = Flask("relying party")
    app.secret_key = "only for the tests"
    rp = OAuth(app).register(
        "broker",
        client_id="rp-es256",
        client_secret=SECRET,
        server_metadata_url=f"{door}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
    )
    held: dict[str, dict[str, object]] = {}

    @app.get("/login")
    def login() -> object:
        return rp.authorize_redirect(f"{HOME}/callback")

    @app.get("/callback")
    def callback() -> object:
        held["token"] = rp.authorize_access_token()
        return dict(held["token"]["userinfo"])

    @app.get("/who")
    def who() -> object:
        return dict(rp.userinfo(token=held["token"]))

    @app.get("/leave")
    def leave() -> object:
        made = rp.create_logout_url(f"{HOME}/signed-out", id_token_hint=held["token"]["id_token"])
        return redirect(made["url"])

    return app


def test_authlib_signs_a_user_in_asks_who_it_is_and_signs_out(
    door: str, application: Flask, browser: ScriptedBrowser
) -> None:
    web = application.test_client()
    landed = browser.visit(web.get("/login").headers["Location"])
    said = web.get(landed.removeprefix(HOME)).json
    assert (said["iss"], said["sub"], said["aud"]) == (door, "alice", "rp-es256")
    assert said["nonce"] and said["at_hash"] and said["sid"]
    assert web.get("/who").json["email"] == "alice@acme.example"
    left = browser.visit(web.get("/leave").headers["Location"])
    assert left.startswith(f"{HOME}/signed-out?") and arrived(left)["state"]
    before = len(browser.seen)
    browser.visit(web.get("/login").headers["Location"])
    assert browser.seen[before].startswith("Sign in"), "nobody is signed in any more"
