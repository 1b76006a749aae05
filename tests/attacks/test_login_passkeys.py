"""LOGIN: passkeys: what an authenticator says is believed when all of it is true, and once."""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from broker.identity.users.model import Membership, User
from tests.authenticator import EDDSA, ES256, RS1, RS256, UP, UV, Authenticator, Key
from tests.lab import PASSWORD, Browser, Lab, Page, claims, landed
from tests.people import (
    MFA,
    PASSKEY,
    SIGN_IN,
    add_passkey,
    by_password,
    challenge,
    creation_options,
    is_code_page,
    is_password_page,
    is_verify_page,
    passkey_form,
    show_passkey,
    signed_in,
    use_passkey,
    with_app,
    with_passkey,
)


def opened(lab: Lab, browser: Browser | None = None, **changes: str) -> tuple[Browser, TestResponse]:
    browser = browser or lab.browser()
    return browser, browser.get(lab.authorize_url(**changes))


def refused(lab: Lab, answer: TestResponse, reason: str) -> None:
    """400, nobody is signed in by it, and the reason is recorded."""
    assert answer.status_code == 400, answer.get_data(as_text=True)
    assert "Set-Cookie" not in answer.headers and b'value="allow"' not in answer.data
    assert lab.last("session.refused")["reason"] == reason


def sessions(lab: Lab) -> int:
    return len(lab.broker.sessions.open())


@pytest.mark.attack("LOGIN-16", "LOGIN-17", "LOGIN-18")
@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
def test_a_passkey_alone_signs_in_and_the_token_says_how(lab: Lab, algorithm: int) -> None:
    authenticator = with_passkey(lab, authenticator=Authenticator(algorithm))
    browser, page = opened(lab)
    lab.clock.advance(7)
    question = use_passkey(browser, page, authenticator)
    found = claims(lab.redeem(landed(browser.allow(question))["code"]).json["access_token"])
    assert found["sub"] == "alice" and found["acr"] == PASSKEY and found["amr"] == ["pop", "user", "mfa"]
    assert found["auth_time"] == int(lab.clock.now())


