"""What tests of approvals share: people who may approve, calls that wait for it, and answers on the page."""

from werkzeug.test import TestResponse

from broker.identity.users.model import Membership
from tests.deciding import ask, denied, post, scoped
from tests.lab import Browser, Lab, Page
from tests.people import code, with_app

ARGUMENTS = {"amount": 5, "customer": {"id": "c-1"}}
REQUESTS = "requests"


def roles(lab: Lab, user: str, *held: str, tenant: str = "acme") -> None:
    """Give a member exactly these roles."""
    lab.change(lambda tx: lab.broker.people.place(tx, user, Membership(tenant, held)))


def approver(lab: Lab, user: str = "bob", *held: str, tenant: str = "acme") -> Browser:
    """A browser in which an approver signed in with password and app."""
    roles(lab, user, *(held or ("member", "approver")), tenant=tenant)
    secret, _ = with_app(lab, user)
    browser = lab.browser()
    code_page = browser.sign_in(browser.get("/account"), user)
    assert browser.submit(Page.of(code_page), code=code(lab, secret)).status_code == 200
    return browser


def waiting(
    lab: Lab, token: str, arguments: object = None, tool: str = "refund", *, key: str = "k1", **more: object
) -> dict[str, str]:
    """The `access_request` of a call that is refused until somebody allows it."""
    said = ARGUMENTS if arguments is None else arguments
    context = denied(lab, "approval_required", token, tool, said, idempotency_key=key, **more)
    found: dict[str, str] = context["access_request"]
    return found


def named(offered: dict[str, str]) -> str:
    """The id of the approval."""
    return offered["form_url"].rpartition("/")[2]


def request(
    lab: Lab,
    offered: dict[str, str],
    client_id: str = "tickets-server",
    door: str = "",
    headers: dict[str, str] | None = None,
    **more: object,
) -> TestResponse:
    body = {"denial": {"binding_token": offered["binding_token"]}, **more}
    return post(lab, REQUESTS, body, client_id, door, headers)


def requested(lab: Lab, token: str, arguments: object = None, tool: str = "refund", **more: object) -> str:
    """The id of an approval that waits for people."""
    offered = waiting(lab, token, arguments, tool, **more)
    answer = request(lab, offered)
    assert answer.status_code == 202, answer.get_data(as_text=True)
    found: str = answer.json["task"]["id"]
    assert found == named(offered)
    return found


def page(browser: Browser, approval: str, door: str = "") -> TestResponse:
    return browser.get(f"{door}/approvals/{approval}")


def answer(
    browser: Browser, approval: str, decision: str = "approve", door: str = "", **more: str
) -> TestResponse:
    """On the page, as a browser without JavaScript sends it."""
    found = page(browser, approval, door)
    assert found.status_code == 200, found.get_data(as_text=True)[:3000]
    return browser.submit(Page.of(found), decision=decision, **more)


def approved(lab: Lab, browser: Browser, approval: str) -> None:
    done = answer(browser, approval)
    assert done.status_code == 200 and b"Allowed. It can run once" in done.data, done.get_data(as_text=True)
    assert lab.last("approval.granted")["approval"] == approval


def granted(lab: Lab, token: str, browser: Browser | None = None, arguments: object = None) -> str:
    """The id of an approval that somebody gave for a refund."""
    found = requested(lab, token, arguments)
    approved(lab, browser or approver(lab), found)
    return found


def runs(lab: Lab, token: str, arguments: object = None, key: str = "k1", **more: object) -> bool:
    """Whether the refund is permitted now."""
    said = ARGUMENTS if arguments is None else arguments
    return ask(lab, token, "refund", said, idempotency_key=key, **more)["decision"] is True


def state(lab: Lab, approval: str) -> str:
    found = lab.broker.world.database.read(lambda tx: lab.broker.approvals.asking.one(tx, approval))
    assert found is not None
    return found.state.value


def refunds(lab: Lab, user: str = "alice", **more: str | None) -> str:
    """An access token for refunds."""
    return scoped(lab, "refunds:write", user, **more)
