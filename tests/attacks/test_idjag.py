"""ID-JAGs of an identity provider that is trusted here, under attack: the IDJAG cases about taking them."""

import threading

import pytest

from broker.audit.record import jti_hash
from tests.lab import ACME, GLOBEX, INITECH, ISSUER, NOTES, TICKETS, Lab, Page, claims
from tests.proofs import ABSENT, Holder
from tests.vouching import AGENT_SECRET, ID_JAG, IDP, Vouchers, redeem

ESTATE = """
trusted_issuers:
  - {{id: corp, issuer: "{idp}", tenants: [acme, globex], trusted_for: [id_jag], jwks: {jwks}, accounts: create,
     claims: {{id: preferred_username, roles: [{{always: member}}]}}, mfa: {{acr: [gold]}}}}
  - {{id: houses, issuer: "https://houses.example", tenants: [acme], trusted_for: [id_jag], jwks: {jwks},
     accounts: create, upstream_tenants: [a, b]}}
  - {{id: lone, issuer: "https://lone.example", tenant: initech, trusted_for: [id_jag], jwks: {jwks}, accounts: create}}
clients:
  - {{client_id: agent, type: confidential, grant_types: ["{grant}"], token_endpoint_auth_method: client_secret_post,
     client_secret: "{secret}"}}
  - {{client_id: thief, type: confidential, grant_types: ["{grant}"], token_endpoint_auth_method: client_secret_post,
     client_secret: "{secret}"}}
  - {{client_id: asking, type: confidential, grant_types: [authorization_code], redirect_uris: [https://c.example/cb],
     token_endpoint_auth_method: client_secret_post, client_secret: "{secret}"}}
"""
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def corp(lab: Lab) -> Vouchers:
    found = Vouchers(lab)
    lab.apply(ESTATE.format(idp=IDP, jwks=found.jwks, grant=GRANT, secret=AGENT_SECRET))
    return found


@pytest.mark.requirement("EXT-EMA-01", "EXT-EMA-08")
def test_an_assertion_gives_its_user_a_token_for_the_resource_that_it_names(corp: Vouchers) -> None:
    answer = redeem(corp.lab, corp.id_jag(preferred_username="Zoe", jti="one-of-the-companys"))
    assert answer.status_code == 200, answer.text
    said = claims(answer.json["access_token"])
    assert (said["sub"], said["aud"], said["client_id"], said["tenant"]) == ("zoe", TICKETS, "agent", "acme")
    assert (answer.json["scope"], said["vouched_by"], "acr" in said) == ("tickets:read", "corp", False)
    record = corp.lab.last("token.issued")
    assert (record["change"], record["grant_id"]) == ({"vouched_by": "corp"}, said["grant_id"])
    assert corp.lab.last("assertion.accepted")["txn"] == said["txn"]
    assert record["parent_jti_hash"] == jti_hash("corp#one-of-the-companys")


@pytest.mark.requirement("EXT-EMA-04")
@pytest.mark.attack("IDJAG-01")
@pytest.mark.parametrize("typ", [None, "JWT", "at+jwt", "application/id-jag+jwt"])
def test_a_token_of_another_type_is_no_id_jag(corp: Vouchers, typ: str | None) -> None:
    answer = redeem(corp.lab, corp.id_jag(typ, aud_tenant="acme"))
    corp.lab.refused(answer, 400, "invalid_grant", "assertion_invalid")


@pytest.mark.attack("IDJAG-01")
@pytest.mark.parametrize("typ", ["OAUTH-ID-JAG+JWT", "application/oauth-id-jag+jwt"])
def test_the_media_type_is_the_same_in_capitals_and_in_full(corp: Vouchers, typ: str) -> None:
    assert redeem(corp.lab, corp.id_jag(typ, aud_tenant="acme")).status_code == 200


@pytest.mark.requirement("EXT-EMA-05")
@pytest.mark.attack("IDJAG-02")
@pytest.mark.parametrize(
    "aud", [f"{ISSUER}/token", [ISSUER, "https://other.example"], GLOBEX, f"{ISSUER}/", ABSENT, [], 7]
)
def test_an_assertion_for_another_audience_is_refused(corp: Vouchers, aud: object) -> None:
    answer = redeem(corp.lab, corp.id_jag(aud=aud, aud_tenant="acme"))
    corp.lab.refused(answer, 400, "invalid_grant", "assertion_foreign")


