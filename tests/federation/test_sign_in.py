"""Signing in at an upstream provider: who comes in, as whom, and what the session is worth."""

import contextlib
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from broker.identity.federation import store
from broker.identity.federation.links import Links
from broker.identity.federation.model import Identity, Link, Provider
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Tenant
from broker.identity.users.credentials import store as credentials
from broker.identity.users.credentials.model import Passkey
from broker.identity.users.own import NotChanged
from broker.identity.users.ways_in import WaysIn
from broker.protocol import acr
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from tests.account.test_apps import words
from tests.federation.steps import Setting, address
from tests.lab import ACME, CALLBACK, FILES, ISSUER, PASSWORD, Browser, assert_page, claims, landed, race

CREATES = {"accounts": "create", "claims": {"id": "preferred_username", "tenants": [{"always": "acme"}]}}
OWN = {"tenant": "acme", "accounts": "create", "claims": {"id": "preferred_username"}}


def consents(page) -> bool:
    return page.status_code == 200 and b'name="decision"' in page.data


def refused(fed: Setting, page, status: int, reason: str) -> dict[str, object]:
    """A page that says so, and the record of it."""
    assert_page(page, status)
    record = fed.lab.last("session.refused")
    assert (record["outcome"], record["reason"]) == ("denied", reason), record
    return record


def unlink(fed: Setting, browser: Browser, which: str) -> TestResponse:
    """What the button on the account page does."""
    cookie = browser.http.get_cookie("__Host-broker", domain="as.example")
    token = fed.lab.broker.manners.csrf.token(cookie.value, "links")
    return browser.post("/account/sign-in", [("csrf", token), ("unlink", which)])


# New accounts


