"""LOGIN, sign-in through upstream providers: every binding of a visit, and accounts that nobody is given by e-mail."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm
from werkzeug.test import TestResponse

from tests.documents import Authority
from tests.federation.scripted import CLIENT, Scripted
from tests.federation.steps import Setting, setting
from tests.lab import ACME, ISSUER, Lab, assert_page, race
from tests.people import hammer

CREATES = {"accounts": "create", "claims": {"id": "preferred_username", "tenants": [{"always": "acme"}]}}


@pytest.fixture
def fed(lab: Lab, tmp_path: Path) -> Iterator[Setting]:
    """Two providers of the server, `corp` and `other`, each of which creates accounts."""
    with setting(lab, Authority(tmp_path)) as found:
        found.apply(*both(found))
        yield found


def both(fed: Setting, **changes: object) -> tuple[dict[str, object], dict[str, object]]:
    """The two, `corp` with changes."""
    other = fed.provider("other", **CREATES, issuer=fed.other.issuer, name="Other")
    return fed.provider(**CREATES, **changes), other


def refused(fed: Setting, page: TestResponse, reason: str, status: int = 400) -> dict[str, object]:
    """The page, the record, and nobody signed in or made."""
    assert_page(page, status)
    assert "Set-Cookie" not in page.headers
    record = fed.lab.last("session.refused")
    assert (record["outcome"], record["reason"]) == ("denied", reason), record
    assert fed.lab.facts("session.started") == [] and fed.lab.rows("identity_link") == 0
    return record


def comes_in(fed: Setting) -> None:
    """The same with nothing wrong: the provider and the way through it are sound."""
    page = fed.sign_in()
    assert page.status_code == 200 and b'name="decision"' in page.data, page.text


# The state


@pytest.mark.attack("LOGIN-23")
def test_a_state_is_used_once(fed: Setting) -> None:
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser))
    assert fed.back(browser, came).status_code == 200
    sessions = len(fed.lab.facts("session.started"))
    page = fed.back(browser, came)
    assert_page(page, 400)
    assert fed.lab.last("session.refused")["reason"] == "provider_visit_unknown"
    assert len(fed.lab.facts("session.started")) == sessions == 1


@pytest.mark.attack("LOGIN-23")
def test_of_many_returns_with_one_state_one_makes_a_session(fed: Setting) -> None:
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser), preferred_username="carol")
    cookie = browser.http.get_cookie("__Host-broker", domain="as.example").value
    browsers = [fed.lab.browser() for _ in range(64)]
    for one in browsers:
        one.http.set_cookie("__Host-broker", cookie, domain="as.example", secure=True)
    pages = race(64, lambda i: fed.back(browsers[i], came))
    statuses = sorted(page.status_code for page in pages)
    assert statuses == [200] + [400] * 63
    assert len(fed.lab.facts("session.started")) == len(fed.idp.forms) == 1
    assert fed.lab.rows("identity_link") == 1


@pytest.mark.attack("LOGIN-23")
@pytest.mark.parametrize("state", [None, "", "x", "é", "0" * 43, "s" * 100_000])
def test_without_the_state_of_a_visit_nothing_happens(fed: Setting, state: str | None) -> None:
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser))
    changed = {name: value for name, value in {**came, "state": state}.items() if value is not None}
    page = fed.back(browser, changed)
    if state and len(state) > 1000:
        assert page.status_code in (400, 413)
    else:
        refused(fed, page, "provider_visit_unknown")
    assert fed.idp.forms == [] and fed.back(browser, came).status_code == 200


@pytest.mark.attack("LOGIN-23")
def test_a_visit_is_of_the_browser_that_began_it(fed: Setting) -> None:
    """Sign-in CSRF: an attacker's return, given to a victim, signs nobody in, and is not used up by it."""
    attacker, victim = fed.lab.browser(), fed.lab.browser()
    came = fed.idp.visit(fed.begin(attacker), "the attacker")
    refused(fed, fed.back(fed.lab.browser(), came), "provider_visit_unknown")
    fed.page(victim)
    refused(fed, fed.back(victim, came), "provider_visit_unknown")
    assert fed.back(attacker, came).status_code == 200


