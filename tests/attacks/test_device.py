"""DEVICE: a device has no browser, so a person connects it from theirs, and nobody in between."""

import re
from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from broker.authorization.device import rules
from broker.identity.tenants.model import Tenant
from broker.protocol.names import DEVICE_CODE
from tests.lab import (
    CHALLENGE,
    ISSUER,
    TICKETS,
    VERIFIER,
    Browser,
    Lab,
    Page,
    assert_page,
    assert_refused,
    basic,
)
from tests.proofs import Holder

DOORS = ("", "/t/acme")
UNKNOWN = "This code is not known here."


def begun(lab: Lab, client_id: str = "tv-app", door: str = "", **changes: str | None) -> dict[str, str]:
    answer = lab.device(client_id, door, **changes)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return dict(answer.json)


def another(code: str) -> str:
    """A code that is nobody's."""
    last = "B" if code[-1] != "B" else "C"
    return code[:-1] + last


def flows(lab: Lab) -> list[tuple[object, ...]]:
    """The rows of all device codes."""
    return lab.table("device_code")


def is_question(response: TestResponse) -> bool:
    return response.status_code == 200 and b'value="allow"' in response.data


def refused_code(response: TestResponse) -> str:
    """The page about a code that is none, without what differs between any two of them."""
    text = assert_page(response, 400)
    assert UNKNOWN in text
    return re.sub(r'value="[^"]*"|req_\w+', "", text)


def signed_in(lab: Lab, user: str, door: str = "", source: str = "203.0.113.7") -> Browser:
    """Somebody's browser after they were at a door."""
    browser = lab.browser(source)
    lab.consent_page(user, browser, door=door, client_id="desk-app")
    return browser


# DEVICE-02


@pytest.mark.attack("DEVICE-02")
@pytest.mark.attack("CLAUTH-04")
@pytest.mark.parametrize("door", DOORS)
def test_a_confidential_client_that_only_names_itself_begins_nothing(lab: Lab, door: str) -> None:
    form = {"client_id": "box", "scope": "tickets:read", "resource": TICKETS}
    before = flows(lab)
    for sent in (form, {**form, "client_secret": "x" * 43}):
        answer = lab.post(f"{door}/device_authorization", sent)
        lab.refused(answer, 401, "invalid_client", "client_method_mismatch", "device.refused")
    wrong = lab.post(f"{door}/device_authorization", form, basic("box", "x" * 43))
    lab.refused(wrong, 401, "invalid_client", "client_authentication_failed", "device.refused")
    foreign = lab.post(f"{door}/device_authorization", {**form, "client_id": "other-box"}, basic("box"))
    lab.refused(foreign, 400, "invalid_request", "client_authentication_repeated", "device.refused")
    assert flows(lab) == before
    assert begun(lab, "box", door)["user_code"]


def test_a_client_without_the_grant_type_or_without_listed_scopes_begins_nothing(lab: Lab) -> None:
    for name in ("desk-app", "web-app"):
        lab.refused(lab.device(name), 400, "unauthorized_client", "client_grant_type", "device.refused")
    lab.put_client(replace(lab.client("tv-app"), scopes=None))
    lab.refused(lab.device(), 400, "unauthorized_client", "client_grant_type", "device.refused")
    assert flows(lab) == []


# DEVICE-03


@pytest.mark.attack("DEVICE-03")
@pytest.mark.parametrize("thief", ["other-box", "tv-app"])
def test_a_device_code_is_of_no_use_to_another_client(lab: Lab, thief: str) -> None:
    code = lab.connected("box")
    before = flows(lab)
    lab.refused(lab.poll(code, thief), 400, "invalid_grant", "device_code_foreign")
    assert flows(lab) == before
    assert lab.poll(code, "box").status_code == 200


@pytest.mark.attack("DEVICE-03")
def test_a_device_code_is_good_at_the_door_where_it_began_alone(lab: Lab) -> None:
    code = lab.connected("box", door="/t/acme")
    lab.refused(lab.poll(code, "box"), 400, "invalid_grant", "device_code_unknown")
    answer = lab.poll(code, "box", "/t/acme")
    assert answer.status_code == 200 and lab.active(answer.json["access_token"], door="/t/acme")