def test_a_new_person_comes_in_and_gets_a_token_that_says_how(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    browser = fed.lab.browser()
    page = fed.sign_in(
        browser, preferred_username="Carol", name="Carol C", email="carol@corp.example", email_verified=True
    )
    code = landed(browser.allow(page))["code"]
    token = claims(fed.lab.redeem(code).json["access_token"])
    assert (token["sub"], token["tenant"], token["acr"]) == ("carol", "acme", acr.PASSWORD)
    assert token["amr"] == ["fed"] and token["auth_time"] == int(fed.lab.clock.now())
    user = fed.user("carol")
    assert (user.name, user.email, user.tenants()) == ("Carol C", "carol@corp.example", ("acme",))
    assert fed.lab.last("session.started")["subject"] == "carol"
    assert [fact["change"] for fact in fed.lab.facts("user.created")] == [{"provider": "corp"}]
    assert [fact["change"] for fact in fed.lab.facts("identity.linked")] == [{"provider": "corp"}]


def test_the_same_person_comes_back_to_the_same_account(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    fed.sign_in(preferred_username="carol")
    fed.sign_in(preferred_username="someone-else-now", email="new@corp.example", email_verified=True)
    assert [fact["subject"] for fact in fed.lab.facts("session.started")] == ["carol", "carol"]
    assert fed.lab.rows("identity_link") == 1 and fed.user("someone-else-now") is None


@pytest.mark.parametrize(
    ("wished", "given"),
    [
        ("alice", "alice-"),  # a user's
        ("desk-app", "desk-app-"),  # a client's
        ("nightly", "nightly-"),  # a client's, behind a tenant's wall
        ("dave@corp.example", "dave-corp.example-"),
        ("../etc", "etc-"),
        ("名前", "corp-"),
        (None, "corp-"),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_an_id_that_is_taken_or_none_is_never_given(
    fed: Setting, wished: str | None, given: str, own: bool
) -> None:
    fed.apply(fed.provider(**(OWN if own else CREATES)))
    page = fed.sign_in(door="/t/acme", preferred_username=wished)
    assert consents(page), page.get_data(as_text=True)
    name = str(fed.lab.last("session.started")["subject"])
    assert name.startswith(given) and len(name) == len(given) + 10
    assert fed.user("alice").name == "Alice"


def test_two_first_visits_at_once_make_one_account(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    browsers = [fed.lab.browser() for _ in range(8)]
    came = [fed.idp.visit(fed.begin(browser), preferred_username="carol") for browser in browsers]
    pages = race(8, lambda i: fed.back(browsers[i], came[i]))
    assert all(consents(page) for page in pages), pages
    assert fed.lab.rows("identity_link") == 1 and len(fed.lab.facts("user.created")) == 1
    assert {fact["subject"] for fact in fed.lab.facts("session.started")} == {"carol"}


def test_without_leave_to_create_accounts_a_new_person_is_told_to_link(fed: Setting) -> None:
    fed.apply(fed.provider())
    page = fed.sign_in(preferred_username="carol")
    record = refused(fed, page, 403, "identity_not_linked")
    assert record["change"] == {"provider": "corp"} and "subject" not in record
    assert fed.user("carol") is None and "No account here belongs to that sign-in" in page.text


def test_an_unverified_address_is_not_kept(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    fed.sign_in(preferred_username="carol", email="carol@corp.example", email_verified=False)
    assert fed.user("carol").email is None


# Linking


def test_an_account_that_was_linked_is_signed_in_from_then_on(fed: Setting) -> None:
    fed.apply(fed.provider())
    assert fed.sign_in().status_code == 403
    browser = fed.lab.browser()
    assert fed.link(browser).status_code in (200, 404)  # the account page
    [linked] = fed.lab.facts("identity.linked")
    assert (linked["subject"], linked["change"]) == ("alice", {"provider": "corp"})
    assert consents(fed.sign_in())
    assert fed.lab.last("session.started")["subject"] == "alice"


def test_an_old_session_links_nothing(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    fed.lab.consent_page("alice", browser)
    fed.lab.clock.advance(301)
    cookie = browser.http.get_cookie("__Host-broker", domain="as.example").value
    token = fed.lab.broker.manners.csrf.token(cookie, "link corp")
    page = browser.get(f"/login/upstream/corp/link?csrf={token}")
    assert b'name="password"' in page.data and fed.lab.rows("federation_attempt") == 0


def test_somebody_elses_link_is_never_taken_over(fed: Setting) -> None:
    fed.apply(fed.provider())
    fed.link(fed.lab.browser(), "alice")
    page = fed.link(fed.lab.browser(), "bob")
    assert refused(fed, page, 403, "identity_taken")["subject"] == "bob"
    fed.sign_in()
    assert fed.lab.last("session.started")["subject"] == "alice"


def test_a_visit_to_link_needs_the_account_still_signed_in_behind_the_browser(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    fed.lab.consent_page("alice", browser)
    came = fed.idp.visit(fed.link_out(browser))
    [session] = fed.lab.broker.sessions.of("alice")
    fed.lab.broker.sessions.end_by_id(session.session.id)
    refused(fed, fed.back(browser, came), 400, "login_required")
    assert fed.lab.rows("identity_link") == 0


def test_a_link_taken_away_signs_nobody_in(fed: Setting) -> None:
    fed.apply(fed.provider())
    theirs, mine = fed.lab.browser(), fed.lab.browser()
    fed.lab.consent_page("bob", theirs)
    fed.link(mine)
    [link] = fed.lab.broker.federation.links.of("alice")
    assert unlink(fed, theirs, link.id).status_code == 404, "it is alice's"
    assert unlink(fed, mine, link.id).status_code == 200
    assert unlink(fed, mine, link.id).status_code == 404
    assert fed.lab.last("identity.unlinked")["subject"] == "alice"
    refused(fed, fed.sign_in(), 403, "identity_not_linked")


def test_unlinking_ends_the_sessions_that_the_provider_made_and_no_others(fed: Setting) -> None:
    fed.apply(fed.provider(), fed.provider("twin", issuer=fed.other.issuer))
    mine, elsewhere, vouched, twin = (fed.lab.browser() for _ in range(4))
    fed.link(mine)
    fed.lab.consent_page("alice", elsewhere)
    fed.sign_in(vouched)
    [link] = fed.lab.broker.federation.links.of("alice")
    came = fed.other.visit(fed.link_out(mine, by="twin"))
    fed.back(mine, came, by="twin")
    fed.back(twin, fed.other.visit(fed.begin(twin, by="twin")), by="twin")
    seen = fed.lab.broker.sessions.of
    assert sorted(str(one.session.provider) for one in seen("alice")) == ["None", "None", "corp", "twin"]
    unlink(fed, mine, link.id)
    assert sorted(str(one.session.provider) for one in seen("alice")) == ["None", "None", "twin"]
    assert fed.lab.last("session.ended")["subject"] == "alice"
    assert b'name="username"' in vouched.get("/account").data


def test_whoever_unlinks_what_vouches_for_this_very_session_signs_in_again(fed: Setting) -> None:
    fed.apply(fed.provider())
    fed.link(fed.lab.browser())
    browser = fed.lab.browser()
    fed.sign_in(browser)
    [link] = fed.lab.broker.federation.links.of("alice")
    assert b'name="username"' in unlink(fed, browser, link.id).data


def test_an_old_session_unlinks_nothing(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    fed.link(browser)
    [link] = fed.lab.broker.federation.links.of("alice")
    fed.lab.clock.advance(301)
    assert b'name="password"' in unlink(fed, browser, link.id).data
    assert fed.lab.last("credential.refused")["reason"] == "sign_in_stale"
    assert fed.lab.rows("identity_link") == 1


def test_a_sign_in_beside_the_unlinking_makes_no_session(
    fed: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed.apply(fed.provider())
    mine, browser = fed.lab.browser(), fed.lab.browser()
    fed.link(mine)
    found = Links.find

    def late(self: Links, tx: Transaction, provider: Provider, identity: Identity) -> Link | None:
        link = found(self, tx, provider, identity)
        assert link is not None and store.unlink(tx, link.id, link.user_id)
        return link

    monkeypatch.setattr(Links, "find", late)
    refused(fed, fed.sign_in(browser), 403, "identity_not_linked")


# Tenants and doors


def test_a_tenants_own_provider_works_at_its_door_and_maps_into_it_alone(fed: Setting) -> None:
    fed.apply(fed.provider(**OWN))
    assert b"/login/upstream/corp" not in fed.page(fed.lab.browser()).data
    assert (
        b"/login/upstream/corp"
        not in fed.page(fed.lab.browser(), "/t/globex", resource=FILES, scope="files:read").data
    )
    browser = fed.lab.browser()
    page = fed.sign_in(browser, door="/t/acme", preferred_username="carol")
    token = claims(fed.lab.redeem(landed(browser.allow(page))["code"], door="/t/acme").json["access_token"])
    assert (token["iss"], token["tenant"], token["sub"]) == (ACME, "acme", "carol")
    assert fed.user("carol").tenants() == ("acme",)


def test_a_session_made_by_a_tenants_provider_counts_at_no_other_door(fed: Setting) -> None:
    fed.apply(fed.provider(**OWN))
    browser = fed.lab.browser()
    fed.link(fed.lab.browser(), "both", door="/t/acme")
    assert consents(fed.sign_in(browser, door="/t/acme"))
    files = {"resource": FILES, "scope": "files:read"}
    assert consents(fed.page(browser, "/t/acme", **files))
    for door in ("", "/t/globex"):
        assert b'name="password"' in fed.page(browser, door, **files).data
        arrived = landed(fed.page(browser, door, prompt="none", **files))
        assert arrived["error"] == "login_required"


def test_the_same_subject_at_two_tenants_providers_is_two_people(fed: Setting) -> None:
    globex = {**fed.provider("globex-idp", **OWN), "tenant": "globex"}
    fed.apply(fed.provider(**OWN), globex)
    fed.sign_in(door="/t/acme", preferred_username="carol")
    files = {"resource": FILES, "scope": "files:read"}
    fed.sign_in(door="/t/globex", by="globex-idp", preferred_username="carol", wishes=files)
    first, second = [str(fact["subject"]) for fact in fed.lab.facts("session.started")]
    assert first == "carol" and second.startswith("carol-")
    assert fed.user(second).tenants() == ("globex",)


def test_a_servers_provider_signs_in_for_the_tenants_that_accept_it(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    fed.link(fed.lab.browser(), "both")
    page = fed.sign_in(browser, wishes={"resource": FILES, "scope": "files:read"})
    assert consents(page) and b'name="tenant"' not in page.data, "globex does not accept it"
    token = landed(browser.allow(page))
    assert claims(fed.lab.redeem(token["code"], resource=FILES).json["access_token"])["tenant"] == "acme"
    globex = {"resource": "https://globex.example/mcp", "scope": "g:read"}
    arrived = landed(fed.page(browser, **globex))
    assert (arrived["error"], fed.lab.last("authorization.refused")["reason"]) == (
        "access_denied",
        "provider_not_accepted",
    )
    own = fed.lab.browser()
    assert consents(own.sign_in(fed.page(own, **globex), "both")), "signed in here, it is allowed"


def test_a_remembered_tenant_counts_only_where_it_accepts_how_the_person_signed_in(fed: Setting) -> None:
    fed.apply(fed.provider())
    fed.link(fed.lab.browser(), "both")
    wishes, here = {"resource": FILES, "scope": "files:read"}, fed.lab.browser()
    here.allow(here.sign_in(fed.page(here, **wishes), "both"), tenant="globex")
    page = fed.sign_in(fed.lab.browser(), wishes=wishes)
    assert consents(page) and b"Acme" in page.data and b"Globex" not in page.data
    assert "code" in landed(fed.page(here, **wishes)), "signed in here, the choice stands"
    assert fed.lab.last("code.issued")["tenant"] == "globex"


def test_a_provider_that_is_taken_away_takes_its_sessions_along(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    fed.link(fed.lab.browser())
    assert consents(fed.sign_in(browser)) and consents(fed.page(browser))
    fed.apply(fed.provider(), accepting=())
    assert b'name="password"' in fed.page(browser, "/t/acme").data
    assert landed(fed.page(browser))["error"] == "access_denied"
    fed.apply(fed.provider())
    assert consents(fed.page(browser))


def test_whoever_does_not_belong_to_the_doors_tenant_is_not_let_in(fed: Setting) -> None:
    fed.apply(fed.provider(), accepting=("acme", "globex"))
    fed.link(fed.lab.browser(), "alice")
    files = {"resource": FILES, "scope": "files:read"}
    page = fed.sign_in(door="/t/globex", wishes=files)
    assert refused(fed, page, 403, "not_a_member")["subject"] == "alice"
    assert consents(fed.sign_in(door="/t/acme", wishes=files))


@pytest.mark.parametrize(
    ("kind", "target", "reason"), [("user", "alice", "user_off"), ("tenant", "acme", "tenant_off")]
)
def test_whoever_is_switched_off_is_not_let_in(fed: Setting, kind: str, target: str, reason: str) -> None:
    fed.apply(fed.provider())
    fed.link(fed.lab.browser(), door="/t/acme")
    browser = fed.lab.browser()
    came = fed.idp.visit(fed.begin(browser, "/t/acme"))
    fed.lab.switch(kind, target)
    refused(fed, fed.back(browser, came, "/t/acme"), 403, reason)
    fed.lab.lift(kind, target)
    assert consents(fed.sign_in(door="/t/acme"))


def test_a_deleted_user_does_not_come_back(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    fed.sign_in(preferred_username="carol")
    fed.lab.change(lambda tx: fed.lab.broker.people.remove(tx, "carol"))
    refused(fed, fed.sign_in(preferred_username="carol"), 403, "user_off")


# Roles and attributes


def test_roles_and_attributes_are_what_the_provider_says_now(fed: Setting) -> None:
    mapping = {
        "id": "preferred_username",
        "tenants": [{"always": "acme"}],
        "roles": [{"always": "member"}, {"claim": "groups", "values": {"mcp-approvers": "approver"}}],
        "attributes": {"department": "org.unit"},
    }
    fed.apply(fed.provider(accounts="create", claims=mapping))
    fed.sign_in(preferred_username="carol", groups=["mcp-approvers", "admin"], org={"unit": "support"})
    [membership] = fed.user("carol").memberships
    assert (membership.roles, membership.attributes) == (("member", "approver"), {"department": "support"})
    fed.lab.apply(
        "users: [{id: carol, tenants: [{id: acme, roles: [owner], attributes: {department: x, desk: 7}}]}]"
    )
    fed.sign_in(groups=["others"])
    [membership] = fed.user("carol").memberships
    assert (membership.roles, membership.attributes) == (("member",), {"desk": 7})
    changed = fed.lab.last("membership.mapped")
    assert (changed["tenant"], changed["change"]["roles"]) == ("acme", ["member"])
    before = len(fed.lab.facts("membership.mapped"))
    fed.sign_in(groups=["others"])
    assert len(fed.lab.facts("membership.mapped")) == before


def test_without_a_mapping_of_roles_they_stay_as_the_administrator_set_them(fed: Setting) -> None:
    fed.apply(fed.provider())
    fed.link(fed.lab.browser())
    fed.sign_in(groups=["x"])
    assert fed.user("alice").memberships[0].roles == ("member",)


def test_claims_that_lead_into_no_tenant_let_nobody_in(fed: Setting) -> None:
    mapping = {"id": "preferred_username", "tenants": [{"claim": "hd", "values": {"acme.example": "acme"}}]}
    fed.apply(fed.provider(accounts="create", claims=mapping))
    refused(fed, fed.sign_in(preferred_username="carol", hd="evil.example"), 403, "not_a_member")
    assert fed.user("carol") is None
    assert consents(fed.sign_in(preferred_username="carol", hd="acme.example"))
    refused(fed, fed.sign_in(hd="evil.example"), 403, "not_a_member")


# What the session is worth


@pytest.mark.parametrize(
    ("said", "worth", "amr"),
    [
        ({}, acr.PASSWORD, ["fed"]),
        ({"amr": ["pwd", "otp", "made-up"]}, acr.MFA, ["fed", "pwd", "otp"]),
        ({"acr": "gold"}, acr.MFA, ["fed"]),
        ({"acr": acr.PASSKEY, "amr": "otp"}, acr.PASSWORD, ["fed"]),
    ],
)
def test_a_second_factor_counts_only_as_the_provider_was_said_to_report_it(
    fed: Setting, said: dict[str, object], worth: str, amr: list[str]
) -> None:
    fed.apply(fed.provider(**CREATES, mfa={"acr": ["gold"], "amr": ["otp"]}))
    browser = fed.lab.browser()
    code = landed(browser.allow(fed.sign_in(browser, **said)))["code"]
    token = claims(fed.lab.redeem(code).json["access_token"])
    assert (token["acr"], token["amr"]) == (worth, amr)


def test_the_time_is_when_the_person_proved_it_to_the_provider(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    browser = fed.lab.browser()
    then = int(fed.lab.clock.now()) - 900
    code = landed(browser.allow(fed.sign_in(browser, auth_time=then)))["code"]
    assert claims(fed.lab.redeem(code).json["access_token"])["auth_time"] == then


@pytest.mark.requirement("OIDC-RP-08")
@pytest.mark.parametrize("dated", [True, False])
def test_a_sign_in_of_which_the_provider_does_not_say_when_it_was_is_never_fresh(
    fed: Setting, dated: bool
) -> None:
    fed.apply(fed.provider(**CREATES))
    browser = fed.lab.browser()
    page = fed.sign_in(browser, **{} if dated else {"auth_time": None})
    token = claims(fed.lab.redeem(landed(browser.allow(page))["code"]).json["access_token"])
    assert ("auth_time" in token) is dated and token["acr"] == acr.PASSWORD
    assert "code" in landed(fed.page(browser, prompt="none")), "signed in it is"
    silent = landed(fed.page(browser, prompt="none", max_age="3600"))
    assert silent.get("error") == (None if dated else "login_required")
    assert (b"/login/upstream/" in fed.page(browser, max_age="3600").data) is not dated


def test_the_session_before_ends_with_the_one_transaction_that_begins_the_next(
    fed: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed.apply(fed.provider(**CREATES))
    browser = fed.lab.browser()
    fed.sign_in(browser, preferred_username="carol")
    [before] = fed.lab.broker.sessions.of("carol")
    fed.lab.clock.advance(60)
    url = fed.begin(browser, prompt="login")
    monkeypatch.setattr(Sessions, "end", lambda *_: None)  # no second transaction is needed
    assert consents(fed.back(browser, fed.idp.visit(url, preferred_username="carol")))
    [after] = fed.lab.broker.sessions.of("carol")
    assert after.session.id != before.session.id and after.session.sid == before.session.sid


@pytest.mark.requirement("OIDC-RP-08")
def test_a_fresh_sign_in_is_asked_of_the_provider_and_looked_for(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES, mfa={"acr": ["gold"]}))
    browser = fed.lab.browser()
    url = fed.begin(browser, prompt="login", acr_values=acr.MFA)
    assert "prompt=login" in url and "max_age=0" in url and "acr_values=gold" in url
    for stale in ({"auth_time": None}, {"auth_time": int(fed.lab.clock.now()) - 100}):
        refused(fed, fed.back(browser, fed.idp.visit(url, **stale)), 400, "provider_refused")
        url = fed.begin(browser, prompt="login")
    assert consents(fed.back(browser, fed.idp.visit(url)))


def test_signing_out_here_ends_the_session_that_the_provider_made(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    browser = fed.lab.browser()
    fed.sign_in(browser, preferred_username="carol")
    [session] = fed.lab.broker.sessions.of("carol")
    fed.lab.broker.sessions.end_by_id(session.session.id)
    assert b'name="password"' in fed.page(browser).data


# The way there


def test_the_page_offers_the_providers_of_its_door_by_name(fed: Setting) -> None:
    fed.apply(fed.provider(name="Corp & <Co>"), fed.provider("acme-idp", name="Acme ID", tenant="acme"))
    root, acme = fed.page(fed.lab.browser()), fed.page(fed.lab.browser(), "/t/acme")
    assert b"Corp &amp; &lt;Co&gt;" in root.data and b"Acme ID" not in root.data
    assert address(acme, "acme-idp").startswith(f"{ACME}/login/upstream/acme-idp?")
    assert address(acme).startswith(f"{ACME}/login/upstream/corp?")


def test_the_address_of_a_visit_is_this_browsers(fed: Setting) -> None:
    fed.apply(fed.provider())
    url = address(fed.page(fed.lab.browser())).removeprefix(ISSUER)
    stranger = fed.lab.browser()
    assert_page(stranger.get(url), 403)
    fed.page(stranger)
    assert_page(stranger.get(url), 403)
    assert fed.lab.rows("federation_attempt") == 0


def test_another_site_cannot_begin_a_visit(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    url = address(fed.page(browser)).removeprefix(ISSUER)
    assert_page(browser.get(url, **{"Sec-Fetch-Site": "cross-site"}), 403)
    assert browser.get(url, **{"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_what_is_sent_to_the_provider_is_for_one_visit(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    first, second = fed.begin(browser), fed.begin(browser)
    one, two = (parse_qs(urlsplit(url).query) for url in (first, second))
    assert one["redirect_uri"] == [f"{ISSUER}/login/upstream/corp/callback"]
    assert one["scope"] == ["openid profile email"] and one["code_challenge_method"] == ["S256"]
    for name in ("state", "nonce", "code_challenge"):
        assert one[name] != two[name] and len(one[name][0]) == 43
    assert CALLBACK not in first


def test_too_many_visits_of_one_source_are_refused(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    page = fed.page(browser)
    url = address(page).removeprefix(ISSUER)
    statuses = [
        browser.get(url).status_code for _ in range(fed.lab.broker.settings.interactions_per_minute + 1)
    ]
    assert statuses[0] == 303 and statuses[-1] == 429


# The account itself


def test_a_session_of_a_tenants_provider_changes_no_way_in(fed: Setting) -> None:
    """Else whoever runs that provider could make themselves a key to the person's other tenants."""
    fed.apply(fed.provider(**OWN), fed.provider("wide"))
    fed.link(fed.lab.browser(), "both", door="/t/acme")
    browser = fed.lab.browser()
    fed.sign_in(browser, door="/t/acme")
    assert b'name="username"' not in browser.get("/t/acme/account/sign-in").data
    for page in ("passkeys/new", "app", "codes"):
        assert b'name="username"' in browser.get(f"/t/acme/account/sign-in/{page}").data, page
    cookie = browser.http.get_cookie("__Host-broker", domain="as.example").value
    token = fed.lab.broker.manners.csrf.token(cookie, "password")
    new = "another good pass phrase"
    changed = [("csrf", token), ("old", PASSWORD), ("password", new), ("again", new)]
    assert b'name="username"' in browser.post("/t/acme/account/sign-in/password", changed).data
    assert fed.lab.broker.people.password_matches("both", PASSWORD)
    token = fed.lab.broker.manners.csrf.token(cookie, "link wide")
    before = fed.lab.rows("federation_attempt")
    answer = browser.get(f"/t/acme/login/upstream/wide/link?csrf={token}")
    assert b'name="username"' in answer.data and fed.lab.rows("federation_attempt") == before


def test_a_session_of_a_servers_provider_changes_ways_in_as_its_strength_allows(fed: Setting) -> None:
    fed.apply(fed.provider())
    fed.link(fed.lab.browser(), "alice")
    browser = fed.lab.browser()
    fed.sign_in(browser)
    assert b'name="username"' not in browser.get("/account/sign-in/app").data


def test_the_account_page_lists_links_and_takes_them_away(fed: Setting) -> None:
    fed.apply(fed.provider())
    browser = fed.lab.browser()
    fed.lab.consent_page("alice", browser)
    assert "Link Corporate account" in words(browser.get("/account/sign-in"))
    page = words(fed.link(browser, "alice"))
    assert "was linked: you can sign in with it" in page
    assert "Never used" not in page and "Link Corporate account" not in page
    [link] = fed.lab.broker.federation.links.of("alice")
    page = words(unlink(fed, browser, link.id))
    assert "was unlinked" in page and "Link Corporate account" in page
    assert fed.lab.rows("identity_link") == 0


@pytest.mark.parametrize(
    ("beside", "taken"),
    [(None, False), ("there", True), ("gone", False), ("not accepted", False)],
)
def test_the_last_way_in_is_not_taken_away(fed: Setting, beside: str | None, taken: bool) -> None:
    """`beside`: a link to another provider, with which the person can sign in as long as that is there."""
    corp, twin = fed.provider(**CREATES), fed.provider("twin", issuer=fed.other.issuer)
    fed.apply(corp, twin)
    browser = fed.lab.browser()
    fed.sign_in(browser, preferred_username="carol")
    [link] = fed.lab.broker.federation.links.of("carol")
    if beside:
        fed.back(browser, fed.other.visit(fed.link_out(browser, by="twin")), by="twin")
        assert fed.lab.rows("identity_link") == 2
    if beside == "gone":
        fed.lab.change(lambda tx: fed.lab.broker.providers.remove(tx, "twin"))
    elif beside == "not accepted":
        acme = Tenant("acme", "Acme", providers=("corp",))
        fed.lab.change(lambda tx: fed.lab.broker.tenants.put(tx, acme))
    answer = unlink(fed, browser, link.id)
    left = [one.id for one in fed.lab.broker.federation.links.of("carol")]
    assert (link.id not in left) is taken
    if not taken:
        assert answer.status_code == 400 and "Add another way first" in answer.text
        assert fed.lab.last("credential.refused")["reason"] == "last_way_in"


def test_with_a_passkey_every_link_may_go(fed: Setting) -> None:
    fed.apply(fed.provider(**CREATES))
    fed.sign_in(preferred_username="carol")
    broker, origin = fed.lab.broker, Origin("req", "203.0.113.7", ISSUER)
    [link] = broker.federation.links.of("carol")
    made = Passkey("pk_c", "carol", "cred", "h", "k", "Phone", 0, True, True, (), 0.0)
    fed.lab.change(lambda tx: credentials.add_passkey(tx, made))
    _, session = broker.world.database.write(
        lambda tx: broker.sessions.start(tx, "carol", ("pop",), acr.PASSKEY, origin)
    )
    assert broker.federation.own_links.remove(session, link.id, origin)
    assert fed.lab.rows("identity_link") == 0


def meeting(monkeypatch: pytest.MonkeyPatch, owner: type, verb: str) -> None:
    """Two that come to the end of this verb at once go on together; one alone goes on after a moment."""
    both, plain = threading.Barrier(2), getattr(owner, verb)

    def met(*given: object, **named: object) -> object:
        found = plain(*given, **named)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return found

    monkeypatch.setattr(owner, verb, met)


@pytest.mark.parametrize("beside", ["link", "passkey"])
def test_of_two_last_ways_in_that_are_taken_away_at_once_one_stays(
    fed: Setting, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    corp, twin = fed.provider(**CREATES), fed.provider("twin", issuer=fed.other.issuer)
    fed.apply(corp, twin)
    browser = fed.lab.browser()
    fed.sign_in(browser, preferred_username="carol")
    broker, origin = fed.lab.broker, Origin("req", "203.0.113.7", ISSUER)
    if beside == "link":
        fed.back(browser, fed.other.visit(fed.link_out(browser, by="twin")), by="twin")
    else:
        made = Passkey("pk_c", "carol", "cred", "h", "k", "Phone", 0, True, True, (), 0.0)
        fed.lab.change(lambda tx: credentials.add_passkey(tx, made))
    _, session = broker.world.database.write(
        lambda tx: broker.sessions.start(tx, "carol", ("pop",), acr.PASSKEY, origin)
    )
    links = [link.id for link in broker.federation.links.of("carol")]
    removals: list[Callable[[], object]] = [
        lambda which=which: broker.federation.own_links.remove(session, which, origin) for which in links
    ]
    if beside == "passkey":
        removals.append(lambda: broker.signing_in.own.remove_passkey(session, "pk_c", origin))
    meeting(monkeypatch, WaysIn, "factors")
    meeting(monkeypatch, Links, "has")

    def removed(number: int) -> bool:
        try:
            removals[number]()
        except NotChanged:
            return False
        return True

    assert sorted(race(2, removed)) == [False, True]
    assert fed.lab.rows("identity_link") + fed.lab.rows("passkey") == 1