@pytest.mark.attack("LOGIN-23")
def test_a_visit_is_of_the_door_at_which_it_began(fed: Setting) -> None:
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser))
    refused(fed, fed.back(browser, came, "/t/acme"), "provider_visit_unknown")
    assert fed.back(browser, came).status_code == 200


# Mix-up


@pytest.mark.attack("LOGIN-23")
def test_each_provider_at_each_door_has_a_redirect_uri_of_its_own(fed: Setting) -> None:
    uris = {
        parse_qs(urlsplit(fed.begin(fed.lab.browser(), door, by)).query)["redirect_uri"][0]
        for door in ("", "/t/acme")
        for by in ("corp", "other")
    }
    assert uris == {
        f"{base}/login/upstream/{by}/callback" for base in (ISSUER, ACME) for by in ("corp", "other")
    }


@pytest.mark.attack("LOGIN-23")
def test_an_answer_at_the_callback_of_another_provider_is_none(fed: Setting) -> None:
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser))
    refused(fed, fed.back(browser, came, by="other"), "provider_visit_unknown")
    assert fed.other.forms == [], "the code was not shown to the other provider"
    assert fed.back(browser, came).status_code == 200


@pytest.mark.attack("LOGIN-23")
@pytest.mark.parametrize("said", ["https://other.example", "", None, "the issuer with a slash", "twice"])
@pytest.mark.requirement("ISS-RP-01")
@pytest.mark.requirement("ISS-RP-02")
def test_the_answer_names_the_provider_exactly(fed: Setting, said: str | None) -> None:
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser))
    right = came.pop("iss")
    if said == "twice":
        query = f"code={came['code']}&state={came['state']}&iss={right}&iss={right}"
        page = browser.get(f"/login/upstream/corp/callback?{query}")
        assert_page(page, 400)
    else:
        if said is not None:
            came["iss"] = right + "/" if said.startswith("the issuer") else said
        refused(fed, fed.back(browser, came), "provider_mismatch")
    assert fed.idp.forms == []
    comes_in(fed)


@pytest.mark.attack("LOGIN-23")
def test_a_code_of_another_provider_is_no_code_here(fed: Setting) -> None:
    browser, attacker = fed.lab.browser(), fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser))
    stolen = fed.other.visit(fed.begin(attacker, by="other"), "somebody else")
    refused(fed, fed.back(browser, {**came, "code": stolen["code"]}), "provider_answer_invalid")
    comes_in(fed)


@pytest.mark.attack("LOGIN-23")
def test_a_code_of_another_visit_is_no_code_here(fed: Setting) -> None:
    """Code injection: PKCE at an honest provider, the nonce even at one that does not check PKCE."""
    browser, victim = fed.lab.browser(), fed.lab.browser()
    for checks in (True, False):
        fed.idp.checks = checks
        stolen = fed.idp.visit(fed.begin(victim), "the victim")
        came = fed.idp.visit(fed.begin(browser))
        record = refused(fed, fed.back(browser, {**came, "code": stolen["code"]}), "provider_answer_invalid")
        assert record["detail"] == ("token endpoint: invalid_grant" if checks else "id_token: nonce")
    comes_in(fed)


