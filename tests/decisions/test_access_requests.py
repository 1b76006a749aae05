"""AuthZEN Access Request profile: asked once, followed, answered, cancelled, by those whose call it is."""

from dataclasses import replace

import pytest

from broker.runtime.mail import Mail, MailServer
from tests.approving import (
    answer,
    approved,
    approver,
    named,
    refunds,
    request,
    requested,
    runs,
    state,
    waiting,
)
from tests.deciding import post
from tests.lab import ACME, ISSUER, Lab, basic
from tests.mailbox import mailbox


def follow(lab: Lab, approval: str, headers: dict[str, str] | None = None, door: str = "") -> object:
    return lab.get(f"{door}/access/v1/requests/{approval}", **(headers or basic("tickets-server")))


@pytest.mark.requirement("ARAP-01")
def test_a_request_is_a_task_that_is_followed_until_the_call_is_asked_again(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    offered = waiting(lab, token)
    assert offered["endpoint"] == f"{ISSUER}/access/v1/requests"
    asked = request(lab, offered, subject={"type": "user", "id": "alice"}, callback={"endpoint": "ignored"})
    approval = named(offered)
    url = f"{ISSUER}/access/v1/requests/{approval}"
    assert (asked.status_code, asked.headers["Location"]) == (202, url)
    task = asked.json["task"]
    assert (task["id"], task["status"], task["status_endpoint"]) == (approval, "pending", url)
    assert task["links"] == {"cancel": f"{url}/cancel"} and task["form_url"] == offered["form_url"]
    assert task["expires_at"] == offered["expires_at"] and "result" not in asked.json
    assert lab.last("approval.requested")["client"] == "desk-app"
    approved(lab, browser, approval)
    told = follow(lab, approval).json
    assert told["task"]["status"] == "approved" and told["result"]["mode"] == "reevaluate"
    assert told["result"]["approval"]["id"] == approval and told["result"]["approval"]["spent"] is False
    assert runs(lab, token)
    assert follow(lab, approval).json["result"]["approval"]["spent"] is True


def test_a_denial_and_an_end_by_itself_are_told(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    first, second = (requested(lab, token, {"amount": number}, key=f"k{number}") for number in range(2))
    answer(browser, first, "deny", reason="not now")
    assert follow(lab, first).json["task"] | {"expires_at": ""} == {
        **follow(lab, first).json["task"],
        "status": "denied",
        "reason": "not now",
        "expires_at": "",
    }
    lab.clock.advance(901)
    assert follow(lab, second).json["task"]["status"] == "expired"
    late = post(lab, f"requests/{second}/cancel", {})
    assert late.status_code == 409 and state(lab, second) == "requested"


def test_the_key_of_a_request_makes_its_repetition_safe_and_no_other(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    first, other = waiting(lab, token), waiting(lab, token, {"amount": 9}, key="k2")
    keyed = {**basic("tickets-server"), "Idempotency-Key": "one"}
    assert request(lab, first, headers=keyed).status_code == 202
    answer(browser, named(first), "deny")
    again = request(lab, first, headers=keyed)
    assert (again.status_code, again.json["task"]["status"]) == (202, "denied"), "the answer that was lost"
    assert request(lab, other, headers=keyed).status_code == 422
    assert state(lab, named(other)) == "offered"
    assert request(lab, other, headers={**keyed, "Idempotency-Key": "x" * 256}).status_code == 400
    assert request(lab, other, headers={**keyed, "Idempotency-Key": "two"}).status_code == 202
    assert len(lab.facts("approval.requested")) == 2


def test_a_client_without_a_secret_asks_with_the_binding_token_and_follows_with_it(lab: Lab) -> None:
    token = refunds(lab)
    offered, other = waiting(lab, token), waiting(lab, token, {"amount": 9}, key="k2")
    approval = named(offered)
    assert request(lab, offered, headers={}).status_code == 401
    said = {"denial": {"binding_token": offered["binding_token"]}}
    assert post(lab, "requests", {**said, "client_id": "two-uris"}, headers={}).status_code == 400
    assert post(lab, "requests", {**said, "client_id": "desk-app"}, headers={}).status_code == 202
    holder = {"Authorization": f"Bearer {offered['binding_token']}"}
    assert follow(lab, approval, holder).json["task"]["status"] == "pending"
    assert follow(lab, named(other), holder).status_code == 404
    assert follow(lab, approval, {"Authorization": f"Bearer {token}"}).status_code == 401
    cancelled = lab.http().delete(f"/access/v1/requests/{approval}", base_url=ISSUER, headers=holder)
    assert cancelled.json["task"]["status"] == "cancelled" and state(lab, approval) == "withdrawn"


def test_a_confidential_client_follows_and_cancels_its_own(lab: Lab) -> None:
    token = refunds(lab, client_id="web-app")
    approval = named(waiting(lab, token))
    assert follow(lab, approval, basic("web-app")).status_code == 200
    assert follow(lab, approval, basic("other-app")).status_code == 404
    assert post(lab, f"requests/{approval}/cancel", {}, "web-app").status_code == 200
    assert lab.last("approval.withdrawn")["approval"] == approval


def test_what_is_no_request_is_refused_and_recorded(lab: Lab) -> None:
    offered = waiting(lab, refunds(lab))
    token = offered["binding_token"].encode()
    for body in (
        b"[]",
        b"{}",
        b'{"denial": {}}',
        b'{"denial": {"binding_token": 1}}',
        b'{"denial": {"binding_token": "%s"}, "denial": {}}' % token,
        b'{"denial": {"binding_token": "%s"}, "n": NaN}' % token,
    ):
        assert post(lab, "requests", body).status_code == 400, body
        assert lab.last("approval.refused")["outcome"] == "denied"
    form = lab.post("/access/v1/requests", {"denial": "x"}, basic("tickets-server"))
    assert form.status_code == 400 and form.mimetype == "application/problem+json"
    assert state(lab, named(offered)) == "offered"


def test_a_tenants_door_answers_for_what_was_asked_through_it(lab: Lab) -> None:
    token = refunds(lab, door="/t/acme")
    offered = waiting(lab, token, door="/t/acme")
    assert offered["form_url"].startswith(f"{ACME}/approvals/")
    assert request(lab, offered).status_code == 400, "another door's token"
    assert request(lab, offered, door="/t/acme").status_code == 202
    approval = named(offered)
    assert follow(lab, approval).status_code == 404
    assert follow(lab, approval, door="/t/acme").status_code == 200
    approved(lab, approver(lab), approval)
    assert runs(lab, token, door="/t/acme")


def test_a_clients_own_work_is_asked_about_by_the_decision_itself_and_once(lab: Lab) -> None:
    browser = approver(lab)
    lab.put_client(replace(lab.client("nightly"), scopes=("refunds:write",)))
    token = lab.client_credentials(scope="refunds:write").json["access_token"]
    approval = named(waiting(lab, token))
    assert state(lab, approval) == "requested"
    asked = lab.last("approval.requested")
    assert (asked["approval"], asked["client"], asked["subject"]) == (approval, "nightly", "nightly")
    assert asked["request_id"] == lab.last("decision.made")["request_id"]
    assert approval.encode() in browser.get("/approvals").data
    assert named(waiting(lab, token, key="k2")) == approval and len(lab.facts("approval.requested")) == 1
    mine = named(waiting(lab, refunds(lab), key="k3"))
    assert state(lab, mine) == "offered", "a user opens the link"
    assert mine.encode() not in browser.get("/approvals").data
    approved(lab, browser, approval)
    assert runs(lab, token)


def test_people_are_told_of_a_clients_own_work(lab: Lab) -> None:
    approver(lab)
    lab.put_client(replace(lab.client("nightly"), scopes=("refunds:write",)))
    token = lab.client_credentials(scope="refunds:write").json["access_token"]
    with mailbox() as box:
        lab.broker.approvals.notices._mail = Mail(
            MailServer("127.0.0.1", box.port, "b@as.example", "none"), "B"
        )
        approval = named(waiting(lab, token))
        waiting(lab, token, key="k2")
        lab.broker.approvals.notices.deliver()
        (mail,) = box.mails
    assert mail.to == "bob@example.com" and f"{ISSUER}/approvals/{approval}" in mail.text
