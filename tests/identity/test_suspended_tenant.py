"""Suspending a tenant stops everything of it, at its door and at the root, and resuming brings it back as it was."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tests.documents import Authority
from tests.lab import CALLBACK, CHALLENGE, FILES, TICKETS, Browser, Lab, Page, claims, landed
from tests.vault.steps import setting

DOORS = ["", "/t/acme"]


@dataclass
class Before:
    """What somebody of the tenant held before it was suspended."""

    lab: Lab
    door: str
    access: str
    refresh: str
    code: str
    device: str
    typed: str
    waiting: tuple[Browser, TestResponse]
    account: Browser

    @classmethod
    def of(cls, lab: Lab, door: str) -> "Before":
        tokens = lab.tokens(door=door, scope="tickets:read offline_access")
        code = lab.code("no-refresh", door=door)
        waiting = lab.browser()
        page = lab.consent_page("bob", waiting, door=door)
        account = lab.browser()
        account.sign_in(account.get(f"{door}/account"))
        return cls(
            lab,
            door,
            tokens["access_token"],
            tokens["refresh_token"],
            code,
            lab.connected(door=door),
            lab.device(door=door).json["user_code"],
            (waiting, page),
            account,
        )


TOKEN: dict[str, Callable[[Before], TestResponse]] = {
    "refresh token": lambda had: had.lab.refresh(had.refresh, door=had.door),
    "code": lambda had: had.lab.redeem(had.code, "no-refresh", door=had.door),
    "device code": lambda had: had.lab.poll(had.device, door=had.door),
    "client credentials": lambda had: had.lab.client_credentials(door=had.door),
    "exchange": lambda had: had.lab.exchange(had.access, door=had.door),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_token_is_made_and_none_is_active_until_it_goes_on(lab: Lab, door: str) -> None:
    had = Before.of(lab, door)
    lab.switch("tenant", "acme")
    for way, ask in TOKEN.items():
        answer = ask(had)
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_target"), way
        assert lab.last("token.refused")["reason"] == "tenant_off", way
    assert not lab.active(had.access, door=door)
    lab.lift("tenant", "acme")
    assert lab.active(had.access, door=door)
    for way, ask in TOKEN.items():
        assert ask(had).status_code == 200, way


@pytest.mark.parametrize("door", DOORS)
def test_nobody_is_asked_and_no_answer_counts(lab: Lab, door: str) -> None:
    had = Before.of(lab, door)
    browser, page = had.waiting
    lab.switch("tenant", "acme")
    before = len(lab.facts("consent.granted"))
    refused = browser.allow(page)
    asked = had.account.get(lab.authorize_url(door=door))
    for answer in (refused, asked):
        if door:
            assert answer.status_code == 400 and "Location" not in answer.headers
        else:
            assert landed(answer)["error"] == "access_denied"
        assert lab.last("authorization.refused")["reason"] == "tenant_off"
    pending = lab.device_question(had.typed, "bob", lab.browser(), door) if not door else None
    assert pending is None or pending.status_code == 400
    assert len(lab.facts("consent.granted")) == before
    lab.lift("tenant", "acme")
    assert "code" in landed(browser.allow(page))


def test_its_door_is_closed_to_sign_in_devices_accounts_and_registration(lab: Lab) -> None:
    had, door = Before.of(lab, "/t/acme"), "/t/acme"
    registered = lab.register(door).json
    anybody = lab.browser()
    form = Page.of(anybody.get(f"{door}/account"))
    lab.switch("tenant", "acme")
    sessions = len(lab.facts("session.started"))
    pushed = {
        "client_id": "desk-app",
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "resource": TICKETS,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }

    def manage(method: str) -> TestResponse:
        uri, token = registered["registration_client_uri"], registered["registration_access_token"]
        return lab.manage(method, uri, token, client_id=registered["client_id"])

    tried: dict[str, Callable[[], TestResponse]] = {
        "the page to sign in": lambda: anybody.get(f"{door}/login?to=account"),
        "a password": lambda: anybody.submit(form, username="bob", password="correct horse battery staple"),
        "an account": lambda: had.account.get(f"{door}/account"),
        "its apps": lambda: had.account.get(f"{door}/account/apps"),
        "the page for devices": lambda: anybody.get(f"{door}/device"),
        "a device": lambda: lab.device(door=door),
        "a pushed request": lambda: lab.post(f"{door}/par", pushed),
        "a registration": lambda: lab.register(door),
        "a changed registration": lambda: manage("PUT"),
    }
    for what, attempt in tried.items():
        answer = attempt()
        assert answer.status_code in (400, 403), (what, answer.status_code)
        assert lab.facts()[-1]["reason"] == "tenant_off", what
    assert len(lab.facts("session.started")) == sessions
    lab.lift("tenant", "acme")
    for what, attempt in tried.items():
        assert attempt().status_code in (200, 201), what


def test_what_a_client_holds_can_still_be_taken_back(lab: Lab) -> None:
    had = Before.of(lab, "/t/acme")
    lab.switch("tenant", "acme")
    assert lab.revoke(had.refresh, door="/t/acme").status_code == 200
    lab.lift("tenant", "acme")
    assert lab.refresh(had.refresh, door="/t/acme").json["error"] == "invalid_grant"


def test_a_client_of_the_tenant_begins_nothing_at_the_root_either(lab: Lab) -> None:
    lab.switch("tenant", "acme")
    assert lab.browser().get(lab.authorize_url("web-app")).status_code == 400
    assert lab.device("box").json["error"] == "invalid_target"
    lab.lift("tenant", "acme")
    assert b'name="password"' in lab.browser().get(lab.authorize_url("web-app")).data
    assert lab.device("box").status_code == 200


def test_other_tenants_go_on(lab: Lab) -> None:
    files = {"resource": FILES, "scope": "files:read"}
    theirs = lab.tokens(user="vera", **files)
    lab.switch("tenant", "acme")
    assert lab.active(theirs["access_token"], "files-server")
    assert lab.refresh(theirs["refresh_token"]).status_code == 200
    code = lab.code(user="both", **files)
    answer = lab.redeem(code, resource=FILES)
    assert claims(answer.json["access_token"])["tenant"] == "globex", "the only one left to work in"


def test_what_ends_in_the_meantime_does_not_come_back(lab: Lab) -> None:
    had = Before.of(lab, "")
    lab.switch("tenant", "acme")
    grant = str(claims(had.access)["grant_id"])
    assert lab.broker.grants.revoke(grant, "test")
    lab.lift("tenant", "acme")
    assert not lab.active(had.access)
    assert lab.refresh(had.refresh).json["error"] == "invalid_grant"


def test_nobody_connects_an_account_and_no_server_gets_a_token_of_one(lab: Lab, tmp_path: Path) -> None:
    with setting(lab, Authority(tmp_path)) as vault:
        browser = vault.signed_in()
        vault.connect(browser)
        call, page = vault.call(), Page.of(vault.page(browser))
        came = vault.forge.visit(vault.begin(browser))
        before = len(vault.forge.forms("/token"))
        vault.lab.switch("tenant", "acme")
        for what, attempt in {
            "begins": lambda: browser.submit(page, do="connect"),
            "comes back": lambda: vault.back(browser, came),
        }.items():
            assert attempt().status_code == 403, what
            assert vault.lab.last("connection.refused")["reason"] == "tenant_off", what
        vault.lab.refused(vault.released(call), 400, "invalid_target", "tenant_off")
        assert len(vault.forge.forms("/token")) == before
        vault.lab.lift("tenant", "acme")
        assert vault.connect(browser).status_code == 200
        assert vault.released(call).status_code == 200