@pytest.mark.attack("LOGIN-23")
def test_a_visit_always_has_pkce_and_the_verifier_fits(fed: Setting) -> None:
    browser = fed.lab.browser()
    url = fed.begin(browser)
    asked = parse_qs(urlsplit(url).query)
    fed.back(browser, fed.idp.visit(url))
    verifier = fed.idp.forms[0]["code_verifier"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert asked["code_challenge"] == [digest] and asked["code_challenge_method"] == ["S256"]
    assert len(verifier) == 43


# The id_token


TOKENS: dict[str, tuple[dict[str, object], str]] = {
    "another nonce": ({"nonce": "n" * 43}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "a nonce that is no text": ({"nonce": 7}, "nonce"),
    "for somebody else": ({"aud": "another client"}, "aud"),
    "for somebody else too": ({"aud": [CLIENT, "another client"], "azp": CLIENT}, "aud"),
    "for nobody": ({"aud": []}, "aud"),
    "no audience": ({"aud": None}, "aud"),
    "another authorized party": ({"azp": "another client"}, "azp"),
    "another issuer": ({"iss": "https://other.example"}, "iss"),
    "the issuer and more": ({"iss": "https://idp.example.evil.example"}, "iss"),
    "no issuer": ({"iss": None}, "iss"),
    "expired": ({"exp": 1_799_999_900}, "expired"),
    "no expiry": ({"exp": None}, "claims"),
    "issued in the future": ({"iat": 1_800_000_100}, "not_yet_valid"),
    "not issued": ({"iat": None}, "iat"),
    "a time that is none": ({"exp": "tomorrow"}, "claims"),
    "no subject": ({"sub": None}, "sub"),
    "an empty subject": ({"sub": ""}, "sub"),
    "a subject too long": ({"sub": "s" * 256}, "sub"),
    "a subject with a control character": ({"sub": "a\nb"}, "sub"),
    "another access token's hash": ({"at_hash": "x" * 22}, "at_hash"),
    "a time of sign-in that is none": ({"auth_time": "now"}, "auth_time"),
}


@pytest.mark.attack("LOGIN-23")
@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.requirement("OIDC-RP-02")
@pytest.mark.requirement("OIDC-RP-03")
@pytest.mark.requirement("OIDC-RP-04")
@pytest.mark.requirement("OIDC-RP-06")
@pytest.mark.requirement("OIDC-RP-07")
@pytest.mark.requirement("OIDC-RP-09")
def test_an_id_token_that_says_something_else_is_not_believed(fed: Setting, name: str) -> None:
    changes, why = TOKENS[name]
    fed.idp.token.update(changes)
    page = fed.sign_in(subject="s-1", preferred_username="carol")
    record = refused(fed, page, "provider_answer_invalid")
    assert record["detail"] == f"id_token: {why}", record
    assert why not in page.text.lower().replace("sub", "") or why in ("iss", "aud"), "the page says less"
    fed.idp.token.clear()
    comes_in(fed)


def _unsigned(idp: Scripted, claims: dict[str, object]) -> str:
    return jwt.encode(claims, None, "none")


def _by_secret(idp: Scripted, claims: dict[str, object]) -> str:
    return jwt.encode(claims, "a secret: with +, % and ü" * 2, "HS256", headers={"kid": idp.kid})


def _by_public_key(idp: Scripted, claims: dict[str, object]) -> str:
    """HS256 keyed with the published key, by hand: libraries refuse to do it."""
    pem = idp.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    import hmac

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "kid": idp.kid}) + b"." + part(claims)
    mac = base64.urlsafe_b64encode(hmac.new(pem, signed, hashlib.sha256).digest()).rstrip(b"=")
    return (signed + b"." + mac).decode()


def _by_own_key(idp: Scripted, claims: dict[str, object]) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwt.encode(claims, key, "ES256", headers={"kid": idp.kid, "jwk": public})


def _by_other_key(idp: Scripted, claims: dict[str, object]) -> str:
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "never"})


def _other_algorithm(idp: Scripted, claims: dict[str, object]) -> str:
    return jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS512", headers={"kid": idp.kid})


def _access_token(idp: Scripted, claims: dict[str, object]) -> str:
    return jwt.encode(claims, idp.key, "ES256", headers={"kid": idp.kid, "typ": "at+jwt"})