# DEVICE-04


@pytest.mark.attack("DEVICE-04")
def test_only_the_whole_device_code_is_one(lab: Lab) -> None:
    pending, approved = begun(lab, "box"), lab.connected("box")
    stored = [str(value) for row in flows(lab) for value in row if value and isinstance(value, str)]
    wrong = ["mcpb_dc_" + "x" * 43, pending["user_code"], approved[:-1], approved.swapcase(), approved + " "]
    wrong += [approved.removeprefix("mcpb_dc_"), *stored, lab.tokens("web-app")["refresh_token"]]
    for code in wrong:
        lab.refused(lab.poll(code, "box"), 400, "invalid_grant", "device_code_unknown")
    lab.refused(lab.poll("", "box"), 400, "invalid_request", "parameter_missing")
    assert_refused(lab.poll(pending["device_code"], "box"), 400, "authorization_pending")
    assert lab.poll(approved, "box").status_code == 200


@pytest.mark.attack("CODE-19")
def test_a_device_code_is_no_authorization_code(lab: Lab) -> None:
    code = lab.connected()
    assert_refused(lab.redeem(code), 400, "invalid_grant")
    assert_refused(lab.refresh(code), 400, "invalid_grant")
    assert_refused(lab.poll(lab.code()), 400, "invalid_grant")


# DEVICE-06


@pytest.mark.attack("DEVICE-06")
def test_codes_expire_for_the_device_and_for_the_person(lab: Lab) -> None:
    device, late = begun(lab), lab.browser()
    assert device["expires_in"] <= 600
    lab.clock.advance(device["expires_in"] - 1)
    assert_refused(lab.poll(device["device_code"]), 400, "authorization_pending")
    question = lab.device_question(device["user_code"], browser=late)
    assert is_question(question)
    lab.clock.advance(1)
    lab.refused(lab.poll(device["device_code"]), 400, "expired_token", "device_code_expired")
    typed = refused_code(lab.type_code(device["user_code"], lab.browser()))
    assert typed == refused_code(lab.type_code(another(device["user_code"]), lab.browser()))
    assert_page(late.allow(question), 400)
    assert lab.rows("access_grant") == 0
    lab.refused(lab.poll(device["device_code"]), 400, "expired_token", "device_code_expired")


@pytest.mark.attack("DEVICE-06")
def test_an_approved_code_that_nobody_fetched_expires_too(lab: Lab) -> None:
    code = lab.connected()
    lab.clock.advance(600)
    lab.refused(lab.poll(code), 400, "expired_token", "device_code_expired")


def test_old_codes_are_swept_when_their_replay_could_end_nothing_any_more(lab: Lab) -> None:
    lab.connected()
    lab.clock.advance(600 + 86399)
    lab.broker.sweep()
    assert lab.rows("device_code") == 1
    lab.clock.advance(1)
    lab.broker.sweep()
    assert lab.rows("device_code") == 0


# DEVICE-07


@pytest.mark.attack("DEVICE-07")
def test_a_refused_device_stays_refused(lab: Lab) -> None:
    device, browser = begun(lab), lab.browser()
    question = lab.device_question(device["user_code"], browser=browser)
    second = lab.device_question(device["user_code"], browser=browser)
    done = browser.submit(Page.of(question), decision="deny")
    assert "The device is not connected" in assert_page(done, 200)
    for _ in range(2):
        lab.refused(lab.poll(device["device_code"]), 400, "access_denied", "user_denied")
        refused_code(lab.type_code(device["user_code"], lab.browser()))
        refused_code(browser.get(f"/device?user_code={device['user_code']}"))
        assert_page(browser.allow(second), 400)
    lab.clock.advance(601)
    lab.refused(lab.poll(device["device_code"]), 400, "access_denied", "user_denied")
    assert lab.rows("access_grant") == 0
    told = lab.last("device.denied")
    assert (told["subject"], told["client"], told["initiator"]) == ("alice", "tv-app", "203.0.113.7")
    assert lab.poll(lab.connected()).status_code == 200


