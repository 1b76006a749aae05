"""RFC 7592: a client that registered itself reads, changes and ends its registration."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from broker.identity.clients.model import Registered
from tests.identity.test_registration import public_keys
from tests.lab import CALLBACK, ISSUER, Lab, assert_refused, landed


@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_a_client_reads_changes_and_ends_its_registration(lab: Lab, door: str) -> None:
    made = lab.register(
        door, token_endpoint_auth_method="client_secret_post", scope="tickets:read", client_name="First"
    ).json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    assert uri == f"{ISSUER}{door}/register/{made['client_id']}"
    assert token.startswith("mcpb_ra_") and len(token) == len("mcpb_ra_") + 43
    read = lab.manage("GET", uri, token)
    assert read.status_code == 200 and read.headers["Cache-Control"] == "no-store"
    told_once = {"client_secret", "client_secret_expires_at", "scope"}
    assert read.json == {name: value for name, value in made.items() if name not in told_once}

    uris = ["https://client.example/new", CALLBACK]
    sent = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    sent |= {"token_endpoint_auth_method": "client_secret_post", "scope": "x"}
    changed = lab.manage("PUT", uri, token, redirect_uris=uris, client_name="Second", **sent)
    assert changed.status_code == 200 and changed.headers["Cache-Control"] == "no-store"
    assert changed.json == read.json | {"redirect_uris": uris, "client_name": "Second", "scope": "x"}
    record = lab.last("client.updated")
    assert (record["client"], record.get("tenant")) == (made["client_id"], door.removeprefix("/t/") or None)
    assert record["change"] == {"name": "Second", "redirect_uris": uris, "fields": ["name", "redirect_uris"]}
    assert lab.manage("GET", uri, token).json["client_name"] == "Second"

    ended = lab.manage("DELETE", uri, token)
    assert ended.status_code == 204 and ended.data == b"" and ended.headers["Cache-Control"] == "no-store"
    assert lab.last("client.deleted")["client"] == made["client_id"]
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(lab.manage(method, uri, token, **sent), 401, "invalid_token")
    assert len(lab.facts("client.deleted")) == 1


def test_a_changed_client_goes_by_what_it_is_now(lab: Lab) -> None:
    made = lab.register(grant_types=["authorization_code", "refresh_token"]).json
    client_id, new = made["client_id"], "https://client.example/new"
    refresh = lab.tokens(client_id)["refresh_token"]
    changed = lab.manage(
        "PUT",
        made["registration_client_uri"],
        made["registration_access_token"],
        client_id=client_id,
        redirect_uris=[new],
        grant_types=["authorization_code"],
    )
    assert changed.status_code == 200
    assert lab.browser().get(lab.authorize_url(client_id)).status_code == 400
    assert_refused(lab.refresh(refresh, client_id), 400, "unauthorized_client")
    assert lab.tokens(client_id, redirect_uri=new)


def test_a_person_is_asked_again_when_codes_go_elsewhere(lab: Lab) -> None:
    """Whoever stole the management token must not get codes for a consent that was given to the true client."""
    made, browser = lab.register().json, lab.browser()
    client_id, new = made["client_id"], "https://evil.example/cb"
    lab.code(client_id, browser=browser)
    assert "code" in landed(browser.get(lab.authorize_url(client_id)))
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    changed = lab.manage("PUT", uri, token, client_id=client_id, redirect_uris=[new, CALLBACK])
    assert changed.status_code == 200
    page = browser.get(lab.authorize_url(client_id, redirect_uri=new))
    assert page.status_code == 200 and "evil.example" in page.get_data(as_text=True)


def test_ending_a_registration_ends_what_was_granted_to_it(lab: Lab) -> None:
    made = lab.register(grant_types=["authorization_code", "refresh_token"]).json
    client_id, other = made["client_id"], lab.tokens()["access_token"]
    tokens = lab.tokens(client_id)
    code = lab.code(client_id)
    assert lab.active(tokens["access_token"])
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    assert lab.manage("DELETE", uri, token).status_code == 204
    assert not lab.active(tokens["access_token"])
    assert_refused(lab.refresh(tokens["refresh_token"], client_id), 401, "invalid_client")
    assert_refused(lab.redeem(code, client_id), 401, "invalid_client")
    assert lab.browser().get(lab.authorize_url(client_id)).status_code == 400
    assert lab.active(other)


def test_a_client_that_was_never_used_ends_without_a_trace_but_the_record(lab: Lab) -> None:
    before = lab.state()
    made = lab.register(token_endpoint_auth_method="client_secret_basic").json
    assert lab.state() != before
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    assert lab.manage("DELETE", uri, token).status_code == 204
    assert lab.state() == before
    assert [record["fact"] for record in lab.facts(client=made["client_id"])] == [
        "client.registered",
        "client.deleted",
    ]


def test_a_change_counts_as_a_registration(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(registration_per_hour=3)
    made = lab.register().json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    answers = [lab.manage("PUT", uri, token, client_id=made["client_id"]) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert lab.manage("GET", uri, token).status_code == 200


def test_keys_are_rotated_by_a_change(lab: Lab) -> None:
    first, second = public_keys("a"), public_keys("b")
    made = lab.register(token_endpoint_auth_method="private_key_jwt", jwks=first).json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    sent = {"client_id": made["client_id"], "token_endpoint_auth_method": "private_key_jwt"}
    changed = lab.manage("PUT", uri, token, jwks=second, **sent)
    assert changed.status_code == 200 and changed.json["jwks"] == second
    moved = lab.manage("PUT", uri, token, jwks_uri="https://client.example/jwks", **sent)
    assert moved.status_code == 200 and "jwks" not in moved.json
    refused = lab.manage("PUT", uri, token, **sent)
    lab.refused(refused, 400, "invalid_client_metadata", "metadata_refused", "client.refused")


def test_an_administrator_who_takes_a_client_over_takes_its_management(lab: Lab) -> None:
    made = lab.register().json
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    assert lab.manage("GET", uri, token).status_code == 200
    taken = replace(lab.client(made["client_id"]), registered=Registered.ADMIN, unused_until=None)
    lab.put_client(taken)
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(lab.manage(method, uri, token, client_id=made["client_id"]), 401, "invalid_token")
    assert lab.client(made["client_id"]).registered is Registered.ADMIN


def test_of_sixteen_that_end_a_registration_one_does(lab: Lab) -> None:
    made = lab.register(grant_types=["authorization_code", "refresh_token"]).json
    lab.tokens(made["client_id"])
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    barrier = threading.Barrier(16)

    def end(_: int) -> int:
        barrier.wait(10)
        return lab.manage("DELETE", uri, token).status_code

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(end, range(16))) == [204] + [401] * 15
    assert [record["client"] for record in lab.facts("client.deleted")] == [made["client_id"]]


@pytest.mark.parametrize("name", ["a%00b", "%C3%A9", "a%0Ab", "x" * 3000])
def test_an_id_that_nobody_can_have_is_nobody_s(lab: Lab, name: str) -> None:
    assert_refused(lab.manage("GET", f"/register/{name}", "mcpb_ra_x"), 401, "invalid_token")