def _critical(idp: Scripted, claims: dict[str, object]) -> str:
    return jwt.encode(claims, idp.key, "ES256", headers={"kid": idp.kid, "crit": ["exp"]})


def _swapped(idp: Scripted, claims: dict[str, object]) -> str:
    """The signature of another token."""
    said, other = idp.id_token(claims), idp.id_token({**claims, "sub": "somebody else"})
    return said.rpartition(".")[0] + "." + other.rpartition(".")[2]


SIGNERS: dict[Callable[[Scripted, dict[str, object]], str], str] = {
    _unsigned: "algorithm",
    _by_secret: "algorithm",
    _by_public_key: "algorithm",
    _other_algorithm: "algorithm",
    _by_own_key: "signature",
    _by_other_key: "signature",
    _access_token: "type",
    _critical: "malformed",
    _swapped: "signature",
}


@pytest.mark.attack("LOGIN-23")
@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.__name__)
@pytest.mark.requirement("OIDC-RP-05")
def test_an_id_token_that_the_provider_did_not_sign_is_not_believed(
    fed: Setting, signer: Callable[[Scripted, dict[str, object]], str]
) -> None:
    """Whatever the provider's metadata offers: it lists `none`."""
    fed.idp.metadata["id_token_signing_alg_values_supported"] = ["none", "HS256", "RS512", "ES256"]
    fed.idp.signed = lambda claims: signer(fed.idp, claims)
    record = refused(fed, fed.sign_in(), "provider_answer_invalid")
    assert record["detail"] == f"id_token: {SIGNERS[signer]}", record
    fed.idp.signed = None
    comes_in(fed)


@pytest.mark.attack("LOGIN-23")
def test_an_algorithm_that_was_not_configured_is_not_believed(fed: Setting) -> None:
    fed.apply(*both(fed, algorithms=["EdDSA"]))
    assert refused(fed, fed.sign_in(), "provider_answer_invalid")["detail"] == "id_token: algorithm"
    fed.apply(*both(fed, algorithms=["ES256"]))
    comes_in(fed)


@pytest.mark.attack("LOGIN-23")
def test_an_id_token_with_the_hash_of_its_access_token_is_believed(fed: Setting) -> None:
    half = hashlib.sha256(b"at").digest()[:16]
    fed.idp.token["at_hash"] = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    comes_in(fed)


# Issuers with a tenant in them


ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.mark.attack("LOGIN-23")
@pytest.mark.parametrize(
    ("tid", "issued_for", "good"),
    [
        (ONE, ONE, True),
        (TWO, TWO, False),
        (ONE, TWO, False),
        (TWO, ONE, False),
        ("{tenantid}", "{tenantid}", False),
        (None, ONE, False),
        ([ONE], ONE, False),
    ],
)
def test_of_an_issuer_with_many_tenants_only_the_allowed_ones_come_in(
    fed: Setting, tid: object, issued_for: str, good: bool
) -> None:
    template = f"{fed.idp.issuer}/{{tenantid}}/v2.0"
    fed.idp.metadata.update(issuer=template, authorization_response_iss_parameter_supported=False)
    entry = fed.provider("entra", **CREATES, issuer=template, entra={"tenants": [ONE]})
    fed.apply(*both(fed), entry)
    fed.idp.token["iss"] = template.replace("{tenantid}", issued_for)
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser, by="entra"), tid=tid)
    del came["iss"]
    page = fed.back(browser, came, by="entra")
    assert "/organizations/v2.0/.well-known/openid-configuration" in fed.idp.seen
    if good:
        assert page.status_code == 200, page.text
        assert fed.lab.table("identity_link")[0][2] == f"{fed.idp.issuer}/{ONE}/v2.0"
    else:
        assert refused(fed, page, "provider_answer_invalid")["detail"] == "id_token: iss"


# Accounts