@pytest.mark.attack("IDJAG-02")
def test_a_list_with_nothing_but_the_issuer_is_the_issuer(corp: Vouchers) -> None:
    assert redeem(corp.lab, corp.id_jag(aud=[ISSUER], aud_tenant="acme")).status_code == 200


@pytest.mark.requirement("EXT-EMA-01")
@pytest.mark.attack("IDJAG-03")
def test_an_assertion_of_one_client_is_nothing_in_the_hands_of_another(corp: Vouchers) -> None:
    stolen = corp.id_jag(aud_tenant="acme")
    answer = redeem(corp.lab, stolen, "thief")
    assert corp.lab.refused(answer, 400, "invalid_grant", "assertion_foreign")["client"] == "thief"
    assert redeem(corp.lab, stolen).status_code == 200


@pytest.mark.requirement("EXT-EMA-04", "EXT-EMA-07")
@pytest.mark.attack("IDJAG-05")
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"exp": -600}, "assertion_expired"),
        ({"exp": ABSENT}, "assertion_invalid"),
        ({"iat": 3600}, "assertion_invalid"),
        ({"iat": ABSENT}, "assertion_invalid"),
        ({"exp": 86400 * 30}, "assertion_invalid"),
        ({"jti": ABSENT}, "assertion_invalid"),
        ({"sub": ABSENT}, "assertion_invalid"),
        ({"sub": "a\x00b"}, "assertion_invalid"),
    ],
)
def test_times_and_names_are_demanded(corp: Vouchers, wrong: dict[str, object], reason: str) -> None:
    now = int(corp.lab.clock.now())
    said = {name: now + value if isinstance(value, int) else value for name, value in wrong.items()}
    answer = redeem(corp.lab, corp.id_jag(aud_tenant="acme", **said))
    corp.lab.refused(answer, 400, "invalid_grant", reason)