# DEVICE-09


@pytest.mark.attack("DEVICE-09")
def test_a_code_cannot_be_guessed_within_what_may_be_tried() -> None:
    chance = 2 * rules.PER_DOOR / len(rules.ALPHABET) ** rules.LENGTH  # a code sees two windows at most
    assert chance <= 2**-32 and rules.WINDOW >= 600
    assert rules.PER_BROWSER <= 10 and rules.PER_SOURCE <= 10
    assert set(rules.ALPHABET).isdisjoint("AEIOUY0123456789")


@pytest.mark.attack("DEVICE-09")
@pytest.mark.attack("CODE-27")
def test_codes_are_spread_over_all_that_there_are() -> None:
    codes = [rules.user_code(f"secret {number}") for number in range(20_000)]
    assert len(set(codes)) == len(codes)
    assert {len(code) for code in codes} == {rules.LENGTH}
    for place in range(rules.LENGTH):
        counts = [sum(code[place] == letter for code in codes) for letter in rules.ALPHABET]
        expected = len(codes) / len(rules.ALPHABET)
        assert sum((count - expected) ** 2 / expected for count in counts) < 60, place


@pytest.mark.attack("DEVICE-09")
@pytest.mark.parametrize("who", ["one session", "one browser", "one address"])
def test_wrong_codes_come_to_an_end(lab: Lab, who: str) -> None:
    device = begun(lab)
    sources = iter(f"198.51.100.{number}" for number in range(100))
    steady = signed_in(lab, "alice") if who == "one session" else lab.browser()

    def browser() -> Browser:
        if who == "one address":
            return lab.browser()
        steady.source = next(sources)
        return steady

    for number in range(30):
        answer = lab.type_code(another(device["user_code"]), browser())
        if number < 10:
            refused_code(answer)
        else:
            assert_page(answer, 429)
            assert 1 <= int(answer.headers["Retry-After"]) <= 601
    assert_page(lab.type_code(device["user_code"], browser()), 429)
    assert is_question(lab.device_question(device["user_code"], browser=lab.browser("192.0.2.7")))
    reasons = [fact["reason"] for fact in lab.facts("device.refused")]
    assert reasons[:10] == ["user_code_wrong"] * 10
    lab.clock.advance(601)
    assert is_question(lab.device_question(begun(lab)["user_code"], browser=browser()))