@pytest.mark.attack("LOGIN-24")
@pytest.mark.parametrize("verified", [False, True, None, "true"])
@pytest.mark.parametrize("address", ["alice@example.com", "ALICE@Example.com"])
def test_an_account_is_not_given_to_whoever_has_its_e_mail_address(
    fed: Setting, verified: object, address: str
) -> None:
    before = fed.lab.broker.people.get("alice")
    page = fed.sign_in(
        subject="mallory", preferred_username="mallory", email=address, email_verified=verified
    )
    refused(fed, page, "identity_not_linked", 403)
    assert "never linked because of an e-mail address alone" in page.text
    assert "alice" not in page.text.lower()
    assert fed.lab.broker.people.get("alice") == before and fed.lab.broker.people.get("mallory") is None
    # Whoever holds both, and signs in here first, links them.
    fed.link(fed.lab.browser(), "alice", "mallory")
    assert fed.sign_in(subject="mallory").status_code == 200
    assert fed.lab.last("session.started")["subject"] == "alice"


@pytest.mark.attack("LOGIN-24")
def test_an_account_is_not_given_to_whoever_has_its_name(fed: Setting) -> None:
    fed.sign_in(subject="mallory", preferred_username="alice", name="Alice")
    assert str(fed.lab.last("session.started")["subject"]).startswith("alice-")


@pytest.mark.attack("LOGIN-24")
def test_a_tenants_provider_does_not_learn_whose_addresses_are_known_elsewhere(fed: Setting) -> None:
    own = {"tenant": "acme", "accounts": "create", "claims": {"id": "preferred_username"}}
    fed.apply(*both(fed), fed.provider("own", **own))
    for subject, address, status in (("v", "vera@example.com", 200), ("n", "new@example.com", 200)):
        claims = {"preferred_username": f"new-{subject}", "email": address, "email_verified": True}
        assert fed.sign_in(subject=subject, door="/t/acme", by="own", **claims).status_code == status
    assert fed.lab.broker.people.get("new-v").email is None, "it is vera's, of globex"
    assert fed.lab.broker.people.get("new-n").email == "new@example.com"
    claims = {"preferred_username": "new-b", "email": "bob@example.com", "email_verified": True}
    assert_page(fed.sign_in(subject="b", door="/t/acme", by="own", **claims), 403)


@pytest.mark.attack("LOGIN-24")
@pytest.mark.requirement("OIDC-RP-10")
def test_the_same_subject_at_another_provider_is_somebody_else(fed: Setting) -> None:
    fed.link(fed.lab.browser(), "alice", "s-1")
    browser = fed.lab.browser()
    came = fed.other.visit(fed.begin(browser, by="other"), "s-1", preferred_username="mallory")
    assert fed.back(browser, came, by="other").status_code == 200
    assert fed.lab.last("session.started")["subject"] == "mallory"


@pytest.mark.attack("LOGIN-07")
@pytest.mark.parametrize(("by", "known"), [("corp", True), ("own", False)])
def test_a_browser_is_known_by_a_provider_of_the_server_and_not_by_one_of_a_tenant(
    fed: Setting, by: str, known: bool
) -> None:
    """Else a tenant could make itself browsers that guess on at a password which opens more than the tenant."""
    lab, mine = fed.lab, fed.lab.browser()
    fed.apply(*both(fed), fed.provider("own", tenant="acme"))
    fed.link(lab.browser(), "alice", "s-1", "/t/acme", by)
    fed.sign_in(mine, "s-1", "/t/acme", by)
    assert lab.last("session.started")["subject"] == "alice"
    assert (mine.http.get_cookie("__Host-broker-known", domain="as.example") is not None) == known
    hammer(lab)
    lab.clock.advance(1)
    page = mine.get(lab.authorize_url(prompt="login"))
    assert mine.sign_in(page, "bob").status_code == 200
    lab.clock.advance(1)
    page = mine.get(lab.authorize_url(prompt="login"))
    assert mine.sign_in(page).status_code == (200 if known else 429)