@pytest.mark.attack("IDJAG-06")
@pytest.mark.requirement("EXT-EMA-02")
def test_of_many_who_bring_one_assertion_at_once_one_is_served(corp: Vouchers) -> None:
    one, other = corp.lab, corp.lab.replica()
    assert redeem(one, corp.id_jag(aud_tenant="acme")).status_code == 200  # the account is there
    assertion, gate, answers = corp.id_jag(aud_tenant="acme"), threading.Barrier(8), []

    def bring(lab: Lab) -> None:
        gate.wait()
        answers.append(redeem(lab, assertion).status_code)

    threads = [threading.Thread(target=bring, args=(lab,)) for lab in (one, other) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.broker.close()
    assert sorted(answers) == [200] + [400] * 7
    one.refused(redeem(one, assertion), 400, "invalid_grant", "assertion_replayed")


@pytest.mark.requirement("EXT-EMA-11")
@pytest.mark.attack("IDJAG-07")
def test_a_key_that_the_assertion_names_is_shown(corp: Vouchers) -> None:
    lab, mine, other = corp.lab, Holder(), Holder()
    bound = corp.id_jag(aud_tenant="acme", cnf={"jkt": mine.jkt})
    now, url = lab.clock.now(), f"{ISSUER}/token"
    lab.refused(redeem(lab, bound), 400, "invalid_grant", "constraint_lost")
    lab.refused(redeem(lab, bound, dpop=other.proof(url, now)), 400, "invalid_grant", "dpop_key_mismatch")
    answer = redeem(lab, bound, dpop=mine.proof(url, now))
    assert (answer.json["token_type"], claims(answer.json["access_token"])["cnf"]) == (
        "DPoP",
        {"jkt": mine.jkt},
    )
    free = redeem(lab, corp.id_jag(aud_tenant="acme"), dpop=other.proof(url, now))
    assert claims(free.json["access_token"])["cnf"] == {"jkt": other.jkt}


@pytest.mark.requirement("EXT-EMA-08", "EXT-EMA-09")
@pytest.mark.attack("IDJAG-08")
def test_resource_and_scope_stay_within_the_assertion(corp: Vouchers) -> None:
    lab = corp.lab
    elsewhere = redeem(lab, corp.id_jag(aud_tenant="acme"), resource=NOTES)
    lab.refused(elsewhere, 400, "invalid_target", "resource_mismatch")
    more = redeem(lab, corp.id_jag(aud_tenant="acme"), scope="tickets:read tickets:write", resource=TICKETS)
    assert (more.status_code, more.json["scope"]) == (200, "tickets:read")
    nothing = redeem(lab, corp.id_jag(aud_tenant="acme"), scope="tickets:write")
    lab.refused(nothing, 400, "invalid_scope", "scope_empty")
    for wrong in ("https://never.example/mcp", [], [TICKETS, 7], 7):
        answer = redeem(lab, corp.id_jag(aud_tenant="acme", resource=wrong))
        lab.refused(answer, 400, "invalid_grant", "resource_unknown")


@pytest.mark.attack("IDJAG-09")
@pytest.mark.parametrize("typ", ["JWT", "at+jwt"])
def test_an_id_token_is_no_assertion_with_or_without_a_client_beside_it(corp: Vouchers, typ: str) -> None:
    token = corp.says(typ, aud="agent", nonce="n")
    corp.lab.refused(redeem(corp.lab, token), 400, "invalid_grant", "assertion_invalid")
    corp.lab.refused(redeem(corp.lab, token, None), 400, "invalid_grant", "issuer_untrusted")


@pytest.mark.attack("IDJAG-10")
def test_a_public_client_cannot_redeem(corp: Vouchers) -> None:
    form = {
        "grant_type": GRANT,
        "client_id": "desk-app",
        "assertion": corp.id_jag(client_id="desk-app", aud_tenant="acme"),
    }
    answer = corp.lab.post("/token", form)
    assert (answer.status_code, answer.json["error"]) == (400, "unauthorized_client")


@pytest.mark.attack("IDJAG-11")
def test_an_assertion_for_one_tenant_is_useless_at_another(corp: Vouchers) -> None:
    lab = corp.lab
    other = corp.id_jag(aud=ACME, aud_tenant="globex")
    lab.refused(redeem(lab, other, door="/t/acme"), 400, "invalid_grant", "tenant_not_served")
    houses = Vouchers(lab, "https://houses.example", corp.holder)
    for tenant in (ABSENT, "c"):
        answer = redeem(lab, houses.id_jag(tenant=tenant))
        lab.refused(answer, 400, "invalid_grant", "assertion_foreign")
    assert redeem(lab, houses.id_jag(tenant="a")).status_code == 200


@pytest.mark.attack("IDJAG-12")
def test_equal_subjects_of_two_tenants_of_one_issuer_are_two_people(corp: Vouchers) -> None:
    houses = Vouchers(corp.lab, "https://houses.example", corp.holder)
    subjects = {
        claims(redeem(corp.lab, houses.id_jag(tenant=tenant, sub="7")).json["access_token"])["sub"]
        for tenant in ("a", "b", "a")
    }
    assert len(subjects) == 2


@pytest.mark.attack("IDJAG-14")
def test_a_client_whose_users_are_asked_is_not_let_past_them(corp: Vouchers) -> None:
    answer = redeem(corp.lab, corp.id_jag(client_id="asking", aud_tenant="acme"), "asking")
    corp.lab.refused(answer, 400, "unauthorized_client", "client_grant_type")


@pytest.mark.attack("IDJAG-14")
def test_what_an_issuer_vouched_for_answers_no_question_that_is_put_to_the_user(corp: Vouchers) -> None:
    lab = corp.lab
    lab.apply(
        "clients: [{client_id: agent, type: confidential, token_endpoint_auth_method: client_secret_post,"
        f' redirect_uris: [https://client.example/cb], grant_types: [authorization_code, "{GRANT}"]}}]'
    )
    redeem(lab, corp.id_jag(aud_tenant="acme", preferred_username="zoe"))
    lab.set_password("zoe", "correct horse battery staple")
    page = lab.consent_page("zoe", client_id="agent")
    assert page.status_code == 200 and "wants to use" in page.text and Page.of(page).action


@pytest.mark.attack("IDJAG-18")
def test_a_stronger_sign_in_is_asked_for_where_the_scope_takes_one(corp: Vouchers) -> None:
    lab = corp.lab
    lab.apply(
        'resources: [{id: strict, kind: mcp, uri: "https://strict.example/mcp", tenants: [acme], scopes: '
        '[{name: "s:read", acr: "urn:mcp-token-broker:acr:mfa", max_age: 600}]}]'
    )
    there = {"resource": "https://strict.example/mcp", "scope": "s:read", "auth_time": int(lab.clock.now())}
    answer = redeem(lab, corp.id_jag(**there, acr="silver"))
    lab.refused(answer, 400, "insufficient_user_authentication", "authentication_too_weak")
    assert (answer.json["acr_values"], answer.json["max_age"]) == ("urn:mcp-token-broker:acr:mfa", 600)
    strong = claims(redeem(lab, corp.id_jag(**there, acr="gold")).json["access_token"])
    assert (strong["acr"], strong["amr"]) == ("urn:mcp-token-broker:acr:mfa", ["fed"])


@pytest.mark.requirement("EXT-EMA-10")
@pytest.mark.attack("IDJAG-19", "REFRESH-13")
def test_an_assertion_yields_no_refresh_token(corp: Vouchers) -> None:
    answer = redeem(corp.lab, corp.id_jag(aud_tenant="acme", scope="tickets:read offline_access"))
    assert "refresh_token" not in answer.json and corp.lab.rows("refresh_token") == 0


@pytest.mark.attack("IDJAG-20")
def test_an_assertion_for_one_door_is_useless_at_another(corp: Vouchers) -> None:
    lab = corp.lab
    forwarded = corp.id_jag(aud=ACME)
    lab.refused(redeem(lab, forwarded), 400, "invalid_grant", "assertion_foreign")
    lab.refused(redeem(lab, forwarded, door="/t/globex"), 400, "invalid_grant", "assertion_foreign")
    assert redeem(lab, forwarded, door="/t/acme").status_code == 200


@pytest.mark.requirement("EXT-EMA-06")
def test_an_issuer_is_trusted_by_all_of_its_name_and_where_its_entry_says(corp: Vouchers) -> None:
    lab = corp.lab
    for issuer in (f"{IDP}/", f"{IDP}.evil.example", "https://idp.exampl", IDP.upper(), 7, [IDP], ABSENT):
        answer = redeem(lab, corp.id_jag(iss=issuer, aud_tenant="acme"))
        lab.refused(answer, 400, "invalid_grant", "issuer_untrusted")
    stranger = Vouchers(lab)
    lab.refused(redeem(lab, stranger.id_jag(aud_tenant="acme")), 400, "invalid_grant", "assertion_invalid")
    lone = Vouchers(lab, "https://lone.example", corp.holder)
    lab.refused(redeem(lab, lone.id_jag()), 400, "invalid_grant", "issuer_untrusted")
    at_home = redeem(
        lab,
        lone.id_jag(aud=INITECH, resource="https://files.example/mcp", scope="files:read"),
        door="/t/initech",
    )
    assert claims(at_home.json["access_token"])["tenant"] == "initech"


@pytest.mark.requirement("EXT-EMA-16")
def test_our_own_word_opens_nothing_here_even_where_somebody_wrote_us_down(corp: Vouchers) -> None:
    lab = corp.lab
    lab.apply(
        f'trusted_issuers: [{{id: us, issuer: "{ISSUER}", tenants: [acme], trusted_for: [id_jag], '
        "accounts: create}]"
    )
    now = int(lab.clock.now())
    said = {"iss": ISSUER, "sub": "alice", "aud": ISSUER, "client_id": "agent", "jti": "j", "iat": now}
    token = lab.signed({**said, "exp": now + 60, "resource": TICKETS}, typ=ID_JAG)
    lab.refused(redeem(lab, token), 400, "invalid_grant", "issuer_untrusted")


def test_somebody_without_an_account_is_refused_unless_the_entry_makes_one(corp: Vouchers) -> None:
    lab = corp.lab
    lab.apply(
        f'trusted_issuers: [{{id: corp, issuer: "{IDP}", tenants: [acme], trusted_for: [id_jag], jwks: {corp.jwks}}}]'
    )
    people = lab.rows("user_account")
    answer = redeem(lab, corp.id_jag(sub="alice", email="alice@example.com", email_verified=True))
    lab.refused(answer, 400, "invalid_grant", "identity_not_linked")
    assert lab.rows("user_account") == people


def test_an_address_that_somebody_has_already_links_nobody(corp: Vouchers) -> None:
    answer = redeem(corp.lab, corp.id_jag(aud_tenant="acme", email="alice@example.com", email_verified=True))
    corp.lab.refused(answer, 400, "invalid_grant", "identity_not_linked")


def test_an_issuer_that_is_switched_off_gives_nothing_and_ends_what_it_gave(corp: Vouchers) -> None:
    lab = corp.lab
    token = redeem(lab, corp.id_jag(aud_tenant="acme")).json["access_token"]
    assert lab.active(token)
    lab.switch("issuer", "corp")
    assert not lab.active(token)
    before = lab.rows("user_account")
    answer = redeem(lab, corp.id_jag(aud_tenant="acme", sub="u-2"))
    lab.refused(answer, 400, "invalid_grant", "issuer_off")
    assert lab.rows("user_account") == before
    lab.lift("issuer", "corp")
    assert lab.active(token) and redeem(lab, corp.id_jag(aud_tenant="acme")).status_code == 200


def test_a_grant_on_an_issuers_word_is_listed_reused_and_revoked(corp: Vouchers) -> None:
    lab = corp.lab
    first, again = (claims(redeem(lab, corp.id_jag(aud_tenant="acme")).json["access_token"]) for _ in "12")
    assert first["grant_id"] == again["grant_id"]
    [grant] = [one for one in lab.broker.grants.list() if one.vouched_by == "corp"]
    assert (grant.id, grant.scopes, grant.offline) == (first["grant_id"], ("tickets:read",), False)
    token = redeem(lab, corp.id_jag(aud_tenant="acme")).json["access_token"]
    assert lab.broker.grants.revoke(grant.id, "test") and not lab.active(token)
    assert claims(redeem(lab, corp.id_jag(aud_tenant="acme")).json["access_token"])["grant_id"] != grant.id


@pytest.mark.requirement("EXT-EMA-06")
@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "EdDSA", 7])
def test_an_algorithm_that_is_not_the_entrys_is_refused(corp: Vouchers, alg: object) -> None:
    now = int(corp.lab.clock.now())
    claims_ = {
        "iss": IDP,
        "sub": "u",
        "aud": ISSUER,
        "client_id": "agent",
        "jti": "x",
        "iat": now,
        "exp": now + 60,
    }
    token = corp.holder.signed({"alg": alg, "kid": "k1", "typ": ID_JAG}, claims_)
    corp.lab.refused(redeem(corp.lab, token), 400, "invalid_grant", "assertion_invalid")