@pytest.mark.attack("DEVICE-09")
def test_wrong_codes_of_strangers_come_to_an_end_and_close_the_page_to_nobody(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PER_DOOR", 200)
    device = begun(lab)
    answers = [
        lab.type_code(another(device["user_code"]), lab.browser(f"198.51.100.{number}")).status_code
        for number in range(20)
        for _ in range(15)
    ]
    assert answers.count(400) == 200, "those past their own limit take nothing of others'"
    late = lab.browser("192.0.2.7")
    for code in (device["user_code"], another(device["user_code"]), "?"):
        page = lab.type_code(code, late)
        assert page.status_code == 200 and b'name="password"' in page.data, "neither right nor wrong: sign in"
    assert lab.last("device.refused")["reason"] == "rate_limited"
    assert is_question(late.sign_in(lab.type_code(device["user_code"], late))), "and the code is looked at"
    known = signed_in(lab, "bob", source="192.0.2.8")
    assert is_question(lab.type_code(device["user_code"], known))
    for number in range(11):
        answer = lab.type_code(another(device["user_code"]), known).status_code
        assert answer == (400 if number < 10 else 429), "people have a limit of their own"
    elsewhere = begun(lab, door="/t/acme")
    assert is_question(
        lab.device_question(elsewhere["user_code"], browser=lab.browser("192.0.2.7"), door="/t/acme")
    )


@pytest.mark.attack("DEVICE-09")
def test_a_household_has_one_limit_and_right_codes_take_nothing_of_it(lab: Lab) -> None:
    for number in range(12):
        device = begun(lab, source="192.0.2.7")
        browser = lab.browser(f"2001:db8::{number}")
        assert browser.get(f"/device?user_code={device['user_code']}").status_code == 200
    for number in range(11):
        answer = lab.browser(f"2001:db8::{number}").get(f"/device?user_code={another(device['user_code'])}")
        assert answer.status_code == (400 if number < 10 else 429), "a link is a guess too"


@pytest.mark.attack("DEVICE-09")
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_uses_up_nobodys_limit_and_fills_in_a_form_at_most(lab: Lab, site: str) -> None:
    device = begun(lab)
    known = signed_in(lab, "bob", source="192.0.2.8")
    sent = {"Accept": "text/html", "Sec-Fetch-Site": site}
    for code in (*[another(device["user_code"])] * 12, device["user_code"]):
        answer = known.http.get(f"/device?user_code={code}", base_url=ISSUER, headers=sent)
        assert answer.status_code == 200 and f'value="{code}"' in answer.get_data(as_text=True)
    assert is_question(lab.type_code(device["user_code"], known))
    by_hand = known.http.get(
        f"/device?user_code={device['user_code']}",
        base_url=ISSUER,
        headers={**sent, "Sec-Fetch-Site": "none"},
    )
    assert is_question(by_hand) or by_hand.status_code == 303


# DEVICE-10


@pytest.mark.attack("DEVICE-10")
@pytest.mark.parametrize("door", DOORS)
def test_the_complete_link_leads_to_a_question_and_no_further(lab: Lab, door: str) -> None:
    device = begun(lab, door=door, source="198.51.100.4")
    link = device["verification_uri_complete"].removeprefix(ISSUER)
    assert link.startswith(f"{door}/device?") and device["verification_uri"] == f"{ISSUER}{door}/device"
    browser = signed_in(lab, "alice", door)
    before = flows(lab)
    head = browser.http.head(link, base_url=ISSUER, headers={"Accept": "text/html"})
    assert head.status_code == 405
    for purpose in ("", "prefetch"):
        page = browser.get(link, **({"Sec-Purpose": purpose} if purpose else {}))
        text = assert_page(page, 200)
        shown = (
            device["user_code"],
            "TV App",
            "Read tickets",
            TICKETS,
            "198.51.100.4",
            "UTC</time>",
            "Werkzeug",
        )
        for words in shown:
            assert words in text, words
    assert flows(lab) == before and lab.rows("access_grant") == 0
    assert_refused(lab.poll(device["device_code"], door=door), 400, "authorization_pending")
    browser.allow(page)
    assert lab.poll(device["device_code"], door=door).status_code == 200


@pytest.mark.attack("DEVICE-10")
def test_what_was_allowed_before_is_asked_again_for_a_device(lab: Lab) -> None:
    lab.connected("box")
    assert is_question(lab.device_question(begun(lab, "box")["user_code"]))


# DEVICE-11


@pytest.mark.attack("DEVICE-11")
@pytest.mark.parametrize(
    "attack", ["without a token", "another session's token", "cross-site", "another origin"]
)
def test_an_answer_cannot_be_forged_from_elsewhere(lab: Lab, attack: str) -> None:
    device, browser, other = begun(lab), lab.browser(), lab.browser()
    page = Page.of(lab.device_question(device["user_code"], browser=browser))
    theirs = Page.of(lab.device_question(begun(lab)["user_code"], "bob", other))
    before = flows(lab)
    changes: dict[str, str | None] = {"decision": "allow"}
    headers: dict[str, str] = {}
    if attack == "without a token":
        changes["csrf"] = None
    elif attack == "another session's token":
        changes["csrf"] = theirs.values("csrf")[0]
    elif attack == "cross-site":
        headers["Sec-Fetch-Site"] = "cross-site"
    else:
        headers["Origin"] = "https://attacker.example"
    assert_page(browser.submit(page, headers, **changes), 403)
    assert flows(lab) == before and lab.rows("access_grant") == 0
    assert lab.facts("authorization.refused")[-1]["reason"] in ("csrf", "cross_site")
    assert browser.submit(page, decision="allow").status_code == 200
    assert lab.poll(device["device_code"]).status_code == 200


@pytest.mark.attack("DEVICE-11")
def test_a_code_cannot_be_typed_from_elsewhere_either(lab: Lab) -> None:
    device, browser = begun(lab), signed_in(lab, "alice")
    page = Page.of(browser.get("/device"))
    typed = {"user_code": device["user_code"]}
    assert_page(browser.submit(page, csrf=None, **typed), 403)
    assert_page(browser.submit(page, {"Sec-Fetch-Site": "cross-site"}, **typed), 403)
    assert_page(lab.browser().submit(page, **typed), 403)
    assert is_question(browser.submit(page, **typed))


@pytest.mark.attack("CONSENT-05")
def test_the_pages_about_devices_cannot_be_framed(lab: Lab) -> None:
    device, browser = begun(lab), lab.browser()
    for page in (browser.get("/device"), lab.device_question(device["user_code"], browser=browser)):
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


# DEVICE-13


@pytest.mark.attack("DEVICE-13")
@pytest.mark.parametrize("person", ["nobody", "signed in"])
def test_codes_that_are_none_look_alike(lab: Lab, person: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expired = begun(lab)
    lab.clock.advance(601)
    used, refused, redeemed = (begun(lab) for _ in range(3))
    for device, decision in ((used, "allow"), (refused, "deny"), (redeemed, "allow")):
        browser = lab.browser("192.0.2.7")
        browser.submit(Page.of(lab.device_question(device["user_code"], browser=browser)), decision=decision)
    assert lab.poll(redeemed["device_code"]).status_code == 200
    elsewhere = begun(lab, door="/t/acme")
    devices = (expired, used, refused, redeemed, elsewhere)
    asked: list[int] = []
    read = lab.broker.world.database.read
    monkeypatch.setattr(
        lab.broker.world.database, "read", lambda *a, **k: (asked.append(1), read(*a, **k))[1], raising=False
    )
    told, effort = set(), set()
    for number, code in enumerate(
        [another(expired["user_code"]), "", *(d["user_code"] for d in devices)][0:7]
    ):
        source = f"198.51.100.{number}"
        browser = signed_in(lab, "alice", source=source) if person == "signed in" else lab.browser(source)
        page = Page.of(browser.get("/device"))
        asked.clear()
        answer = browser.submit(page, user_code=code or "-")
        effort.add(len(asked))
        told.add((refused_code(answer), tuple(sorted(dict(answer.headers).keys() - {"Set-Cookie"}))))
    assert len(told) == 1 and len(effort) == 1, "the same answer, for the same work"
    details = {str(fact["detail"]) for fact in lab.facts("device.refused")}
    assert details == {"device_code_unknown", "device_code_expired"}, "the evidence tells more"


# DEVICE-14


@pytest.mark.attack("DEVICE-14")
def test_scopes_of_a_device_stay_within_its_registration(lab: Lab) -> None:
    for scope, reason in (
        ("tickets:read tickets:write", "scope_widened"),
        ("tickets:read admin", "scope_unknown"),
        ("admin", "scope_unknown"),
        ('tickets:read "', "scope_unknown"),
    ):
        answer = lab.device("box", scope=scope)
        lab.refused(answer, 400, "invalid_scope", reason, "device.refused")
    assert flows(lab) == []
    lab.refused(
        lab.device("box", resource="https://nobody.example/mcp"),
        400,
        "invalid_target",
        "resource_unknown",
        "device.refused",
    )
    granted = lab.poll(lab.connected("box", scope=None), "box").json["scope"]
    assert granted == "tickets:read"


# DEVICE-15


@pytest.mark.attack("DEVICE-15")
def test_a_device_that_began_with_a_challenge_is_held_to_it(lab: Lab) -> None:
    bound = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    waiting = begun(lab, **bound)["device_code"]
    approved = lab.connected(**bound)
    before = flows(lab)
    for code in (waiting, approved):
        lab.refused(lab.poll(code), 400, "invalid_grant", "pkce_mismatch")
        lab.refused(lab.poll(code, code_verifier="w" * 43), 400, "invalid_grant", "pkce_mismatch")
        lab.refused(lab.poll(code, code_verifier="w"), 400, "invalid_grant", "malformed")
    assert flows(lab) == before
    assert_refused(lab.poll(waiting, code_verifier=VERIFIER), 400, "authorization_pending")
    assert lab.poll(approved, code_verifier=VERIFIER).status_code == 200
    lab.refused(lab.poll(lab.connected(), code_verifier=VERIFIER), 400, "invalid_grant", "pkce_mismatch")


@pytest.mark.attack("DEVICE-15")
@pytest.mark.parametrize(
    "sent",
    [
        {"code_challenge": CHALLENGE},
        {"code_challenge": CHALLENGE, "code_challenge_method": "plain"},
        {"code_challenge": "short", "code_challenge_method": "S256"},
        {"code_challenge": "", "code_challenge_method": "S256"},
        {"code_challenge_method": "S256"},
    ],
)
def test_half_a_challenge_is_refused_not_ignored(lab: Lab, sent: dict[str, str]) -> None:
    lab.refused(lab.device(**sent), 400, "invalid_request", "pkce_method", "device.refused")
    assert flows(lab) == []


# DEVICE-17


@pytest.mark.attack("DEVICE-17")
def test_a_person_of_another_tenant_cannot_answer(lab: Lab) -> None:
    for door in DOORS:
        device = begun(lab, door=door)
        before = flows(lab)
        theirs = signed_in_at_files(lab, "vera")
        for where in ("", "/t/acme"):
            refused_code(lab.type_code(device["user_code"], theirs, where))
        late = lab.type_code(device["user_code"], lab.browser("192.0.2.9"), door)
        assert b'name="password"' in late.data
        answer = lab.browser("192.0.2.9")
        page = answer.sign_in(lab.type_code(device["user_code"], answer, door), "vera")
        assert page.status_code in (400, 401) and not is_question(page)
        if door == "":
            assert UNKNOWN.rstrip(".") in assert_page(page, 400)
        assert flows(lab) == before and lab.rows("access_grant") == 0
        mine = lab.browser()
        assert is_question(lab.device_question(device["user_code"], browser=mine, door=door))


def signed_in_at_files(lab: Lab, user: str) -> Browser:
    browser = lab.browser("198.51.100.9")
    lab.consent_page(user, browser, resource="https://files.example/mcp", scope="files:read")
    return browser


# DEVICE-18


@pytest.mark.attack("DEVICE-18")
def test_devices_are_off_until_a_tenant_wants_them(lab: Lab) -> None:
    assert Tenant("new", "New").device is False
    assert lab.register(grant_types=["authorization_code", DEVICE_CODE]).status_code == 400
    for door in ("/t/globex", "/t/initech"):
        found = lab.get(f"/.well-known/oauth-authorization-server{door}").json
        assert DEVICE_CODE not in found["grant_types_supported"]
        assert "device_authorization_endpoint" not in found
        answer = lab.device(door=door, resource="https://files.example/mcp", scope="files:read")
        lab.refused(answer, 400, "unauthorized_client", "device_not_allowed", "device.refused")
        assert lab.browser().get(f"{door}/device").status_code == 404
        assert_refused(lab.poll("mcpb_dc_x", door=door), 400, "unsupported_grant_type")
    found = lab.get("/.well-known/oauth-authorization-server").json
    assert DEVICE_CODE in found["grant_types_supported"]
    assert found["device_authorization_endpoint"] == f"{ISSUER}/device_authorization"


@pytest.mark.attack("DEVICE-18")
def test_at_the_root_door_a_device_is_connected_for_a_tenant_that_wants_it(lab: Lab) -> None:
    """The files serve every tenant, and `both` belongs to two, of which one wants devices."""
    device = begun(lab, scope="files:read", resource="https://files.example/mcp")
    browser = lab.browser()
    question = lab.device_question(device["user_code"], "both", browser)
    assert is_question(question) and b'name="tenant"' not in question.data
    browser.allow(question)
    assert lab.poll(device["device_code"]).status_code == 200
    assert lab.last("token.issued")["tenant"] == "acme"
    device = begun(lab, scope="files:read", resource="https://files.example/mcp")
    assert not is_question(lab.device_question(device["user_code"], "vera"))


@pytest.mark.attack("DEVICE-18")
def test_a_tenant_that_changes_its_mind_stops_what_was_not_redeemed(lab: Lab) -> None:
    code = lab.connected()
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("globex", "Globex", device=True)))
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("acme", "Acme")))
    lab.refused(lab.poll(code), 400, "invalid_grant", "device_not_allowed")


