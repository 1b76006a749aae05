"""RFC 8628: from the device that begins to the tokens that it gets, and everything that a person decides between."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.authorization.device import rules
from broker.identity.tenants.model import Tenant
from tests.lab import DEVICE, ISSUER, TICKETS, Browser, Lab, Page, assert_page, assert_refused, claims

DOORS = ("", "/t/acme")


def begun(lab: Lab, client_id: str = "tv-app", door: str = "", **changes: str | None) -> dict[str, str]:
    answer = lab.device(client_id, door, **changes)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return dict(answer.json)


@pytest.mark.requirement("EXT-DEVICE-01")
@pytest.mark.parametrize("door", DOORS)
def test_a_device_is_told_both_codes_where_to_send_its_person_and_for_how_long(lab: Lab, door: str) -> None:
    answer = lab.device(door=door)
    device = answer.json
    assert set(device) == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }
    assert device["verification_uri"] == f"{ISSUER}{door}/device"
    assert device["verification_uri_complete"].endswith(f"?user_code={device['user_code']}")
    assert (device["expires_in"], device["interval"]) == (600, 5)
    assert answer.headers["Cache-Control"] == "no-store"
    plain = device["user_code"].replace("-", "")
    assert len(plain) == rules.LENGTH and set(plain) <= set(rules.ALPHABET)
    dump = lab.dump()
    for secret in (device["device_code"], device["user_code"], plain):
        assert secret.encode() not in dump


@pytest.mark.requirement("EXT-DEVICE-02")
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("client", ["tv-app", "box"])
def test_a_person_types_the_code_signs_in_allows_and_the_device_has_tokens(
    lab: Lab, client: str, door: str
) -> None:
    device, browser = begun(lab, client, door), lab.browser()
    assert_refused(lab.poll(device["device_code"], client, door), 400, "authorization_pending")
    page = browser.get(f"{door}/device")
    assert [name for name, _ in Page.of(page).fields] == ["csrf", "user_code"]
    typed = lab.type_code(device["user_code"], browser, door)
    assert b'name="password"' in typed.data
    question = browser.sign_in(typed)
    assert device["user_code"] in question.get_data(as_text=True)
    assert "The device is connected" in assert_page(browser.allow(question), 200)
    answer = lab.poll(device["device_code"], client, door)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    token = claims(answer.json["access_token"])
    assert (token["sub"], token["client_id"], token["aud"]) == ("alice", client, TICKETS)
    assert (token["iss"], token["tenant"]) == (ISSUER + door, "acme")
    assert token["acr"] and token["auth_time"] == int(lab.clock.now())
    assert lab.active(answer.json["access_token"], door=door)
    refreshed = lab.refresh(answer.json["refresh_token"], client, door)
    assert refreshed.status_code == 200 and claims(refreshed.json["access_token"])["sub"] == "alice"
    facts = [fact["fact"] for fact in lab.facts() if str(fact["fact"]).startswith(("device.", "consent."))]
    assert facts == ["device.started", "consent.granted", "device.approved", "device.redeemed"]


@pytest.mark.parametrize("written", ["{}", " {} ", "lower", "without", "spaced"])
def test_a_code_may_be_typed_as_people_type(lab: Lab, written: str) -> None:
    code = begun(lab)["user_code"]
    forms = {
        "lower": code.lower(),
        "without": code.replace("-", ""),
        "spaced": " ".join(code.replace("-", "").lower()),
    }
    answer = lab.type_code(forms.get(written) or written.format(code), lab.browser())
    assert b'name="password"' in answer.data


def test_what_was_unticked_is_not_given(lab: Lab) -> None:
    device, browser = begun(lab, scope="tickets:read tickets:write"), lab.browser()
    question = lab.device_question(device["user_code"], browser=browser)
    browser.allow(question, scope=[])
    answer = lab.poll(device["device_code"]).json
    assert answer["scope"] == "tickets:read" and "refresh_token" not in answer


def test_without_a_resource_the_usual_one_is_meant(lab: Lab) -> None:
    code = lab.connected(resource=None, scope=None)
    assert claims(lab.poll(code).json["access_token"])["aud"] == TICKETS


def test_a_resource_named_at_the_end_must_be_the_one_of_the_beginning(lab: Lab) -> None:
    code = lab.connected()
    lab.refused(
        lab.poll(code, resource="https://mcp2.example/mcp"), 400, "invalid_target", "resource_mismatch"
    )
    assert lab.poll(code, resource=TICKETS).status_code == 200


def test_a_person_of_two_tenants_chooses(lab: Lab) -> None:
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("globex", "Globex", device=True)))
    device, browser = begun(lab, scope="files:read", resource="https://files.example/mcp"), lab.browser()
    question = lab.device_question(device["user_code"], "both", browser)
    missing = browser.allow(question)
    assert "Choose the organization" in assert_page(missing, 400)
    browser.allow(missing, tenant="globex")
    assert claims(lab.poll(device["device_code"]).json["access_token"])["tenant"] == "globex"


def test_a_device_may_demand_a_fresh_sign_in(lab: Lab) -> None:
    browser = lab.browser()
    lab.consent_page(browser=browser)
    lab.clock.advance(60)
    device = begun(lab, max_age="10")
    again = lab.type_code(device["user_code"], browser)
    assert b'name="password"' in again.data
    assert device["user_code"] in browser.sign_in(again).get_data(as_text=True)


# Polling


@pytest.mark.requirement("EXT-DEVICE-03")
def test_a_device_that_polls_too_fast_is_slowed_down_for_good(lab: Lab) -> None:
    code = begun(lab)["device_code"]

    def polled(after: float) -> str:
        lab.clock.advance(after)
        answer = lab.poll(code)
        assert answer.status_code == 400
        return str(answer.json["error"])

    assert polled(0) == "authorization_pending"
    assert polled(5) == polled(5) == "authorization_pending"
    assert polled(1) == "slow_down"  # ten seconds from now on
    assert polled(6) == "slow_down"  # fifteen
    assert polled(13) == "slow_down"  # twenty
    assert polled(20) == "authorization_pending"
    assert polled(20) == "authorization_pending"
    lab.refused(lab.poll(code), 400, "slow_down", "device_too_fast")
    assert "wait 30 seconds" in lab.poll(code).json["error_description"]


def test_the_pace_is_kept_by_every_process(lab: Lab) -> None:
    code, replica = begun(lab)["device_code"], lab.replica()
    assert lab.poll(code).json["error"] == "authorization_pending"
    assert replica.poll(code).json["error"] == "slow_down"
    replica.broker.close()
    later = lab.restarted()
    lab.clock.advance(6)
    assert later.poll(code).json["error"] == "slow_down", "ten seconds by now"
    lab.broker = later.broker


def test_a_device_that_is_answered_is_not_slowed_down(lab: Lab) -> None:
    device, browser = begun(lab), lab.browser()
    assert lab.poll(device["device_code"]).json["error"] == "authorization_pending"
    browser.allow(lab.device_question(device["user_code"], browser=browser))
    assert lab.poll(device["device_code"]).status_code == 200


def test_waiting_is_no_refusal_and_leaves_no_record(lab: Lab) -> None:
    code = begun(lab, "box")["device_code"]
    before = len(lab.facts())
    for _ in range(20):
        assert_refused(lab.poll(code, "box"), 400, "authorization_pending")
        lab.clock.advance(6)
    assert len(lab.facts()) == before


@pytest.mark.requirement("EXT-DEVICE-04")
def test_a_device_code_is_redeemed_once_and_a_replay_ends_the_grant(lab: Lab) -> None:
    code = lab.connected("box")
    first = lab.poll(code, "box").json
    assert lab.active(first["access_token"])
    lab.refused(lab.poll(code, "box"), 400, "invalid_grant", "device_code_replayed", "device.replayed")
    assert not lab.active(first["access_token"])
    assert_refused(lab.refresh(first["refresh_token"], "box"), 400, "invalid_grant")
    assert lab.last("grant.revoked")["grant_id"] == claims(first["access_token"])["grant_id"]


def test_a_replay_with_anything_wrong_ends_nothing(lab: Lab) -> None:
    code = lab.connected("box")
    first = lab.poll(code, "box").json
    assert_refused(lab.poll(code, "other-box"), 400, "invalid_grant")
    assert_refused(lab.poll(code, "box", code_verifier="v" * 43), 400, "invalid_grant")
    assert lab.active(first["access_token"])


# What is off


@pytest.mark.parametrize(
    ("kind", "target", "status", "error"),
    [
        ("client", "box", 401, "invalid_client"),
        ("resource", "tickets", 400, "invalid_target"),
        ("tenant", "acme", 400, "invalid_target"),
        ("everything", "*", 400, "invalid_target"),
    ],
)
def test_what_is_off_begins_nothing_and_gives_nothing(
    lab: Lab, kind: str, target: str, status: int, error: str
) -> None:
    approved, waiting = lab.connected("box", door="/t/acme"), begun(lab, "box", "/t/acme")["device_code"]
    lab.switch(kind, target)
    assert_refused(lab.device("box", "/t/acme"), status, error)
    assert_refused(lab.poll(approved, "box", "/t/acme"), status, error)
    if kind in ("client", "everything"):
        assert_refused(lab.poll(waiting, "box", "/t/acme"), status, error)
    lab.lift(kind, target)
    assert lab.poll(approved, "box", "/t/acme").status_code == 200


def test_a_user_who_is_off_gets_nothing_through_a_device(lab: Lab) -> None:
    code = lab.connected()
    lab.switch("user", "alice")
    lab.refused(lab.poll(code), 400, "invalid_grant", "user_off")
    lab.lift("user", "alice")
    assert lab.poll(code).status_code == 200


def test_a_device_whose_grant_was_taken_back_gets_nothing(lab: Lab) -> None:
    code = lab.connected()
    assert lab.broker.grants.revoke(str(lab.last("device.approved")["grant_id"]), "test")
    lab.refused(lab.poll(code), 400, "invalid_grant", "grant_off")


# Storage that fails


@pytest.mark.parametrize("table", ["audit_record"])
def test_without_its_record_nothing_begins_is_answered_or_redeemed(lab: Lab, table: str) -> None:
    device, browser, approved = begun(lab), lab.browser(), lab.connected()
    question = lab.device_question(device["user_code"], browser=browser)
    before = lab.table("device_code")
    with lab.without_table(table):
        assert_refused(lab.device(), 503, "temporarily_unavailable")
        assert browser.allow(question).status_code == 503
        assert_refused(lab.poll(approved), 503, "temporarily_unavailable")
    assert lab.table("device_code") == before
    assert lab.poll(approved).status_code == 200


def test_a_short_code_that_is_taken_is_drawn_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["BBBBBBBBBB", "BBBBBBBBBB", "BBBBBBBBBB", "CCCCCCCCCC"])
    monkeypatch.setattr(rules, "user_code", lambda secret: next(drawn))
    assert begun(lab)["user_code"] == "BBBBB-BBBBB"
    assert begun(lab)["user_code"] == "CCCCC-CCCCC"


def test_codes_that_stay_taken_are_said_to_be_ours_to_mend(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "user_code", lambda secret: "BBBBBBBBBB")
    begun(lab)
    assert_refused(lab.device(), 503, "temporarily_unavailable")


# Limits and forms


def test_one_address_begins_so_many_devices_and_no_more(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(interactions_per_minute=3)
    assert [lab.device().status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert lab.device(source="192.0.2.1").status_code == 200


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ("client_id=tv-app&client_id=tv-app", "invalid_request"),
        ("client_id=tv-app&scope=tickets:read&scope=tickets:read", "invalid_request"),
        ("client_id=tv-app&resource=&scope=tickets:read", "invalid_target"),
        (f"client_id=tv-app&resource={TICKETS}&resource={TICKETS}", "invalid_request"),
        ("client_id=tv-app&scope=%ff", "invalid_request"),
        ("client_id=tv-app&max_age=soon", "invalid_request"),
    ],
)
def test_a_malformed_beginning_is_refused(lab: Lab, sent: str, error: str) -> None:
    assert_refused(lab.post("/device_authorization", sent), 400, error)
    assert lab.last("device.refused")["outcome"] == "denied"
    assert lab.rows("device_code") == 0


def test_nobody_is_told_by_get_how_to_begin(lab: Lab) -> None:
    assert lab.get("/device_authorization").status_code == 405
    assert lab.get("/t/nobody/device_authorization").status_code in (404, 405)
    assert lab.post("/t/nobody/device_authorization", {}).status_code == 404


def test_the_page_repeats_what_was_typed_and_nothing_more(lab: Lab) -> None:
    browser = lab.browser()
    text = assert_page(lab.type_code('"><script>' + "x" * 200, browser), 400)
    assert "<script" not in text and "x" * 100 not in text
    for odd in ("\u0130\u0131", "\uff22" * 10, "𝔅" * 10, "-" * 60):
        assert lab.type_code(odd, lab.browser("192.0.2.8")).status_code in (400, 429)


def test_a_session_of_somebody_else_may_be_left_for_ones_own(lab: Lab) -> None:
    """Two people at one browser: whoever signed in last answers."""
    device, browser = begun(lab), lab.browser()
    question = lab.device_question(device["user_code"], "bob", browser)
    assert "Bob" in question.get_data(as_text=True)
    browser.allow(question)
    assert claims(lab.poll(device["device_code"]).json["access_token"])["sub"] == "bob"


def test_an_answer_belongs_to_the_browser_in_which_the_code_was_typed(lab: Lab) -> None:
    device, mine, other = begun(lab), lab.browser(), lab.browser("192.0.2.9")
    page = Page.of(lab.device_question(device["user_code"], browser=mine))
    lab.consent_page("bob", other)
    assert_page(other.submit(page, decision="allow"), 400)
    assert mine.submit(page, decision="allow").status_code == 200


def test_of_two_people_who_typed_one_code_the_first_answer_counts(lab: Lab) -> None:
    device, first, second = begun(lab), lab.browser(), lab.browser("192.0.2.9")
    pages: list[tuple[Browser, Page]] = []
    for browser, user in ((first, "alice"), (second, "bob")):
        pages.append((browser, Page.of(lab.device_question(device["user_code"], user, browser))))
    assert pages[1][0].submit(pages[1][1], decision="allow").status_code == 200
    assert_page(pages[0][0].submit(pages[0][1], decision="deny"), 400)
    assert claims(lab.poll(device["device_code"]).json["access_token"])["sub"] == "bob"


def test_a_client_whose_grant_type_was_taken_away_gets_nothing(lab: Lab) -> None:
    code = lab.connected("box")
    lab.put_client(
        replace(
            lab.client("box"), grant_types=("authorization_code",), redirect_uris=("https://b.example/cb",)
        )
    )
    lab.refused(lab.poll(code, "box"), 400, "unauthorized_client", "client_grant_type")


def test_only_what_is_registered_counts_as_the_grant_type(lab: Lab) -> None:
    answer = lab.post("/token", {"grant_type": DEVICE.upper(), "client_id": "tv-app", "device_code": "x"})
    assert_refused(answer, 400, "unsupported_grant_type")


# What other requests may ask for, a device may too


def test_a_device_may_ask_for_single_calls(lab: Lab) -> None:
    lab.put_client(replace(lab.client("tv-app"), authorization_details_types=("mcp_tool_call",)))
    asked = [{"type": "mcp_tool_call", "locations": [TICKETS], "tools": [{"name": "search_tickets"}]}]
    device, browser = begun(lab, authorization_details=json.dumps(asked)), lab.browser()
    question = lab.device_question(device["user_code"], browser=browser)
    assert "search_tickets" in question.get_data(as_text=True)
    browser.allow(question)
    answer = lab.poll(device["device_code"]).json
    given = claims(answer["access_token"])["authorization_details"]
    assert given == answer["authorization_details"]
    assert [tool["name"] for tool in given[0]["tools"]] == ["search_tickets"]
    wrong = lab.device(authorization_details="[]")
    assert_refused(wrong, 400, "invalid_authorization_details")


def test_a_device_may_ask_who_its_person_is(lab: Lab) -> None:
    client = replace(lab.client("tv-app"), scopes=("openid", "tickets:read"))
    lab.put_client(client)
    code = lab.connected(scope="openid tickets:read")
    answer = lab.poll(code).json
    token = claims(answer["id_token"])
    assert (token["sub"], token["aud"]) == ("alice", "tv-app") and "nonce" not in token