@pytest.mark.requirement("EXT-EMA-03", "EXT-EMA-12", "EXT-WIF-06")
def test_metadata_says_that_assertions_are_taken_and_not_whose(corp: Vouchers) -> None:
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration/t/acme"):
        answer = corp.lab.get(path)
        assert GRANT in answer.json["grant_types_supported"]
        assert answer.json["authorization_grant_profiles_supported"] == [
            "urn:ietf:params:oauth:grant-profile:id-jag"
        ]
        assert answer.json["identity_chaining_requested_token_types_supported"] == [
            "urn:ietf:params:oauth:token-type:id-jag"
        ]
        assert IDP not in answer.text and "workload_jwt" not in answer.text


@pytest.mark.requirement("EXT-EMA-13")
def test_an_assertion_is_written_down_nowhere(
    corp: Vouchers, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = corp.id_jag(aud_tenant="acme"), corp.id_jag(aud="https://other.example")
    assert redeem(corp.lab, good).status_code == 200 and redeem(corp.lab, bad).status_code == 400
    kept = corp.lab.dump() + caplog.text.encode() + "".join(capsys.readouterr()).encode()
    for token in (good, bad):
        assert all(part.encode() not in kept for part in token.split(".")[1:])


def test_whatever_a_trusted_issuer_writes_into_a_claim_is_an_answer_and_never_a_fault(corp: Vouchers) -> None:
    names = ("sub", "jti", "client_id", "resource", "scope", "tenant", "aud_tenant", "cnf", "acr", "amr")
    more = ("auth_time", "authorization_details", "preferred_username", "name", "email", "nbf", "act", "exp")
    values = (7, -1, 1e300, True, None, [], [[]], {}, {"jkt": 7}, "a\x00b", "ü", "x" * 3000, "", "\ud800")
    for name in (*names, *more):
        for value in values:
            answer = redeem(corp.lab, corp.id_jag(**{"sub": f"u-{name}", name: value}))
            assert answer.status_code in (200, 400), (name, value, answer.text)
    for assertion in (
        "",
        "a",
        "a.b",
        "a.b.c",
        "ü.ü.ü",
        "\x00",
        "." * 20000,
        "e30.e30.",
        "bnVsbA.bnVsbA.bnVsbA",
    ):
        for client_id in ("agent", None):
            assert 400 <= redeem(corp.lab, assertion, client_id).status_code < 500, assertion