@pytest.mark.attack("DEVICE-18")
def test_tokens_of_devices_are_short_and_the_record_has_both_addresses(lab: Lab) -> None:
    device, browser = begun(lab, source="198.51.100.4"), lab.browser("192.0.2.77")
    browser.allow(lab.device_question(device["user_code"], browser=browser))
    answer = lab.poll(device["device_code"]).json
    assert answer["expires_in"] <= 300
    told = lab.last("device.approved")
    assert (told["initiator"], told["source"], told["subject"]) == ("198.51.100.4", "192.0.2.77", "alice")
    assert told["change"] == lab.last("device.started")["change"]
    story = [fact["fact"] for fact in lab.trace(str(told["grant_id"]))]
    for fact in ("consent.granted", "device.approved", "device.redeemed", "token.issued"):
        assert story.count(fact) == 1, story
    assert lab.rows("authorization_code") == 0


# DEVICE-19


@pytest.mark.attack("DEVICE-19")
@pytest.mark.parametrize("named", ["dpop_jkt", "a proof"])
def test_the_key_that_began_is_the_key_that_redeems(lab: Lab, named: str) -> None:
    first, second = Holder(), Holder()
    sent = (
        {"dpop_jkt": first.jkt}
        if named == "dpop_jkt"
        else {"dpop": first.proof(f"{ISSUER}/device_authorization", lab.clock.now())}
    )
    waiting = begun(lab, **sent)["device_code"]
    sent |= {"dpop": first.proof(f"{ISSUER}/device_authorization", lab.clock.now())} if "dpop" in sent else {}
    approved = lab.connected(**sent)

    def proof(holder: Holder) -> str:
        return holder.proof(f"{ISSUER}/token", lab.clock.now())

    before = flows(lab)
    for code in (waiting, approved):
        lab.refused(lab.poll(code, dpop=proof(second)), 400, "invalid_dpop_proof", "dpop_key_mismatch")
        lab.refused(lab.poll(code), 400, "invalid_dpop_proof", "dpop_missing")
    assert flows(lab) == before
    assert_refused(lab.poll(waiting, dpop=proof(first)), 400, "authorization_pending")
    answer = lab.poll(approved, dpop=proof(first))
    assert answer.status_code == 200 and answer.json["token_type"] == "DPoP"


@pytest.mark.attack("DEVICE-19")
def test_a_proof_and_a_thumbprint_that_disagree_begin_nothing(lab: Lab) -> None:
    first, second = Holder(), Holder()
    proof = first.proof(f"{ISSUER}/device_authorization", lab.clock.now())
    answer = lab.device(dpop=proof, dpop_jkt=second.jkt)
    lab.refused(answer, 400, "invalid_dpop_proof", "dpop_key_mismatch", "device.refused")
    lab.refused(lab.device(dpop_jkt="short"), 400, "invalid_request", "malformed", "device.refused")
    assert lab.device(dpop=proof, dpop_jkt=first.jkt).status_code == 200, "a refused proof is not used up"
    answer = lab.device(dpop=proof)
    lab.refused(answer, 400, "invalid_dpop_proof", "dpop_replayed", "device.refused")