@pytest.mark.attack("LOGIN-16")
def test_an_assertion_is_good_once(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    browser, page = opened(lab)
    credential = authenticator.get(challenge(browser, page))
    assert b'value="allow"' in show_passkey(browser, page, credential).data
    before = sessions(lab)
    lab.clock.advance(1)
    again, other = opened(lab, browser, prompt="login"), opened(lab)
    for where, shown in (again, other):
        refused(lab, show_passkey(where, shown, credential), "challenge_unknown")
    assert sessions(lab) == before


@pytest.mark.attack("LOGIN-16")
def test_a_challenge_is_for_the_browser_that_asked_for_it(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    (mine, my_page), (theirs, their_page) = opened(lab), opened(lab)
    credential = authenticator.get(challenge(theirs, their_page))
    refused(lab, show_passkey(mine, my_page, credential), "challenge_unknown")
    assert b'value="allow"' in show_passkey(theirs, their_page, credential).data


@pytest.mark.attack("LOGIN-16")
@pytest.mark.parametrize(("seconds", "good"), [(299, True), (300, False), (599, False)])
def test_a_challenge_lasts_five_minutes(lab: Lab, seconds: int, good: bool) -> None:
    authenticator = with_passkey(lab)
    browser, page = opened(lab)
    credential = authenticator.get(challenge(browser, page))
    lab.clock.advance(seconds)
    answer = show_passkey(browser, page, credential)
    if good:
        assert b'value="allow"' in answer.data
    else:
        refused(lab, answer, "challenge_unknown")


@pytest.mark.attack("LOGIN-16")
def test_a_challenge_that_the_server_forgot_is_none(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    browser, page = opened(lab)
    credential = authenticator.get(challenge(browser, page))
    lab.sql("DELETE FROM ceremony")
    refused(lab, show_passkey(browser, page, credential), "challenge_unknown")


@pytest.mark.attack("LOGIN-16")
def test_a_challenge_that_was_answered_wrongly_is_used_up(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    browser, page = opened(lab)
    options = challenge(browser, page)
    refused(lab, show_passkey(browser, page, authenticator.get(options, flags=UP)), "passkey_invalid")
    refused(lab, show_passkey(browser, page, authenticator.get(options)), "challenge_unknown")
    assert b'value="allow"' in use_passkey(browser, page, authenticator).data


@pytest.mark.attack("LOGIN-16")
def test_a_challenge_is_for_its_purpose_and_for_its_session(lab: Lab) -> None:
    authenticator = with_passkey(lab, "bob")
    browser = signed_in(lab)
    form = browser.get(f"{SIGN_IN}/passkeys/new")
    options = creation_options(browser, form)
    lab.clock.advance(1)
    # A challenge to make a passkey signs nobody in, and one to sign in makes no passkey.
    page = browser.get(lab.authorize_url(prompt="login"))
    refused(lab, show_passkey(browser, page, authenticator.get(options)), "challenge_unknown")
    second, wrong = Authenticator(), {**options, "challenge": challenge(browser, page)["challenge"]}
    unmade(lab, browser.submit(Page.of(form), credential=second.create(wrong), name="Wrong"))
    # What one session began, another of the same person does not finish.
    other = signed_in(lab)
    there = other.get(f"{SIGN_IN}/passkeys/new")
    unmade(lab, other.submit(Page.of(there), credential=second.create(options), name="Wrong"))
    assert browser.submit(Page.of(form), credential=second.create(options), name="Right").status_code == 200
    assert lab.rows("passkey") == 2


def unmade(lab: Lab, answer: TestResponse) -> None:
    assert answer.status_code == 400 and lab.rows("passkey") == 1
    assert lab.last("credential.refused")["reason"] == "challenge_unknown"


@pytest.mark.attack("LOGIN-16")
def test_a_challenge_has_32_bytes_and_is_kept_as_a_hash(lab: Lab) -> None:
    browser, page = opened(lab)
    options = challenge(browser, page)
    assert len(str(options["challenge"])) >= 43 and options["userVerification"] == "required"
    assert options["rpId"] == "as.example" and options["allowCredentials"] == []
    assert str(options["challenge"]).encode() not in lab.dump()
    assert challenge(browser, page)["challenge"] != options["challenge"]


@pytest.mark.attack("LOGIN-16")
def test_one_source_gets_so_many_challenges_a_minute(lab: Lab) -> None:
    browser, page = opened(lab)
    url, fields = passkey_form(page)
    path = url.removeprefix("https://as.example")
    limit = lab.broker.settings.interactions_per_minute
    answers = [browser.post(path, fields).status_code for _ in range(limit)]
    assert answers[0] == 200 and answers[-1] == 429
    other = lab.browser("192.0.2.9")
    assert challenge(other, other.get(lab.authorize_url()))


SPOILED = {
    "another origin": {"origin": "https://evil.example"},
    "http": {"origin": "http://as.example"},
    "a door is no origin": {"origin": "https://as.example/t/acme"},
    "a host below": {"origin": "https://login.as.example"},
    "the parent's rpId": {"rp_id": "example"},
    "another rpId": {"rp_id": "evil.example"},
    "a tenant's rpId": {"rp_id": "acme.as.example"},
    "the type of the other ceremony": {"kind": "other"},
    "crossOrigin": {"cross_origin": True},
    "crossOrigin as text": {"cross_origin": "true"},
    "a frame": {"more": {"topOrigin": "https://evil.example"}},
}


@pytest.mark.attack("LOGIN-17")
@pytest.mark.parametrize("case", SPOILED)
def test_a_passkey_answers_for_our_origin_only(lab: Lab, case: str) -> None:
    authenticator = with_passkey(lab)
    browser, page = opened(lab)
    before = lab.table("passkey")
    refused(
        lab,
        use_passkey(browser, page, authenticator, **SPOILED[case]),
        "passkey_invalid",
    )
    assert lab.table("passkey") == before and sessions(lab) == 1
    assert b'value="allow"' in use_passkey(browser, page, authenticator).data


@pytest.mark.attack("LOGIN-17")
@pytest.mark.parametrize("case", SPOILED)
def test_a_passkey_is_made_for_our_origin_only(lab: Lab, case: str) -> None:
    browser = signed_in(lab)
    answer = add_passkey(browser, Authenticator(), **SPOILED[case])
    assert answer.status_code == 400 and lab.rows("passkey") == 0
    assert lab.last("credential.refused")["reason"] == "passkey_invalid"
    assert add_passkey(browser, Authenticator()).status_code == 200 and lab.rows("passkey") == 1


@pytest.mark.attack("LOGIN-18")
@pytest.mark.parametrize("flags", [UP, UV, 0])
@pytest.mark.parametrize("role", ["member", "admin", "owner", "approver"])
def test_presence_and_verification_are_demanded_of_everybody(lab: Lab, flags: int, role: str) -> None:
    give_role(lab, "alice", role)
    authenticator = with_passkey(lab)
    browser, page = opened(lab)
    refused(lab, use_passkey(browser, page, authenticator, flags=flags), "passkey_invalid")
    assert sessions(lab) == 1
    assert b'value="allow"' in use_passkey(browser, page, authenticator).data


@pytest.mark.attack("LOGIN-18")
@pytest.mark.parametrize("flags", [UP, UV, 0])
def test_no_passkey_is_made_without_presence_and_verification(lab: Lab, flags: int) -> None:
    browser = signed_in(lab)
    assert add_passkey(browser, Authenticator(), flags=flags).status_code == 400
    assert lab.rows("passkey") == 0 and add_passkey(browser, Authenticator()).status_code == 200


def give_role(lab: Lab, user: str, role: str) -> None:
    person = User(user, user.title(), f"{user}@example.com", (Membership("acme", (role,)),))
    lab.change(lambda tx: lab.broker.people.put(tx, person))


@pytest.mark.attack("LOGIN-18")
@pytest.mark.parametrize("role", ["admin", "owner", "approver"])
def test_who_decides_for_others_uses_the_passkey_they_have(lab: Lab, role: str) -> None:
    authenticator = with_passkey(lab)
    _, member = by_password(lab)
    assert b'value="allow"' in member.data
    give_role(lab, "alice", role)
    browser, page = by_password(lab)
    assert is_verify_page(page) and b'name="code"' not in page.data
    assert b'value="allow"' in use_passkey(browser, page, authenticator).data


@pytest.mark.attack("LOGIN-19")
def test_a_passkey_of_somebody_else_completes_no_sign_in(lab: Lab) -> None:
    with_app(lab, "alice")
    bobs = with_passkey(lab, "bob")
    browser, page = by_password(lab, acr_values=MFA)
    assert is_code_page(page)
    # The page offers alice no passkey; the form is sent nevertheless.
    fields = [*Page.of(page).fields, ("step", "verify")]
    fields = [(name, value) for name, value in fields if name != "code"]
    options = browser.post("/login/passkey/options", fields).json
    answer = browser.post("/login/passkey", [*fields, ("credential", bobs.get(options))])
    refused(lab, answer, "passkey_foreign")
    assert is_code_page(answer)
    assert sessions(lab) == 2  # those in which the two enrolled


@pytest.mark.attack("LOGIN-19")
@pytest.mark.parametrize("handle", ["", "bob's", "someone", "missing"])
def test_the_user_handle_is_that_of_the_credential(lab: Lab, handle: str) -> None:
    mine, bobs = with_passkey(lab), with_passkey(lab, "bob")
    browser, page = opened(lab)
    given = {"bob's": bobs.handle, "someone": "c29tZW9uZQ"}.get(handle, "")
    options = challenge(browser, page)
    credential = mine.get(options, handle=given)
    if handle == "missing":
        credential = credential.replace('"userHandle": ""', '"userHandle": null')
    refused(lab, show_passkey(browser, page, credential), "passkey_invalid")
    assert b'value="allow"' in use_passkey(browser, page, mine).data


@pytest.mark.attack("LOGIN-19")
def test_a_passkey_of_another_tenant_opens_no_door(lab: Lab) -> None:
    veras, alices = with_passkey(lab, "vera"), with_passkey(lab)
    browser, page = opened(lab, door="/t/acme")
    refused(lab, use_passkey(browser, page, veras), "not_a_member")
    assert b'value="allow"' in use_passkey(browser, page, alices).data


@pytest.mark.attack("LOGIN-19")
def test_an_unknown_credential_and_a_foreign_key_sign_nobody_in(lab: Lab) -> None:
    authenticator = with_passkey(lab)
    browser, page = opened(lab)
    stranger = Authenticator(handle=authenticator.handle)
    refused(lab, use_passkey(browser, page, stranger), "passkey_unknown")
    stranger.credential_id = authenticator.credential_id
    refused(lab, use_passkey(browser, page, stranger), "passkey_invalid")
    answer = use_passkey(browser, page, authenticator, signed=lambda signature: signature[:-1] + b"\0")
    refused(lab, answer, "passkey_invalid")
    assert b'value="allow"' in use_passkey(browser, page, authenticator).data


@pytest.mark.attack("LOGIN-21")
@pytest.mark.parametrize(
    "case",
    [
        "RS1",
        "ES512",
        "secp256k1",
        "off the curve",
        "ES256 with an RSA key",
        "a short RSA key",
        "no map",
        "X25519",
    ],
)
def test_a_key_that_is_not_sound_is_not_registered(lab: Lab, case: str) -> None:
    browser, authenticator = signed_in(lab), Authenticator()
    point = dict(authenticator.key.cose)
    rsa_key = Key(RS256).cose
    cose = {
        "RS1": Key(RS1).cose,
        "ES512": {**point, 3: -36},
        "secp256k1": {**point, -1: 8},
        "off the curve": {**point, -3: bytes(31) + b"\x05"},
        "ES256 with an RSA key": {**rsa_key, 3: ES256},
        "a short RSA key": {**rsa_key, -1: rsa_key[-1][:128]},  # type: ignore[index]
        "no map": {1: 2},
        "X25519": {1: 1, 3: EDDSA, -1: 4, -2: bytes(32)},
    }[case]
    answer = add_passkey(browser, authenticator, cose=cose)
    assert answer.status_code == 400 and lab.rows("passkey") == 0
    assert lab.last("credential.refused")["reason"] == "passkey_invalid"
    assert add_passkey(browser, authenticator).status_code == 200


def changed(**members: object) -> Callable[[dict[str, object]], object]:
    return lambda made: {**made, **members}


@pytest.mark.attack("LOGIN-21")
@pytest.mark.parametrize(
    "attestation",
    [
        changed(attStmt={"sig": b"x"}),
        changed(attStmt={"anything": 1}),
        changed(fmt="packed", attStmt={"alg": -7, "sig": b"x"}),
        changed(fmt="packed", attStmt={"alg": -7, "sig": b"x", "x5c": [b"x"]}),
        changed(fmt="fido-u2f", attStmt={"sig": b"x", "x5c": [b"x"]}),
        changed(fmt=None),
        changed(more=1),
        lambda made: {"fmt": "none", "attStmt": {}},
        lambda made: [1, 2],
        lambda made: {**made, "authData": made["authData"] + b"rest"},
        lambda made: {**made, "authData": made["authData"][:60]},
        lambda made: {**made, "authData": b""},
    ],
)
def test_an_attestation_that_was_tampered_with_is_refused(
    lab: Lab, attestation: Callable[[dict[str, object]], object]
) -> None:
    browser, authenticator = signed_in(lab), Authenticator()
    assert add_passkey(browser, authenticator, attestation=attestation).status_code == 400
    assert lab.rows("passkey") == 0
    assert add_passkey(browser, authenticator).status_code == 200


@pytest.mark.attack("LOGIN-21")
@pytest.mark.parametrize("owner", ["alice", "bob"])
def test_a_credential_is_registered_once(lab: Lab, owner: str) -> None:
    authenticator = with_passkey(lab)
    before = lab.table("passkey")
    browser = lab.browser()
    if owner == "alice":
        use_passkey(browser, browser.get("/account"), authenticator)
        before = lab.table("passkey")
    else:
        signed_in(lab, owner, browser)
    answer = add_passkey(browser, authenticator, "Mine now")
    assert answer.status_code == 400 and lab.table("passkey") == before
    assert lab.last("credential.refused")["reason"] == "credential_taken"


@pytest.mark.attack("LOGIN-21")
def test_a_counter_that_does_not_grow_is_refused_and_recorded(lab: Lab) -> None:
    authenticator = with_passkey(lab, authenticator=Authenticator(counter=5))
    browser, page = opened(lab)
    assert b'value="allow"' in use_passkey(browser, page, authenticator).data
    for counter in (4, 5, -1):
        authenticator.counter = counter
        browser, page = opened(lab)
        refused(lab, use_passkey(browser, page, authenticator), "passkey_counter")
        assert lab.last("session.refused")["subject"] == "alice"
    authenticator.counter = 6
    assert b'value="allow"' in use_passkey(browser, page, authenticator).data


@pytest.mark.attack("LOGIN-21")
def test_a_synced_passkey_that_never_counts_works_again_and_again(lab: Lab) -> None:
    authenticator = with_passkey(lab, authenticator=Authenticator(counter=None, eligible=True))
    for _ in range(3):
        browser, page = opened(lab)
        assert b'value="allow"' in use_passkey(browser, page, authenticator).data
    browser, page = opened(lab)
    refused(lab, use_passkey(browser, page, authenticator, flags=UP | UV), "passkey_invalid")


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "x",
        "{}",
        "[]",
        '{"id":1}',
        '{"id":"a","rawId":"a","type":"public-key","response":{}}',
        "[" * 4000,
        "\ud7ff",
    ],
)
def test_what_is_no_credential_is_refused_without_a_fault(lab: Lab, credential: str) -> None:
    browser, page = opened(lab)
    refused(lab, show_passkey(browser, page, credential), "passkey_invalid")


def test_passkeys_are_not_offered_at_an_address(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(issuer="http://127.0.0.1:8400")
    http = lab.app.test_client()
    page = http.get("/login?to=account", base_url="http://127.0.0.1:8400")
    assert page.status_code == 200 and b"passkey" not in page.data
    assert "script-src" not in page.headers["Content-Security-Policy"]
    fields = dict(Page.of(page).fields)
    answer = http.post("/login/passkey/options", base_url="http://127.0.0.1:8400", data=fields)
    assert answer.status_code == 400
    assert is_password_page(page) and PASSWORD.encode() not in page.data
