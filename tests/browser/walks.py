"""What a person does at a real browser, step by step; every test of the pages is made of these."""

import base64
import hashlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import httpx2
import pyotp
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser.conftest import Callback, patient
from tests.lab import claims
from tests.live import COMMAND, PASSWORD, LiveBroker, arrived

RESOURCE = "https://tickets.example/mcp"
SECRET = "only-for-the-tests-tickets-server-0001"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PLATFORM = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@contextmanager
def somebody(chromium: Browser, *, scripts: bool = False) -> Iterator[Page]:
    """A new person at a browser of their own."""
    with chromium.new_context(java_script_enabled=scripts) as context:
        context.set_default_timeout(15_000)
        yield patient(context.new_page())


def authenticator(page: Page) -> CDPSession:
    """A device that makes and keeps passkeys, and confirms at once."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": PLATFORM})
    return session


def authorize_url(issuer: str, callback: str, **changes: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": "desk-app",
        "redirect_uri": callback,
        "state": "st4te",
        "resource": RESOURCE,
        "scope": "tickets:read customers:read tickets:write",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{issuer}/authorize?{urlencode(asked | changes)}"


def sign_in(page: Page, user: str, password: str = PASSWORD) -> None:
    if page.get_by_label("Username").is_editable():
        page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def to_account(page: Page, broker: LiveBroker, user: str, path: str = "") -> None:
    page.goto(f"{broker.issuer}/account{path}")
    sign_in(page, user)
    expect(page.get_by_role("navigation", name="Your account")).to_be_visible()


def reset_link(broker: LiveBroker, user: str) -> str:
    """The link to a new password that an administrator makes."""
    command = (*COMMAND, "user", "reset", user, "--data", str(broker.data))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def second_factor(page: Page, broker: LiveBroker) -> tuple[pyotp.TOTP, int]:
    """Set up an authenticator app in the account; what the app holds, and when its first code was used."""
    page.goto(f"{broker.issuer}/account/sign-in/app")
    page.get_by_role("button", name="Set up an app").click()
    page.get_by_text("Type it by hand instead").click()
    totp = pyotp.TOTP(page.locator(".secret").inner_text().replace(" ", ""))
    began = int(time.time())
    page.get_by_label("Then type the code").fill(totp.at(began))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    return totp, began


def allow(page: Page, callback: Callback) -> str:
    """Say yes on the consent page; the code that the client gets."""
    expect(page.get_by_role("button", name="Allow"), page.locator("body").inner_text()).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    return arrived(callback.arrivals.get(timeout=15))["code"]


def connect(page: Page, broker: LiveBroker, callback: Callback, user: str, **changes: str) -> dict[str, str]:
    """Sign in, allow everything, and redeem the code: the client's tokens."""
    page.goto(authorize_url(broker.issuer, callback.uri, **changes))
    if page.get_by_label("Password").count():
        sign_in(page, user)
    return redeemed(broker, callback, allow(page, callback))


def redeemed(broker: LiveBroker, callback: Callback, code: str) -> dict[str, str]:
    form = {"code": code, "redirect_uri": callback.uri, "code_verifier": VERIFIER}
    answer = asked(broker, grant_type="authorization_code", **form)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def asked(broker: LiveBroker, **form: str) -> httpx2.Response:
    """A request of the app to the token endpoint."""
    return httpx2.post(f"{broker.issuer}/token", data={"client_id": "desk-app", **form}, trust_env=False)


def called(broker: LiveBroker, token: str, tool: str, arguments: object, key: str, **more: str) -> object:
    """What the resource's own server learns of a call: the answer of the decision."""
    said = claims(token)
    question = {
        "subject": {"type": "user", "id": said["sub"], "properties": {"token": token}},
        "action": {"name": "tools/call"},
        "resource": {"type": "tool", "id": tool, "properties": {"resource": RESOURCE}},
        "context": {"arguments": arguments, "idempotency_key": key, **more},
    }
    url, server = f"{broker.issuer}/access/v1/evaluation", ("tickets-server", SECRET)
    answer = httpx2.post(url, json=question, auth=server, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def active(broker: LiveBroker, token: str) -> bool:
    """What the resource's own server learns of a token."""
    url, server = f"{broker.issuer}/introspect", ("tickets-server", SECRET)
    answer = httpx2.post(url, data={"token": token}, auth=server, trust_env=False)
    return bool(answer.json()["active"])
